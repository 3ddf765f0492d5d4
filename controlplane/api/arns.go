package api

import (
	"strconv"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// Kinds of resources, as their ARNs name them.
const (
	kindCluster    = "cluster"
	kindService    = "service"
	kindTask       = "task"
	kindInstance   = "container-instance"
	kindDefinition = "task-definition"
	kindAttachment = "attachment"
	kindProvider   = "capacity-provider"
	kindTaskSet    = "task-set"
)

func errClusterNotFound() error {
	return ecs.Errorf(ecs.CodeClusterNotFound, "Cluster not found.")
}

// clusterName reads the name or ARN of a cluster; none means the default one.
func (h *Handler) clusterName(nameOrARN string) (model.ClusterName, error) {
	if nameOrARN == "" {
		return model.DefaultCluster, nil
	}
	name, err := h.Owner.Resource(kindCluster, nameOrARN)
	if err != nil {
		return "", invalid("%s", err)
	}
	if !model.ValidName(name) {
		return "", invalid("Cluster must match ^[a-zA-Z0-9\\-_]{1,255}$, but was %s", clip(name))
	}
	return model.ClusterName(name), nil
}

// cluster returns the ACTIVE cluster of a name or ARN.
func (h *Handler) cluster(t *store.Tables, nameOrARN string) (*model.Cluster, error) {
	name, err := h.clusterName(nameOrARN)
	if err != nil {
		return nil, err
	}
	c, ok := t.Cluster(name)
	if !ok || c.Status != model.StatusActive {
		return nil, errClusterNotFound()
	}
	return c, nil
}

// inCluster reads the name, id or ARN of something in a cluster. An ARN that
// names another cluster is refused, as ECS does.
func (h *Handler) inCluster(kind string, c model.ClusterName, nameOrARN string) (string, error) {
	cluster, name, err := h.Owner.InCluster(kind, nameOrARN)
	if err != nil {
		return "", invalid("%s", err)
	}
	if cluster != "" && cluster != c {
		return "", invalid("Invalid identifier: Identifier is for cluster %s. Your cluster is %s", cluster, c)
	}
	if kind == kindTask && len(name) != 32 && len(name) != 36 { // 36: as UUIDs, which ECS gave once
		return "", invalid("taskId length should be one of [32,36], but %q has %d", clip(name), len(name))
	}
	return name, nil
}

// inMessages names the identifiers of a kind as ECS does when there are too many of them,
// and the list of them when it is empty.
var inMessages = map[string]struct{ identifiers, list string }{
	kindService:  {"services", "Services"},
	kindTask:     {"taskIds", "Tasks"},
	kindInstance: {"instanceIds", "Container instances"},
}

// eachInCluster reads the names, ids or ARNs of a Describe request, of which
// there may be only so many.
func (h *Handler) eachInCluster(kind string, c model.ClusterName, in []string, most int) ([]string, error) {
	if len(in) == 0 {
		return nil, invalid("%s cannot be empty.", inMessages[kind].list)
	}
	if len(in) > most {
		return nil, invalid("%s can have at most %d items.", inMessages[kind].identifiers, most)
	}
	names := make([]string, len(in))
	for i, s := range in {
		if s == "" {
			return nil, invalid("A %s identifier can not be blank.", kind)
		}
		var err error
		if names[i], err = h.inCluster(kind, c, s); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// definitionRef reads "family", "family:revision" or an ARN. The revision is 0 if
// none is named; ok is false if there can be no such definition.
func (h *Handler) definitionRef(nameOrARN string) (ref model.DefinitionRef, ok bool, err error) {
	name, err := h.Owner.Resource(kindDefinition, nameOrARN)
	if err != nil {
		return ref, false, refused("%s", err)
	}
	family, revision, named := strings.Cut(name, ":")
	ref.Family = model.Family(family)
	if named {
		n, err := strconv.ParseInt(revision, 10, 32)
		if err != nil || n < 1 {
			return ref, false, nil
		}
		ref.Revision = int32(n)
	}
	return ref, model.ValidName(family), nil
}

// definition finds a revision by "family" (the newest ACTIVE one),
// "family:revision" or ARN.
func (h *Handler) definition(t *store.Tables, nameOrARN string) (*model.Definition, bool, error) {
	ref, ok, err := h.definitionRef(nameOrARN)
	if err != nil || !ok {
		return nil, false, err
	}
	if ref.Revision == 0 {
		d, ok := t.LatestActive(ref.Family)
		return d, ok, nil
	}
	d, ok := t.Definition(ref)
	return d, ok, nil
}

// runnable finds the definition for new tasks or services.
func (h *Handler) runnable(t *store.Tables, nameOrARN string) (*model.Definition, error) {
	d, ok, err := h.definition(t, nameOrARN)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, refused("TaskDefinition not found.")
	case d.Status != ecs.TaskDefinitionStatusACTIVE:
		return nil, refused("TaskDefinition is inactive")
	}
	return d, nil
}

// missing is the failure that Describe answers for what is not there.
func missing(arn string) ecs.Failure { return ecs.Failure{Arn: arn, Reason: "MISSING"} }

// asked tells whether an include list names a field.
func asked[T comparable](include []T, field T) bool {
	for _, f := range include {
		if f == field {
			return true
		}
	}
	return false
}

// orEmpty makes a list that is absent an empty one, where ECS answers [].
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
