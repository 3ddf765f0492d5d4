// Package cloudmap answers the operations of AWS Cloud Map by which the AWS CLI, SDKs
// and Terraform make namespaces and services and find who is behind them. It owns what
// Cloud Map answers to whom; who the members are follows from the store, and names are
// answered by package nameserver. It must not import the handlers of ECS.
//
// To add an operation: a row in the table, a method, a test through the SDK, and a row
// in docs/compatibility.md.
package cloudmap

import (
	"encoding/json"
	"iter"
	"regexp"
	"time"

	"github.com/longshore/longshore/controlplane/awsjson"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// Codes of Cloud Map's errors.
const (
	codeInvalid           = "InvalidInput"
	codeInUse             = "ResourceInUse"
	codeNamespaceNotFound = "NamespaceNotFound"
	codeServiceNotFound   = "ServiceNotFound"
	codeInstanceNotFound  = "InstanceNotFound"
	codeOperationNotFound = "OperationNotFound"
	codeNamespaceExists   = "NamespaceAlreadyExists"
	codeServiceExists     = "ServiceAlreadyExists"
	codeNoCustomHealth    = "CustomHealthNotFound"
	codeTooManyTags       = "TooManyTagsException"
	codeResourceNotFound  = "ResourceNotFoundException"
)

// Config is what the service needs.
type Config struct {
	Owner model.Owner
	Clock func() time.Time // default: time.Now
}

// handler answers operations on the state of one term of leadership.
type handler struct {
	Config
	store *store.Store
}

func operations() map[string]awsjson.Operation[handler] {
	return map[string]awsjson.Operation[handler]{
		"CreatePrivateDnsNamespace":        awsjson.Op((*handler).createPrivateNamespace),
		"CreateHttpNamespace":              awsjson.Op((*handler).createHTTPNamespace),
		"GetNamespace":                     awsjson.Op((*handler).getNamespace),
		"ListNamespaces":                   awsjson.Op((*handler).listNamespaces),
		"UpdatePrivateDnsNamespace":        awsjson.Op((*handler).updatePrivateNamespace),
		"UpdateHttpNamespace":              awsjson.Op((*handler).updateHTTPNamespace),
		"DeleteNamespace":                  awsjson.Op((*handler).deleteNamespace),
		"CreateService":                    awsjson.Op((*handler).createService),
		"GetService":                       awsjson.Op((*handler).getService),
		"UpdateService":                    awsjson.Op((*handler).updateService),
		"ListServices":                     awsjson.Op((*handler).listServices),
		"DeleteService":                    awsjson.Op((*handler).deleteService),
		"RegisterInstance":                 awsjson.Op((*handler).registerInstance),
		"DeregisterInstance":               awsjson.Op((*handler).deregisterInstance),
		"UpdateInstanceCustomHealthStatus": awsjson.Op((*handler).updateHealth),
		"GetInstance":                      awsjson.Op((*handler).getInstance),
		"ListInstances":                    awsjson.Op((*handler).listInstances),
		"GetInstancesHealthStatus":         awsjson.Op((*handler).healthOfInstances),
		"DiscoverInstances":                awsjson.Op((*handler).discoverInstances),
		"DiscoverInstancesRevision":        awsjson.Op((*handler).discoverRevision),
		"GetOperation":                     awsjson.Op((*handler).getOperation),
		"ListOperations":                   awsjson.Op((*handler).listOperations),
		"TagResource":                      awsjson.Op((*handler).tagResource),
		"UntagResource":                    awsjson.Op((*handler).untagResource),
		"ListTagsForResource":              awsjson.Op((*handler).listTags),
	}
}

// refuses are the operations of Cloud Map that are not answered.
var refuses = []string{
	"CreatePublicDnsNamespace", "UpdatePublicDnsNamespace",
	"GetServiceAttributes", "UpdateServiceAttributes", "DeleteServiceAttributes",
}

// New returns the service, for the server that takes the requests.
func New(cfg Config) awsjson.Service {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	return awsjson.Tabled("Route53AutoNaming_v20170314.", "servicediscovery", operations(), refuses,
		func(st *store.Store) *handler { return &handler{Config: cfg, store: st} })
}

func invalid(format string, args ...any) error { return ecs.Errorf(codeInvalid, format, args...) }

// given tells whether a member of a request that is only refused was given.
func given(v json.RawMessage) bool { return len(v) > 0 && string(v) != "null" }

const (
	maxText    = 1024 // characters of a description
	maxRequest = 64   // of a CreatorRequestId
	maxPage    = 100
)

// label is one part of a DNS name, with the underscores that SRV names have.
var label = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)

func checkTexts(description, request string) error {
	switch {
	case len(description) > maxText:
		return invalid("Description must have at most %d characters.", maxText)
	case len(request) > maxRequest:
		return invalid("CreatorRequestId must have at most %d characters.", maxRequest)
	}
	return nil
}

// listing is what the requests of all lists have in common.
type listing struct {
	NextToken  string
	MaxResults *int32
	Filters    []filter
}

type filter struct {
	Name, Condition string
	Values          []string
}

// accept returns a function that tells whether a record passes all filters. fields
// are what may be filtered by, each with its values of a record.
func accept[T any](filters []filter, fields map[string]func(*T) string) (func(*T) bool, error) {
	for _, f := range filters {
		if _, ok := fields[f.Name]; !ok {
			return nil, invalid("Longshore does not support the filter %s here.", f.Name)
		}
		switch f.Condition {
		case "", "EQ":
			if len(f.Values) != 1 {
				return nil, invalid("The filter %s needs one value for the condition EQ, not %d.", f.Name, len(f.Values))
			}
		case "IN":
			if len(f.Values) == 0 {
				return nil, invalid("The filter %s needs values.", f.Name)
			}
		default:
			return nil, invalid("Longshore does not support the condition %s of filters: it must be EQ or IN.", f.Condition)
		}
	}
	return func(r *T) bool {
		for _, f := range filters {
			found := false
			for _, v := range f.Values {
				found = found || fields[f.Name](r) == v
			}
			if !found {
				return false
			}
		}
		return true
	}, nil
}

func pageSize(asked *int32, most int) (int, error) {
	if asked == nil {
		return maxPage, nil
	}
	if *asked < 1 || int(*asked) > most {
		return 0, invalid("MaxResults must be between 1 and %d, not %d.", most, *asked)
	}
	return int(*asked), nil
}

// page takes one page of a list that is in the order of ids.
func page[T any](list string, in listing, from func(after string) iter.Seq[*T], id func(*T) string, keep func(*T) bool) (out []*T, next string, err error) {
	limit, err := pageSize(in.MaxResults, maxPage)
	if err != nil {
		return nil, "", err
	}
	after, ok := awsjson.After(list, in.NextToken)
	if !ok {
		return nil, "", invalid("The NextToken value is invalid.")
	}
	for r := range from(after) {
		switch {
		case id(r) == after && after != "", !keep(r):
			continue
		case len(out) == limit:
			return out, awsjson.Token(list, id(out[limit-1])), nil
		}
		out = append(out, r)
	}
	return out, "", nil
}
