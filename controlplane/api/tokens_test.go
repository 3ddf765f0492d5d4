package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
)

func taskARNs(tasks []types.Task) []string {
	var out []string
	for _, task := range tasks {
		out = append(out, *task.TaskArn)
	}
	slices.Sort(out)
	return out
}

// forgetTask does what the reaper does an hour after a task has stopped.
func (f *fixture) forgetTask(cluster, arn string) {
	f.t.Helper()
	f.stopNow(arn)
	f.update(func(tx *store.Tx) {
		for task := range tx.StoppedTasks() {
			if strings.HasSuffix(arn, string(task.ID)) {
				tx.DeleteTask(task)
				return
			}
		}
		f.t.Errorf("no stopped task %s", arn)
	})
	if out := must(f.DescribeTasks(f.ctx, &awsecs.DescribeTasksInput{Cluster: &cluster, Tasks: []string{arn}}))(f.t); len(out.Tasks) != 0 {
		f.t.Fatal("the task is not forgotten")
	}
}

func TestRunTask_ATokenHoldsForADayEvenIfItsTasksAreForgotten(t *testing.T) {
	f := newFixture(t)
	c, d := f.cluster("c"), f.definition("web")
	f.host(c, 4096, 4096)
	request := awsecs.RunTaskInput{Cluster: &c, TaskDefinition: &d, Count: aws.Int32(2), Group: aws.String("g"), StartedBy: aws.String("me"), ClientToken: aws.String("a/b~!")}
	first := must(f.RunTask(f.ctx, &request))(t)
	f.forgetTask(c, *first.Tasks[0].TaskArn)

	f.clock.Store(int64(24*time.Hour - time.Minute))
	again := must(f.RunTask(f.ctx, &request))(t)
	if !slices.Equal(taskARNs(first.Tasks), taskARNs(again.Tasks)) {
		t.Fatalf("got %v, want %v", taskARNs(again.Tasks), taskARNs(first.Tasks))
	}
	for _, got := range again.Tasks {
		was := first.Tasks[slices.IndexFunc(first.Tasks, func(o types.Task) bool { return *o.TaskArn == *got.TaskArn })]
		want := "RUNNING"
		if *got.TaskArn == *first.Tasks[0].TaskArn {
			want = "STOPPED"
		}
		if *got.DesiredStatus != want || *got.ContainerInstanceArn != *was.ContainerInstanceArn || *got.TaskDefinitionArn != *was.TaskDefinitionArn ||
			*got.Group != "g" || *got.StartedBy != "me" || *got.Cpu != *was.Cpu || *got.Memory != *was.Memory || got.LaunchType != was.LaunchType {
			t.Errorf("got %+v, want as %+v", got, was)
		}
	}
	other := request
	other.Count = aws.Int32(1)
	_, err := f.RunTask(f.ctx, &other)
	wantError(t, err, "ConflictException", "")
	if !strings.Contains(fmt.Sprint(err), "client token") {
		t.Errorf("got %v", err)
	}

	f.clock.Store(int64(24 * time.Hour))
	later := must(f.RunTask(f.ctx, &other))(t)
	if len(later.Tasks) != 1 || slices.Contains(taskARNs(first.Tasks), *later.Tasks[0].TaskArn) {
		t.Errorf("after a day, the token is free: got %v", taskARNs(later.Tasks))
	}
	if once := must(f.RunTask(f.ctx, &other))(t); !slices.Equal(taskARNs(once.Tasks), taskARNs(later.Tasks)) {
		t.Errorf("and stands for its new request: got %v", taskARNs(once.Tasks))
	}
}

func TestRunTask_ATokenIsOfItsCluster(t *testing.T) {
	f := newFixture(t)
	d := f.definition("web")
	var seen []string
	for _, c := range []string{"a", "b"} {
		f.host(f.cluster(c), 4096, 4096)
		out := must(f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: &d, ClientToken: aws.String("t")}))(t)
		seen = append(seen, taskARNs(out.Tasks)...)
	}
	if len(slices.Compact(seen)) != 2 {
		t.Errorf("got %v", seen)
	}
}

// A RunTask that placed nothing may be tried again with its token.
func TestRunTask_ATokenOfARequestThatStartedNothingIsFree(t *testing.T) {
	f := newFixture(t)
	c, d := f.cluster("c"), f.definition("web")
	f.host(c, 50, 4096) // too small
	request := &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: &d, ClientToken: aws.String("t")}
	if out := must(f.RunTask(f.ctx, request))(t); len(out.Tasks) != 0 || len(out.Failures) == 0 {
		t.Fatalf("got %+v", out)
	}
	f.host(c, 4096, 4096)
	if out := must(f.RunTask(f.ctx, request))(t); len(out.Tasks) != 1 {
		t.Errorf("got %+v", out)
	}
}

func TestTokens_SurviveARestart(t *testing.T) {
	server := storetest.Etcd(t)
	run := &awsecs.RunTaskInput{Cluster: aws.String("c"), TaskDefinition: aws.String("web"), ClientToken: aws.String("run")}
	create := &awsecs.CreateServiceInput{Cluster: aws.String("c"), ServiceName: aws.String("s"), TaskDefinition: aws.String("web"), DesiredCount: aws.Int32(1), ClientToken: aws.String("create")}
	var started []string
	var created types.Service
	t.Run("before", func(t *testing.T) {
		f := fixtureOn(t, storetest.On(t, server, nil))
		f.cluster("c")
		f.host("c", 4096, 4096)
		f.definition("web")
		started = taskARNs(must(f.RunTask(f.ctx, run))(t).Tasks)
		f.forgetTask("c", started[0])
		created = *must(f.CreateService(f.ctx, create))(t).Service
	})
	f := fixtureOn(t, storetest.On(t, server, nil))
	if again := taskARNs(must(f.RunTask(f.ctx, run))(t).Tasks); !slices.Equal(again, started) {
		t.Errorf("got %v, want %v", again, started)
	}
	again := must(f.CreateService(f.ctx, create))(t).Service
	if !again.CreatedAt.Equal(*created.CreatedAt) || *again.Deployments[0].Id != *created.Deployments[0].Id {
		t.Errorf("got %+v, want %+v", again, created)
	}
	run.Count = aws.Int32(2)
	_, err := f.RunTask(f.ctx, run)
	wantError(t, err, "ConflictException", "")
	create.DesiredCount = aws.Int32(2)
	_, err = f.CreateService(f.ctx, create)
	wantError(t, err, "InvalidParameterException", "Creation of service was not idempotent.")
}

// Whatever requests come with a few tokens and times, each token stands for the
// first of its requests that started something, for a day.
func TestRunTask_TokensAgainstANaiveModel(t *testing.T) {
	f := newFixture(t)
	d := f.definition("web")
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		c := f.cluster(fmt.Sprint("c", round))
		f.host(c, 100_000, 100_000)
		type use struct {
			count int32
			at    time.Duration
			tasks []string
		}
		known := map[string]use{}
		now := time.Duration(f.clock.Load())
		for range rapid.IntRange(1, 8).Draw(r, "requests") {
			now += rapid.SampledFrom([]time.Duration{0, time.Minute, 12 * time.Hour}).Draw(r, "later")
			f.clock.Store(int64(now))
			token := rapid.SampledFrom([]string{"a", "b", "A", "a/b"}).Draw(r, "token")
			count := rapid.Int32Range(1, 2).Draw(r, "count")
			out, err := f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: &d, Count: &count, ClientToken: &token})
			before, repeated := known[token]
			repeated = repeated && now-before.at < 24*time.Hour-time.Minute
			switch {
			case repeated && before.count != count:
				wantError(t, err, "ConflictException", "")
			case err != nil:
				r.Fatal(err)
			case repeated && !slices.Equal(taskARNs(out.Tasks), before.tasks):
				r.Fatalf("token %q: got %v, want %v", token, taskARNs(out.Tasks), before.tasks)
			case !repeated:
				known[token] = use{count, now, taskARNs(out.Tasks)}
			}
		}
		total := 0
		for _, status := range []types.DesiredStatus{types.DesiredStatusRunning} {
			total += len(must(f.ListTasks(f.ctx, &awsecs.ListTasksInput{Cluster: &c, DesiredStatus: status}))(t).TaskArns)
		}
		if total == 0 {
			r.Fatal("nothing was started")
		}
	})
}
