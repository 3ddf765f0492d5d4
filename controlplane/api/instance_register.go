package api

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// Resources that ECS knows by name; an agent may register others.
const (
	resourceCPU      = "CPU"    // units, 1024 a core
	resourceMemory   = "MEMORY" // MiB
	resourcePorts    = "PORTS"  // TCP ports that no task gets
	resourcePortsUDP = "PORTS_UDP"
	resourceGPU      = "GPU" // ids, registered as platformDevices
)

var (
	attributeName  = regexp.MustCompile(`^[a-zA-Z0-9_\-./\\]{1,128}$`)
	deviceID       = regexp.MustCompile(`^[a-zA-Z0-9_\-.:/]{1,128}$`) // a comma would make two of it
	attributeValue = regexp.MustCompile(`^[a-zA-Z0-9_\-.@/\\: ]{0,128}$`)
)

// registerContainerInstance makes a host a container instance, or brings what is
// known of one up to date. Whether its agent is connected is not for this
// operation to say: that shows once the agent has opened its session.
func (h *Handler) registerContainerInstance(ctx context.Context, in *ecs.RegisterContainerInstanceRequest) (*ecs.RegisterContainerInstanceResponse, error) {
	host, err := checkRegistration(in)
	if err != nil {
		return nil, err
	}
	var instance *model.Instance
	err = h.store.Update(ctx, func(tx *store.Tx) error {
		cluster, err := h.clusterForRegistration(tx, in.Cluster)
		if err != nil {
			return err
		}
		next, err := h.registered(tx, cluster, in.ContainerInstanceArn)
		if err != nil {
			return err
		}
		next.Version++
		next.VersionInfo, next.Resources = in.VersionInfo, withDevices(in.TotalResources, in.PlatformDevices)
		next.Attributes = mergeAttributes(next.Attributes, in.Attributes)
		if host != "" {
			next.EC2InstanceID = host
		}
		if in.Tags != nil {
			next.Tags = in.Tags
		}
		instance = next
		tx.PutInstance(next)
		return nil
	})
	if err != nil {
		return nil, err
	}
	shape := h.instanceShape(h.store.View(), instance, true)
	return &ecs.RegisterContainerInstanceResponse{ContainerInstance: &shape}, nil
}

// clusterForRegistration is the ACTIVE cluster of that name. The default one is
// made when the first instance comes.
func (h *Handler) clusterForRegistration(tx *store.Tx, nameOrARN string) (model.ClusterName, error) {
	name, err := h.clusterName(nameOrARN)
	if err != nil {
		return "", err
	}
	c, ok := tx.Cluster(name)
	switch {
	case ok && c.Status == model.StatusActive:
	case name == model.DefaultCluster:
		tx.PutCluster(h.newCluster(tx.Tables, name))
	default:
		return "", errClusterNotFound()
	}
	return name, nil
}

// registered is the record to bring up to date: a new one, or that of an earlier
// registration.
func (h *Handler) registered(tx *store.Tx, c model.ClusterName, arn string) (*model.Instance, error) {
	now := h.Clock()
	if arn == "" {
		return &model.Instance{
			ID: model.NewInstanceID(), Cluster: c, Status: model.StatusActive,
			RegisteredAt: now, SilentSince: now,
		}, nil
	}
	id, err := h.inCluster(kindInstance, c, arn)
	if err != nil {
		return nil, err
	}
	have, ok := tx.Instance(c, model.InstanceID(id))
	if !ok {
		return nil, refused("Container instance %s is not registered in cluster %s.", clip(id), c)
	}
	if !store.InstanceLive(have) {
		return nil, errors.Join(refused("Container instance %s is inactive.", id), model.ErrInstanceInactive)
	}
	next := *have
	return &next, nil
}

// mergeAttributes replaces what the agent finds out by itself (ecs.…,
// com.amazonaws.ecs.…) and keeps custom attributes that it does not name: they
// may have been put by somebody else.
func mergeAttributes(have, said []ecs.Attribute) []ecs.Attribute {
	out := make([]ecs.Attribute, 0, len(have)+len(said))
	named := make(map[string]bool, len(said))
	for _, a := range said {
		named[a.Name] = true
		out = append(out, ecs.Attribute{Name: a.Name, Value: a.Value})
	}
	for _, a := range have {
		if !builtInAttribute(a.Name) && !named[a.Name] {
			out = append(out, a)
		}
	}
	return out
}

// checkRegistration checks what an agent says of its host and returns the host's
// own id, if the identity document has one. The document's signature is not
// checked: there is no authority on bare metal that could have made it.
func checkRegistration(in *ecs.RegisterContainerInstanceRequest) (string, error) {
	if err := checkDevices(in.PlatformDevices); err != nil {
		return "", err
	}
	if err := checkTags(in.Tags); err != nil {
		return "", err
	}
	if err := checkAttributes(in.Attributes); err != nil {
		return "", err
	}
	if err := checkResources(in.TotalResources); err != nil {
		return "", err
	}
	if in.InstanceIdentityDocument == "" {
		return "", nil
	}
	var document struct {
		InstanceID string `json:"instanceId"`
	}
	if err := json.Unmarshal([]byte(in.InstanceIdentityDocument), &document); err != nil {
		return "", invalid("instanceIdentityDocument is not valid JSON: %s", clip(err.Error()))
	}
	return document.InstanceID, nil
}

// checkDevices checks the devices of an instance: GPUs of different ids.
func checkDevices(devices []ecs.PlatformDevice) error {
	seen := make(map[string]bool, len(devices))
	for _, d := range devices {
		switch {
		case d.Type != ecs.PlatformDeviceTypeGPU:
			return invalid("A platform device is a GPU, not %q.", clip(string(d.Type)))
		case !deviceID.MatchString(d.Id):
			return invalid("The id of a GPU is 1 to 128 letters, digits and any of _ - . : /, not %q.", clip(d.Id))
		case seen[d.Id]:
			return invalid("The GPU %s is given twice.", d.Id)
		}
		seen[d.Id] = true
	}
	return nil
}

// withDevices adds an instance's GPUs to its resources, as ECS shows them.
func withDevices(resources []ecs.Resource, devices []ecs.PlatformDevice) []ecs.Resource {
	if len(devices) == 0 {
		return resources
	}
	gpus := ecs.Resource{Name: resourceGPU, Type: "STRINGSET"}
	for _, d := range devices {
		gpus.StringSetValue = append(gpus.StringSetValue, d.Id)
	}
	return append(slices.Clone(resources), gpus)
}

func checkAttributes(attributes []ecs.Attribute) error {
	seen := make(map[string]bool, len(attributes))
	for _, a := range attributes {
		switch {
		case !attributeName.MatchString(a.Name):
			return invalid("An attribute's name is 1 to 128 letters, digits and any of _ - . / \\, not %q.", clip(a.Name))
		case seen[a.Name]:
			return invalid("The attribute %s is given twice.", a.Name)
		case a.Value != nil && (!attributeValue.MatchString(*a.Value) || strings.TrimSpace(*a.Value) != *a.Value):
			return invalid("The value of the attribute %s is not up to 128 letters, digits, spaces and any of _ - . @ / \\ :, but %q.", a.Name, clip(*a.Value))
		case a.TargetId != "":
			return invalid("The attribute %s names a target; it is that of the instance which registers.", a.Name)
		}
		seen[a.Name] = true
	}
	return nil
}

// checkResources checks totalResources: CPU and MEMORY must be there, and each
// resource be of its type.
func checkResources(resources []ecs.Resource) error {
	seen := make(map[string]bool, len(resources))
	for i := range resources {
		r := &resources[i]
		if r.Name == "" || seen[r.Name] {
			return invalid("totalResources must have different names, not %q twice or none at all.", clip(r.Name))
		}
		seen[r.Name] = true
		if err := checkResource(r); err != nil {
			return err
		}
	}
	for _, name := range []string{resourceCPU, resourceMemory} {
		if !seen[name] {
			return invalid("totalResources must have %s.", name)
		}
	}
	return nil
}

func checkResource(r *ecs.Resource) error {
	want := map[string]string{
		resourceCPU: "INTEGER", resourceMemory: "INTEGER", resourcePorts: "STRINGSET", resourcePortsUDP: "STRINGSET",
	}[r.Name]
	switch {
	case r.Name == resourceGPU:
		return invalid("GPUs are registered as platformDevices, not as a resource.")
	case want != "" && r.Type != want:
		return invalid("The resource %s must be of type %s, not %q.", r.Name, want, clip(r.Type))
	case !slices.Contains([]string{"INTEGER", "DOUBLE", "LONG", "STRINGSET"}, r.Type):
		return invalid("The type of the resource %s must be INTEGER, DOUBLE, LONG or STRINGSET, not %q.", clip(r.Name), clip(r.Type))
	case want == "INTEGER" && r.IntegerValue <= 0:
		return invalid("The resource %s must be above 0, not %d.", r.Name, r.IntegerValue)
	case want == "STRINGSET":
		for _, p := range r.StringSetValue {
			if n, err := strconv.Atoi(p); err != nil || n < 1 || n > math.MaxUint16 {
				return invalid("The resource %s must be of port numbers, not %q.", r.Name, clip(p))
			}
		}
	}
	return nil
}
