package metadata

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

// Shapes of the task scale-in protection endpoint (ECS developer guide). One of
// the three members is there.
type protectionView struct {
	Protection *protectedView `json:"protection,omitempty"`
	Failure    *failureView   `json:"failure,omitempty"`
	Error      *refusedView   `json:"error,omitempty"`
}

type protectedView struct {
	ExpirationDate    *time.Time
	ProtectionEnabled bool
	TaskArn           string
}

type failureView struct {
	Arn    string
	Detail *string
	Reason string
}

type refusedView struct {
	Arn     string `json:",omitempty"`
	Code    string
	Message string
}

func (s *Server) getProtection(w http.ResponseWriter, r *http.Request, n *name) {
	s.protection(w, r, n, nil)
}

// putProtection takes the request to the control plane, which knows the rules.
// What has to be said of the form of the request is said here, as ECS's agent does.
func (s *Server) putProtection(w http.ResponseWriter, r *http.Request, n *name) {
	var in struct {
		ProtectionEnabled *bool
		ExpiresInMinutes  *int32
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil && !errors.Is(err, io.EOF) {
		refuseTask(w, http.StatusBadRequest, "", ecs.CodeInvalidParameter, "UpdateTaskProtection: failed to decode request")
		return
	}
	if in.ProtectionEnabled == nil {
		refuseTask(w, http.StatusBadRequest, n.task, ecs.CodeInvalidParameter, "Invalid request: does not contain 'ProtectionEnabled' field")
		return
	}
	s.protection(w, r, n, &agentv1.ProtectionUpdate{Enabled: *in.ProtectionEnabled, ExpiresInMinutes: in.ExpiresInMinutes})
}

func (s *Server) protection(w http.ResponseWriter, r *http.Request, n *name, update *agentv1.ProtectionUpdate) {
	answer, err := s.ControlPlane.TaskProtection(r.Context(), n.task, update)
	if err != nil {
		s.Logger.Warn("the control plane does not answer about task protection", "task", n.task, "error", err)
		refuseTask(w, http.StatusInternalServerError, n.task, ecs.CodeServer, "The control plane could not be asked. Try again.")
		return
	}
	if answer.ErrorCode != "" {
		status := http.StatusBadRequest
		if answer.ErrorCode == ecs.CodeServer {
			status = http.StatusInternalServerError
		}
		refuseTask(w, status, n.task, answer.ErrorCode, answer.ErrorMessage)
		return
	}
	var out ecs.GetTaskProtectionResponse
	if err := json.Unmarshal(answer.Output, &out); err != nil {
		refuseTask(w, http.StatusInternalServerError, n.task, ecs.CodeServer, "The control plane's answer could not be read.")
		return
	}
	switch {
	case len(out.Failures) > 0:
		f := failureView{Arn: out.Failures[0].Arn, Reason: out.Failures[0].Reason}
		if out.Failures[0].Detail != "" {
			f.Detail = &out.Failures[0].Detail
		}
		writeJSON(w, http.StatusOK, protectionView{Failure: &f})
	case len(out.ProtectedTasks) > 0:
		p := out.ProtectedTasks[0]
		writeJSON(w, http.StatusOK, protectionView{Protection: &protectedView{
			ExpirationDate: moment(p.ExpirationDate.Time), ProtectionEnabled: p.ProtectionEnabled, TaskArn: p.TaskArn,
		}})
	default:
		refuseTask(w, http.StatusInternalServerError, n.task, ecs.CodeServer, "The control plane answered nothing about the task.")
	}
}

func refuseTask(w http.ResponseWriter, status int, task, code, message string) {
	writeJSON(w, status, protectionView{Error: &refusedView{Arn: task, Code: code, Message: message}})
}

func refuseProtection(w http.ResponseWriter, _ *http.Request, status int, why string) {
	code := ecs.CodeResourceNotFound
	if status != http.StatusNotFound {
		code = ecs.CodeServer
	}
	refuseTask(w, status, "", code, "Failed to find a task for the request: "+why)
}
