package metadata

import (
	"errors"
	"net/http"
	"strings"
	"time"
)

// credentialsView is the answer that SDKs read (IAM roles for tasks, ECS guide).
type credentialsView struct {
	RoleArn         string
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Token           string
	Expiration      time.Time
}

// credentials answers with those of the task's role.
func (s *Server) credentials(w http.ResponseWriter, r *http.Request, n *name) {
	session := n.task[strings.LastIndex(n.task, "/")+1:]
	var c Credentials
	err := ErrNoRole
	if s.Roles != nil {
		c, err = s.Roles.Get(r.Context(), n.role, session, time.Now())
	}
	if err != nil {
		s.Logger.Error("no credentials for a task role", "task", n.task, "role", n.role, "error", err)
		if errors.Is(err, ErrNoRole) {
			credentialsError(w, http.StatusBadRequest, "NoCredentialsAssociated", "No credentials are mapped to role "+n.role)
			return
		}
		credentialsError(w, http.StatusInternalServerError, "InternalServerError", "Failed to get the credentials of role "+n.role)
		return
	}
	writeJSON(w, http.StatusOK, credentialsView{
		RoleArn: n.role, AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, Token: c.Token, Expiration: c.Expiration.UTC(),
	})
}

// refuseCredentials answers an unknown id with 400, as the ECS agent does.
func refuseCredentials(w http.ResponseWriter, _ *http.Request, status int, _ string) {
	if status == http.StatusServiceUnavailable {
		credentialsError(w, status, "CredentialsUninitialized", "Credentials uninitialized for ID")
		return
	}
	credentialsError(w, http.StatusBadRequest, "InvalidIdInRequest", "Credentials not found")
}

func credentialsError(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, struct {
		Code          string `json:"code"`
		Message       string `json:"message"`
		HTTPErrorCode int
	}{code, "CredentialsV2Request: " + message, status})
}
