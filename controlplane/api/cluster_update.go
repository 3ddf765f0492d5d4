package api

import (
	"context"
	"reflect"
	"slices"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// shownAfterChange is what the answer to a change of a cluster includes.
var shownAfterChange = []ecs.ClusterField{
	ecs.ClusterFieldATTACHMENTS, ecs.ClusterFieldCONFIGURATIONS, ecs.ClusterFieldSETTINGS, ecs.ClusterFieldTAGS,
}

// changeCluster applies a change to an ACTIVE cluster and returns it as the API
// shows it.
func (h *Handler) changeCluster(ctx context.Context, nameOrARN string, change func(*store.Tx, *model.Cluster) error) (*ecs.Cluster, error) {
	var cluster *model.Cluster
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		have, err := h.cluster(tx.Tables, nameOrARN)
		if err != nil {
			return err
		}
		next := *have
		if err := change(tx, &next); err != nil {
			return err
		}
		cluster = &next
		tx.PutCluster(cluster)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return pointer(h.clusterShape(h.store.View(), cluster, shownAfterChange)), nil
}

func (h *Handler) updateCluster(ctx context.Context, in *ecs.UpdateClusterRequest) (*ecs.UpdateClusterResponse, error) {
	if names := unhonoured(in, "cluster", "settings", "configuration"); len(names) > 0 {
		// UpdateCluster cannot raise UnsupportedFeatureException.
		return nil, invalid("Longshore does not support %v of a cluster yet.", names)
	}
	configuration, err := clusterConfiguration(in.Configuration)
	if err != nil {
		return nil, err
	}
	shape, err := h.changeCluster(ctx, in.Cluster, func(_ *store.Tx, next *model.Cluster) (err error) {
		if configuration != nil {
			next.Configuration = configuration
		}
		next.Settings, err = clusterSettings(next.Settings, in.Settings)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &ecs.UpdateClusterResponse{Cluster: shape}, nil
}

func (h *Handler) updateClusterSettings(ctx context.Context, in *ecs.UpdateClusterSettingsRequest) (*ecs.UpdateClusterSettingsResponse, error) {
	shape, err := h.changeCluster(ctx, in.Cluster, func(_ *store.Tx, next *model.Cluster) (err error) {
		next.Settings, err = clusterSettings(next.Settings, in.Settings)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &ecs.UpdateClusterSettingsResponse{Cluster: shape}, nil
}

func (h *Handler) putClusterCapacityProviders(ctx context.Context, in *ecs.PutClusterCapacityProvidersRequest) (*ecs.PutClusterCapacityProvidersResponse, error) {
	shape, err := h.changeCluster(ctx, in.Cluster, func(tx *store.Tx, next *model.Cluster) error {
		before := next.CapacityProviders
		if err := h.setCapacity(tx.Tables, next, in.CapacityProviders, in.DefaultCapacityProviderStrategy); err != nil {
			return err
		}
		for _, p := range before {
			if !slices.Contains(next.CapacityProviders, p) && tx.ProviderInUse(next.Name, p) {
				return ecs.Errorf(ecs.CodeResourceInUse, "The specified capacity provider is in use and cannot be removed.")
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ecs.PutClusterCapacityProvidersResponse{Cluster: shape}, nil
}

// setCapacity gives a cluster its capacity providers and default strategy.
func (h *Handler) setCapacity(t *store.Tables, c *model.Cluster, providers []string, strategy []ecs.CapacityProviderStrategyItem) (err error) {
	if c.CapacityProviders, err = h.associable(t, c.Name, providers); err != nil {
		return err
	}
	c.DefaultStrategy, err = h.strategyFor(c.CapacityProviders, strategy)
	return err
}

// clusterConfiguration checks a cluster's configuration and fills in its defaults
// (UpdateCluster, seed 000); nil if the request has none.
func clusterConfiguration(in *ecs.ClusterConfiguration) (*ecs.ClusterConfiguration, error) {
	if in == nil {
		return nil, nil
	}
	if names := unhonoured(in, "executeCommandConfiguration"); len(names) > 0 {
		return nil, invalid("Longshore does not support %v of a cluster's configuration yet.", names)
	}
	if in.ExecuteCommandConfiguration == nil {
		return nil, nil
	}
	exec := *in.ExecuteCommandConfiguration
	if exec.Logging == "" {
		exec.Logging = ecs.ExecuteCommandLoggingDEFAULT
	}
	log := exec.LogConfiguration
	switch {
	case exec.Logging == ecs.ExecuteCommandLoggingOVERRIDE && (log == nil || log.CloudWatchLogGroupName == "" && log.S3BucketName == ""):
		return nil, invalid("logConfiguration with a cloudWatchLogGroupName or an s3BucketName is required when logging is OVERRIDE.")
	case exec.Logging != ecs.ExecuteCommandLoggingOVERRIDE && log != nil && !saysNothing(reflect.ValueOf(*log)):
		return nil, invalid("logConfiguration is only valid when logging is OVERRIDE, not %s.", exec.Logging)
	}
	return &ecs.ClusterConfiguration{ExecuteCommandConfiguration: &exec}, nil
}
