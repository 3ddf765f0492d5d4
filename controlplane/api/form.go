package api

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

const xmlType = "text/xml"

// isForm tells whether a request is one of the Query protocol.
func isForm(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/x-www-form-urlencoded"
}

// actionOf reads which operation a form asks for; empty if it does not say.
func actionOf(body []byte) string {
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return ""
	}
	return values.Get("Action")
}

// answerForm writes the answer to a request of the Query protocol.
func (s *Server) answerForm(w http.ResponseWriter, to *service, operation string, out any) error {
	id := model.NewUUID()
	body, err := to.Form.Answer(operation, id, out)
	if err != nil {
		return fmt.Errorf("writing the answer of %s: %w", operation, err)
	}
	s.send(w, http.StatusOK, xmlType, id, body)
	return nil
}

// refuse answers an error in the form of the service that was asked; nil if it is not known.
func (s *Server) refuse(w http.ResponseWriter, to *service, status int, e *ecs.Error) {
	if to == nil || to.Form == nil {
		s.Refuse(w, status, e)
		return
	}
	id := model.NewUUID()
	body, err := to.Form.Refuse(e, id)
	if err != nil {
		panic(err) // strings cannot fail to be written
	}
	s.send(w, status, xmlType, id, body)
}
