package cloudmap

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strconv"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

var instanceForm = regexp.MustCompile(`^[0-9a-zA-Z_/:.@-]{1,64}$`)

const (
	maxAttributes     = 30
	maxAttributeKey   = 255
	maxAttributeValue = 1024
)

type registerIn struct {
	ServiceId, InstanceId, CreatorRequestId string
	Attributes                              map[string]string
}

func (h *handler) registerInstance(ctx context.Context, in *registerIn) (*operationOut, error) {
	if !instanceForm.MatchString(in.InstanceId) {
		return nil, invalid("InstanceId must be 1 to 64 letters, digits and _/:.@-.")
	}
	if err := cmp.Or(checkAttributes(in.Attributes), checkTexts("", in.CreatorRequestId)); err != nil {
		return nil, err
	}
	return h.change(ctx, func(tx *store.Tx) (*model.RegistryOperation, error) {
		r, err := h.registry(tx.Tables, in.ServiceId)
		if err != nil {
			return nil, err
		}
		if m, ok := tx.Member(r.ID, in.InstanceId); ok && m.Task != "" {
			return nil, ecs.Errorf(codeInUse, "The instance %s is a task of the ECS service %s, which keeps it itself.", m.ID, m.Attributes[model.AttributeService])
		}
		if err := reachable(r, in.Attributes); err != nil {
			return nil, err
		}
		next := &model.RegistryInstance{Registry: r.ID, ID: in.InstanceId, Attributes: maps.Clone(in.Attributes), CreatorRequestID: in.CreatorRequestId}
		switch first := in.Attributes[model.AttributeInitHealth]; {
		case first != "" && !r.CustomCheck:
			return nil, invalid("%s needs a service with a HealthCheckCustomConfig.", model.AttributeInitHealth)
		case first == "UNHEALTHY":
			next.Unhealthy = true
		case first != "" && first != "HEALTHY":
			return nil, invalid("%s must be HEALTHY or UNHEALTHY, not %q.", model.AttributeInitHealth, first)
		}
		delete(next.Attributes, model.AttributeInitHealth)
		tx.PutRegistryInstance(next)
		return h.instanceOperation("REGISTER_INSTANCE", r, in.InstanceId), nil
	})
}

func (h *handler) instanceOperation(kind string, r *model.Registry, id string) *model.RegistryOperation {
	return &model.RegistryOperation{Type: kind, Targets: map[string]string{"SERVICE": string(r.ID), "INSTANCE": id}}
}

// What attributes are made of (AttrKey and AttrValue, Cloud Map API).
var (
	attributeKey   = regexp.MustCompile(`^[!-~]+$`)
	attributeValue = regexp.MustCompile(`^([!-~]([ \t!-~]*[!-~])?)?$`)
)

func checkAttributes(in map[string]string) error {
	if in == nil {
		return invalid("Attributes must be given.")
	}
	if len(in) > maxAttributes {
		return invalid("An instance has at most %d attributes, not %d.", maxAttributes, len(in))
	}
	for key, value := range in {
		switch key {
		case "AWS_ALIAS_DNS_NAME", "AWS_INSTANCE_CNAME", "AWS_INSTANCE_IPV6", "AWS_EC2_INSTANCE_ID":
			return invalid("Longshore does not support the attribute %s.", key)
		}
		if len(key) > maxAttributeKey || len(value) > maxAttributeValue || !attributeKey.MatchString(key) || !attributeValue.MatchString(value) {
			return invalid("An attribute has a name of 1 to %d visible ASCII characters and a value of at most %d, which can also have spaces inside.", maxAttributeKey, maxAttributeValue)
		}
	}
	if text, ok := in[model.AttributeIPv4]; ok {
		if address, err := netip.ParseAddr(text); err != nil || !address.Is4() {
			return invalid("%s must be an IPv4 address, not %q.", model.AttributeIPv4, text)
		}
	}
	if text, ok := in[model.AttributePort]; ok {
		if port, err := strconv.Atoi(text); err != nil || port < 1 || port > 65535 {
			return invalid("%s must be a port, not %q.", model.AttributePort, text)
		}
	}
	return nil
}

// reachable checks that an instance has what the DNS records of its service need.
func reachable(r *model.Registry, attributes map[string]string) error {
	for _, need := range []struct{ record, attribute string }{
		{model.RecordA, model.AttributeIPv4}, {model.RecordSRV, model.AttributeIPv4}, {model.RecordSRV, model.AttributePort},
	} {
		if _, has := r.TTL(need.record); has && attributes[need.attribute] == "" {
			return invalid("The service %s has %s records: an instance needs %s.", r.ID, need.record, need.attribute)
		}
	}
	return nil
}

type instanceIn struct{ ServiceId, InstanceId, Status string }

// instance finds a member of a service.
func (h *handler) instance(t *store.Tables, in *instanceIn) (*model.Registry, *store.Member, error) {
	r, err := h.registry(t, in.ServiceId)
	if err != nil {
		return nil, nil, err
	}
	m, ok := t.Member(r.ID, in.InstanceId)
	if !ok {
		return nil, nil, ecs.Errorf(codeInstanceNotFound, "The service %s has no instance %q.", r.ID, in.InstanceId)
	}
	return r, m, nil
}

// registered finds an instance that was registered by hand.
func (h *handler) registered(t *store.Tables, in *instanceIn) (*model.Registry, *model.RegistryInstance, error) {
	r, m, err := h.instance(t, in)
	if err != nil {
		return nil, nil, err
	}
	have, ok := t.RegistryInstance(r.ID, m.ID)
	if !ok {
		return nil, nil, ecs.Errorf(codeInUse, "The instance %s is a task of the ECS service %s, which keeps it itself.", m.ID, m.Attributes[model.AttributeService])
	}
	return r, have, nil
}

func (h *handler) deregisterInstance(ctx context.Context, in *instanceIn) (*operationOut, error) {
	return h.change(ctx, func(tx *store.Tx) (*model.RegistryOperation, error) {
		r, have, err := h.registered(tx.Tables, in)
		if err != nil {
			return nil, err
		}
		tx.DeleteRegistryInstance(have)
		return h.instanceOperation("DEREGISTER_INSTANCE", r, have.ID), nil
	})
}

func (h *handler) updateHealth(ctx context.Context, in *instanceIn) (*nothing, error) {
	if in.Status != "HEALTHY" && in.Status != "UNHEALTHY" {
		return nil, invalid("Status must be HEALTHY or UNHEALTHY, not %q.", in.Status)
	}
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		r, have, err := h.registered(tx.Tables, in)
		if err != nil {
			return err
		}
		if !r.CustomCheck {
			return ecs.Errorf(codeNoCustomHealth, "The service %s has no HealthCheckCustomConfig.", r.ID)
		}
		next := *have
		if next.Unhealthy = in.Status == "UNHEALTHY"; next.Unhealthy != have.Unhealthy {
			tx.PutRegistryInstance(&next)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &nothing{}, nil
}

type instanceShape struct {
	Id               string
	CreatorRequestId string `json:",omitempty"`
	Attributes       map[string]string
}

func showInstance(m *store.Member) instanceShape {
	out := instanceShape{Id: m.ID, Attributes: m.Attributes}
	if out.Attributes == nil {
		out.Attributes = map[string]string{}
	}
	return out
}

type getInstanceOut struct{ Instance instanceShape }

func (h *handler) getInstance(_ context.Context, in *instanceIn) (*getInstanceOut, error) {
	view := h.store.View()
	r, m, err := h.instance(view, in)
	if err != nil {
		return nil, err
	}
	out := &getInstanceOut{showInstance(m)}
	if have, ok := view.RegistryInstance(r.ID, m.ID); ok {
		out.Instance.CreatorRequestId = have.CreatorRequestID
	}
	return out, nil
}

type listInstancesIn struct {
	ServiceId, NextToken string
	MaxResults           *int32
	Instances            []string // of GetInstancesHealthStatus
}

type listInstancesOut struct {
	Instances []instanceShape
	NextToken string `json:",omitempty"`
}

func (h *handler) membersPage(list string, in *listInstancesIn) ([]*store.Member, string, error) {
	view := h.store.View()
	r, err := h.registry(view, in.ServiceId)
	if err != nil {
		return nil, "", err
	}
	from := func(after string) iter.Seq[*store.Member] { return view.Members(r.ID, after) }
	all := func(*store.Member) bool { return true }
	return page(list+string(r.ID), listing{NextToken: in.NextToken, MaxResults: in.MaxResults}, from, func(m *store.Member) string { return m.ID }, all)
}

func (h *handler) listInstances(_ context.Context, in *listInstancesIn) (*listInstancesOut, error) {
	found, next, err := h.membersPage("ListInstances", in)
	if err != nil {
		return nil, err
	}
	out := &listInstancesOut{Instances: []instanceShape{}, NextToken: next}
	for _, m := range found {
		out.Instances = append(out.Instances, showInstance(m))
	}
	return out, nil
}

type healthOut struct {
	Status    map[string]string
	NextToken string `json:",omitempty"`
}

func healthOf(m *store.Member) string {
	switch {
	case m.Healthy:
		return "HEALTHY"
	case m.Unproven:
		return "UNKNOWN"
	}
	return "UNHEALTHY"
}

func (h *handler) healthOfInstances(_ context.Context, in *listInstancesIn) (*healthOut, error) {
	out := &healthOut{Status: map[string]string{}}
	if len(in.Instances) == 0 {
		found, next, err := h.membersPage("GetInstancesHealthStatus", in)
		for _, m := range found {
			out.Status[m.ID] = healthOf(m)
		}
		out.NextToken = next
		return out, err
	}
	view := h.store.View()
	for _, id := range in.Instances {
		_, m, err := h.instance(view, &instanceIn{ServiceId: in.ServiceId, InstanceId: id})
		if err != nil {
			return nil, err
		}
		out.Status[id] = healthOf(m)
	}
	return out, nil
}

type discoverIn struct {
	NamespaceName, ServiceName          string
	MaxResults                          *int32
	QueryParameters, OptionalParameters map[string]string
	HealthStatus                        string
}

type discoverOut struct {
	Instances         []discovered
	InstancesRevision int64
}

type discovered struct {
	InstanceId, NamespaceName, ServiceName, HealthStatus string
	Attributes                                           map[string]string
}

// find finds a service by the names that people know.
func find(t *store.Tables, in *discoverIn) (*model.Registry, error) {
	found := false
	for n := range t.NamespacesNamed(in.NamespaceName) {
		found = true
		if r, ok := t.RegistryNamed(n.ID, in.ServiceName); ok {
			return r, nil
		}
	}
	if !found {
		return nil, ecs.Errorf(codeNamespaceNotFound, "There is no namespace of the name %q.", in.NamespaceName)
	}
	return nil, ecs.Errorf(codeServiceNotFound, "The namespace %s has no service of the name %q.", in.NamespaceName, in.ServiceName)
}

const maxDiscovered = 1000

// discoverInstances answers those that match all query parameters and, if there are
// any such, all optional ones, in random order: whoever takes the first, or asks for
// few, must not always get the same.
func (h *handler) discoverInstances(_ context.Context, in *discoverIn) (*discoverOut, error) {
	limit, err := pageSize(in.MaxResults, maxDiscovered)
	if err != nil {
		return nil, err
	}
	switch in.HealthStatus {
	case "", "HEALTHY", "UNHEALTHY", "ALL", "HEALTHY_OR_ELSE_ALL":
	default:
		return nil, invalid("HealthStatus must be HEALTHY, UNHEALTHY, ALL or HEALTHY_OR_ELSE_ALL, not %q.", in.HealthStatus)
	}
	view := h.store.View()
	r, err := find(view, in)
	if err != nil {
		return nil, err
	}
	var all []*store.Member
	for m := range view.Members(r.ID, "") {
		if matches(m, in.QueryParameters) {
			all = append(all, m)
		}
	}
	all = preferred(all, func(m *store.Member) bool { return matches(m, in.OptionalParameters) })
	if r.CustomCheck {
		all = ofHealth(all, in.HealthStatus)
	}
	out := &discoverOut{Instances: []discovered{}, InstancesRevision: view.RegistryRevision(r.ID)}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, m := range all[:min(limit, len(all))] {
		out.Instances = append(out.Instances, discovered{m.ID, in.NamespaceName, in.ServiceName, healthOf(m), showInstance(m).Attributes})
	}
	return out, nil
}

// ofHealth returns those that a HealthStatus asks for. It counts only for services
// that have a health check (DiscoverInstances, Cloud Map API).
func ofHealth(all []*store.Member, status string) []*store.Member {
	healthy := func(m *store.Member) bool { return m.Healthy }
	switch status {
	case "", "HEALTHY_OR_ELSE_ALL":
		return preferred(all, healthy)
	case "HEALTHY":
		return only(all, healthy)
	case "UNHEALTHY":
		return only(all, func(m *store.Member) bool { return !m.Healthy })
	}
	return all
}

func matches(m *store.Member, parameters map[string]string) bool {
	for key, value := range parameters {
		if m.Attributes[key] != value {
			return false
		}
	}
	return true
}

func only(in []*store.Member, keep func(*store.Member) bool) (out []*store.Member) {
	for _, m := range in {
		if keep(m) {
			out = append(out, m)
		}
	}
	return out
}

// preferred returns those that are preferred, or all if none is.
func preferred(in []*store.Member, prefer func(*store.Member) bool) []*store.Member {
	if some := only(in, prefer); len(some) > 0 {
		return some
	}
	return in
}

type revisionOut struct{ InstancesRevision int64 }

func (h *handler) discoverRevision(_ context.Context, in *discoverIn) (*revisionOut, error) {
	view := h.store.View()
	r, err := find(view, in)
	if err != nil {
		return nil, err
	}
	return &revisionOut{view.RegistryRevision(r.ID)}, nil
}
