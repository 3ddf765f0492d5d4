package api

import (
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	interfaceAttachment = "ElasticNetworkInterface" // the type of a task's interface
	platformFamily      = "Linux"                   // of tasks of the launch type FARGATE
)

// attachmentShapes are the attachments of a task, with as much detail as is known
// of them so far. There is no privateDnsName: no name server here knows tasks.
func attachmentShapes(t *model.Task) []ecs.Attachment {
	out := []ecs.Attachment{}
	for _, a := range t.Attachments {
		shape := ecs.Attachment{Id: a.ID, Type: interfaceAttachment, Status: string(a.Status), Details: []ecs.KeyValuePair{}}
		for _, d := range []struct{ name, value string }{
			{"subnetId", a.Subnet}, {"networkInterfaceId", a.InterfaceID}, {"macAddress", a.MACAddress}, {"privateIPv4Address", a.IPv4Address},
		} {
			if d.value != "" {
				shape.Details = append(shape.Details, ecs.KeyValuePair{Name: d.name, Value: pointer(d.value)})
			}
		}
		out = append(out, shape)
	}
	return out
}

// interfaceShapes are the network interfaces of each container of a task: the
// task's, once it has its address.
func interfaceShapes(t *model.Task) []ecs.NetworkInterface {
	out := []ecs.NetworkInterface{}
	for _, a := range t.Attachments {
		if a.IPv4Address != "" {
			out = append(out, ecs.NetworkInterface{AttachmentId: a.ID, PrivateIpv4Address: a.IPv4Address})
		}
	}
	return out
}
