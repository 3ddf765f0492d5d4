package elbv2

import (
	"context"
	"slices"
	"strconv"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
)

const attributeDelay = "deregistration_delay.timeout_seconds"

// fixed are the attributes that are there and whose value is what proxies do anyway:
// each can be set to the value that it has, which asks for nothing. Those of the web
// are of groups that speak HTTP, the plain ones of those that speak TCP.
var fixed = struct{ all, web, plain []attribute }{
	all: []attribute{
		{"stickiness.enabled", "false"},
		{"load_balancing.cross_zone.enabled", "use_load_balancer_configuration"},
		{"target_group_health.dns_failover.minimum_healthy_targets.count", "1"},
		{"target_group_health.dns_failover.minimum_healthy_targets.percentage", "off"},
		{"target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "1"},
		{"target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "off"},
	},
	web: []attribute{
		{"stickiness.type", "lb_cookie"},
		{"stickiness.lb_cookie.duration_seconds", "86400"},
		{"stickiness.app_cookie.cookie_name", ""},
		{"stickiness.app_cookie.duration_seconds", "86400"},
		{"slow_start.duration_seconds", "0"},
		{"load_balancing.algorithm.type", "round_robin"},
		{"load_balancing.algorithm.anomaly_mitigation", "off"},
	},
	plain: []attribute{
		{"stickiness.type", "source_ip"},
		{"deregistration_delay.connection_termination.enabled", "false"},
		{"preserve_client_ip.enabled", "false"},
		{"proxy_protocol_v2.enabled", "false"},
		{"target_health_state.unhealthy.connection_termination.enabled", "false"},
		{"target_health_state.unhealthy.draining_interval_seconds", "0"},
	},
}

// elsewhere are the attributes of groups that Longshore does not have.
var elsewhere = []string{"lambda.multi_value_headers.enabled", "target_failover.on_deregistration", "target_failover.on_unhealthy"}

// fixedOf are the fixed attributes of a group.
func fixedOf(g *model.TargetGroup) []attribute {
	if g.Protocol == model.ProtocolTCP {
		return slices.Concat(fixed.all, fixed.plain)
	}
	return slices.Concat(fixed.all, fixed.web)
}

type attribute struct{ Key, Value string }

type attributesResult struct {
	Attributes []attribute `xml:"Attributes>member"`
}

func attributesOf(g *model.TargetGroup) attributesResult {
	out := attributesResult{[]attribute{{attributeDelay, strconv.Itoa(int(g.DeregistrationDelay))}}}
	out.Attributes = append(out.Attributes, fixedOf(g)...)
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
		if !f.given("Attributes") {
			return invalid("At least one attribute must be specified")
		}
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
	for _, a := range fixedOf(g) {
		if a.Key == key && a.Value == value {
			return nil
		}
	}
	known := func(a attribute) bool { return a.Key == key }
	if !slices.ContainsFunc(slices.Concat(fixed.all, fixed.web, fixed.plain), known) && !slices.Contains(elsewhere, key) {
		return invalid("Target group attribute key '%s' is not recognized", clip(key))
	}
	return unsupported("the value '" + clip(value) + "' of the target group attribute " + key + " for this target group")
}
