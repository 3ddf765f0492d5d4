package model

import (
	"crypto/rand"
	"encoding/hex"
	"slices"

	"github.com/longshore/longshore/proto/ecs"
)

// Attachment is the network interface that a task in awsvpc mode has to itself.
type Attachment struct {
	ID          string           `json:",omitzero"` // UUID
	InterfaceID string           `json:",omitzero"` // what the API calls the interface
	Status      AttachmentStatus `json:",omitzero"`
	Subnet      string           `json:",omitzero"` // empty until the host has chosen among several
	MACAddress  string           `json:",omitzero"`
	IPv4Address string           `json:",omitzero"`
}

// AttachmentStatus is where an attachment is in its life.
type AttachmentStatus string

// The statuses of an attachment (ECS guide, task networking).
const (
	AttachmentPrecreated AttachmentStatus = "PRECREATED"
	AttachmentAttaching  AttachmentStatus = "ATTACHING"
	AttachmentAttached   AttachmentStatus = "ATTACHED"
	AttachmentDetaching  AttachmentStatus = "DETACHING"
	AttachmentDeleted    AttachmentStatus = "DELETED"
)

var attachmentOrder = []AttachmentStatus{
	AttachmentPrecreated, "CREATED", AttachmentAttaching, AttachmentAttached, AttachmentDetaching, "DETACHED", AttachmentDeleted, "FAILED",
}

// Known tells whether a status is one of an attachment.
func (s AttachmentStatus) Known() bool { return slices.Contains(attachmentOrder, s) }

// Before tells whether s is passed before t. A status never moves backwards.
func (s AttachmentStatus) Before(t AttachmentStatus) bool {
	return slices.Index(attachmentOrder, s) < slices.Index(attachmentOrder, t)
}

// NewAttachment is the attachment of a new task. Its id is the task's in another
// form, so that the task is found by it.
func NewAttachment(task TaskID, subnets []string) Attachment {
	var b [8]byte
	rand.Read(b[:]) // never fails, by its own promise
	a := Attachment{ID: AttachmentID(task), InterfaceID: "eni-0" + hex.EncodeToString(b[:]), Status: AttachmentPrecreated}
	if len(subnets) == 1 {
		a.Subnet = subnets[0]
	}
	return a
}

const hexDigits = 32 // of a UUID, and of a task's id

// AttachmentID is the id of a task's attachment: the task's own, as a UUID.
func AttachmentID(task TaskID) string {
	if len(task) != hexDigits {
		return string(task)
	}
	return string(task[:8] + "-" + task[8:12] + "-" + task[12:16] + "-" + task[16:20] + "-" + task[20:])
}

// TaskOfAttachment reverses AttachmentID.
func TaskOfAttachment(id string) TaskID {
	out := make([]byte, 0, hexDigits)
	for i := range len(id) {
		if id[i] != '-' {
			out = append(out, id[i])
		}
	}
	return TaskID(out)
}

// InterfaceReport is what an agent says of a task's interface.
type InterfaceReport struct {
	Subnet, MACAddress, IPv4Address string
}

// Attach moves the task's attachments on to a status, with what is said of their
// interface, and tells whether that changed anything. The slice is replaced, never
// written to.
func (t *Task) Attach(status AttachmentStatus, r InterfaceReport) bool {
	changed := false
	next := slices.Clone(t.Attachments)
	for i := range next {
		before := next[i]
		if next[i].Status.Before(status) {
			next[i].Status = status
		}
		for _, said := range []struct {
			have *string
			said string
		}{{&next[i].Subnet, r.Subnet}, {&next[i].MACAddress, r.MACAddress}, {&next[i].IPv4Address, r.IPv4Address}} {
			if said.said != "" {
				*said.have = said.said
			}
		}
		changed = changed || next[i] != before
	}
	if changed {
		t.Attachments = next
	}
	return changed
}

// attachmentStatus is what a task's report says of its attachment.
func (r *TaskReport) attachmentStatus() AttachmentStatus {
	switch {
	case r.Status == TaskStopped:
		return AttachmentDeleted
	case r.Status == TaskDeprovisioning:
		return AttachmentDetaching
	case r.Interface.IPv4Address != "":
		return AttachmentAttached
	}
	return AttachmentAttaching
}

// Subnets are those that a task may be in; none if it has no interface of its own.
func (t *Task) Subnets() []string {
	if t.Network == nil {
		return nil
	}
	return t.Network.Subnets
}

// Awsvpc is the part of a network configuration that says something; nil for none.
func Awsvpc(n *ecs.NetworkConfiguration) *ecs.AwsVpcConfiguration {
	if n == nil {
		return nil
	}
	return n.AwsvpcConfiguration
}
