package metadata

import (
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/proto/ecs"
)

// Shapes of the task metadata endpoint (ECS developer guide, task metadata
// endpoint versions 3 and 4). A member that only version 4 has says so.

type taskView struct {
	Cluster            string
	TaskARN            string
	Family             string
	ServiceName        string `json:",omitempty"` // version 4
	Revision           string
	DesiredStatus      string            `json:",omitempty"`
	KnownStatus        string            `json:",omitempty"`
	Limits             *limitsView       `json:",omitempty"`
	PullStartedAt      *time.Time        `json:",omitempty"`
	PullStoppedAt      *time.Time        `json:",omitempty"`
	ExecutionStoppedAt *time.Time        `json:",omitempty"`
	AvailabilityZone   string            `json:",omitempty"`
	LaunchType         string            `json:",omitempty"` // version 4
	TaskTags           map[string]string `json:",omitempty"`
	InstanceTags       map[string]string `json:"ContainerInstanceTags,omitempty"`
	Containers         []containerView
	Errors             []errorView `json:",omitempty"` // version 4
}

type errorView struct {
	ErrorField, ErrorCode, ErrorMessage string
	StatusCode                          int
	ResourceARN                         string
}

type containerView struct {
	ID            string `json:"DockerId"`
	Name          string
	DockerName    string
	Image         string
	ImageID       string
	Ports         []portView        `json:",omitempty"`
	Labels        map[string]string `json:",omitempty"`
	DesiredStatus string
	KnownStatus   string
	ExitCode      *int32 `json:",omitempty"`
	Limits        limitsView
	CreatedAt     *time.Time `json:",omitempty"`
	StartedAt     *time.Time `json:",omitempty"`
	FinishedAt    *time.Time `json:",omitempty"`
	Type          string
	Health        *healthView       `json:",omitempty"`
	Volumes       []volumeView      `json:",omitempty"`
	LogDriver     string            `json:",omitempty"` // version 4
	LogOptions    map[string]string `json:",omitempty"` // version 4
	ContainerARN  string            `json:",omitempty"` // version 4
	RestartCount  *int              `json:",omitempty"` // with a restart policy
	Networks      []networkView     `json:",omitempty"`
}

// limitsView has vCPUs of a task and CPU units of a container; MiB of both.
type limitsView struct {
	CPU    float64 `json:",omitempty"`
	Memory int64   `json:",omitempty"`
}

type portView struct {
	ContainerPort uint16
	Protocol      string
	HostPort      uint16 `json:",omitempty"`
	HostIP        string `json:"HostIp,omitempty"`
}

type healthView struct {
	Status string `json:"status"`
}

type volumeView struct {
	DockerName  string `json:",omitempty"`
	Source      string `json:",omitempty"`
	Destination string `json:",omitempty"`
}

// networkView has all of its members in network mode awsvpc, and version 4.
type networkView struct {
	NetworkMode     string
	IPv4Addresses   []string
	AttachmentIndex *int   `json:",omitempty"`
	MACAddress      string `json:",omitempty"`
	SubnetCIDR      string `json:"IPv4SubnetCIDRBlock,omitempty"`
	PrivateDNSName  string `json:",omitempty"`
	SubnetGateway   string `json:"SubnetGatewayIpv4Address,omitempty"` // an address with the length of its prefix
}

// container answers with the container that asks.
func (s *Server) container(v version) func(http.ResponseWriter, *http.Request, *name) {
	return func(w http.ResponseWriter, r *http.Request, n *name) {
		t, err := s.Lookup(r.Context(), n.task, n.unit)
		if err == nil && n.unit >= len(t.Spec.Units) {
			err = ErrGone
		}
		if err != nil {
			v.failed(w, r, err)
			return
		}
		writeJSON(w, http.StatusOK, v.containerView(t, n.unit))
	}
}

// task answers with the task of the container that asks.
func (s *Server) task(v version, tags bool) func(http.ResponseWriter, *http.Request, *name) {
	return func(w http.ResponseWriter, r *http.Request, n *name) {
		t, err := s.Lookup(r.Context(), n.task, n.unit)
		if err != nil {
			v.failed(w, r, err)
			return
		}
		view := v.taskView(t)
		if tags {
			s.addTags(r, v, n.task, &view)
		}
		writeJSON(w, http.StatusOK, view)
	}
}

// addTags asks the control plane for them, as the ECS agent does. If they are not
// to be had, the rest is answered all the same.
func (s *Server) addTags(r *http.Request, v version, task string, view *taskView) {
	all, err := s.ControlPlane.TaskTags(r.Context(), task)
	if err != nil {
		s.Logger.Warn("tags for task metadata are not to be had", "task", task, "error", err)
		if v.number == 4 {
			view.Errors = append(view.Errors, errorView{
				ErrorField: "TaskTags", ErrorCode: ecs.CodeServer, ErrorMessage: err.Error(),
				StatusCode: http.StatusInternalServerError, ResourceARN: task,
			})
		}
		return
	}
	view.TaskTags, view.InstanceTags = map[string]string{}, map[string]string{}
	for _, t := range all.Task {
		view.TaskTags[t.Key] = t.Value
	}
	for _, t := range all.ContainerInstance {
		view.InstanceTags[t.Key] = t.Value
	}
}

func (v version) taskView(t Task) taskView {
	report := lifecycle.Report(t.Spec, t.State)
	view := taskView{
		Cluster:          t.Cluster,
		TaskARN:          t.Spec.ARN,
		Family:           t.Definition.Family,
		Revision:         strconv.Itoa(int(t.Definition.Revision)),
		DesiredStatus:    desired(t),
		KnownStatus:      known(t.State),
		Limits:           taskLimits(t),
		PullStartedAt:    moment(t.State.PullStartedAt),
		PullStoppedAt:    moment(t.State.PullStoppedAt),
		AvailabilityZone: t.AvailabilityZone,
		Containers:       []containerView{},
	}
	if at := report.ExecutionStoppedAt; at != 0 {
		view.ExecutionStoppedAt = moment(time.UnixMilli(at))
	}
	if v.number == 4 {
		view.LaunchType = t.LaunchType
		view.ServiceName, _ = serviceOf(t.Group)
	}
	if t.LaunchType == string(ecs.LaunchTypeFARGATE) {
		view.Cluster = clusterARN(t)
	}
	for i := range t.Spec.Units {
		if !t.Spec.Units[i].Internal {
			view.Containers = append(view.Containers, v.containerView(t, i))
		}
	}
	return view
}

func serviceOf(group string) (string, bool) { return strings.CutPrefix(group, "service:") }

// clusterARN is made from the task's: arn:aws:ecs:REGION:ACCOUNT:task/CLUSTER/ID.
func clusterARN(t Task) string {
	prefix, _, _ := strings.Cut(t.Spec.ARN, ":task/")
	return prefix + ":cluster/" + t.Cluster
}

// desired is the ECS agent's word for what is wanted of a task and its containers.
func desired(t Task) string {
	if t.Spec.Stop || t.State.Status >= lifecycle.Stopping || t.State.Verdict != (lifecycle.Verdict{}) {
		return "STOPPED"
	}
	return "RUNNING"
}

// known is the ECS agent's word: it knows no PENDING and no STOPPING.
func known(s lifecycle.State) string {
	switch s.Status {
	case lifecycle.Running, lifecycle.Stopping:
		return "RUNNING"
	case lifecycle.Stopped:
		return "STOPPED"
	}
	for i := range s.Containers {
		if s.Containers[i].Phase < lifecycle.Created {
			return "NONE"
		}
	}
	return "CREATED"
}

func (v version) containerView(t Task, i int) containerView {
	u, c := &t.Spec.Units[i], &t.State.Containers[i]
	view := containerView{
		ID:            c.RuntimeID,
		Name:          u.Name,
		DockerName:    u.Spec.Name,
		Image:         u.Spec.Image,
		ImageID:       c.ImageID,
		Ports:         ports(u, c),
		Labels:        maps.Clone(u.Spec.Labels),
		DesiredStatus: desired(t),
		KnownStatus:   [...]string{"NONE", "PULLED", "CREATED", "RUNNING", "STOPPED"}[c.Phase],
		ExitCode:      c.ExitCode,
		Limits:        limitsView{CPU: float64(u.Spec.CPUShares), Memory: u.Spec.MemoryBytes >> 20},
		CreatedAt:     moment(c.CreatedAt),
		StartedAt:     moment(c.StartedAt),
		FinishedAt:    moment(c.FinishedAt),
		Type:          "NORMAL",
		Networks:      []networkView{v.network(t, c)},
	}
	for _, m := range u.Spec.Mounts {
		volume := volumeView{Source: m.Source, Destination: m.Target}
		if !strings.HasPrefix(m.Source, "/") {
			volume = volumeView{DockerName: m.Source, Destination: m.Target}
		}
		view.Volumes = append(view.Volumes, volume)
	}
	if u.Restart.Period > 0 && c.Runs.Known() {
		count := c.Runs.Restarts
		view.RestartCount = &count
	}
	if u.HealthChecked {
		view.Health = &healthView{Status: health(c.Health)}
	}
	if v.number == 4 {
		v.extend(&view, t, i)
	}
	return view
}

// extend adds what only version 4 has.
func (v version) extend(view *containerView, t Task, i int) {
	if i < len(t.ContainerARNs) {
		view.ContainerARN = t.ContainerARNs[i]
	}
	at := slices.IndexFunc(t.Definition.ContainerDefinitions, func(d ecs.ContainerDefinition) bool { return d.Name == view.Name })
	if at < 0 {
		return
	}
	if l := t.Definition.ContainerDefinitions[at].LogConfiguration; l != nil {
		view.LogDriver, view.LogOptions = string(l.LogDriver), maps.Clone(l.Options)
	}
}

func networkMode(t Task) string {
	if t.Definition.NetworkMode == "" {
		return string(ecs.NetworkModeBridge)
	}
	return string(t.Definition.NetworkMode)
}

// network is that of the container, or, in mode awsvpc, the task's own, whose address is
// the pause container's.
func (v version) network(t Task, c *lifecycle.Container) networkView {
	view := networkView{NetworkMode: networkMode(t), IPv4Addresses: []string{}}
	pause := slices.IndexFunc(t.Spec.Units, func(u lifecycle.Unit) bool { return u.Internal })
	own := t.Definition.NetworkMode == ecs.NetworkModeAwsvpc && pause >= 0
	if own {
		c = &t.State.Containers[pause]
	}
	if c.Address == "" {
		return view
	}
	view.IPv4Addresses = append(view.IPv4Addresses, c.Address)
	if !own || v.number != 4 {
		return view
	}
	view.AttachmentIndex, view.MACAddress, view.PrivateDNSName = new(int), c.MAC, hostname(c.RuntimeID)
	address, err := netip.ParseAddr(c.Address)
	if subnet, problem := address.Prefix(c.PrefixLength); err == nil && problem == nil {
		view.SubnetCIDR = subnet.String()
	}
	if c.Gateway != "" {
		view.SubnetGateway = c.Gateway + "/" + strconv.Itoa(c.PrefixLength)
	}
	return view
}

// hostname is what the engine calls a container that was given no name of a host: in
// the container itself, and in the names that it answers in the container's network.
func hostname(id string) string { return id[:min(len(id), 12)] }

func ports(u *lifecycle.Unit, c *lifecycle.Container) []portView {
	var all []portView
	for _, p := range u.HostPorts {
		all = append(all, portView{ContainerPort: uint16(p.ContainerPort), Protocol: p.Protocol, HostPort: uint16(p.HostPort), HostIP: p.BindIp})
	}
	for _, p := range c.Ports {
		all = append(all, portView{ContainerPort: p.ContainerPort, Protocol: p.Protocol, HostPort: p.HostPort, HostIP: p.BindIP})
	}
	return all
}

func health(engine string) string {
	switch engine {
	case "healthy":
		return string(ecs.HealthStatusHEALTHY)
	case "unhealthy":
		return string(ecs.HealthStatusUNHEALTHY)
	}
	return string(ecs.HealthStatusUNKNOWN)
}

// taskLimits are those of the task as a whole, if it has any.
func taskLimits(t Task) *limitsView {
	cpu, memory := t.Definition.Cpu, t.Definition.Memory
	if o := t.Overrides; o != nil {
		if o.Cpu != "" {
			cpu = o.Cpu
		}
		if o.Memory != "" {
			memory = o.Memory
		}
	}
	var limits limitsView
	if units, err := strconv.ParseFloat(cpu, 64); err == nil {
		limits.CPU = units / 1024
	}
	if mib, err := strconv.ParseInt(memory, 10, 64); err == nil {
		limits.Memory = mib
	}
	if limits == (limitsView{}) {
		return nil
	}
	return &limits
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
