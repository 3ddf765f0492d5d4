package api

import (
	"context"
	"slices"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	maxDescribedServices = 10
	standardServicesPage = 10 // ListServices alone has not 100 (seed 000)
)

// service finds a service of any status by name or ARN.
func (h *Handler) service(t *store.Tables, c model.ClusterName, nameOrARN string) (*model.Service, error) {
	name, err := h.inCluster(kindService, c, nameOrARN)
	if err != nil {
		return nil, err
	}
	s, ok := t.Service(model.ServiceKey{Cluster: c, Name: model.ServiceName(name)})
	if !ok {
		return nil, errServiceNotFound()
	}
	return s, nil
}

func errServiceNotFound() error { return ecs.Errorf(ecs.CodeServiceNotFound, "Service not found.") }

// deleteService makes a service DRAINING. The service loop stops its tasks and
// makes it INACTIVE once none is left.
func (h *Handler) deleteService(ctx context.Context, in *ecs.DeleteServiceRequest) (*ecs.DeleteServiceResponse, error) {
	var service *model.Service
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		c, err := h.cluster(tx.Tables, in.Cluster)
		if err != nil {
			return err
		}
		have, err := h.service(tx.Tables, c.Name, in.Service)
		switch {
		case err != nil:
			return err
		case have.Status == model.StatusInactive:
			return errServiceNotFound()
		case have.Status == model.StatusDraining:
			service = have
			return nil
		}
		if forced := in.Force != nil && *in.Force; !forced {
			if err := deletableService(have); err != nil {
				return err
			}
		}
		service = h.drained(have)
		tx.PutService(service)
		return nil
	})
	if err != nil {
		return nil, err
	}
	shape := h.serviceShape(h.store.View(), service, true)
	return &ecs.DeleteServiceResponse{Service: &shape}, nil
}

// drained is a service that is being deleted: nothing of it is wanted any more.
func (h *Handler) drained(s *model.Service) *model.Service {
	next := *s
	next.Status = model.StatusDraining
	next.DesiredCount = 0
	next.Deployments = make([]model.Deployment, len(s.Deployments))
	for i, d := range s.Deployments {
		d.DesiredCount = 0
		next.Deployments[i] = d
	}
	next.TaskSets = slices.Clone(s.TaskSets)
	for i := range next.TaskSets {
		h.drain(&next.TaskSets[i])
	}
	return &next
}

func (h *Handler) describeServices(_ context.Context, in *ecs.DescribeServicesRequest) (*ecs.DescribeServicesResponse, error) {
	view := h.store.View()
	c, err := h.cluster(view, in.Cluster)
	if err != nil {
		return nil, err
	}
	names, err := h.eachInCluster(kindService, c.Name, in.Services, maxDescribedServices)
	if err != nil {
		return nil, err
	}
	tags := asked(in.Include, ecs.ServiceFieldTAGS)
	out := &ecs.DescribeServicesResponse{Services: []ecs.Service{}, Failures: []ecs.Failure{}}
	for _, name := range names {
		key := model.ServiceKey{Cluster: c.Name, Name: model.ServiceName(name)}
		if s, ok := view.Service(key); ok {
			shape := h.serviceShape(view, s, tags)
			if shape.DeploymentController.Type == ecs.DeploymentControllerTypeECS {
				shape.DeploymentController = nil // omitted here, and nowhere else (Service, seed 000)
			}
			out.Services = append(out.Services, shape)
		} else {
			out.Failures = append(out.Failures, missing(h.Owner.ServiceARN(key)))
		}
	}
	return out, nil
}

func (h *Handler) listServices(_ context.Context, in *ecs.ListServicesRequest) (*ecs.ListServicesResponse, error) {
	view := h.store.View()
	c, err := h.cluster(view, in.Cluster)
	if err != nil {
		return nil, err
	}
	p, err := h.page("ListServices", in.NextToken, in.MaxResults, standardServicesPage,
		c.Name, in.LaunchType, in.SchedulingStrategy, in.ResourceManagementType)
	if err != nil {
		return nil, err
	}
	shows := func(s *model.Service) bool {
		// One that is being deleted can still be described (DeleteService, seed 000).
		return s.Status == model.StatusActive &&
			(in.LaunchType == "" || in.LaunchType == s.LaunchType) &&
			(in.SchedulingStrategy == "" || in.SchedulingStrategy == s.SchedulingStrategy) &&
			// Hosts are the operator's own: there are no services of another kind.
			in.ResourceManagementType != ecs.ResourceManagementTypeECS
	}
	out := &ecs.ListServicesResponse{}
	out.ServiceArns, out.NextToken = fill(p, view.LiveServices(c.Name, model.ServiceName(p.after)),
		func(s *model.Service) string { return string(s.Name) },
		func(s *model.Service) (string, bool) { return h.Owner.ServiceARN(s.Key()), shows(s) })
	return out, nil
}
