package proxies_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/proxies"
	"github.com/longshore/longshore/controlplane/proxies/catalog"
)

const zone = "longshore.internal"

// serve runs a server on a free port until the test ends.
func serve(t testing.TB, c *catalog.Catalog) (address string) {
	t.Helper()
	address, stop := serveUntil(t, c, "127.0.0.1:0")
	t.Cleanup(stop)
	return address
}

// serveUntil runs a server until stop is called.
func serveUntil(t testing.TB, c *catalog.Catalog, on string) (address string, stop func()) {
	t.Helper()
	listeners, err := proxies.Listen(on)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- proxies.Run(ctx, proxies.Config{Catalog: c, Listeners: listeners, Zone: zone, Version: t.Name()})
	}()
	return listeners.Stream.Addr().String(), func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the server ended with %v", err)
		}
	}
}

// loaded returns a catalog with groups.
func loaded(groups ...*catalog.Group) *catalog.Catalog {
	c := catalog.New()
	c.Apply(catalog.Change{Full: true, Groups: groups})
	return c
}

func set(c *catalog.Catalog, groups ...*catalog.Group) { c.Apply(catalog.Change{Groups: groups}) }

func http1(name string, members ...catalog.Member) *catalog.Group {
	return &catalog.Group{Name: name, Protocol: "HTTP", ProtocolVersion: "HTTP1", Members: members}
}

func at(endpoint string, state catalog.State) catalog.Member {
	a := netip.MustParseAddrPort(endpoint)
	return catalog.Member{Address: a.Addr(), Port: a.Port(), State: state}
}

// target is an HTTP server that answers with its name, and the member that it is.
func target(t testing.TB, name string) catalog.Member {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) }))
	t.Cleanup(server.Close)
	return at(strings.TrimPrefix(server.URL, "http://"), catalog.Healthy)
}

func draining(m catalog.Member) catalog.Member {
	m.State = catalog.Draining
	return m
}

func get(t testing.TB, url string, header ...string) (status int, body string, answer http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text), response.Header
}

func TestRun_EndsWithConnectionsOpenThatSayNothing(t *testing.T) {
	address := serve(t, loaded())
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := connection.Write([]byte("P")); err != nil {
		t.Fatal(err)
	}
	// serve's clean-up waits for the end.
}

func TestLists_AreRefusedBeforeTheTargetsAreKnown(t *testing.T) {
	address := serve(t, catalog.New())
	for _, path := range []string{"/traefik", "/prometheus", "/prometheus/groups/web", proxies.FollowPath} {
		if status, body, _ := get(t, "http://"+address+path); status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s, want 503: an empty list would take the targets away", path, status, body)
		}
	}
}

func TestLists_AWaitingClientGetsTheNextListAtOnce(t *testing.T) {
	c := loaded(http1("web", at("10.0.0.1:80", catalog.Healthy)))
	address := serve(t, c)
	_, _, header := get(t, "http://"+address+"/prometheus/groups/web")
	tag := header.Get("ETag")
	if status, _, _ := get(t, "http://"+address+"/prometheus/groups/web", "If-None-Match", tag); status != http.StatusNotModified {
		t.Errorf("status %d for what the client has, want 304", status)
	}
	go func() {
		set(c, http1("other")) // wakes the request, which has nothing new to say
		set(c, http1("web", at("10.0.0.2:80", catalog.Healthy)))
	}()
	status, body, _ := get(t, "http://"+address+"/prometheus/groups/web?wait=300", "If-None-Match", tag)
	if status != http.StatusOK || !strings.Contains(body, "10.0.0.2:80") {
		t.Errorf("got %d %s, want the new list", status, body)
	}
	if status, _, _ := get(t, "http://"+address+"/traefik?wait=x"); status != http.StatusBadRequest {
		t.Errorf("status %d for ?wait=x, want 400", status)
	}
}

func TestFollow_StandbyServesWhatTheLeaderServes(t *testing.T) {
	c := loaded(http1("web", at("10.0.0.1:80", catalog.Healthy)))
	leader, standby := serve(t, c), catalog.New()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- standby.Follow(ctx, http.DefaultClient, "http://"+leader+proxies.FollowPath) }()
	select {
	case <-standby.Loaded():
	case <-time.After(30 * time.Second):
		t.Fatal("the standby did not hear of the targets")
	}
	cancel()
	<-ended
	_, want, _ := get(t, "http://"+leader+"/traefik")
	if _, got, _ := get(t, "http://"+serve(t, standby)+"/traefik"); got != want {
		t.Errorf("the standby says %s, the leader %s", got, want)
	}
}

func TestLists_OfAServiceHaveItsTasksAlone(t *testing.T) {
	of := func(address, service string) catalog.Member {
		m := at(address, catalog.Healthy)
		m.Cluster, m.Service = "c", service
		return m
	}
	c := loaded(http1("web", of("10.0.0.1:80", "s"), of("10.0.0.2:80", "other")), http1("admin", of("10.0.0.1:81", "s")), http1("none", of("10.0.0.3:80", "")))
	url := "http://" + serve(t, c) + "/prometheus/services/c/s"
	_, body, header := get(t, url)
	for address, want := range map[string]bool{"10.0.0.1:80": true, "10.0.0.1:81": true, "10.0.0.2:80": false, "10.0.0.3:80": false} {
		if strings.Contains(body, address) != want {
			t.Errorf("%s in the list: %t, want %t; the list is %s", address, !want, want, body)
		}
	}
	go func() {
		set(c, http1("none")) // wakes the request, which has nothing new to say
		c.Apply(catalog.Change{Gone: []string{"admin"}})
	}()
	if _, body, _ := get(t, url+"?wait=300", "If-None-Match", header.Get("ETag")); strings.Contains(body, "10.0.0.1:81") || !strings.Contains(body, "10.0.0.1:80") {
		t.Errorf("the next list is %s, want what is left of the service", body)
	}
}
