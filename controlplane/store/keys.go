package store

import (
	"fmt"

	"github.com/longshore/longshore/controlplane/model"
)

// The whole schema in etcd. Values are JSON of the entity in controlplane/model; those of
// tasks are shorter, see segment.go and record.go.
//
//	/longshore/v1/
//	├── election/                              who leads; a key of the leader's lease
//	│   └── <lease>                            → addresses of the leader
//	└── state/
//	    ├── clusters/<cluster>                 → model.Cluster
//	    ├── providers/<name>                   → model.CapacityProvider, without the reserved ones
//	    ├── families/<family>                  → model.FamilyRecord, the last revision given out
//	    ├── definitions/<family>/<revision>    → model.Definition; the revision has ten digits
//	    ├── instances/<cluster>/<id>           → model.Instance
//	    ├── services/<cluster>/<name>          → model.Service, with its deployments or task sets
//	    ├── events/<cluster>/<name>/<sequence> → model.ServiceEvent, the latest 100 of a service
//	    ├── settings/<name>/<principal>        → model.AccountSetting; the principal is an ARN
//	    ├── secrets/<name>                     → model.Secret, with its versions; values are encrypted
//	    ├── parameters/<name>                  → model.Parameter; the value is encrypted
//	    ├── targetgroups/<name>                → model.TargetGroup, with the targets that callers registered
//	    ├── tokens/<cluster>/<client token>    → model.RunToken, for 24 hours
//	    ├── namespaces/<id>                    → model.Namespace
//	    ├── registries/<id>                    → model.Registry, a service of Cloud Map
//	    ├── registered/<registry>/<id>         → model.RegistryInstance, those made by hand
//	    ├── registryops/<id>                   → model.RegistryOperation, for a day
//	    ├── segments/<sequence>                → each model.Task that one commit changed, with its containers, and which it
//	    │                                        deleted; the sequence has sixteen hexadecimal digits
//	    └── tasks/<cluster>/<id>               → model.Task, as an earlier version wrote it; what segments say is newer
//
// Names are of letters, digits, hyphens and underscores, so that no key is a
// prefix of another kind's. Those of secrets and parameters, which are the last
// part of their keys, may have slashes and some other characters besides.
const (
	// Root is above everything that Longshore keeps in etcd.
	Root = "/longshore/v1/"
	// ElectionPrefix is where leadership is contended for.
	ElectionPrefix = Root + "election"

	statePrefix = Root + "state/"

	segmentPrefix = statePrefix + "segments/"

	secretFolder    = "secrets/"
	parameterFolder = "parameters/"
	ownTaskFolder   = "tasks/"
)

func clusterKey(c *model.Cluster) string { return statePrefix + "clusters/" + string(c.Name) }

func providerKey(p *model.CapacityProvider) string {
	return statePrefix + "providers/" + string(p.Name)
}

func familyKey(f *model.FamilyRecord) string { return statePrefix + "families/" + string(f.Name) }

func definitionKey(d *model.Definition) string {
	return fmt.Sprintf("%sdefinitions/%s/%010d", statePrefix, d.Ref.Family, d.Ref.Revision)
}

func instanceKey(i *model.Instance) string {
	return statePrefix + "instances/" + string(i.Cluster) + "/" + string(i.ID)
}

func serviceKey(s *model.Service) string {
	return statePrefix + "services/" + string(s.Cluster) + "/" + string(s.Name)
}

func eventKey(e *model.ServiceEvent) string {
	return fmt.Sprintf("%sevents/%s/%s/%016d", statePrefix, e.Service.Cluster, e.Service.Name, e.Sequence)
}

func settingKey(s *model.AccountSetting) string {
	return statePrefix + "settings/" + string(s.Name) + "/" + s.Principal
}

// A client token may have any printable ASCII character; it comes last.
func tokenKey(r *model.RunToken) string {
	return statePrefix + "tokens/" + string(r.Cluster) + "/" + r.Token
}

// ownTaskKey is where an earlier version kept a task.
func ownTaskKey(r taskRef) string {
	return statePrefix + ownTaskFolder + string(r.cluster) + "/" + string(r.id)
}

func segmentKey(sequence uint64) string { return fmt.Sprintf("%s%016x", segmentPrefix, sequence) }

func secretKey(s *model.Secret) string { return statePrefix + secretFolder + s.Name }

func parameterKey(p *model.Parameter) string { return statePrefix + parameterFolder + p.Name }

func targetGroupKey(g *model.TargetGroup) string { return statePrefix + "targetgroups/" + g.Name }

func namespaceKey(n *model.Namespace) string { return statePrefix + "namespaces/" + string(n.ID) }

func registryKey(r *model.Registry) string { return statePrefix + "registries/" + string(r.ID) }

// The id of an instance may have slashes; it comes last.
func registryInstanceKey(i *model.RegistryInstance) string {
	return statePrefix + "registered/" + string(i.Registry) + "/" + i.ID
}

func operationKey(o *model.RegistryOperation) string { return statePrefix + "registryops/" + o.ID }
