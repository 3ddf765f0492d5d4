package proxies_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/longshore/longshore/controlplane/proxies/catalog"
	"github.com/longshore/longshore/controlplane/proxies/srv"
	"github.com/longshore/longshore/scripts/testbed"
)

// patience bounds what works within seconds on a machine that is not busy.
const patience = 30 * time.Second

// load asks an address all the time and counts.
type load struct {
	mu       sync.Mutex
	wake     chan struct{}
	answers  int            // how many came
	last     map[string]int // by who answered: how many had come then
	failures []string
}

// start asks from several clients at once until the test ends.
func startLoad(t *testing.T, url string) *load {
	l := &load{wake: make(chan struct{}, 1), last: make(map[string]int)}
	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				l.note(fetch(ctx, url))
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		clients.Wait()
	})
	return l
}

func fetch(ctx context.Context, url string) (who, failure string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err.Error()
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err.Error()
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err.Error()
	}
	if answer.StatusCode != http.StatusOK {
		return "", answer.Status
	}
	return string(body), ""
}

func (l *load) note(who, failure string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if failure != "" {
		l.failures = append(l.failures, failure)
		return
	}
	l.answers++
	l.last[who] = l.answers
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// await waits until the last answers came from all of those named and nobody else.
func (l *load) await(t *testing.T, names ...string) {
	t.Helper()
	const window = 200
	start, deadline := l.count(), time.After(patience)
	for {
		if l.count() > start+window && l.recent(window) == strings.Join(names, " ") {
			return
		}
		select {
		case <-l.wake:
		case <-deadline:
			t.Fatalf("answers come from %q, want %q; failures: %.10q", l.recent(window), names, l.failed())
		}
	}
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answers
}

// recent is who gave the last answers.
func (l *load) recent(window int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, name := range []string{"a", "b", "c"} {
		if at, ok := l.last[name]; ok && at > l.answers-window {
			out = append(out, name)
		}
	}
	return strings.Join(out, " ")
}

func (l *load) failed() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failures
}

// awaitOK waits until an address answers well.
func awaitOK(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	failure := ""
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s does not answer: %s", url, failure)
		}
		if _, failure = fetch(ctx, url); failure == "" {
			return
		}
	}
}

func TestHAProxy_LosesNoRequestWhileMembersComeAndGo(t *testing.T) {
	a, b, c := target(t, "a"), target(t, "b"), target(t, "c")
	all := loaded(http1("web", a, b))
	endpoints, listen := serve(t, all), testbed.FreeAddress(t)
	testbed.Run(t, []string{"LONGSHORE_ENDPOINTS=" + endpoints, "LISTEN=" + listen}, "haproxy", "-db", "-f", "../../deploy/proxies/haproxy.cfg")
	url := "http://" + listen + "/"
	awaitOK(t, url)
	l := startLoad(t, url)
	l.await(t, "a", "b")

	set(all, http1("web", draining(a), b, c)) // a deployment: the new one is there, an old one is drained
	l.await(t, "b", "c")
	set(all, http1("web", b, c)) // it was drained and is gone
	set(all, http1("web", draining(b), c))
	l.await(t, "c") // a scale-in
	set(all, http1("web", a, b, c))
	l.await(t, "a", "b", "c") // a scale-out
	if failures := l.failed(); len(failures) > 0 {
		t.Errorf("%d requests failed of %d: %.10q", len(failures), l.count(), failures)
	}
}

func TestHAProxy_KnowsMoreMembersThanADatagramHolds(t *testing.T) {
	g := http1("web")
	for _, name := range []string{"a", "b", "c"} {
		g.Members = append(g.Members, target(t, name))
	}
	const others = 150 // on addresses on which nobody listens: with their checks, HAProxy leaves them out
	for i := range others {
		g.Members = append(g.Members, at(fmt.Sprintf("127.0.0.%d:%d", 1+i%9, 1+i), catalog.Healthy))
	}
	endpoints, listen := serve(t, loaded(g)), testbed.FreeAddress(t)
	testbed.Run(t, []string{"LONGSHORE_ENDPOINTS=" + endpoints, "LISTEN=" + listen, "PLACES=200"}, "haproxy", "-db", "-f", "../../deploy/proxies/haproxy.cfg")
	awaitOK(t, "http://"+listen+"/")
	startLoad(t, "http://"+listen+"/").await(t, "a", "b", "c")
}

func TestHAProxy_KeepsItsServersWhileNoControlPlaneKnowsThem(t *testing.T) {
	known := loaded(http1("web", target(t, "a"), target(t, "b")))
	endpoints, stop := serveUntil(t, known, testbed.FreeAddress(t))
	listen := testbed.FreeAddress(t)
	testbed.Run(t, []string{"LONGSHORE_ENDPOINTS=" + endpoints, "LISTEN=" + listen}, "haproxy", "-db", "-f", "../../deploy/proxies/haproxy.cfg")
	awaitOK(t, "http://"+listen+"/")
	l := startLoad(t, "http://"+listen+"/")
	l.await(t, "a", "b")
	stop()
	// Another control plane takes the address over and knows nothing yet.
	unknowing, asked := srv.New(catalog.New(), zone), make(chan struct{})
	packets, err := net.ListenPacket("udp", endpoints)
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: packets, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		unknowing.ServeDNS(w, r)
		select {
		case asked <- struct{}{}:
		case <-t.Context().Done():
		}
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.ActivateAndServe() }()
	t.Cleanup(func() {
		packets.Close()
		<-ended
	})
	for range 3 {
		select {
		case <-asked:
		case <-time.After(patience):
			t.Fatal("HAProxy does not ask any more")
		}
	}
	l.await(t, "a", "b")
	if failures := l.failed(); len(failures) > 0 {
		t.Errorf("%d requests failed of %d: %.10q", len(failures), l.count(), failures)
	}
}

func TestPrometheus_FindsTheMembersOfAllGroups(t *testing.T) {
	all := loaded(http1("web", target(t, "a"), draining(target(t, "b"))), http1("api", target(t, "c")))
	endpoints, listen := serve(t, all), testbed.FreeAddress(t)
	text, err := os.ReadFile("../../deploy/proxies/prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	const example = "127.0.0.1:7473"
	if !strings.Contains(string(text), example) {
		t.Fatalf("prometheus.yml does not name %s", example)
	}
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), example, endpoints)), 0o644); err != nil {
		t.Fatal(err)
	}
	testbed.Run(t, nil, "prometheus", "--config.file="+file, "--storage.tsdb.path="+t.TempDir(), "--web.listen-address="+listen)
	url := "http://" + listen + "/api/v1/targets?state=active"
	awaitOK(t, url)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		body, failure := fetch(ctx, url)
		if failure == "" && strings.Count(body, `"target_group":"web"`) == 1 && strings.Count(body, `"target_group":"api"`) == 1 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("Prometheus has %s %s, want one target of web and one of api", body, failure)
		}
	}
}
