package api

import (
	"context"
	"slices"
	"strconv"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// maxDescribed is how many clusters, tasks or instances one Describe takes.
const maxDescribed = 100

func (h *Handler) createCluster(ctx context.Context, in *ecs.CreateClusterRequest) (*ecs.CreateClusterResponse, error) {
	name := string(model.DefaultCluster)
	if in.ClusterName != "" {
		name = in.ClusterName
	}
	if !model.ValidName(name) {
		return nil, invalid("Cluster name must be 1 to 255 letters, digits, hyphens and underscores, not %q.", clip(name))
	}
	if names := unhonoured(in, "clusterName", "tags", "settings", "configuration", "capacityProviders", "defaultCapacityProviderStrategy"); len(names) > 0 {
		// CreateCluster cannot raise UnsupportedFeatureException.
		return nil, invalid("Longshore does not support %v of a cluster yet.", names)
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	configuration, err := clusterConfiguration(in.Configuration)
	if err != nil {
		return nil, err
	}
	var cluster *model.Cluster
	err = h.store.Update(ctx, func(tx *store.Tx) error {
		settings, err := clusterSettings(h.defaultSettings(tx.Tables), in.Settings)
		if err != nil {
			return err
		}
		have, ok := tx.Cluster(model.ClusterName(name))
		if ok && have.Status == model.StatusActive {
			cluster = have // as it is: creating it again changes nothing
			return nil
		}
		cluster = h.newCluster(tx.Tables, model.ClusterName(name))
		cluster.Settings, cluster.Tags, cluster.Configuration = settings, in.Tags, configuration
		if err := h.setCapacity(tx.Tables, cluster, in.CapacityProviders, in.DefaultCapacityProviderStrategy); err != nil {
			return err
		}
		tx.PutCluster(cluster)
		return nil
	})
	if err != nil {
		return nil, err
	}
	shape := h.clusterShape(h.store.View(), cluster, shownAfterChange)
	return &ecs.CreateClusterResponse{Cluster: &shape}, nil
}

func (h *Handler) newCluster(t *store.Tables, name model.ClusterName) *model.Cluster {
	return &model.Cluster{Name: name, Status: model.StatusActive, CreatedAt: h.Clock(), Settings: h.defaultSettings(t)}
}

// defaultSettings are those of a new cluster: the caller's account setting says
// what containerInsights is (PutAccountSetting, seed 000).
func (h *Handler) defaultSettings(t *store.Tables) []ecs.ClusterSetting {
	insights := insightsSetting()
	return []ecs.ClusterSetting{{Name: ecs.ClusterSettingNameContainerInsights, Value: h.effective(t, &insights, h.principal())}}
}

// clusterSettings are a cluster's settings with what a request changes of them.
func clusterSettings(have, in []ecs.ClusterSetting) ([]ecs.ClusterSetting, error) {
	settings := slices.Clone(have)
	for _, s := range in {
		if s.Name != ecs.ClusterSettingNameContainerInsights {
			return nil, invalid("The only cluster setting is containerInsights, not %q.", clip(string(s.Name)))
		}
		if !slices.Contains([]string{"enabled", "disabled", "enhanced"}, s.Value) {
			return nil, invalid("The setting containerInsights is enabled, disabled or enhanced, not %q.", clip(s.Value))
		}
		settings[0].Value = s.Value
	}
	return settings, nil
}

func (h *Handler) deleteCluster(ctx context.Context, in *ecs.DeleteClusterRequest) (*ecs.DeleteClusterResponse, error) {
	var cluster *model.Cluster
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		have, err := h.cluster(tx.Tables, in.Cluster)
		if err != nil {
			return err
		}
		if err := deletable(tx, have.Name); err != nil {
			return err
		}
		next := *have
		next.Status = model.StatusInactive
		next.CapacityProviders, next.DefaultStrategy = nil, nil // free for other clusters
		cluster = &next
		tx.PutCluster(cluster)
		return nil
	})
	if err != nil {
		return nil, err
	}
	shape := h.clusterShape(h.store.View(), cluster, shownAfterChange)
	return &ecs.DeleteClusterResponse{Cluster: &shape}, nil
}

// deletable tells what still keeps a cluster from being deleted.
func deletable(tx *store.Tx, c model.ClusterName) error {
	counts := tx.Counts(c)
	switch {
	case counts.ActiveServices.Total()+counts.DrainingServices.Total() > 0:
		return ecs.Errorf(ecs.CodeClusterContainsServices, "The Cluster cannot be deleted while Services are active.")
	case counts.Instances > 0:
		return ecs.Errorf(ecs.CodeClusterContainsContainerInstances, "The Cluster cannot be deleted while Container Instances are active or draining.")
	case counts.RunningTasks.Total()+counts.PendingTasks.Total() > 0:
		return ecs.Errorf(ecs.CodeClusterContainsTasks, "The Cluster cannot be deleted while Tasks are active.")
	}
	return nil
}

func (h *Handler) describeClusters(_ context.Context, in *ecs.DescribeClustersRequest) (*ecs.DescribeClustersResponse, error) {
	wanted := in.Clusters
	if len(wanted) == 0 {
		wanted = []string{string(model.DefaultCluster)}
	}
	if len(wanted) > maxDescribed {
		return nil, invalid("At most %d clusters can be described at once, not %d.", maxDescribed, len(wanted))
	}
	view := h.store.View()
	out := &ecs.DescribeClustersResponse{Clusters: []ecs.Cluster{}, Failures: []ecs.Failure{}}
	for _, s := range wanted {
		if s == "" {
			return nil, invalid("Clusters can not be blank.")
		}
		name, err := h.clusterName(s)
		if err != nil {
			return nil, err
		}
		if c, ok := view.Cluster(name); ok {
			out.Clusters = append(out.Clusters, h.clusterShape(view, c, in.Include))
		} else {
			out.Failures = append(out.Failures, missing(h.Owner.ClusterARN(name)))
		}
	}
	return out, nil
}

func (h *Handler) listClusters(_ context.Context, in *ecs.ListClustersRequest) (*ecs.ListClustersResponse, error) {
	p, err := h.page("ListClusters", in.NextToken, in.MaxResults, maxPage)
	if err != nil {
		return nil, err
	}
	out := &ecs.ListClustersResponse{}
	out.ClusterArns, out.NextToken = fill(p, h.store.View().Clusters(model.ClusterName(p.after)),
		func(c *model.Cluster) string { return string(c.Name) },
		func(c *model.Cluster) (string, bool) {
			return h.Owner.ClusterARN(c.Name), c.Status == model.StatusActive
		})
	return out, nil
}

// clusterShape is a cluster as the API shows it.
func (h *Handler) clusterShape(t *store.Tables, c *model.Cluster, include []ecs.ClusterField) ecs.Cluster {
	counts := t.Counts(c.Name)
	shape := ecs.Cluster{
		ClusterArn:                        h.Owner.ClusterARN(c.Name),
		ClusterName:                       string(c.Name),
		Status:                            c.Status,
		RegisteredContainerInstancesCount: counts.Instances,
		RunningTasksCount:                 counts.RunningTasks.Total(),
		PendingTasksCount:                 counts.PendingTasks.Total(),
		ActiveServicesCount:               counts.ActiveServices.Total(),
		Statistics:                        []ecs.KeyValuePair{},
		Settings:                          []ecs.ClusterSetting{},
		Tags:                              []ecs.Tag{},
		CapacityProviders:                 make([]string, len(c.CapacityProviders)),
		DefaultCapacityProviderStrategy:   orEmpty(c.DefaultStrategy),
	}
	for i, p := range c.CapacityProviders {
		shape.CapacityProviders[i] = string(p)
	}
	if asked(include, ecs.ClusterFieldCONFIGURATIONS) {
		shape.Configuration = c.Configuration
	}
	if asked(include, ecs.ClusterFieldTAGS) {
		shape.Tags = orEmpty(c.Tags)
	}
	if asked(include, ecs.ClusterFieldSETTINGS) {
		shape.Settings = orEmpty(c.Settings)
	}
	if asked(include, ecs.ClusterFieldATTACHMENTS) {
		shape.Attachments = []ecs.Attachment{} // scaling plans, which need somebody who starts machines
		if len(c.CapacityProviders) > 0 {
			shape.AttachmentsStatus = "UPDATE_COMPLETE" // an association takes effect at once
		}
	}
	if asked(include, ecs.ClusterFieldSTATISTICS) {
		shape.Statistics = statistics(counts)
	}
	return shape
}

// statistics are a cluster's counts by launch type.
func statistics(c store.ClusterCounts) []ecs.KeyValuePair {
	var out []ecs.KeyValuePair
	for _, s := range []struct {
		name  string
		count int32
	}{
		{"runningEC2TasksCount", c.RunningTasks.EC2},
		{"runningFargateTasksCount", c.RunningTasks.Fargate},
		{"pendingEC2TasksCount", c.PendingTasks.EC2},
		{"pendingFargateTasksCount", c.PendingTasks.Fargate},
		{"runningExternalTasksCount", c.RunningTasks.External},
		{"pendingExternalTasksCount", c.PendingTasks.External},
		{"activeEC2ServiceCount", c.ActiveServices.EC2},
		{"activeFargateServiceCount", c.ActiveServices.Fargate},
		{"drainingEC2ServiceCount", c.DrainingServices.EC2},
		{"drainingFargateServiceCount", c.DrainingServices.Fargate},
		{"activeExternalServiceCount", c.ActiveServices.External},
		{"drainingExternalServiceCount", c.DrainingServices.External},
	} {
		value := strconv.Itoa(int(s.count))
		out = append(out, ecs.KeyValuePair{Name: s.name, Value: &value})
	}
	return out
}
