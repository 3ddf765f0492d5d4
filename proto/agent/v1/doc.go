// Package agentv1 is the protocol between agents and the control plane,
// generated from agent.proto. It holds no behaviour: agent/session speaks one
// end, controlplane/dispatch the other.
package agentv1

//go:generate go run ../../../scripts/genproto agent.proto
