package elbv2

import (
	"context"
	"strconv"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
)

const attributeDelay = "deregistration_delay.timeout_seconds"

// off are the attributes that are there and have no effect: each can be set to the
// value that it has, which asks for nothing.
var off = []attribute{
	{"stickiness.enabled", "false"},
	{"slow_start.duration_seconds", "0"},
	{"load_balancing.cross_zone.enabled", "use_load_balancer_configuration"},
}

type attribute struct{ Key, Value string }

type attributesResult struct {
	Attributes []attribute `xml:"Attributes>member"`
}

func attributesOf(g *model.TargetGroup) attributesResult {
	out := attributesResult{[]attribute{{attributeDelay, strconv.Itoa(int(g.DeregistrationDelay))}}}
	out.Attributes = append(out.Attributes, off...)
	return out
}

func (h *handler) describeAttributes(_ context.Context, f *form) (any, error) {
	g, err := h.group(h.store.View(), f.text("TargetGroupArn"))
	if err != nil {
		return nil, err
	}
	return attributesOf(g), nil
}

func (h *handler) modifyAttributes(ctx context.Context, f *form) (any, error) {
	g, err := h.change(ctx, f.text("TargetGroupArn"), func(_ *store.Tx, g *model.TargetGroup) error {
		f.members("Attributes", func(prefix string) {
			f.fail(setAttribute(g, f.text(prefix+".Key"), f.text(prefix+".Value")))
		})
		return f.check()
	})
	if err != nil {
		return nil, err
	}
	return attributesOf(g), nil
}

func setAttribute(g *model.TargetGroup, key, value string) error {
	if key == attributeDelay {
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 || n > 3600 {
			return invalid("'%s' must be between '0' and '3600' inclusive", key)
		}
		g.DeregistrationDelay = int32(n)
		return nil
	}
	for _, a := range off {
		if a.Key == key && a.Value == value {
			return nil
		}
	}
	return unsupported("the value '" + clip(value) + "' of the target group attribute " + clip(key))
}
