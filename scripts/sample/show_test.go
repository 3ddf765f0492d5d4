package main

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func task(id string, bindings ...types.NetworkBinding) types.Task {
	return types.Task{
		TaskArn: aws.String("arn:aws:ecs:us-east-1:000000000000:task/default/" + id), LastStatus: aws.String("RUNNING"),
		Containers: []types.Container{{Name: aws.String("web"), RuntimeId: aws.String("0123456789abcdef0123"), NetworkBindings: bindings}},
	}
}

func binding(ip string, port int32, protocol types.TransportProtocol) types.NetworkBinding {
	return types.NetworkBinding{BindIP: aws.String(ip), HostPort: aws.Int32(port), Protocol: protocol}
}

func TestRowsOf_MakesOneReachableURLPerTaskInOrderOfPorts(t *testing.T) {
	rows := rowsOf([]types.Task{
		task("b", binding("0.0.0.0", 32770, "tcp"), binding("::", 32770, "tcp")),
		task("a", binding("::", 9, "udp"), binding("::", 32768, "tcp")),
		task("c", binding("192.0.2.7", 32769, "tcp")),
		task("still starting"),
	})
	want := []string{"a http://127.0.0.1:32768/", "c http://192.0.2.7:32769/", "b http://127.0.0.1:32770/"}
	if len(rows) != len(want) {
		t.Fatalf("got %d rows, %+v; want %d", len(rows), rows, len(want))
	}
	for i, r := range rows {
		if got := r.task + " " + r.url; got != want[i] {
			t.Errorf("row %d is %q; want %q", i, got, want[i])
		}
	}
}

func TestPrint_ShowsURLsThenCommandsThenTheTable(t *testing.T) {
	d := deployment{endpoint: "http://127.0.0.1:7470", region: "eu-west-1", service: "web"}
	var out strings.Builder
	if err := d.print(&out, rowsOf([]types.Task{task("abc", binding("", 32768, "tcp"))})); err != nil {
		t.Fatal(err)
	}
	rest := out.String()
	for _, want := range []string{
		"http://127.0.0.1:32768/",
		"AWS_DEFAULT_REGION=eu-west-1 AWS_ACCESS_KEY_ID=longshore AWS_SECRET_ACCESS_KEY=longshore",
		"aws --endpoint-url http://127.0.0.1:7470 ecs list-tasks --service-name web",
		"aws --endpoint-url http://127.0.0.1:7470 ecs update-service --service web",
		"aws --endpoint-url http://127.0.0.1:7470 ecs describe-services --services web",
		"TASK  STATUS   CONTAINER     HOST PORT",
		"abc   RUNNING  0123456789ab  32768",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("%q is missing, or not in its place, in:\n%s", want, out.String())
		}
		rest = after
	}
}

func TestPrint_BeginsWithTheOneAddressOfTheProxy(t *testing.T) {
	d := deployment{endpoint: "http://127.0.0.1:7470", region: "eu-west-1", service: "web", front: "http://127.0.0.1:8080/"}
	var out strings.Builder
	if err := d.print(&out, rowsOf([]types.Task{task("abc", binding("", 32768, "tcp"))})); err != nil {
		t.Fatal(err)
	}
	front, own := strings.Index(out.String(), "  http://127.0.0.1:8080/\n"), strings.Index(out.String(), "http://127.0.0.1:32768/")
	if front < 0 || own < front {
		t.Errorf("printed\n%s\nwant the proxy's address, and then the task's", out.String())
	}
}

func TestReasons_JoinsTheTasksReasonWithThoseOfItsContainers(t *testing.T) {
	got := reasons(types.Task{
		StoppedReason: aws.String("Task failed to start"),
		Containers:    []types.Container{{Name: aws.String("web"), Reason: aws.String("CannotPullContainerError: no such image")}, {Name: aws.String("x")}},
	})
	if want := "Task failed to start; web: CannotPullContainerError: no such image"; got != want {
		t.Errorf("reasons = %q; want %q", got, want)
	}
}
