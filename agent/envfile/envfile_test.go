package envfile_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/longshore/longshore/agent/envfile"
)

func TestParse_ReadsLinesAsECSDoes(t *testing.T) {
	content := "# a comment\nA=1\n\nB = spaced \nC=\"quoted\"\r\nno equals\n=no name\nEMPTY=\nURL=a=b\nA=again\n#B=no"
	got, err := envfile.Parse([]byte(content))
	want := []envfile.Variable{{"A", "again"}, {"B ", " spaced "}, {"C", `"quoted"`}, {"URL", "a=b"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
	if _, err := envfile.Parse([]byte("A=x\x00y")); err == nil || strings.Contains(err.Error(), "x\x00y") {
		t.Errorf("a zero byte: %v", err)
	}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func folder(t *testing.T, dir string) envfile.Source {
	t.Helper()
	d, err := envfile.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestDir_MapsBucketsToFoldersAndLetsNothingOut(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	write(t, outside, "secret.env", "LEAK=1")
	write(t, dir, "bucket/deep/app.env", "A=1")
	for link, to := range map[string]string{
		"bucket/out.env":   filepath.Join(outside, "secret.env"),
		"bucket/up.env":    "../../" + filepath.Base(outside) + "/secret.env",
		"elsewhere":        outside,
		"bucket/alias.env": "deep/app.env",
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "bucket/pipe.env"), 0o600); err != nil {
		t.Fatal(err)
	}
	source := []envfile.Source{folder(t, dir)}
	for _, arn := range []string{"arn:aws:s3:::bucket/deep/app.env", "arn:aws:s3:::bucket/alias.env"} {
		if got, err := envfile.Fetch(t.Context(), source, arn); err != nil || len(got) != 1 || got[0].Value != "1" {
			t.Errorf("%s: %v, %v", arn, got, err)
		}
	}
	for _, arn := range []string{
		"arn:aws:s3:::bucket/out.env", "arn:aws:s3:::bucket/up.env", "arn:aws:s3:::elsewhere/secret.env",
		"arn:aws:s3:::../" + filepath.Base(outside) + "/secret.env", "arn:aws:s3:::bucket/../../" + filepath.Base(outside) + "/secret.env",
		"arn:aws:s3:::bucket//etc/x.env", "arn:aws:s3:::bucket/pipe.env", "arn:aws:s3:::bucket/missing.env",
		"arn:aws:s3:::bucket/app.txt", "arn:aws:s3:::bucket", "bucket/deep/app.env",
	} {
		if got, err := envfile.Fetch(t.Context(), source, arn); err == nil {
			t.Errorf("%s was read: %v", arn, got)
		}
	}
}

func TestFetch_RefusesWhatIsTooLarge(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "b/large.env", "A="+strings.Repeat("x", envfile.MaxSize))
	_, err := envfile.Fetch(t.Context(), []envfile.Source{folder(t, dir)}, "arn:aws:s3:::b/large.env")
	if err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("got %v", err)
	}
}

// store answers as S3 does for one object.
func store(t *testing.T) envfile.Source {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.Contains(r.Header.Get("Authorization"), "Credential=AKID/"):
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, `<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>`)
		case r.URL.Path == "/bucket/app.env":
			io.WriteString(w, "FROM=s3\n")
		default:
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>`)
		}
	}))
	t.Cleanup(server.Close)
	return envfile.NewS3(server.URL, "us-east-1", credentials.NewStaticCredentialsProvider("AKID", "secret", ""))
}

func TestS3_IsAskedForWhatTheFolderDoesNotHave(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "bucket/own.env", "FROM=folder")
	sources := []envfile.Source{folder(t, dir), store(t)}
	for arn, want := range map[string]string{"arn:aws:s3:::bucket/own.env": "folder", "arn:aws:s3:::bucket/app.env": "s3"} {
		got, err := envfile.Fetch(t.Context(), sources, arn)
		if err != nil || len(got) != 1 || got[0].Value != want {
			t.Errorf("%s: %v, %v", arn, got, err)
		}
	}
	_, err := envfile.Fetch(t.Context(), sources, "arn:aws:s3:::bucket/none.env")
	if !errors.Is(err, envfile.ErrNoObject) || !strings.Contains(err.Error(), "bucket/none.env") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := envfile.Fetch(ctx, sources, "arn:aws:s3:::bucket/app.env"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}
