// Package engineapi speaks just enough of the Docker Engine's HTTP API, with
// the standard library alone, for the scripts to work on a machine that has Go
// and an engine but no docker command: is it there, what is it, make an image
// out of files. The agent does not use it: everything that Longshore itself
// asks of Docker goes through agent/docker.
package engineapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// DefaultHost is where an engine listens that was told nothing else.
const DefaultHost = "unix:///var/run/docker.sock"

// ErrNotFound says that the engine has no such image.
var ErrNotFound = errors.New("no such image")

// Client talks to one engine.
type Client struct {
	host string
	base string
	http *http.Client
}

// Version is what an engine says of itself. OS and Arch are Go's names
// ("linux", "arm64"), because the engine is written in Go.
type Version struct {
	Version string
	OS      string `json:"Os"`
	Arch    string
}

// New makes a client for an address as in DOCKER_HOST: unix:///PATH or
// tcp://HOST:PORT without TLS; empty means DefaultHost. It does not connect.
func New(host string) (*Client, error) {
	if host == "" {
		host = DefaultHost
	}
	scheme, addr, ok := strings.Cut(host, "://")
	if !ok || addr == "" {
		return nil, fmt.Errorf("engine address %q: want unix:///PATH or tcp://HOST:PORT", host)
	}
	transport := &http.Transport{}
	base := "http://engine"
	switch scheme {
	case "unix":
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", addr)
		}
	case "tcp":
		base = "http://" + strings.TrimSuffix(addr, "/")
	default:
		return nil, fmt.Errorf("engine address %q: %s is not supported here, only unix:// and tcp:// without TLS", host, scheme)
	}
	return &Client{host: host, base: base, http: &http.Client{Transport: transport}}, nil
}

// Host is the engine's address, in the form of DOCKER_HOST.
func (c *Client) Host() string { return c.host }

// Ping asks the engine for a sign of life.
func (c *Client) Ping(ctx context.Context) error {
	resp, err := c.do(ctx, http.MethodGet, "/_ping", nil, nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// WaitUntilUp pings until the engine answers or ctx ends; then the error tells
// how the last try failed. An engine has no way to announce itself, hence the
// repeated asking.
func (c *Client) WaitUntilUp(ctx context.Context) error {
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for {
		err := c.Ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("engine at %s does not answer: %w", c.host, err)
		case <-retry.C:
		}
	}
}

// Version asks which engine this is and what programs it runs.
func (c *Client) Version(ctx context.Context) (Version, error) {
	var v Version
	if err := c.getJSON(ctx, "/version", &v); err != nil {
		return Version{}, err
	}
	return v, nil
}

// ImageLabels returns the labels of an image, ErrNotFound if there is none of
// that name.
func (c *Client) ImageLabels(ctx context.Context, ref string) (map[string]string, error) {
	var image struct {
		Config struct{ Labels map[string]string }
	}
	if err := c.getJSON(ctx, "/images/"+ref+"/json", &image); err != nil {
		return nil, err
	}
	return image.Config.Labels, nil
}

// Import makes an image named repo:tag of a tar of its file system. changes are
// lines of a Dockerfile, such as `ENTRYPOINT ["/web"]`. It returns the image's
// id.
func (c *Client) Import(ctx context.Context, repo, tag string, changes []string, tar io.Reader) (string, error) {
	query := url.Values{"fromSrc": {"-"}, "repo": {repo}, "tag": {tag}, "changes": changes}
	resp, err := c.do(ctx, http.MethodPost, "/images/create", query, tar)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	return importResult(resp.Body)
}

// importResult reads the progress of an import. The engine answers 200 before
// it has begun, and tells in the stream how it went.
func importResult(stream io.Reader) (string, error) {
	id := ""
	lines := json.NewDecoder(stream)
	for {
		var line struct {
			Status string `json:"status"`
			Error  string `json:"error"`
		}
		err := lines.Decode(&line)
		switch {
		case errors.Is(err, io.EOF) && id != "":
			return id, nil
		case errors.Is(err, io.EOF):
			return "", errors.New("the engine ended its answer without the id of an image")
		case err != nil:
			return "", fmt.Errorf("read the engine's progress: %w", err)
		case line.Error != "":
			return "", errors.New(line.Error)
		case strings.HasPrefix(line.Status, "sha256:"):
			id = line.Status
		}
	}
}

func (c *Client) getJSON(ctx context.Context, path string, into any) error {
	resp, err := c.do(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("GET %s of %s: %w", path, c.host, err)
	}
	return nil
}

// do sends one request and returns the answer if it is a good one.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Response, error) {
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-tar")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s of %s: %w", method, path, c.host, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, refusal(method, path, resp)
}

// refusal turns an answer that is not 2xx into an error with the engine's words.
func refusal(method, path string, resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return fmt.Errorf("%s %s: %s, and its text could not be read: %w", method, path, resp.Status, err)
	}
	var said struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(text, &said) != nil || said.Message == "" {
		said.Message = strings.TrimSpace(string(text))
	}
	if resp.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%w: %s", ErrNotFound, said.Message)
	}
	return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, said.Message)
}
