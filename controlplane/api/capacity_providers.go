package api

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	maxProvidersPage   = 10 // DescribeCapacityProviders, seed 000
	maxProvidersListed = 100
)

func (h *Handler) createCapacityProvider(ctx context.Context, in *ecs.CreateCapacityProviderRequest) (*ecs.CreateCapacityProviderResponse, error) {
	if err := refuseUnhonoured(in, "name", "autoScalingGroupProvider", "tags"); err != nil {
		return nil, err
	}
	if err := checkProviderName(in.Name); err != nil {
		return nil, err
	}
	group, err := h.newGroup(in.AutoScalingGroupProvider)
	if err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	provider := &model.CapacityProvider{
		Name: model.ProviderName(in.Name), Status: ecs.CapacityProviderStatusACTIVE,
		CreatedAt: h.Clock(), Group: group, Tags: in.Tags,
	}
	err = h.store.Update(ctx, func(tx *store.Tx) error {
		if have, ok := tx.CapacityProvider(provider.Name); ok && have.Status == ecs.CapacityProviderStatusACTIVE {
			return refused("The capacity provider %s already exists. Specify a unique name and try again.", have.Name)
		}
		if other, taken := tx.ProviderOfPool(provider.Pool()); taken {
			return refused("The specified Auto Scaling group ARN is already being used by the capacity provider %s. Specify a unique Auto Scaling group ARN and try again.", other.Name)
		}
		tx.PutCapacityProvider(provider)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ecs.CreateCapacityProviderResponse{CapacityProvider: pointer(h.providerShape(provider, true))}, nil
}

func (h *Handler) updateCapacityProvider(ctx context.Context, in *ecs.UpdateCapacityProviderRequest) (*ecs.UpdateCapacityProviderResponse, error) {
	if err := refuseUnhonoured(in, "name", "autoScalingGroupProvider"); err != nil {
		return nil, err
	}
	if in.AutoScalingGroupProvider == nil {
		return nil, invalid("autoScalingGroupProvider is required.")
	}
	var provider *model.CapacityProvider
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		have, err := h.ownProvider(tx.Tables, in.Name)
		if err != nil {
			return err
		}
		next := *have
		if next.Group, err = updatedGroup(have.Group, in.AutoScalingGroupProvider); err != nil {
			return err
		}
		next.UpdateStatus = ecs.CapacityProviderUpdateStatusUPDATECOMPLETE
		provider = &next
		tx.PutCapacityProvider(provider)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ecs.UpdateCapacityProviderResponse{CapacityProvider: pointer(h.providerShape(provider, true))}, nil
}

// deleteCapacityProvider makes a provider INACTIVE. No service can be using it:
// one that a service uses cannot be taken from its cluster.
func (h *Handler) deleteCapacityProvider(ctx context.Context, in *ecs.DeleteCapacityProviderRequest) (*ecs.DeleteCapacityProviderResponse, error) {
	if err := refuseUnhonoured(in, "capacityProvider"); err != nil {
		return nil, err
	}
	var provider *model.CapacityProvider
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		have, err := h.ownProvider(tx.Tables, in.CapacityProvider)
		if err != nil {
			return err
		}
		for c := range tx.ClustersOfProvider(have.Name) {
			return refused("The capacity provider cannot be deleted because it is associated with cluster: %s. Remove the capacity provider from the cluster and try again.", c)
		}
		next := *have
		next.Status, next.UpdateStatus = ecs.CapacityProviderStatusINACTIVE, ecs.CapacityProviderUpdateStatusDELETECOMPLETE
		provider = &next
		tx.PutCapacityProvider(provider)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ecs.DeleteCapacityProviderResponse{CapacityProvider: pointer(h.providerShape(provider, true))}, nil
}

func (h *Handler) describeCapacityProviders(_ context.Context, in *ecs.DescribeCapacityProvidersRequest) (*ecs.DescribeCapacityProvidersResponse, error) {
	if in.MaxResults != nil && *in.MaxResults > maxProvidersPage {
		return nil, invalid("maxResults must be between 1 and %d, not %d.", maxProvidersPage, *in.MaxResults)
	}
	p, err := h.page("DescribeCapacityProviders", in.NextToken, in.MaxResults, maxProvidersPage, in.CapacityProviders, in.Cluster)
	if err != nil {
		return nil, err
	}
	view := h.store.View()
	rows, err := h.providerRows(view, in, p.after)
	if err != nil {
		return nil, err
	}
	out := &ecs.DescribeCapacityProvidersResponse{CapacityProviders: []ecs.CapacityProvider{}, Failures: []ecs.Failure{}}
	var names []string
	names, out.NextToken = fill(p, rows,
		func(r providerRow) string { return r.key },
		func(r providerRow) (string, bool) { return string(r.name), r.shown })
	tags := asked(in.Include, ecs.CapacityProviderFieldTAGS)
	for _, name := range names {
		provider, ok := view.CapacityProvider(model.ProviderName(name))
		if ok && (in.Cluster == "" || h.associated(view, in.Cluster, provider.Name)) {
			out.CapacityProviders = append(out.CapacityProviders, h.providerShape(provider, tags))
		} else {
			out.Failures = append(out.Failures, missing(h.Owner.ProviderARN(model.ProviderName(name))))
		}
	}
	return out, nil
}

// providerRow is a place in what DescribeCapacityProviders goes through: its key
// orders the pages.
type providerRow struct {
	key   string
	name  model.ProviderName
	shown bool
}

// providerRows are the rows from one key on: the providers that the request
// names, in its order; else those of its cluster; else all that are ACTIVE.
func (h *Handler) providerRows(view *store.Tables, in *ecs.DescribeCapacityProvidersRequest, from string) (iter.Seq[providerRow], error) {
	var rows []providerRow
	switch {
	case len(in.CapacityProviders) > maxProvidersListed:
		return nil, invalid("At most %d capacity providers can be described at once, not %d.", maxProvidersListed, len(in.CapacityProviders))
	case len(in.CapacityProviders) > 0:
		for i, s := range in.CapacityProviders {
			name, err := h.providerName(s)
			if err != nil {
				return nil, err
			}
			rows = append(rows, providerRow{fmt.Sprintf("%03d", i), name, true})
		}
	case in.Cluster == "":
		return func(yield func(providerRow) bool) {
			for p := range view.CapacityProviders(model.ProviderName(from)) {
				if !yield(providerRow{string(p.Name), p.Name, p.Status == ecs.CapacityProviderStatusACTIVE}) {
					return
				}
			}
		}, nil
	}
	if in.Cluster != "" {
		c, err := h.cluster(view, in.Cluster)
		if err != nil {
			return nil, err
		}
		if rows == nil {
			for _, name := range slices.Sorted(slices.Values(c.CapacityProviders)) {
				rows = append(rows, providerRow{string(name), name, true})
			}
		}
	}
	rows = slices.DeleteFunc(rows, func(r providerRow) bool { return r.key < from })
	return slices.Values(rows), nil
}

// associated tells whether a cluster has a capacity provider.
func (h *Handler) associated(t *store.Tables, cluster string, p model.ProviderName) bool {
	c, err := h.cluster(t, cluster)
	return err == nil && slices.Contains(c.CapacityProviders, p)
}

// providerName reads the name or ARN of a capacity provider.
func (h *Handler) providerName(nameOrARN string) (model.ProviderName, error) {
	name, err := h.Owner.Resource(kindProvider, nameOrARN)
	if err != nil {
		return "", invalid("%s", err)
	}
	if !model.ValidName(name) {
		return "", invalid("A capacity provider's name is 1 to 255 letters, digits, hyphens and underscores, not %q.", clip(name))
	}
	return model.ProviderName(name), nil
}

// ownProvider finds an ACTIVE capacity provider that may be changed.
func (h *Handler) ownProvider(t *store.Tables, nameOrARN string) (*model.CapacityProvider, error) {
	name, err := h.providerName(nameOrARN)
	if err != nil {
		return nil, err
	}
	if name.Reserved() {
		return nil, refused("The capacity provider %s is reserved and cannot be updated or deleted.", name)
	}
	p, ok := t.CapacityProvider(name)
	if !ok || p.Status != ecs.CapacityProviderStatusACTIVE {
		return nil, refused("The specified capacity provider does not exist. Specify a valid name or ARN and try again.")
	}
	return p, nil
}

// providerShape is a capacity provider as the API shows it.
func (h *Handler) providerShape(p *model.CapacityProvider, tags bool) ecs.CapacityProvider {
	shape := ecs.CapacityProvider{
		CapacityProviderArn: h.Owner.ProviderARN(p.Name),
		Name:                string(p.Name),
		Status:              p.Status,
		UpdateStatus:        p.UpdateStatus,
		Tags:                []ecs.Tag{},
		Type:                p.Name.Type(),
	}
	if !p.Name.Reserved() {
		shape.AutoScalingGroupProvider = &p.Group
	}
	if tags {
		shape.Tags = orEmpty(p.Tags)
	}
	return shape
}
