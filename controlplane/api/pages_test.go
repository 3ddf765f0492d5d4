package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
)

// listPage asks for a page and returns what it names.
func (w *world) listPage(t tester, l *lister, request map[string]any) (names []string, token string) {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatalf("%v", err)
	}
	status, answer := w.try(t, l.operation, body)
	if status != http.StatusOK {
		t.Fatalf("%s with %s: got %d %v", l.operation, body, status, answer)
	}
	for _, e := range answer[l.result].([]any) {
		switch e := e.(type) {
		case string:
			names = append(names, e)
		case map[string]any:
			of, ok := e["targetId"]
			if !ok {
				of = e["principalArn"]
			}
			value, ok := e["value"]
			if !ok {
				value = ""
			}
			names = append(names, fmt.Sprintf("%s=%s of %s", e["name"], value, of))
		}
	}
	token, _ = answer["nextToken"].(string)
	return names, token
}

// scene is what a list operation can list, while it changes.
type scene struct {
	w       *world
	l       *lister
	cluster model.ClusterName
	filter  map[string]any
	there   map[string]item // by id
	always  map[string]bool // listed names that matched at all times
	ever    map[string]bool
}

func (w *world) scene(t *rapid.T, l *lister, cluster model.ClusterName) *scene {
	s := &scene{w: w, l: l, cluster: cluster, filter: l.filter(t, cluster), there: map[string]item{}}
	w.update(func(tx *store.Tx) {
		if l.operation != "ListClusters" {
			tx.PutCluster(&model.Cluster{Name: cluster, Status: model.StatusActive})
		}
		if l.prepare != nil {
			l.prepare(tx, cluster)
		}
		for range rapid.IntRange(0, 25).Draw(t, "items") {
			i := l.item(t, cluster)
			s.there[i.id] = i
			i.put(tx)
		}
	})
	s.always, s.ever = s.matching(), s.matching()
	return s
}

func (s *scene) put(i item) {
	s.there[i.id] = i
	s.w.update(i.put)
}

func (s *scene) matching() map[string]bool {
	out := map[string]bool{}
	for _, i := range s.there {
		if i.matches(s.filter) {
			out[i.listed] = true
		}
	}
	return out
}

// change makes, replaces or drops an item.
func (s *scene) change(t *rapid.T) {
	i := s.l.item(t, s.cluster)
	if have, ok := s.there[i.id]; ok && rapid.Bool().Draw(t, "drop") {
		s.w.update(have.drop)
		delete(s.there, i.id)
	} else {
		s.put(i)
	}
	now := s.matching()
	for name := range s.always {
		if !now[name] {
			delete(s.always, name)
		}
	}
	for name := range now {
		s.ever[name] = true
	}
}

func (s *scene) end() {
	s.w.update(func(tx *store.Tx) {
		for _, i := range s.there {
			i.drop(tx)
		}
	})
}

// What is there all the time is listed exactly once, whatever comes and goes
// between the pages, for any size of the pages and any filters.
func TestPages_AreStableWhileThingsComeAndGo(t *testing.T) {
	w := newWorld(t)
	round := 0
	for _, l := range listers() {
		t.Run(l.operation, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				round++
				s := w.scene(t, &l, model.ClusterName(fmt.Sprint("r", round)))
				defer s.end()
				changes := rapid.SampledFrom([]int{0, 0, 3}).Draw(t, "changes")
				var got []string
				request := map[string]any{}
				for k, v := range s.filter {
					request[k] = v
				}
				for pages := 0; ; pages++ {
					limit := rapid.IntRange(1, 7).Draw(t, "limit")
					request["maxResults"] = limit
					page, token := w.listPage(t, &l, request)
					if len(page) > limit || pages > 300 {
						t.Fatalf("page %d has %d of at most %d", pages, len(page), limit)
					}
					got = append(got, page...)
					if token == "" {
						break
					}
					request["nextToken"] = token
					for range rapid.IntRange(0, changes).Draw(t, "changes now") {
						s.change(t)
					}
				}
				s.check(t, got)
			})
		})
	}
}

func (s *scene) check(t *rapid.T, got []string) {
	sorted := slices.Sorted(slices.Values(got))
	if len(slices.Compact(slices.Clone(sorted))) != len(got) {
		t.Fatalf("%s with %v: twice in %q", s.l.operation, s.filter, got)
	}
	for name := range s.always {
		if !slices.Contains(got, name) {
			t.Fatalf("%s with %v: %s was there all the time and is not in %q", s.l.operation, s.filter, name, got)
		}
	}
	for _, name := range got {
		if !s.ever[name] {
			t.Fatalf("%s with %v: %s was never to be listed", s.l.operation, s.filter, name)
		}
	}
}

// firstTokens are the tokens of each list after its first page of one.
func (w *world) firstTokens(t *testing.T) (requests map[string]map[string]any, tokens map[string]string) {
	requests, tokens = map[string]map[string]any{}, map[string]string{}
	for _, l := range listers() {
		// Drawn so that there is a second page.
		rapid.Custom(func(r *rapid.T) bool {
			s := w.scene(r, &l, model.ClusterName("tokens-"+l.operation))
			for _, narrow := range []string{"status", "launchType", "schedulingStrategy", "containerInstance", "family", "startedBy", "serviceName", "desiredStatus", "familyPrefix", "attributeName", "attributeValue", "name", "value"} {
				delete(s.filter, narrow)
			}
			for len(s.matching()) < 3 {
				s.put(l.item(r, s.cluster))
			}
			request := with(s.filter, "maxResults", 1)
			_, token := w.listPage(t, &l, request)
			requests[l.operation], tokens[l.operation] = request, token
			return true
		}).Example(1)
		if tokens[l.operation] == "" {
			t.Fatalf("%s: no token", l.operation)
		}
	}
	return requests, tokens
}

func TestPages_TokensOfOtherListsAndSizesBeyondTheLimitsAreRefused(t *testing.T) {
	w := newWorld(t)
	requests, tokens := w.firstTokens(t)
	refused := func(t *testing.T, operation string, request map[string]any) {
		t.Helper()
		body, err := json.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		if status, answer := w.try(t, operation, body); status != http.StatusBadRequest || answer["__type"] != "InvalidParameterException" {
			t.Errorf("%s with %s: got %d %v", operation, body, status, answer)
		}
	}
	otherFilters := map[string]any{"familyPrefix": "nobody", "status": "INACTIVE", "cluster": "tokens-ListTasks", "principalArn": "arn:aws:iam::" + owner.Account + ":root"}
	for _, l := range listers() {
		t.Run(l.operation, func(t *testing.T) {
			request := requests[l.operation]
			for operation, token := range tokens {
				if operation != l.operation {
					refused(t, l.operation, with(request, "nextToken", token))
				}
			}
			for _, token := range []string{"x", "?", tokens[l.operation] + "A", tokens[l.operation][1:], "AAAAAAAAAAAAAAAAAAAAAAAAAAAA"} {
				refused(t, l.operation, with(request, "nextToken", token))
			}
			for member, v := range otherFilters {
				ref, there := loadModel().Shapes[loadModel().Operations[l.operation].Input].Members[member]
				if there && fmt.Sprint(request[member]) != fmt.Sprint(v) && loadModel().check(ref.name, member, v) == nil {
					refused(t, l.operation, with(with(request, "nextToken", tokens[l.operation]), member, v))
				}
			}
			for _, size := range []int{0, -1, l.most + 1, 1 << 30} {
				if l.operation == "ListAccountSettings" && size == 0 {
					continue // its maxResults is a plain integer of the model: 0 is absent
				}
				refused(t, l.operation, with(request, "maxResults", size))
			}
			if _, next := w.listPage(t, &l, with(with(request, "nextToken", tokens[l.operation]), "maxResults", l.most)); next != "" {
				t.Error("the whole rest does not fit a page")
			}
		})
	}
}

// Every paginator of the model is in the suites, or its operation is not answered.
func TestPages_NoPaginatorIsLeftOut(t *testing.T) {
	covered := map[string]string{}
	for _, l := range listers() {
		covered[l.operation] = l.result
	}
	for operation, p := range loadModel().Paginators {
		if slices.Contains(answeredOperations(), operation) && covered[operation] != p.ResultKey {
			t.Errorf("%s: no lister with %s", operation, p.ResultKey)
		}
	}
	if len(covered) < 8 {
		t.Errorf("only %d", len(covered))
	}
}
