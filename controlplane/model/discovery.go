package model

import (
	"crypto/rand"
	"net/netip"
	"strings"
	"time"

	"github.com/longshore/longshore/proto/ecs"
)

// Ids of service discovery, as Cloud Map forms them.
type (
	// NamespaceID is "ns-" and 16 lowercase letters and digits.
	NamespaceID string
	// RegistryID is "srv-" and 16 lowercase letters and digits.
	RegistryID string
)

// NamespaceType is how the instances in a namespace are found.
type NamespaceType string

// The types of namespaces.
const (
	NamespaceDNSPrivate NamespaceType = "DNS_PRIVATE" // by DNS and by DiscoverInstances
	NamespaceHTTP       NamespaceType = "HTTP"        // by DiscoverInstances alone
)

// Namespace is a set of names: for one with DNS, a zone.
type Namespace struct {
	ID          NamespaceID   `json:",omitzero"`
	Name        string        `json:",omitzero"` // lowercase, without a point at the end
	Type        NamespaceType `json:",omitzero"`
	Description string        `json:",omitzero"`
	NegativeTTL int64         `json:",omitzero"` // seconds, of the zone's SOA record
	CreatedAt   time.Time     `json:",omitzero"`
	Tags        []ecs.Tag     `json:",omitzero"`

	CreatorRequestID string `json:",omitzero"`
}

// Registry is a service of Cloud Map: a name in a namespace, behind which there are
// instances. An ECS service that names it puts its tasks there.
type Registry struct {
	ID          RegistryID       `json:",omitzero"`
	Namespace   NamespaceID      `json:",omitzero"`
	Name        string           `json:",omitzero"` // lowercase
	Description string           `json:",omitzero"`
	Records     []RegistryRecord `json:",omitzero"` // none: it is not in DNS
	Routing     string           `json:",omitzero"` // MULTIVALUE or WEIGHTED; empty without records
	CustomCheck bool             `json:",omitzero"` // HealthCheckCustomConfig was given
	CreatedAt   time.Time        `json:",omitzero"`
	Tags        []ecs.Tag        `json:",omitzero"`

	CreatorRequestID string `json:",omitzero"`
}

// RegistryRecord says which DNS records the instances of a registry have.
type RegistryRecord struct {
	Type string // RecordA or RecordSRV
	TTL  int64  // seconds
}

// The routing policies and the types of records.
const (
	RoutingMultivalue = "MULTIVALUE"
	RoutingWeighted   = "WEIGHTED"

	RecordA   = "A"
	RecordSRV = "SRV"
)

// TTL returns the time to live of a type of records, in seconds.
func (r *Registry) TTL(record string) (int64, bool) {
	for _, have := range r.Records {
		if have.Type == record {
			return have.TTL, true
		}
	}
	return 0, false
}

// Attributes of instances that Cloud Map and ECS know.
const (
	AttributeIPv4        = "AWS_INSTANCE_IPV4"
	AttributePort        = "AWS_INSTANCE_PORT"
	AttributeInitHealth  = "AWS_INIT_HEALTH_STATUS"
	AttributeZone        = "AVAILABILITY_ZONE"
	AttributeRegion      = "REGION"
	AttributeCluster     = "ECS_CLUSTER_NAME"
	AttributeService     = "ECS_SERVICE_NAME"
	AttributeFamily      = "ECS_TASK_DEFINITION_FAMILY"
	AttributeTaskSet     = "ECS_TASK_SET_EXTERNAL_ID"
	AttributeEC2Instance = "EC2_INSTANCE_ID"
)

// RegistryInstance is an instance that somebody registered by hand. Those of tasks
// are derived, not stored.
type RegistryInstance struct {
	Registry   RegistryID        `json:",omitzero"`
	ID         string            `json:",omitzero"`
	Attributes map[string]string `json:",omitzero"`
	Unhealthy  bool              `json:",omitzero"`

	CreatorRequestID string `json:",omitzero"`
}

// RegistryOperation remembers a change of service discovery that Cloud Map answers
// with an operation's id. All of them were done at once.
type RegistryOperation struct {
	ID        string            `json:",omitzero"`
	Type      string            `json:",omitzero"` // CREATE_NAMESPACE, …
	Targets   map[string]string `json:",omitzero"` // NAMESPACE, SERVICE or INSTANCE to an id
	CreatedAt time.Time         `json:",omitzero"`
}

// NewNamespaceID returns a fresh random id.
func NewNamespaceID() NamespaceID { return NamespaceID("ns-" + registryText()) }

// NewRegistryID returns a fresh random id.
func NewRegistryID() RegistryID { return RegistryID("srv-" + registryText()) }

// NewOperationID returns a fresh random id.
func NewOperationID() string { return registryText() + registryText() }

func registryText() string { return strings.ToLower(rand.Text()[:16]) }

func (o Owner) discoveryARN(resource string) string {
	return "arn:aws:servicediscovery:" + o.Region + ":" + o.Account + ":" + resource
}

// NamespaceARN returns the ARN of a namespace.
func (o Owner) NamespaceARN(id NamespaceID) string { return o.discoveryARN("namespace/" + string(id)) }

// RegistryARN returns the ARN of a service of Cloud Map.
func (o Owner) RegistryARN(id RegistryID) string { return o.discoveryARN("service/" + string(id)) }

// RegistryOf reads the ARN of a service of Cloud Map; false for anything else.
func (o Owner) RegistryOf(arn string) (RegistryID, bool) {
	id, ok := strings.CutPrefix(arn, o.discoveryARN("service/"))
	return RegistryID(id), ok
}

// RegistryIDOf reads the last part of such an ARN, whosever it is: what is stored
// was checked to be one of this account and region.
func RegistryIDOf(arn string) RegistryID {
	return RegistryID(arn[strings.LastIndexByte(arn, '/')+1:])
}

// WiringOf returns how the tasks of a deployment or of a task set are reached, and
// the external id of the task set.
func (s *Service) WiringOf(id DeploymentID) (wiring Wiring, externalID string, ok bool) {
	for i := range s.Deployments {
		if s.Deployments[i].ID == id {
			return s.Deployments[i].Wiring, "", true
		}
	}
	if set, found := s.TaskSet(id); found {
		return set.Wiring, set.ExternalID, true
	}
	return Wiring{}, "", false
}

// Registries are the registries that the service puts tasks into, now or after a
// deployment is rolled back, each once.
func (s *Service) Registries() []RegistryID {
	var out []RegistryID
	seen := map[RegistryID]bool{}
	add := func(w *Wiring) {
		for _, r := range w.ServiceRegistries {
			if id := RegistryIDOf(r.RegistryArn); !seen[id] {
				seen[id] = true
				out = append(out, id)
			}
		}
	}
	add(&s.Wiring)
	for i := range s.Deployments {
		add(&s.Deployments[i].Wiring)
	}
	if s.LastCompleted != nil {
		add(&s.LastCompleted.Wiring)
	}
	for i := range s.TaskSets {
		add(&s.TaskSets[i].Wiring)
	}
	return out
}

// Address is where ports on the instance's host are reached; empty if it did not say.
func (i *Instance) Address() string { return i.attribute(AddressAttribute) }

// Zone is the availability zone that the instance says it is in.
func (i *Instance) Zone() string { return i.attribute("ecs.availability-zone") }

func (i *Instance) attribute(name string) string {
	for _, a := range i.Attributes {
		if a.Name == name && a.Value != nil {
			return *a.Value
		}
	}
	return ""
}

// OwnAddress is the address that a task in network mode awsvpc has to itself; the
// zero Addr before it has one, and for any other task.
func (t *Task) OwnAddress() netip.Addr {
	for i := range t.Attachments {
		if address, err := netip.ParseAddr(t.Attachments[i].IPv4Address); err == nil {
			return address
		}
	}
	return netip.Addr{}
}

// Networked tells whether the task has a network interface to itself.
func (t *Task) Networked() bool { return len(t.Attachments) > 0 }
