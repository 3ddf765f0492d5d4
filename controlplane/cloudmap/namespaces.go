package cloudmap

import (
	"context"
	"iter"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	negativeTTL    = 15         // seconds, where the request does not say (Cloud Map's default)
	maxTTL         = 2147483647 // seconds
	maxNamespace   = 253        // characters of a name in DNS
	maxHTTPName    = 1024
	maxServiceName = 127
)

type createNamespaceIn struct {
	Name, CreatorRequestId, Description string
	Tags                                []tag
	Vpc                                 string // names nothing here: there is one network of hosts
	Properties                          *struct{ DnsProperties *dnsProperties }
}

type dnsProperties struct {
	HostedZoneId string `json:",omitempty"`
	SOA          *soa
}

type soa struct{ TTL *int64 }

type operationOut struct{ OperationId string }

func (h *handler) createPrivateNamespace(ctx context.Context, in *createNamespaceIn) (*operationOut, error) {
	if in.Vpc == "" {
		return nil, invalid("Vpc must be given.")
	}
	n := &model.Namespace{Type: model.NamespaceDNSPrivate, Name: strings.ToLower(strings.TrimSuffix(in.Name, ".")), NegativeTTL: negativeTTL}
	if p := in.Properties; p != nil && p.DnsProperties != nil && p.DnsProperties.SOA != nil && p.DnsProperties.SOA.TTL != nil {
		n.NegativeTTL = *p.DnsProperties.SOA.TTL
	}
	if err := checkSOA(n.NegativeTTL); err != nil {
		return nil, err
	}
	if len(n.Name) > maxNamespace || !isName(n.Name) {
		return nil, invalid("The name of a namespace must be a name in DNS, such as prod.local.")
	}
	return h.createNamespace(ctx, n, in)
}

func checkSOA(ttl int64) error {
	if ttl < 0 || ttl > maxTTL {
		return invalid("The TTL of the SOA record must be between 0 and %d seconds, not %d.", maxTTL, ttl)
	}
	return nil
}

func isName(name string) bool {
	for part := range strings.SplitSeq(name, ".") {
		if !label.MatchString(part) {
			return false
		}
	}
	return true
}

func (h *handler) createHTTPNamespace(ctx context.Context, in *createNamespaceIn) (*operationOut, error) {
	if in.Name == "" || len(in.Name) > maxHTTPName || strings.HasPrefix(in.Name, "arn:") || strings.ContainsFunc(in.Name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, invalid("The name of a namespace must be 1 to %d visible ASCII characters, and can not begin with arn:.", maxHTTPName)
	}
	return h.createNamespace(ctx, &model.Namespace{Type: model.NamespaceHTTP, Name: in.Name}, in)
}

func (h *handler) createNamespace(ctx context.Context, n *model.Namespace, in *createNamespaceIn) (*operationOut, error) {
	if err := checkTexts(in.Description, in.CreatorRequestId); err != nil {
		return nil, err
	}
	tags, err := tagsOf(in.Tags)
	if err != nil {
		return nil, err
	}
	n.ID, n.Description, n.Tags, n.CreatorRequestID, n.CreatedAt = model.NewNamespaceID(), in.Description, tags, in.CreatorRequestId, h.Clock()
	return h.change(ctx, func(tx *store.Tx) (*model.RegistryOperation, error) {
		made := n.ID
		for have := range tx.NamespacesNamed(n.Name) {
			if in.CreatorRequestId == "" || have.CreatorRequestID != in.CreatorRequestId || have.Type != n.Type {
				return nil, ecs.Errorf(codeNamespaceExists, "A namespace of the name %s exists already: %s.", n.Name, have.ID)
			}
			made = have.ID // the request again
		}
		if made == n.ID {
			tx.PutNamespace(n)
		}
		return &model.RegistryOperation{Type: "CREATE_NAMESPACE", Targets: map[string]string{"NAMESPACE": string(made)}}, nil
	})
}

type updateNamespaceIn struct {
	Id, UpdaterRequestId string
	Namespace            *struct {
		Description *string
		Properties  *struct{ DnsProperties *dnsProperties }
	}
}

func (h *handler) updatePrivateNamespace(ctx context.Context, in *updateNamespaceIn) (*operationOut, error) {
	return h.updateNamespace(ctx, in, model.NamespaceDNSPrivate)
}

func (h *handler) updateHTTPNamespace(ctx context.Context, in *updateNamespaceIn) (*operationOut, error) {
	return h.updateNamespace(ctx, in, model.NamespaceHTTP)
}

// updateNamespace changes what a request gives of the description and the SOA record.
func (h *handler) updateNamespace(ctx context.Context, in *updateNamespaceIn, kind model.NamespaceType) (*operationOut, error) {
	if in.Namespace == nil {
		return nil, invalid("Namespace must be given.")
	}
	description := ""
	if in.Namespace.Description != nil {
		description = *in.Namespace.Description
	}
	if err := checkTexts(description, in.UpdaterRequestId); err != nil {
		return nil, err
	}
	return h.change(ctx, func(tx *store.Tx) (*model.RegistryOperation, error) {
		n, err := h.namespace(tx.Tables, in.Id)
		if err != nil {
			return nil, err
		}
		if n.Type != kind {
			return nil, invalid("The namespace %s is of the type %s, not %s.", n.ID, n.Type, kind)
		}
		next := *n
		if in.Namespace.Description != nil {
			next.Description = description
		}
		if p := in.Namespace.Properties; p != nil && p.DnsProperties != nil && p.DnsProperties.SOA != nil {
			if kind != model.NamespaceDNSPrivate || p.DnsProperties.SOA.TTL == nil {
				return nil, invalid("Properties need the TTL of the SOA record, and are for namespaces with DNS.")
			}
			next.NegativeTTL = *p.DnsProperties.SOA.TTL
			if err := checkSOA(next.NegativeTTL); err != nil {
				return nil, err
			}
		}
		tx.PutNamespace(&next)
		return &model.RegistryOperation{Type: "UPDATE_NAMESPACE", Targets: map[string]string{"NAMESPACE": string(n.ID)}}, nil
	})
}

type namespaceShape struct {
	Id, Arn, Name    string
	Type             model.NamespaceType
	Description      string `json:",omitempty"`
	ServiceCount     int    `json:",omitempty"`
	Properties       namespaceProperties
	CreateDate       *ecs.Timestamp
	CreatorRequestId string `json:",omitempty"`
}

type namespaceProperties struct {
	DnsProperties  *dnsProperties `json:",omitempty"`
	HttpProperties struct{ HttpName string }
}

func (h *handler) showNamespace(t *store.Tables, n *model.Namespace) namespaceShape {
	out := namespaceShape{
		Id: string(n.ID), Arn: h.Owner.NamespaceARN(n.ID), Name: n.Name, Type: n.Type, Description: n.Description,
		CreateDate: &ecs.Timestamp{Time: n.CreatedAt}, CreatorRequestId: n.CreatorRequestID,
	}
	out.Properties.HttpProperties.HttpName = n.Name
	if n.Type == model.NamespaceDNSPrivate {
		out.Properties.DnsProperties = &dnsProperties{SOA: &soa{TTL: &n.NegativeTTL}}
	}
	for range t.RegistriesIn(n.ID) {
		out.ServiceCount++
	}
	return out
}

type idIn struct{ Id string }

type getNamespaceOut struct{ Namespace namespaceShape }

func (h *handler) getNamespace(_ context.Context, in *idIn) (*getNamespaceOut, error) {
	view := h.store.View()
	n, err := h.namespace(view, in.Id)
	if err != nil {
		return nil, err
	}
	return &getNamespaceOut{h.showNamespace(view, n)}, nil
}

// namespace finds a namespace by its id or ARN.
func (h *handler) namespace(t *store.Tables, id string) (*model.Namespace, error) {
	if rest, isARN := strings.CutPrefix(id, h.Owner.NamespaceARN("")); isARN {
		id = rest
	}
	n, ok := t.Namespace(model.NamespaceID(id))
	if !ok {
		return nil, ecs.Errorf(codeNamespaceNotFound, "There is no namespace %q.", id)
	}
	return n, nil
}

type listNamespacesOut struct {
	Namespaces []namespaceShape
	NextToken  string `json:",omitempty"`
}

func (h *handler) listNamespaces(_ context.Context, in *listing) (*listNamespacesOut, error) {
	name := func(n *model.Namespace) string { return n.Name }
	keep, err := accept(in.Filters, map[string]func(*model.Namespace) string{
		"TYPE": func(n *model.Namespace) string { return string(n.Type) }, "NAME": name, "HTTP_NAME": name,
	})
	if err != nil {
		return nil, err
	}
	view := h.store.View()
	from := func(after string) iter.Seq[*model.Namespace] { return view.Namespaces(model.NamespaceID(after)) }
	found, next, err := page("ListNamespaces", *in, from, func(n *model.Namespace) string { return string(n.ID) }, keep)
	if err != nil {
		return nil, err
	}
	out := &listNamespacesOut{Namespaces: []namespaceShape{}, NextToken: next}
	for _, n := range found {
		out.Namespaces = append(out.Namespaces, h.showNamespace(view, n))
	}
	return out, nil
}

func (h *handler) deleteNamespace(ctx context.Context, in *idIn) (*operationOut, error) {
	return h.change(ctx, func(tx *store.Tx) (*model.RegistryOperation, error) {
		n, err := h.namespace(tx.Tables, in.Id)
		if err != nil {
			return nil, err
		}
		for r := range tx.RegistriesIn(n.ID) {
			return nil, ecs.Errorf(codeInUse, "The namespace %s has services, %s (%s) among them. Delete them first.", n.ID, r.Name, r.ID)
		}
		tx.DeleteNamespace(n)
		return &model.RegistryOperation{Type: "DELETE_NAMESPACE", Targets: map[string]string{"NAMESPACE": string(n.ID)}}, nil
	})
}
