package api

import (
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// checkRegistry checks the service registry of a service against the registry itself;
// its form was checked before. Task sets of one service may share a registry; two
// services may not: nobody could tell whose task is found.
func (h *Handler) checkRegistry(t *store.Tables, s *model.Service, d *ecs.TaskDefinition, in []ecs.ServiceRegistry) error {
	if len(in) == 0 {
		return nil
	}
	r := &in[0]
	id, _ := h.Owner.RegistryOf(r.RegistryArn)
	have, ok := t.Registry(id)
	if !ok {
		return invalid("The service registry was not found. Registry: %s", clip(r.RegistryArn))
	}
	for user := range t.RegistryUsers(id) {
		if user != s.Key() {
			return invalid("The service registry is already in use by the service %s in cluster %s. Registry: %s", user.Name, user.Cluster, clip(r.RegistryArn))
		}
	}
	if d.NetworkMode != ecs.NetworkModeAwsvpc {
		return nil
	}
	_, srv := have.TTL(model.RecordSRV)
	needsPort := srv || len(have.Records) == 0 // what is found by API alone may have one
	switch {
	case srv && r.Port == nil && r.ContainerPort == nil:
		return invalid("The service registry has SRV records: specify a port, or containerName and containerPort. Registry: %s", clip(r.RegistryArn))
	case !needsPort && r.Port != nil:
		return invalid("The values specified for serviceRegistries do not require a value for 'port'. Remove the value and retry.")
	case !needsPort && r.ContainerPort != nil:
		return invalid("The values specified for serviceRegistries do not require a value for 'containerPort'. Remove the value and retry.")
	}
	return nil
}
