package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
)

func TestNextToken_IsGoodForItsOwnListOnly(t *testing.T) {
	f := newFixture(t)
	c, other := f.cluster("c"), f.cluster("other")
	d := f.definition("web")
	f.definition("web")
	for i := range 3 {
		f.service(c, fmt.Sprint("s", i), d, 0, nil)
		f.service(other, fmt.Sprint("s", i), d, 0, nil)
	}
	one := aws.Int32(1)
	token := must(f.ListServices(f.ctx, &awsecs.ListServicesInput{Cluster: &c, MaxResults: one}))(t).NextToken
	if token == nil {
		t.Fatal("no token")
	}
	if page := must(f.ListServices(f.ctx, &awsecs.ListServicesInput{Cluster: aws.String(owner.ClusterARN("c")), NextToken: token}))(t); len(page.ServiceArns) != 2 {
		t.Errorf("another page size, and the cluster by ARN, are the same list: got %v", page.ServiceArns)
	}
	changed := []byte(*token)
	changed[0] ^= 1
	for name, call := range map[string]func() error{
		"another cluster": func() error {
			_, err := f.ListServices(f.ctx, &awsecs.ListServicesInput{Cluster: &other, NextToken: token})
			return err
		},
		"another filter": func() error {
			_, err := f.ListServices(f.ctx, &awsecs.ListServicesInput{Cluster: &c, NextToken: token, LaunchType: types.LaunchTypeEc2})
			return err
		},
		"another operation": func() error {
			_, err := f.ListTasks(f.ctx, &awsecs.ListTasksInput{Cluster: &c, NextToken: token})
			return err
		},
		"a changed token": func() error {
			_, err := f.ListServices(f.ctx, &awsecs.ListServicesInput{Cluster: &c, NextToken: aws.String(string(changed))})
			return err
		},
		"a made-up token": func() error {
			_, err := f.ListServices(f.ctx, &awsecs.ListServicesInput{Cluster: &c, NextToken: aws.String("AAAAAAAAAAAAAAAAAAAAAAAA")})
			return err
		},
		"no token at all": func() error {
			_, err := f.ListServices(f.ctx, &awsecs.ListServicesInput{Cluster: &c, NextToken: aws.String("?")})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { wantError(t, call(), "InvalidParameterException", "Invalid token.") })
	}
}

// What is there all the time is listed exactly once, whatever comes and goes
// between the pages.
func TestPages_AreStableWhileServicesComeAndGo(t *testing.T) {
	f := newFixture(t)
	handler := api.New(api.Config{Owner: owner, Store: func() *store.Store { return f.store }})
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		cluster := model.ClusterName(fmt.Sprint("c", round))
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-c_-]{1,4}`), 0, 30, rapid.ID[string]).Draw(t, "names")
		f.update(func(tx *store.Tx) {
			tx.PutCluster(&model.Cluster{Name: cluster, Status: model.StatusActive})
			for _, n := range names {
				tx.PutService(serviceRecord(cluster, n))
			}
		})
		always := slices.Clone(names)
		ever := slices.Clone(names)
		var got []string
		limit := rapid.IntRange(1, 7).Draw(t, "limit")
		for token, pages := "", 0; ; pages++ {
			if pages > 200 {
				t.Fatal("the list does not end")
			}
			var page []string
			page, token = listServices(t, handler, cluster, limit, token)
			if len(page) > limit {
				t.Fatalf("page of %d", len(page))
			}
			got = append(got, page...)
			if token == "" {
				break
			}
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				n := rapid.StringMatching(`[a-c_-]{1,4}`).Draw(t, "name")
				s := serviceRecord(cluster, n)
				if rapid.Bool().Draw(t, "gone") {
					s.Status = model.StatusInactive
				}
				if s.Status == model.StatusInactive || !slices.Contains(names, n) {
					always = slices.DeleteFunc(always, func(a string) bool { return a == n })
				}
				ever = append(ever, n)
				f.update(func(tx *store.Tx) { tx.PutService(s) })
			}
		}
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Fatalf("out of order or twice: %q", got)
		}
		for _, n := range always {
			if !slices.Contains(got, n) {
				t.Fatalf("%q was there all the time and is not listed in %q", n, got)
			}
		}
		for _, n := range got {
			if !slices.Contains(ever, n) {
				t.Fatalf("%q was never there", n)
			}
		}
	})
}

func serviceRecord(c model.ClusterName, name string) *model.Service {
	return &model.Service{
		Cluster: c, Name: model.ServiceName(name), Status: model.StatusActive,
		Deployments: []model.Deployment{{Status: model.DeploymentPrimary}},
	}
}

func listServices(t *rapid.T, h http.Handler, c model.ClusterName, limit int, token string) (names []string, next string) {
	body, err := json.Marshal(map[string]any{"cluster": c, "maxResults": limit, "nextToken": token})
	if err != nil {
		t.Fatal(err)
	}
	status, answer := record(t, h, "ListServices", body)
	if status != http.StatusOK {
		t.Fatalf("got %d %v", status, answer)
	}
	for _, arn := range answer["serviceArns"].([]any) {
		_, name, err := owner.InCluster("service", arn.(string))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	next, _ = answer["nextToken"].(string)
	return names, next
}
