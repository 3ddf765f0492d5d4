// Package elbv2 answers the operations of Elastic Load Balancing v2 by which target
// groups are made, shown and filled. It owns what that API says to whom; the members
// of a group are endpoints' to say, and no operation here moves traffic.
//
// To add an operation: a row in the table, a method, a test through the SDK, and a row
// in docs/compatibility.md.
package elbv2

import (
	"context"
	"net/url"
	"time"

	"github.com/longshore/longshore/controlplane/awsjson"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
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

const name = "elasticloadbalancing"

// New returns the service, for the server that takes the requests.
func New(cfg Config) awsjson.Service {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	table := operations()
	known := map[string]bool{}
	for operation := range table {
		known[operation] = true
	}
	return awsjson.Service{
		SigningName: name, Label: name + ".", Known: known,
		Form: &awsjson.Form{Answer: writeAnswer, Refuse: writeError},
		Call: func(ctx context.Context, st *store.Store, operation string, body []byte) (any, error) {
			values, err := url.ParseQuery(string(body))
			if err != nil {
				return nil, invalid("The request is not a form: %s", clip(err.Error()))
			}
			h := &handler{Config: cfg, store: st}
			f := &form{values: values}
			out, err := table[operation](h, ctx, f)
			if err == nil {
				err = f.err
			}
			return out, err
		},
	}
}

// operation reads its input of a form, and returns what is written as its result.
type operation func(h *handler, ctx context.Context, f *form) (any, error)

func operations() map[string]operation {
	return map[string]operation{
		"CreateTargetGroup":             (*handler).createTargetGroup,
		"ModifyTargetGroup":             (*handler).modifyTargetGroup,
		"DescribeTargetGroups":          (*handler).describeTargetGroups,
		"DeleteTargetGroup":             (*handler).deleteTargetGroup,
		"ModifyTargetGroupAttributes":   (*handler).modifyAttributes,
		"DescribeTargetGroupAttributes": (*handler).describeAttributes,
		"RegisterTargets":               (*handler).registerTargets,
		"DeregisterTargets":             (*handler).deregisterTargets,
		"DescribeTargetHealth":          (*handler).describeTargetHealth,
		"AddTags":                       (*handler).addTags,
		"RemoveTags":                    (*handler).removeTags,
		"DescribeTags":                  (*handler).describeTags,
	}
}

// group finds a target group by its ARN.
func (h *handler) group(t *store.Tables, arn string) (*model.TargetGroup, error) {
	g, ok := t.TargetGroupByARN(model.TargetGroupARN(arn))
	if !ok {
		if model.TargetGroupARN(arn).Name() == "" {
			return nil, invalid("'%s' is not a valid target group ARN", clip(arn))
		}
		return nil, ecs.Errorf(codeNotFound, "One or more target groups not found")
	}
	return g, nil
}

// change puts a changed copy of a group; a change that fails leaves it as it is.
func (h *handler) change(ctx context.Context, arn string, change func(*store.Tx, *model.TargetGroup) error) (*model.TargetGroup, error) {
	var out *model.TargetGroup
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		have, err := h.group(tx.Tables, arn)
		if err != nil {
			return err
		}
		next := *have
		if err := change(tx, &next); err != nil {
			return err
		}
		next.Note()
		out = &next
		tx.PutTargetGroup(out)
		return nil
	})
	return out, err
}

// Error codes of ELBv2.
const (
	codeValidation    = "ValidationError"
	codeNotFound      = "TargetGroupNotFound"
	codeDuplicate     = "DuplicateTargetGroupName"
	codeInUse         = "ResourceInUse"
	codeInvalidTarget = "InvalidTarget"
	codeConfiguration = "InvalidConfigurationRequest"
	codeTooManyTags   = "TooManyTags"
	codeDuplicateTags = "DuplicateTagKeys"
	codeTooMany       = "TooManyTargets"
)

func invalid(format string, args ...any) error { return ecs.Errorf(codeValidation, format, args...) }

// unsupported refuses what exists in ELBv2 and has no effect here.
func unsupported(what string) error {
	return ecs.Errorf(codeConfiguration, "Longshore does not support %s.", what)
}

func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
