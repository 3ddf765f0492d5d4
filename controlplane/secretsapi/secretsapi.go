// Package secretsapi answers the operations of Secrets Manager and of the SSM
// Parameter Store by which the AWS CLI and SDKs fill and read Longshore's own
// store of secrets. It owns what those services answer to whom; it must not
// import the handlers of ECS, and it puts a value into an answer and nowhere
// else: not into an error, not into a log.
//
// To add an operation: a row in the table of its service, a method, a test
// through the SDK, and a row in docs/compatibility.md.
package secretsapi

import (
	"encoding/json"
	"time"

	"github.com/longshore/longshore/controlplane/awsjson"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/secrets"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// Config is what the two services need.
type Config struct {
	Owner model.Owner
	Keys  *secrets.Keyring // nil: values are neither taken nor given
	Clock func() time.Time // default: time.Now
}

// handler answers operations on the state of one term of leadership.
type handler struct {
	Config
	store *store.Store
}

// New returns the services, for the server that takes the requests.
func New(cfg Config) []awsjson.Service {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	handle := func(st *store.Store) *handler { return &handler{Config: cfg, store: st} }
	return []awsjson.Service{
		awsjson.Tabled("secretsmanager.", "secretsmanager", managerOperations(), managerRefuses, handle),
		awsjson.Tabled("AmazonSSM.", "ssm", parameterOperations(), parameterRefuses, handle),
	}
}

// unsupported are members of a request that must not be given.
type unsupported map[string]json.RawMessage

// check refuses the first that is there.
func (u unsupported) check(code string) error {
	for name, value := range u {
		if len(value) > 0 && string(value) != "null" {
			return ecs.Errorf(code, "Longshore does not support %s.", name)
		}
	}
	return nil
}

func timestamp(t time.Time) *ecs.Timestamp {
	if t.IsZero() {
		return nil
	}
	return &ecs.Timestamp{Time: t}
}

// tag is a tag as both services write it.
type tag struct{ Key, Value string }

const maxTags = 50

func tagsOf(in []tag, code string) ([]ecs.Tag, error) {
	if len(in) > maxTags {
		return nil, ecs.Errorf(code, "At most %d tags can be given, not %d.", maxTags, len(in))
	}
	out := make([]ecs.Tag, 0, len(in))
	taken := map[string]bool{}
	for _, t := range in {
		if t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 || taken[t.Key] {
			return nil, ecs.Errorf(code, "A tag needs a key of 1 to 128 characters that is given once, and a value of at most 256.")
		}
		taken[t.Key] = true
		out = append(out, ecs.Tag{Key: t.Key, Value: &t.Value})
	}
	return out, nil
}

func showTags(in []ecs.Tag) []tag {
	out := make([]tag, 0, len(in))
	for _, t := range in {
		shown := tag{Key: t.Key}
		if t.Value != nil {
			shown.Value = *t.Value
		}
		out = append(out, shown)
	}
	return out
}

// pageSize reads how many a page may have.
func pageSize(asked *int32, most int, code string) (int, error) {
	if asked == nil {
		return most, nil
	}
	if *asked < 1 || int(*asked) > most {
		return 0, ecs.Errorf(code, "MaxResults must be between 1 and %d, not %d.", most, *asked)
	}
	return int(*asked), nil
}
