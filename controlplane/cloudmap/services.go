package cloudmap

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

type createServiceIn struct {
	Name, NamespaceId, CreatorRequestId, Description, Type string

	DnsConfig               *dnsConfig
	HealthCheckConfig       json.RawMessage
	HealthCheckCustomConfig *customCheck
	Tags                    []tag
}

type dnsConfig struct {
	NamespaceId   string `json:",omitempty"`
	RoutingPolicy string
	DnsRecords    []dnsRecord
}

type dnsRecord struct {
	Type string
	TTL  *int64
}

// customCheck says that health is told from outside. The threshold is always 1, as
// in Cloud Map, whatever the request says.
type customCheck struct{ FailureThreshold *int32 }

type serviceShape struct {
	Id, Arn, Name    string
	NamespaceId      model.NamespaceID `json:",omitempty"`
	Description      string            `json:",omitempty"`
	InstanceCount    *int              `json:",omitempty"`
	DnsConfig        *dnsConfig        `json:",omitempty"`
	Type             string
	CreateDate       *ecs.Timestamp
	CreatorRequestId string `json:",omitempty"`

	HealthCheckCustomConfig *customCheck `json:",omitempty"`
}

func (h *handler) showService(t *store.Tables, r *model.Registry, counted bool) serviceShape {
	out := serviceShape{
		Id: string(r.ID), Arn: h.Owner.RegistryARN(r.ID), Name: r.Name, NamespaceId: r.Namespace, Description: r.Description,
		Type: "HTTP", CreateDate: &ecs.Timestamp{Time: r.CreatedAt}, CreatorRequestId: r.CreatorRequestID,
	}
	if counted {
		count := t.MemberCount(r.ID)
		out.InstanceCount = &count
	}
	if len(r.Records) > 0 {
		out.Type = "DNS_HTTP"
		out.DnsConfig = &dnsConfig{NamespaceId: string(r.Namespace), RoutingPolicy: r.Routing}
		for i := range r.Records {
			out.DnsConfig.DnsRecords = append(out.DnsConfig.DnsRecords, dnsRecord{r.Records[i].Type, &r.Records[i].TTL})
		}
	}
	if r.CustomCheck {
		once := int32(1)
		out.HealthCheckCustomConfig = &customCheck{&once}
	}
	return out
}

type createServiceOut struct{ Service serviceShape }

func (h *handler) createService(ctx context.Context, in *createServiceIn) (*createServiceOut, error) {
	wanted, err := h.newRegistry(in)
	if err != nil {
		return nil, err
	}
	namespace := in.NamespaceId
	if in.DnsConfig != nil && in.DnsConfig.NamespaceId != "" {
		if namespace != "" && namespace != in.DnsConfig.NamespaceId {
			return nil, invalid("NamespaceId and the NamespaceId of DnsConfig must be the same.")
		}
		namespace = in.DnsConfig.NamespaceId
	}
	if namespace == "" {
		return nil, invalid("NamespaceId must be given.")
	}
	var made *model.Registry
	err = h.store.Update(ctx, func(tx *store.Tx) error {
		n, err := h.namespace(tx.Tables, namespace)
		if err != nil {
			return err
		}
		next := *wanted
		next.Namespace = n.ID
		if err := fits(n, &next); err != nil {
			return err
		}
		if have, exists := tx.RegistryNamed(n.ID, next.Name); exists {
			if in.CreatorRequestId == "" || have.CreatorRequestID != in.CreatorRequestId {
				return ecs.Errorf(codeServiceExists, "A service of the name %s exists already in the namespace %s: %s.", next.Name, n.ID, have.ID)
			}
			made = have
			return nil
		}
		made = &next
		tx.PutRegistry(made)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &createServiceOut{h.showService(h.store.View(), made, false)}, nil
}

// fits checks a service against its namespace.
func fits(n *model.Namespace, r *model.Registry) error {
	if !isName(r.Name) {
		return invalid("The name %q must be letters, digits, - and _, in parts of at most 63 that points separate.", r.Name)
	}
	if n.Type == model.NamespaceHTTP {
		if len(r.Records) > 0 {
			return invalid("The namespace %s is found by API alone: a service in it can not have DNS records.", n.ID)
		}
		return nil
	}
	if name := r.Name + "." + n.Name; len(name) > maxNamespace {
		return invalid("The name %q is longer than the %d characters of a name in DNS.", name, maxNamespace)
	}
	return nil
}

// newRegistry is the service that a request asks for, without its namespace.
func (h *handler) newRegistry(in *createServiceIn) (*model.Registry, error) {
	switch {
	case in.Name == "" || len(in.Name) > maxServiceName:
		return nil, invalid("Name must have 1 to %d characters.", maxServiceName)
	case given(in.HealthCheckConfig):
		return nil, invalid("HealthCheckConfig is for public DNS namespaces, which Longshore does not have.")
	case in.Type != "" && in.Type != "HTTP":
		return nil, invalid("Type must be HTTP, not %q.", in.Type)
	case in.Type == "HTTP" && in.DnsConfig != nil:
		return nil, invalid("A service of the type HTTP can not have a DnsConfig.")
	}
	if err := checkTexts(in.Description, in.CreatorRequestId); err != nil {
		return nil, err
	}
	tags, err := tagsOf(in.Tags)
	if err != nil {
		return nil, err
	}
	r := &model.Registry{
		ID: model.NewRegistryID(), Name: strings.ToLower(in.Name), Description: in.Description, CustomCheck: in.HealthCheckCustomConfig != nil,
		Tags: tags, CreatorRequestID: in.CreatorRequestId, CreatedAt: h.Clock(),
	}
	return r, configure(r, in.DnsConfig)
}

// configure sets the DNS records of a service.
func configure(r *model.Registry, in *dnsConfig) error {
	r.Records, r.Routing = nil, ""
	if in == nil || len(in.DnsRecords) == 0 && in.RoutingPolicy == "" {
		return nil
	}
	r.Routing = in.RoutingPolicy
	if r.Routing == "" {
		r.Routing = model.RoutingMultivalue
	}
	if r.Routing != model.RoutingMultivalue && r.Routing != model.RoutingWeighted {
		return invalid("RoutingPolicy must be MULTIVALUE or WEIGHTED, not %q.", in.RoutingPolicy)
	}
	if len(in.DnsRecords) == 0 {
		return invalid("DnsConfig needs DnsRecords.")
	}
	for _, record := range in.DnsRecords {
		same := func(o model.RegistryRecord) bool { return o.Type == record.Type }
		switch {
		case record.Type == "AAAA" || record.Type == "CNAME":
			return invalid("Longshore does not support DNS records of the type %s.", record.Type)
		case record.Type != model.RecordA && record.Type != model.RecordSRV:
			return invalid("The type of a DNS record must be A or SRV, not %q.", record.Type)
		case record.TTL == nil || *record.TTL < 0 || *record.TTL > maxTTL:
			return invalid("The TTL of a DNS record must be between 0 and %d seconds.", maxTTL)
		case slices.ContainsFunc(r.Records, same):
			return invalid("There can be only one DNS record of the type %s.", record.Type)
		}
		r.Records = append(r.Records, model.RegistryRecord{Type: record.Type, TTL: *record.TTL})
	}
	return nil
}

// registry finds a service by its id or ARN.
func (h *handler) registry(t *store.Tables, id string) (*model.Registry, error) {
	key, isARN := h.Owner.RegistryOf(id)
	if !isARN {
		key = model.RegistryID(id)
	}
	r, ok := t.Registry(key)
	if !ok {
		return nil, ecs.Errorf(codeServiceNotFound, "There is no service %q.", id)
	}
	return r, nil
}

func (h *handler) getService(_ context.Context, in *idIn) (*createServiceOut, error) {
	view := h.store.View()
	r, err := h.registry(view, in.Id)
	if err != nil {
		return nil, err
	}
	return &createServiceOut{h.showService(view, r, true)}, nil
}

type updateServiceIn struct {
	Id      string
	Service *struct {
		Description       *string
		DnsConfig         *dnsConfig
		HealthCheckConfig json.RawMessage
	}
}

// updateService changes the description and the records. Records that the request
// leaves out are gone, as Cloud Map has it; none can be added.
func (h *handler) updateService(ctx context.Context, in *updateServiceIn) (*operationOut, error) {
	if in.Service == nil {
		return nil, invalid("Service must be given.")
	}
	if given(in.Service.HealthCheckConfig) {
		return nil, invalid("HealthCheckConfig is for public DNS namespaces, which Longshore does not have.")
	}
	return h.change(ctx, func(tx *store.Tx) (*model.RegistryOperation, error) {
		r, err := h.registry(tx.Tables, in.Id)
		if err != nil {
			return nil, err
		}
		next := *r
		if in.Service.Description != nil {
			if err := checkTexts(*in.Service.Description, ""); err != nil {
				return nil, err
			}
			next.Description = *in.Service.Description
		}
		config := in.Service.DnsConfig
		if config != nil {
			config = &dnsConfig{RoutingPolicy: r.Routing, DnsRecords: config.DnsRecords}
		}
		if err := configure(&next, config); err != nil {
			return nil, err
		}
		for _, record := range next.Records {
			if _, had := r.TTL(record.Type); !had {
				return nil, invalid("A DNS record of the type %s can not be added to the service %s.", record.Type, r.ID)
			}
		}
		tx.PutRegistry(&next)
		return &model.RegistryOperation{Type: "UPDATE_SERVICE", Targets: map[string]string{"SERVICE": string(r.ID)}}, nil
	})
}

type listServicesOut struct {
	Services  []serviceShape
	NextToken string `json:",omitempty"`
}

func (h *handler) listServices(_ context.Context, in *listing) (*listServicesOut, error) {
	keep, err := accept(in.Filters, map[string]func(*model.Registry) string{
		"NAMESPACE_ID": func(r *model.Registry) string { return string(r.Namespace) },
	})
	if err != nil {
		return nil, err
	}
	view := h.store.View()
	from := func(after string) iter.Seq[*model.Registry] { return view.Registries(model.RegistryID(after)) }
	found, next, err := page("ListServices", *in, from, func(r *model.Registry) string { return string(r.ID) }, keep)
	if err != nil {
		return nil, err
	}
	out := &listServicesOut{Services: []serviceShape{}, NextToken: next}
	for _, r := range found {
		out.Services = append(out.Services, h.showService(view, r, true))
	}
	return out, nil
}

func (h *handler) deleteService(ctx context.Context, in *idIn) (*nothing, error) {
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		r, err := h.registry(tx.Tables, in.Id)
		if err != nil {
			return err
		}
		for m := range tx.Members(r.ID, "") {
			return ecs.Errorf(codeInUse, "The service %s has registered instances, %s among them.", r.ID, m.ID)
		}
		for user := range tx.RegistryUsers(r.ID) {
			return ecs.Errorf(codeInUse, "The service %s is used by the ECS service %s in cluster %s.", r.ID, user.Name, user.Cluster)
		}
		tx.DeleteRegistry(r)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &nothing{}, nil
}
