package main_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/longshore/longshore/scripts/testbed"
)

func web(image string) types.ContainerDefinition {
	return types.ContainerDefinition{
		Image:        aws.String(image),
		PortMappings: []types.PortMapping{{ContainerPort: aws.Int32(8080)}},
	}
}

func (s *site) createService(name, definition string, desired int32) {
	s.t.Helper()
	_, err := s.ecs.CreateService(s.t.Context(), &awsecs.CreateServiceInput{
		Cluster: aws.String(s.cluster()), ServiceName: aws.String(name), TaskDefinition: aws.String(definition), DesiredCount: aws.Int32(desired),
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) taskARNs(name string) []string {
	s.t.Helper()
	out, err := s.ecs.ListTasks(s.t.Context(), &awsecs.ListTasksInput{Cluster: aws.String(s.cluster()), ServiceName: aws.String(name)})
	if err != nil {
		s.t.Fatal(err)
	}
	slices.Sort(out.TaskArns)
	return out.TaskArns
}

// What a user does with a new cluster, and what docker ps shows meanwhile.
func TestDev_ServiceFromCreationToDeletion(t *testing.T) {
	s := newSite(t)
	p := s.dev()
	s.createService("web", s.register("web", web(s.images.Serve)), 3)
	s.awaitStable("web")
	if n := len(s.runningIDs()); n != 3 {
		t.Errorf("%d containers run, want 3", n)
	}
	for _, arn := range s.taskARNs("web") {
		b := s.task(arn).Containers[0].NetworkBindings
		if len(b) != 1 || *b[0].ContainerPort != 8080 || *b[0].HostPort == 0 {
			t.Fatalf("network bindings: %+v", b)
		}
		answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", *b[0].HostPort))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if strings.TrimSpace(string(body)) != "served" {
			t.Errorf("the task answers %q", body)
		}
	}

	before := s.runningIDs()
	second := s.register("web", web(s.images.Serve))
	if _, err := s.ecs.UpdateService(t.Context(), &awsecs.UpdateServiceInput{Cluster: aws.String(s.cluster()), Service: aws.String("web"), TaskDefinition: aws.String(second)}); err != nil {
		t.Fatal(err)
	}
	s.awaitStable("web")
	after := s.runningIDs()
	if len(after) != 3 || slices.ContainsFunc(after, func(id string) bool { return slices.Contains(before, id) }) {
		t.Errorf("after the update %d containers run, want 3 new ones", len(after))
	}

	victim := s.taskARNs("web")[0]
	stopped, err := s.ecs.StopTask(t.Context(), &awsecs.StopTaskInput{Cluster: aws.String(s.cluster()), Task: aws.String(victim), Reason: aws.String("because")})
	if err != nil {
		t.Fatal(err)
	}
	if *stopped.Task.DesiredStatus != "STOPPED" {
		t.Errorf("desired status %s, want STOPPED", *stopped.Task.DesiredStatus)
	}
	dead := s.awaitTask(victim, "STOPPED")
	if dead.StopCode != types.TaskStopCodeUserInitiated || *dead.StoppedReason != "because" || *dead.Containers[0].ExitCode != 0 {
		t.Errorf("stopped with %s, %q, exit code %v", dead.StopCode, *dead.StoppedReason, dead.Containers[0].ExitCode)
	}
	s.await("three containers again", func() bool { return len(s.runningIDs()) == 3 && !slices.Contains(s.taskARNs("web"), victim) })

	if _, err := s.ecs.DeleteService(t.Context(), &awsecs.DeleteServiceInput{Cluster: aws.String(s.cluster()), Service: aws.String("web"), Force: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	s.await("the service INACTIVE", func() bool { return *s.service("web").Status == "INACTIVE" })
	if n := len(s.runningIDs()); n != 0 {
		t.Errorf("%d containers run after the service was deleted", n)
	}
	p.Stop()
}

func TestDev_KilledAndStartedAgainLosesNothingAndRestartsNothing(t *testing.T) {
	s := newSite(t)
	p := s.dev()
	definition := s.register("web", web(s.images.Serve))
	s.createService("web", definition, 2)
	s.awaitStable("web")
	survivors, survivorIDs := s.taskARNs("web"), s.runningIDs()
	lone := s.run(definition, 1)[0]
	lone = s.awaitTask(*lone.TaskArn, "RUNNING")
	port := *lone.Containers[0].NetworkBindings[0].HostPort
	p.Kill()

	if n := len(s.runningIDs()); n != 3 {
		t.Fatalf("%d containers run while longshore is down, want 3", n)
	}
	// The program ends with a code of its own while nobody watches.
	s.await("the lone container's end", func() bool {
		if answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/exit/7", port)); err == nil {
			answer.Body.Close()
		}
		return len(s.runningIDs()) == 2
	})

	p = s.dev()
	ended := s.awaitTask(*lone.TaskArn, "STOPPED")
	if code := ended.Containers[0].ExitCode; code == nil || *code != 7 || ended.StopCode != types.TaskStopCodeEssentialContainerExited {
		t.Errorf("exit code %v, stop code %s; want 7 and EssentialContainerExited", code, ended.StopCode)
	}
	s.awaitStable("web")
	if now := s.taskARNs("web"); !slices.Equal(now, survivors) {
		t.Errorf("tasks %v, want the same as before: %v", now, survivors)
	}
	if now := s.runningIDs(); !slices.Equal(now, survivorIDs) {
		t.Errorf("containers %v, want the same as before: %v", now, survivorIDs)
	}
	p.Stop()
	if n := len(s.runningIDs()); n != 0 {
		t.Errorf("%d containers run after a clean end", n)
	}
}

// Writes race with a kill -9: whatever was acknowledged is there afterwards.
func TestDev_KilledWhileWritingKeepsWhatWasAcknowledged(t *testing.T) {
	s := newSite(t)
	p := s.dev()
	acknowledged := make(chan string, 100000)
	stop := make(chan struct{})
	done := make(chan struct{})
	for w := range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := 0; ; i++ {
				name := fmt.Sprintf("w%d-%d", w, i)
				_, err := s.ecs.CreateCluster(t.Context(), &awsecs.CreateClusterInput{ClusterName: aws.String(name)}, func(o *awsecs.Options) { o.RetryMaxAttempts = 1 })
				if err != nil {
					return
				}
				acknowledged <- name
				select {
				case <-stop:
					return
				default:
				}
			}
		}()
	}
	s.await("a few hundred writes", func() bool { return len(acknowledged) > 300 })
	p.Kill()
	close(stop)
	for range 8 {
		<-done
	}
	close(acknowledged)
	s.dev()
	lost := 0
	var names []string
	for name := range acknowledged {
		names = append(names, name)
	}
	for part := range slices.Chunk(names, 100) {
		out, err := s.ecs.DescribeClusters(t.Context(), &awsecs.DescribeClustersInput{Clusters: part})
		if err != nil {
			t.Fatal(err)
		}
		lost += len(out.Failures)
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged clusters are lost", lost, len(names))
	}
}

func TestDev_KeepTasksLeavesThemAndTheNextStartAdoptsThem(t *testing.T) {
	s := newSite(t)
	p := s.dev("--keep-tasks")
	arn := *s.run(s.register("web", web(s.images.Serve)), 1)[0].TaskArn
	s.awaitTask(arn, "RUNNING")
	before := s.runningIDs()
	p.Stop()
	if now := s.runningIDs(); !slices.Equal(now, before) {
		t.Fatalf("containers %v after the end, want %v", now, before)
	}
	p = s.dev()
	if task := s.awaitTask(arn, "RUNNING"); *task.Containers[0].RuntimeId != before[0] {
		t.Errorf("the task runs in container %s, want %s", *task.Containers[0].RuntimeId, before[0])
	}
	p.Stop()
}

func TestDev_WhatCannotRunIsStoppedWithItsReason(t *testing.T) {
	s := newSite(t)
	s.dev()
	taken := s.register("taken", types.ContainerDefinition{
		Image:        aws.String(s.images.Serve),
		PortMappings: []types.PortMapping{{ContainerPort: aws.Int32(8080), HostPort: aws.Int32(portOf(s.api))}},
	})
	for name, test := range map[string]struct {
		definition, reason string
		code               types.TaskStopCode
	}{
		"an image that does not exist":    {s.register("missing", types.ContainerDefinition{Image: aws.String(s.images.Missing)}), "CannotPullContainerError: ", types.TaskStopCodeTaskFailedToStart},
		"a program that does not exist":   {s.register("nocommand", types.ContainerDefinition{Image: aws.String(s.images.NoCommand)}), "CannotStartContainerError: ", types.TaskStopCodeTaskFailedToStart},
		"a port that another program has": {taken, "CannotStartContainerError: ", types.TaskStopCodeTaskFailedToStart},
		"a command that exits at once":    {s.register("exits", types.ContainerDefinition{Image: aws.String(s.images.Exit3)}), "Essential container in task exited", types.TaskStopCodeEssentialContainerExited},
	} {
		t.Run(name, func(t *testing.T) {
			task := s.awaitTask(*s.run(test.definition, 1)[0].TaskArn, "STOPPED")
			said := aws.ToString(task.StoppedReason) + " " + aws.ToString(task.Containers[0].Reason)
			if task.StopCode != test.code || !strings.Contains(said, test.reason) {
				t.Errorf("stopped with %s, %q; want %s, %q", task.StopCode, said, test.code, test.reason)
			}
		})
	}
	exited := s.awaitTask(*s.run("exits", 1)[0].TaskArn, "STOPPED")
	if code := exited.Containers[0].ExitCode; code == nil || *code != 3 {
		t.Errorf("exit code %v, want 3", code)
	}
}

func portOf(address string) int32 {
	var port int32
	fmt.Sscan(address[strings.LastIndex(address, ":")+1:], &port)
	return port
}

func TestDev_StoppedTasksAreCleanedUpAfterTheWait(t *testing.T) {
	s := newSite(t)
	s.dev("--task-cleanup-wait", "1s")
	arn := *s.run(s.register("exits", types.ContainerDefinition{Image: aws.String(s.images.Exit0)}), 1)[0].TaskArn
	s.awaitTask(arn, "STOPPED")
	s.await("the container removed", func() bool { return len(s.containers(t.Context())) == 0 })
	if s.task(arn); t.Failed() {
		t.Error("the task cannot be described any more")
	}
}

func TestDev_ASecondOneOnTheSameFolderIsRefused(t *testing.T) {
	s := newSite(t)
	s.dev()
	second := start(t, "dev", "--data-dir", s.dir+"/data", "--api-addr", testbed.FreeAddress(t), "--agent-addr", testbed.FreeAddress(t), "--ops-addr", testbed.FreeAddress(t), "--endpoints-addr", "127.0.0.1:0")
	select {
	case <-second.Ended():
	case <-time.After(testbed.Patience):
		t.Fatal("the second one does not end")
	}
	if !strings.Contains(second.Log(), "in use") {
		t.Errorf("it says %q", second.Log())
	}
}

func TestDev_OperationsAddressAnswers(t *testing.T) {
	s := newSite(t)
	s.dev()
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready", "/metrics": "longshore_store_commit_seconds"} {
		answer, err := http.Get("http://" + s.ops + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s answers %d %.100q, want %q", path, answer.StatusCode, body, want)
		}
	}
}

func TestDev_StartedAgainAfterItsInstanceWasDeregistered(t *testing.T) {
	s := newSite(t)
	p := s.dev()
	task := s.run(s.register("web", web(s.images.Serve)), 1)[0]
	s.awaitTask(*task.TaskArn, "RUNNING")
	_, err := s.ecs.DeregisterContainerInstance(t.Context(), &awsecs.DeregisterContainerInstanceInput{
		Cluster: aws.String(s.cluster()), ContainerInstance: task.ContainerInstanceArn, Force: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.await("the agent to be told", func() bool { return strings.Contains(p.Log(), "was deregistered") })
	p.Stop()

	p = s.dev()
	again := s.run(s.register("web", web(s.images.Serve)), 1)[0]
	s.awaitTask(*again.TaskArn, "RUNNING")
	if *again.ContainerInstanceArn == *task.ContainerInstanceArn {
		t.Error("the deregistered instance took a task")
	}
	s.await("the former task's container to go", func() bool { return len(s.runningIDs()) == 1 })
	p.Stop()
}
