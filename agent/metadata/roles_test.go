package metadata

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func rolesFile(t *testing.T, text string) (*Roles, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "roles.json")
	writeRoles(t, file, text, 1)
	roles, err := NewRoles(RolesConfig{File: file})
	if err != nil {
		t.Fatal(err)
	}
	return roles, file
}

// writeRoles gives each version of the file a time of its own.
func writeRoles(t *testing.T, file, text string, version int) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	at := epoch.Add(time.Duration(version) * time.Second)
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
}

func TestRoles_OfAFileAreReadAgainWhenItChanges(t *testing.T) {
	roles, file := rolesFile(t, `{"`+roleARN+`": {"AccessKeyId": "A1", "SecretAccessKey": "s"}}`)
	get := func() Credentials {
		t.Helper()
		c, err := roles.Get(t.Context(), roleARN, "session", epoch)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := get(); c.AccessKeyID != "A1" || c.Token != "" || !c.Expiration.Equal(epoch.Add(time.Hour)) {
		t.Errorf("credentials %+v", c)
	}
	writeRoles(t, file, `{"`+roleARN+`": {"AccessKeyId": "A2", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": "2020-01-02T03:30:00Z"}}`, 2)
	if c := get(); c.AccessKeyID != "A2" || c.Token != "t" || c.Expiration.Minute() != 30 {
		t.Errorf("credentials %+v", c)
	}
	if _, err := roles.Get(t.Context(), roleARN, "session", epoch.Add(time.Hour)); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("credentials that have expired: %v", err)
	}
	writeRoles(t, file, `{}`, 3)
	if err := roles.Check(roleARN); !errors.Is(err, ErrNoRole) {
		t.Errorf("Check of a role that is not mapped any more: %v", err)
	}
	if _, err := roles.Get(t.Context(), roleARN, "session", epoch); !errors.Is(err, ErrNoRole) || !strings.Contains(err.Error(), roleARN) {
		t.Errorf("Get of a role that is not mapped any more: %v", err)
	}
}

func TestRoles_RefusesAFileThatOthersCanRead(t *testing.T) {
	roles, file := rolesFile(t, `{}`)
	for _, mode := range []os.FileMode{0o640, 0o604, 0o666} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if err := roles.Check(roleARN); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %o: %v", mode, err)
		}
		if _, err := NewRoles(RolesConfig{File: file}); err == nil {
			t.Errorf("mode %o is taken at the start", mode)
		}
	}
}

func TestRoles_ErrorsOfTheFileTellNoSecrets(t *testing.T) {
	for _, text := range []string{
		`hunter2`, `{"` + roleARN + `": "hunter2"}`, `{"` + roleARN + `": {"AccessKeyId": "hunter2"}}`,
		`{"` + roleARN + `": {"Secret": "hunter2"}}`, `{"` + roleARN + `": {"SecretAccessKey": "hunter2"`, `{"reader": {"AccessKeyId": "hunter2", "SecretAccessKey": "hunter2"}}`,
	} {
		_, err := parseRoles([]byte(text))
		if err == nil || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestRoles_WithoutConfigurationHaveNone(t *testing.T) {
	roles, err := NewRoles(RolesConfig{})
	if err != nil || roles != nil {
		t.Fatalf("NewRoles: %v, %v", roles, err)
	}
	if err := roles.Check(roleARN); !errors.Is(err, ErrNoRole) {
		t.Errorf("Check: %v", err)
	}
}

// stsServer answers AssumeRole with credentials that end when the test says.
type stsServer struct {
	calls   atomic.Int32
	fails   atomic.Bool
	expires atomic.Value // time.Time
	form    atomic.Value // string
}

func (s *stsServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	if err := r.ParseForm(); err != nil || s.fails.Load() || !strings.Contains(r.Header.Get("Authorization"), "Credential=BASE/") {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>`)
		return
	}
	s.form.Store(r.Form.Get("Action") + " " + r.Form.Get("RoleArn") + " " + r.Form.Get("RoleSessionName"))
	fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
		<AccessKeyId>TEMP%d</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>%s</Expiration>
		</Credentials></AssumeRoleResult></AssumeRoleResponse>`, s.calls.Load(), s.expires.Load().(time.Time).Format(time.RFC3339))
}

func newSTS(t *testing.T) (*stsServer, *Roles) {
	t.Helper()
	server := &stsServer{}
	server.expires.Store(epoch.Add(time.Hour))
	h := httptest.NewServer(server)
	t.Cleanup(h.Close)
	roles, err := NewRoles(RolesConfig{STS: &STSConfig{Endpoint: h.URL, Region: "us-east-1", AccessKeyID: "BASE", SecretAccessKey: "s"}})
	if err != nil {
		t.Fatal(err)
	}
	return server, roles
}

func TestSTS_IsAskedOnceUntilShortlyBeforeTheEnd(t *testing.T) {
	server, roles := newSTS(t)
	get := func(now time.Time) string {
		t.Helper()
		c, err := roles.Get(t.Context(), roleARN, "session", now)
		if err != nil {
			t.Fatal(err)
		}
		return c.AccessKeyID
	}
	var together sync.WaitGroup
	for range 8 {
		together.Go(func() { get(epoch) })
	}
	together.Wait()
	if key := get(epoch.Add(44 * time.Minute)); key != "TEMP1" || server.calls.Load() != 1 {
		t.Errorf("%s after %d calls", key, server.calls.Load())
	}
	if want := "AssumeRole " + roleARN + " session"; server.form.Load() != want {
		t.Errorf("STS was asked for %q, want %q", server.form.Load(), want)
	}
	server.expires.Store(epoch.Add(2 * time.Hour))
	if key := get(epoch.Add(46 * time.Minute)); key != "TEMP2" {
		t.Errorf("%s shortly before the end", key)
	}
}

func TestSTS_IsNotAskedByWhoLookedBeforeAnotherHadTheAnswer(t *testing.T) {
	server, roles := newSTS(t)
	for range 2 {
		c, err := roles.sts.assume(t.Context(), assumed{roleARN, "session"}, epoch)
		if err != nil || c.AccessKeyID != "TEMP1" || server.calls.Load() != 1 {
			t.Errorf("%s, %v after %d calls", c.AccessKeyID, err, server.calls.Load())
		}
	}
}

func TestSTS_WhatIsStillGoodServesWhileItFails(t *testing.T) {
	server, roles := newSTS(t)
	if _, err := roles.Get(t.Context(), roleARN, "session", epoch); err != nil {
		t.Fatal(err)
	}
	server.fails.Store(true)
	if c, err := roles.Get(t.Context(), roleARN, "session", epoch.Add(50*time.Minute)); err != nil || c.AccessKeyID != "TEMP1" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := roles.Get(t.Context(), roleARN, "session", epoch.Add(time.Hour)); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("credentials after their end: %v", err)
	}
}

func TestSTS_NeedsBaseCredentials(t *testing.T) {
	if _, err := NewRoles(RolesConfig{STS: &STSConfig{Endpoint: "http://127.0.0.1:1"}}); err == nil {
		t.Error("an STS without base credentials is taken")
	}
}

func TestCredentials_AnswerAndRefusalAreECSs(t *testing.T) {
	roles, file := rolesFile(t, `{"`+roleARN+`": {"AccessKeyId": "A1", "SecretAccessKey": "s", "Expiration": "2999-01-01T00:00:00Z"}}`)
	s := closed(t, func(c *Config) { c.Roles = roles })
	uri := s.Equip(taskARN, []string{"main"}, roleARN)[0]["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
	want := `{"RoleArn":"` + roleARN + `","AccessKeyId":"A1","SecretAccessKey":"s","Token":"","Expiration":"2999-01-01T00:00:00Z"}`
	if w := ask(s, "GET", uri, ""); w.Code != 200 || w.Body.String() != want {
		t.Errorf("%d %s\nwant %s", w.Code, w.Body, want)
	}
	writeRoles(t, file, `{}`, 2)
	if refused := decode(t, ask(s, "GET", uri, ""), 400); refused["code"] != "NoCredentialsAssociated" || !strings.Contains(refused["message"].(string), roleARN) {
		t.Errorf("refusal %v", refused)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if refused := decode(t, ask(s, "GET", uri, ""), 500); refused["code"] != "InternalServerError" || strings.Contains(refused["message"].(string), file) {
		t.Errorf("refusal %v", refused)
	}
}
