package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
)

// The tasks of one answer share what was worked out for it, and nothing that differs.
func TestDescribeTasks_ShowsEachTaskAsItShowsItAlone(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	for _, zone := range []string{"a", "b"} {
		f.host(c, 1<<20, 1<<20, types.Attribute{Name: aws.String("ecs.availability-zone"), Value: &zone},
			types.Attribute{Name: aws.String("ecs.cpu-architecture"), Value: aws.String("arch-" + zone)})
	}
	sized := func(cpu, memory int32) func(*types.ContainerDefinition) {
		return func(c *types.ContainerDefinition) {
			c.Cpu, c.Memory, c.MemoryReservation = cpu, &memory, aws.Int32(memory/2)
		}
	}
	definitions := []string{
		f.definition("one", container("main", sized(128, 256))),
		f.definition("two", container("main", sized(512, 1024)), container("side", sized(64, 32))),
	}
	var arns []string
	for n := range 8 {
		in := &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: &definitions[n/2%2], Count: aws.Int32(1)}
		if n%3 == 0 {
			in.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: aws.String("main"), Cpu: aws.Int32(int32(200 + n))}}}
			in.Tags = []types.Tag{{Key: aws.String("n"), Value: aws.String(fmt.Sprint(n))}}
		}
		arns = append(arns, *must(f.RunTask(f.ctx, in))(t).Tasks[0].TaskArn)
	}
	f.running(arns[1])
	f.stopNow(arns[2])
	f.changeTask(arns[3], func(t *model.Task) { t.Definition.Revision = 99 }) // which is not there

	describe := func(arns ...string) []any {
		body, err := json.Marshal(map[string]any{"cluster": c, "tasks": arns, "include": []string{"TAGS"}})
		if err != nil {
			t.Fatal(err)
		}
		_, answer := record(t, api.New(api.Config{Owner: owner, Store: func() *store.Store { return f.store }}), "DescribeTasks", body)
		tasks, _ := answer["tasks"].([]any)
		if len(tasks) != len(arns) {
			t.Fatalf("%d tasks of %d: %v", len(tasks), len(arns), answer["failures"])
		}
		return tasks
	}
	together := describe(arns...)
	for i, arn := range arns {
		alone := describe(arn)[0].(map[string]any)
		got, want := fmt.Sprint(together[i]), fmt.Sprint(alone)
		if got != want || alone["taskArn"] != arn {
			t.Errorf("task %d, together:\n%s\nalone:\n%s", i, got, want)
		}
	}
	for i, want := range map[int]string{1: `cpu:128 `, 2: `cpu:512 `, 6: `cpu:206 `} {
		if containers := fmt.Sprint(together[i].(map[string]any)["containers"]); !strings.Contains(containers, want) {
			t.Errorf("the containers of task %d are %s, want %s", i, containers, want)
		}
	}
}

// Requests share buffers, one after the other and never two at a time.
func TestServer_RequestsAtOnceGetTheirOwnAnswers(t *testing.T) {
	f := newFixture(t)
	handler := api.New(api.Config{Owner: owner, Store: func() *store.Store { return f.store }})
	var callers sync.WaitGroup
	for n := range 8 {
		name := fmt.Sprintf("c%d-%s", n, strings.Repeat("x", 20*n))
		f.cluster(name)
		callers.Go(func() {
			for range 200 {
				status, answer := record(t, handler, "DescribeClusters", []byte(`{"clusters":["`+name+`"]}`))
				if got := fmt.Sprint(answer["clusters"]); status != http.StatusOK || !strings.Contains(got, "clusterName:"+name+" ") {
					t.Errorf("asked for %s, got %d %v", name, status, answer)
					return
				}
			}
		})
	}
	callers.Wait()
}
