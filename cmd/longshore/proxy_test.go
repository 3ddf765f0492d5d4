package main_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/longshore/longshore/scripts/testbed"
)

// proxyExample is what a user is told to start HAProxy with.
const proxyExample = "../../deploy/proxies/haproxy.cfg"

// haproxy starts HAProxy in front of a target group, which a control plane tells it of
// at an endpoints address, and returns the URL of its front.
func (s *site) haproxy(group, endpoints string) string {
	s.t.Helper()
	listen := testbed.FreeAddress(s.t)
	testbed.Run(s.t, []string{"LONGSHORE_ENDPOINTS=" + endpoints, "LISTEN=" + listen, "GROUP=" + group}, "haproxy", "-db", "-f", proxyExample)
	return "http://" + listen
}

// members are the addresses that a proxy is told to send requests of a group to.
func (s *site) members(group, endpoints string) []string {
	s.t.Helper()
	q := new(dns.Msg)
	q.SetQuestion("_"+group+"._tcp.longshore.internal.", dns.TypeSRV)
	answer, err := dns.Exchange(q, endpoints)
	if err != nil {
		s.t.Fatalf("asking for the members of %s: %v", group, err)
	}
	var out []string
	for i, rr := range answer.Answer {
		address := answer.Extra[i].(*dns.A).A.String()
		out = append(out, net.JoinHostPort(address, strconv.Itoa(int(rr.(*dns.SRV).Port))))
	}
	return out
}

// sorted writes addresses down for comparison.
func sorted(addresses []string) string {
	addresses = slices.Clone(addresses)
	slices.Sort(addresses)
	return strings.Join(addresses, " ")
}

// clients is how many requests of a load are under way at a time.
const clients = 8

// load asks a URL all the time, and counts.
type load struct {
	t    *testing.T
	stop context.CancelFunc
	all  sync.WaitGroup

	mu       sync.Mutex
	count    int
	failures []string
	last     map[string]int // by what was answered: which request had it last
}

// workTime is how long a request of working clients takes: long enough that some are
// under way at any task whenever it ends.
const workTime = 300 * time.Millisecond

// startWork is startLoad with requests that take their time, and that a proxy may not
// repeat, as they may have had an effect: a task that ends too early loses some.
func (s *site) startWork(front string) *load {
	s.t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(bridgeAddress(s.t), "0"))
	if err != nil {
		s.t.Fatal(err)
	}
	worker := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(workTime):
		case <-r.Context().Done():
		}
	})}
	ended := make(chan error, 1)
	go func() { ended <- worker.Serve(listener) }()
	s.t.Cleanup(func() {
		worker.Close()
		<-ended
	})
	return s.start(http.MethodPost, front+"/get?url=http://"+listener.Addr().String()+"/")
}

// startLoad asks a URL that reads only. It begins when the URL answers, and ends with
// the test, or with end.
func (s *site) startLoad(url string) *load {
	s.t.Helper()
	return s.start(http.MethodGet, url)
}

func (s *site) start(method, url string) *load {
	s.t.Helper()
	s.await("an answer from "+url, func() bool { _, failure := fetch(s.t.Context(), method, url); return failure == "" })
	ctx, stop := context.WithCancel(context.Background())
	l := &load{t: s.t, stop: stop, last: map[string]int{}}
	for range clients {
		l.all.Go(func() {
			for ctx.Err() == nil {
				answer, failure := fetch(ctx, method, url)
				if ctx.Err() == nil {
					l.note(answer, failure)
				}
			}
		})
	}
	s.t.Cleanup(l.end)
	return l
}

func (l *load) end() {
	l.stop()
	l.all.Wait()
}

func fetch(ctx context.Context, method, url string) (answer, failure string) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return "", err.Error()
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return "", err.Error()
	case response.StatusCode != http.StatusOK:
		return "", response.Status + ": " + string(body)
	}
	return strings.TrimSpace(string(body)), ""
}

func (l *load) note(answer, failure string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	if failure != "" {
		l.failures = append(l.failures, time.Now().Format(time.StampMilli)+" "+failure)
		return
	}
	l.last[answer] = l.count
}

// sent is how many requests were answered or failed.
func (l *load) sent() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// since are the different answers that came after a number of requests, sorted.
func (l *load) since(count int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for answer, at := range l.last {
		if at > count {
			out = append(out, answer)
		}
	}
	slices.Sort(out)
	return out
}

// lost checks that no more requests have failed than may have, since it was asked last.
func (l *load) lost(atMost int, during string) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == 0 {
		l.t.Errorf("no request was sent during %s", during)
	}
	if len(l.failures) > atMost {
		l.t.Errorf("%d of %d requests failed during %s, want %d at most: %q", len(l.failures), l.count, during, atMost, l.failures[:min(8, len(l.failures))])
	}
	l.t.Logf("%d of %d requests failed during %s", len(l.failures), l.count, during)
	l.count, l.failures = 0, nil
	clear(l.last)
}
