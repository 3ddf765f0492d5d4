package store

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/longshore/longshore/controlplane/model"
)

// encodeTask writes a task as json.Marshal does, byte for byte, in a fraction of the
// time: tasks are nearly all that is written. What most tasks do not have is left to
// json.Marshal. A test holds the two against each other, field by field.
func encodeTask(t *model.Task) ([]byte, error) {
	e := encoder{b: make([]byte, 0, 1024)}
	e.begin()
	text(&e, "ID", t.ID)
	text(&e, "Cluster", t.Cluster)
	text(&e, "Instance", t.Instance)
	if t.Definition != (model.DefinitionRef{}) {
		e.definition(t.Definition)
	}
	text(&e, "LaunchType", t.LaunchType)
	text(&e, "CapacityProvider", t.CapacityProvider)
	text(&e, "Group", t.Group)
	text(&e, "StartedBy", t.StartedBy)
	text(&e, "Service", t.Service)
	text(&e, "Deployment", t.Deployment)
	text(&e, "DesiredStatus", t.DesiredStatus)
	text(&e, "LastStatus", t.LastStatus)
	e.number("Version", t.Version)
	text(&e, "StopCode", t.StopCode)
	text(&e, "StoppedReason", t.StoppedReason)
	text(&e, "HealthStatus", t.HealthStatus)
	e.truth("OutcomeCounted", t.OutcomeCounted)
	e.truth("Lost", t.Lost)
	e.reservation(&t.Reserved)
	if t.Overrides != nil {
		e.other("Overrides", t.Overrides)
	}
	list(&e, "Tags", t.Tags)
	e.truth("EnableExecuteCommand", t.EnableExecuteCommand)
	e.moment("ProtectedUntil", t.ProtectedUntil)
	if t.Network != nil {
		e.other("Network", t.Network)
	}
	list(&e, "Attachments", t.Attachments)
	text(&e, "PlatformVersion", t.PlatformVersion)
	list(&e, "Targets", t.Targets)
	e.moment("RegisteredAt", t.RegisteredAt)
	e.moment("DrainUntil", t.DrainUntil)
	e.containers(t.Containers)
	e.moment("CreatedAt", t.CreatedAt)
	e.moment("ConnectivityAt", t.ConnectivityAt)
	e.moment("PullStartedAt", t.PullStartedAt)
	e.moment("PullStoppedAt", t.PullStoppedAt)
	e.moment("StartedAt", t.StartedAt)
	e.moment("StoppingAt", t.StoppingAt)
	e.moment("ExecutionStoppedAt", t.ExecutionStoppedAt)
	e.moment("StoppedAt", t.StoppedAt)
	e.end()
	return e.b, e.err
}

// encoder appends JSON objects whose zero members are left out.
type encoder struct {
	b   []byte
	err error // the first one
}

func (e *encoder) begin() { e.b = append(e.b, '{') }
func (e *encoder) end()   { e.b = append(e.b, '}') }

// name begins a member. The names here need no escaping.
func (e *encoder) name(name string) {
	if e.b[len(e.b)-1] != '{' {
		e.b = append(e.b, ',')
	}
	e.b = append(e.b, '"')
	e.b = append(e.b, name...)
	e.b = append(e.b, '"', ':')
}

func text[S ~string](e *encoder, name string, s S) {
	if s != "" {
		e.name(name)
		e.quote(string(s))
	}
}

func (e *encoder) quote(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			e.marshal(s)
			return
		}
	}
	e.b = append(e.b, '"')
	e.b = append(e.b, s...)
	e.b = append(e.b, '"')
}

func (e *encoder) number(name string, n int64) {
	if n != 0 {
		e.name(name)
		e.b = strconv.AppendInt(e.b, n, 10)
	}
}

func (e *encoder) truth(name string, b bool) {
	if b {
		e.name(name)
		e.b = append(e.b, "true"...)
	}
}

func (e *encoder) moment(name string, t time.Time) {
	if t.IsZero() {
		return
	}
	e.name(name)
	e.b = append(e.b, '"')
	b, err := t.AppendText(e.b)
	if err != nil {
		e.fail(err)
		return
	}
	e.b = append(b, '"')
}

// list writes a list that is rarely there: nil is left out, empty is not.
func list[T any](e *encoder, name string, l []T) {
	if l != nil {
		e.other(name, l)
	}
}

func (e *encoder) other(name string, value any) {
	e.name(name)
	e.marshal(value)
}

func (e *encoder) marshal(value any) {
	b, err := json.Marshal(value)
	if err != nil {
		e.fail(err)
	}
	e.b = append(e.b, b...)
}

func (e *encoder) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

// definition has both members even if they are zero.
func (e *encoder) definition(r model.DefinitionRef) {
	e.name("Definition")
	e.b = append(e.b, `{"Family":`...)
	e.quote(string(r.Family))
	e.b = append(e.b, `,"Revision":`...)
	e.b = strconv.AppendInt(e.b, int64(r.Revision), 10)
	e.end()
}

func (e *encoder) reservation(r *model.Reservation) {
	if r.CPU == 0 && r.MemoryMiB == 0 && r.TCP == nil && r.UDP == nil {
		return
	}
	e.name("Reserved")
	e.begin()
	e.number("CPU", r.CPU)
	e.number("MemoryMiB", r.MemoryMiB)
	list(e, "TCP", r.TCP)
	list(e, "UDP", r.UDP)
	e.end()
}

func (e *encoder) containers(all []model.Container) {
	if all == nil {
		return
	}
	e.name("Containers")
	e.b = append(e.b, '[')
	for i := range all {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.container(&all[i])
	}
	e.b = append(e.b, ']')
}

func (e *encoder) container(c *model.Container) {
	e.begin()
	text(e, "ID", c.ID)
	text(e, "Name", c.Name)
	text(e, "Image", c.Image)
	text(e, "ImageDigest", c.ImageDigest)
	text(e, "PinnedDigest", c.PinnedDigest)
	list(e, "GPUs", c.GPUs)
	text(e, "RuntimeID", c.RuntimeID)
	text(e, "LastStatus", c.LastStatus)
	if c.ExitCode != nil {
		e.name("ExitCode")
		e.b = strconv.AppendInt(e.b, int64(*c.ExitCode), 10)
	}
	text(e, "Reason", c.Reason)
	text(e, "HealthStatus", c.HealthStatus)
	list(e, "NetworkBindings", c.NetworkBindings)
	e.end()
}
