package store

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/longshore/longshore/controlplane/model"
)

// Tasks are nearly all that is written, and etcd is paid by the byte, so theirs are not
// JSON. A record is the byte recordForm and an object: a mask of eight bytes, little-endian,
// that says which members are there, and those members in the order in which task names
// them (see codec). What most tasks do not have is JSON inside of that. A member that is
// added goes to the end; none is ever taken away or moved. Records of an earlier version,
// which are JSON, are read as well; each is written in this form when it changes. Most records are
// entries of segments, see segment.go.
const recordForm = 1

// appendTask returns what was given if there is an error.
func appendTask(b []byte, t *model.Task) ([]byte, error) {
	c := codec{b: append(b, recordForm)}
	c.task(t)
	if c.err != nil {
		return b, c.err
	}
	return c.b, nil
}

var errRecordForm = errors.New("a task in an unknown form: was it written by a newer version?")

func decodeTask(b []byte, t *model.Task) error {
	if len(b) > 0 && b[0] == '{' {
		return json.Unmarshal(b, t)
	}
	if len(b) == 0 || b[0] != recordForm {
		return errRecordForm
	}
	c := codec{b: b[1:], reading: true}
	c.task(t)
	if c.err == nil && len(c.b) > 0 {
		c.err = fmt.Errorf("a task with %d bytes too many", len(c.b))
	}
	return c.err
}

// recordTask says which task a record is of, and reads no more of it than that.
func recordTask(b []byte) (taskRef, error) {
	var t model.Task
	if len(b) == 0 || b[0] != recordForm {
		return taskRef{}, errRecordForm
	}
	c := codec{b: b[1:], reading: true}
	o := c.begin()
	identity(&o, &t)
	return refOf(&t), c.err
}

// identity is the first members.
func identity(o *object, t *model.Task) {
	text(o, &t.ID)
	text(o, &t.Cluster)
}

func (c *codec) task(t *model.Task) {
	o := c.begin()
	identity(&o, t)
	text(&o, &t.Instance)
	text(&o, &t.Definition.Family)
	number(&o, &t.Definition.Revision)
	text(&o, &t.LaunchType)
	text(&o, &t.CapacityProvider)
	text(&o, &t.Group)
	text(&o, &t.StartedBy)
	text(&o, &t.Service)
	text(&o, &t.Deployment)
	text(&o, &t.DesiredStatus)
	text(&o, &t.LastStatus)
	number(&o, &t.Version)
	text(&o, &t.StopCode)
	text(&o, &t.StoppedReason)
	text(&o, &t.HealthStatus)
	truth(&o, &t.OutcomeCounted)
	truth(&o, &t.Lost)
	number(&o, &t.Reserved.CPU)
	number(&o, &t.Reserved.MemoryMiB)
	rare(&o, &t.Reserved.TCP, t.Reserved.TCP != nil)
	rare(&o, &t.Reserved.UDP, t.Reserved.UDP != nil)
	rare(&o, &t.Overrides, t.Overrides != nil)
	rare(&o, &t.Tags, t.Tags != nil)
	truth(&o, &t.EnableExecuteCommand)
	moment(&o, &t.ProtectedUntil)
	rare(&o, &t.Network, t.Network != nil)
	rare(&o, &t.Attachments, t.Attachments != nil)
	text(&o, &t.PlatformVersion)
	rare(&o, &t.Targets, t.Targets != nil)
	moment(&o, &t.RegisteredAt)
	moment(&o, &t.DrainUntil)
	containers(&o, &t.Containers)
	moment(&o, &t.CreatedAt)
	moment(&o, &t.ConnectivityAt)
	moment(&o, &t.PullStartedAt)
	moment(&o, &t.PullStoppedAt)
	moment(&o, &t.StartedAt)
	moment(&o, &t.StoppingAt)
	moment(&o, &t.ExecutionStoppedAt)
	moment(&o, &t.StoppedAt)
	o.end()
}

func containers(o *object, all *[]model.Container) {
	if !o.member(*all != nil) {
		return
	}
	n := o.count(len(*all))
	if o.reading {
		*all = make([]model.Container, n)
	}
	for i := range *all {
		o.container(&(*all)[i])
	}
}

func (c *codec) container(r *model.Container) {
	o := c.begin()
	text(&o, &r.ID)
	text(&o, &r.Name)
	text(&o, &r.Image)
	text(&o, &r.ImageDigest)
	text(&o, &r.PinnedDigest)
	rare(&o, &r.GPUs, r.GPUs != nil)
	text(&o, &r.RuntimeID)
	text(&o, &r.LastStatus)
	optional(&o, &r.ExitCode)
	text(&o, &r.Reason)
	text(&o, &r.HealthStatus)
	rare(&o, &r.NetworkBindings, r.NetworkBindings != nil)
	o.end()
}
