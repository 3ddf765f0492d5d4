// Package model holds the entities of a control plane, their ids and ARNs, and
// the legal transitions between their states. It is pure: no clock, no storage,
// no network. Entities are immutable once stored: copy, change, put back.
package model

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Ids and names, each its own type so that they are not mixed up.
type (
	// ClusterName is the name of a cluster, unique in the account.
	ClusterName string
	// ServiceName is the name of a service, unique in its cluster.
	ServiceName string
	// Family is the name under which the revisions of a task definition stand.
	Family string
	// TaskID is 32 lowercase hex digits.
	TaskID string
	// InstanceID is the id of a container instance: 32 lowercase hex digits.
	InstanceID string
	// DeploymentID is "ecs-svc/" and 19 digits.
	DeploymentID string
)

// DefaultCluster is assumed where a request names none.
const DefaultCluster ClusterName = "default"

// ServiceKey names a service in the account.
type ServiceKey struct {
	Cluster ClusterName
	Name    ServiceName
}

// DefinitionRef names one revision of a task definition.
type DefinitionRef struct {
	Family   Family
	Revision int32
}

// String returns "family:revision".
func (r DefinitionRef) String() string {
	return string(r.Family) + ":" + strconv.FormatInt(int64(r.Revision), 10)
}

// NewTaskID returns a fresh random id.
func NewTaskID() TaskID { return TaskID(randomHex()) }

// NewInstanceID returns a fresh random id.
func NewInstanceID() InstanceID { return InstanceID(randomHex()) }

// NewDeploymentID returns a fresh random id.
func NewDeploymentID() DeploymentID {
	low, span := big.NewInt(1e18), big.NewInt(8e18) // 19 digits, and below 2^63
	n, err := rand.Int(rand.Reader, span)
	if err != nil {
		panic(err) // crypto/rand does not fail on supported systems
	}
	return DeploymentID("ecs-svc/" + n.Add(n, low).String())
}

// NewUUID returns a fresh random UUID (version 4), the id of containers and events.
func NewUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var text [36]byte
	out := text[:0]
	for i, part := range [][]byte{b[:4], b[4:6], b[6:8], b[8:10], b[10:]} {
		if i > 0 {
			out = append(out, '-')
		}
		out = hex.AppendEncode(out, part)
	}
	return string(out)
}

func randomHex() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Owner is the account and region that a control plane speaks for. It makes
// and reads ARNs; nothing else in the control plane knows their form.
type Owner struct {
	Account string // 12 digits
	Region  string // for example us-east-1
}

// arn puts an ARN together in one step: a page of a list has a hundred.
func (o Owner) arn(kind string, path ...string) string {
	var b strings.Builder
	n := len("arn:aws:ecs:::") + len(o.Region) + len(o.Account) + len(kind)
	for _, p := range path {
		n += 1 + len(p)
	}
	b.Grow(n)
	for _, p := range []string{"arn:aws:ecs:", o.Region, ":", o.Account, ":", kind} {
		b.WriteString(p)
	}
	for _, p := range path {
		b.WriteByte('/')
		b.WriteString(p)
	}
	return b.String()
}

// ClusterARN returns the ARN of a cluster.
func (o Owner) ClusterARN(c ClusterName) string { return o.arn("cluster", string(c)) }

// ServiceARN returns the ARN of a service, in the long format.
func (o Owner) ServiceARN(k ServiceKey) string {
	return o.arn("service", string(k.Cluster), string(k.Name))
}

// TaskARN returns the ARN of a task, in the long format.
func (o Owner) TaskARN(c ClusterName, id TaskID) string { return o.arn("task", string(c), string(id)) }

// TaskARNs returns the ARNs of tasks of one cluster, all cut out of one text.
func (o Owner) TaskARNs(c ClusterName, ids []TaskID) []string {
	prefix := o.TaskARN(c, "")
	n := 0
	for _, id := range ids {
		n += len(prefix) + len(id)
	}
	var b strings.Builder
	b.Grow(n)
	out := make([]string, len(ids))
	for i, id := range ids {
		from := b.Len()
		b.WriteString(prefix)
		b.WriteString(string(id))
		out[i] = b.String()[from:]
	}
	return out
}

// InstanceARN returns the ARN of a container instance, in the long format.
func (o Owner) InstanceARN(c ClusterName, id InstanceID) string {
	return o.arn("container-instance", string(c), string(id))
}

// ContainerARN returns the ARN of a container of a task.
func (o Owner) ContainerARN(c ClusterName, t TaskID, uuid string) string {
	return o.arn("container", string(c), string(t), uuid)
}

// DefinitionARN returns the ARN of a revision of a task definition.
func (o Owner) DefinitionARN(r DefinitionRef) string { return o.arn("task-definition", r.String()) }

// ErrForeignARN is wrapped by Resource for an ARN of another partition, service,
// region or account.
var ErrForeignARN = errors.New("not an ARN of this account and region")

// Resource strips an ARN of the given kind ("cluster", "task", …) down to what
// follows "kind/". What is not an ARN is returned as it is: a name or an id.
func (o Owner) Resource(kind, nameOrARN string) (string, error) {
	if !strings.HasPrefix(nameOrARN, "arn:") {
		return nameOrARN, nil
	}
	parts := strings.SplitN(nameOrARN, ":", 6)
	if len(parts) != 6 || parts[1] != "aws" || parts[2] != "ecs" || parts[3] != o.Region || parts[4] != o.Account {
		return "", fmt.Errorf("%w: %q (want arn:aws:ecs:%s:%s:…)", ErrForeignARN, short(nameOrARN), o.Region, o.Account)
	}
	rest, ok := strings.CutPrefix(parts[5], kind+"/")
	if !ok || rest == "" {
		return "", errOtherARN(kind, nameOrARN)
	}
	return rest, nil
}

func errOtherARN(kind, arn string) error {
	return fmt.Errorf("%q is not the ARN of a %s", short(arn), kind)
}

// short keeps what is quoted in an error short. The longest ARN there is, of a
// task set with all its names, fits.
func short(s string) string {
	const most = 640
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// InCluster reads a name, an id, a long ARN (kind/cluster/name) or an old short
// ARN (kind/name). cluster is empty if the input names none.
func (o Owner) InCluster(kind, nameOrARN string) (cluster ClusterName, name string, err error) {
	rest, err := o.Resource(kind, nameOrARN)
	if err != nil {
		return "", "", err
	}
	if c, n, found := strings.Cut(rest, "/"); found && strings.HasPrefix(nameOrARN, "arn:") {
		if c == "" || n == "" {
			return "", "", errOtherARN(kind, nameOrARN)
		}
		return ClusterName(c), n, nil
	}
	return "", rest, nil
}

// ValidName tells whether s may name a cluster, a service or a family: 1 to 255
// letters, digits, hyphens and underscores.
func ValidName(s string) bool {
	if len(s) == 0 || len(s) > 255 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}
