package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

const (
	definitionFile = "../../deploy/sample/web.json"
	arnOne         = "arn:aws:ecs:us-east-1:000000000000:task-definition/web:1"
	arnGroup       = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/0123456789abcdef"
	arnTwo         = "arn:aws:ecs:us-east-1:000000000000:task-definition/web:2"
)

// script answers the operations of a test with prepared JSON, one answer after
// the other and the last one again and again, and notes which were called. It
// stands in for the control plane only where create has to choose what to ask.
type script struct {
	t       *testing.T
	answers map[string][]string
	calls   []string
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if operation == "" {
		operation = r.FormValue("Action") // of Elastic Load Balancing
	}
	s.calls = append(s.calls, operation)
	answers := s.answers[operation]
	if len(answers) == 0 {
		s.t.Errorf("unexpected %s", operation)
		http.Error(w, "{}", http.StatusBadRequest)
		return
	}
	if len(answers) > 1 {
		s.answers[operation] = answers[1:]
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if strings.Contains(answers[0], "__type") || strings.Contains(answers[0], "<Error>") {
		w.WriteHeader(http.StatusBadRequest)
	}
	io.WriteString(w, answers[0])
}

func deploymentAt(t *testing.T, handler http.Handler) deployment {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return deployment{
		client: ecs.New(ecs.Options{
			BaseEndpoint: aws.String(server.URL), Region: "us-east-1",
			Credentials: credentials.NewStaticCredentialsProvider("k", "s", ""),
		}),
		balancing: elb.New(elb.Options{
			BaseEndpoint: aws.String(server.URL), Region: "us-east-1",
			Credentials: credentials.NewStaticCredentialsProvider("k", "s", ""),
		}),
		group:    "web",
		endpoint: server.URL, region: "us-east-1", definition: definitionFile,
		service: "web", count: 3, limit: time.Minute,
	}
}

// registered is the definition of the file as a control plane would show it.
func registered(t *testing.T, arn string, change func(*types.ContainerDefinition)) string {
	t.Helper()
	want, err := readDefinition(definitionFile)
	if err != nil {
		t.Fatal(err)
	}
	c := want.ContainerDefinitions[0]
	change(&c)
	text, err := json.Marshal(map[string]any{"taskDefinition": map[string]any{
		"taskDefinitionArn": arn, "family": "web", "revision": 1, "networkMode": "bridge", "status": "ACTIVE", "volumes": []any{},
		"containerDefinitions": []any{map[string]any{
			"name": c.Name, "image": c.Image, "cpu": c.Cpu, "memory": c.Memory, "essential": c.Essential, "links": []any{},
			"environment":  []any{map[string]any{"name": c.Environment[0].Name, "value": c.Environment[0].Value}},
			"portMappings": []any{map[string]any{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}},
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCreate_AsksOnlyForWhatIsNotThereYet(t *testing.T) {
	same := registered(t, arnOne, func(*types.ContainerDefinition) {})
	other := registered(t, arnOne, func(c *types.ContainerDefinition) { c.Memory = aws.Int32(128) })
	none := `{"__type":"ClientException","message":"Unable to describe task definition."}`
	made := fmt.Sprintf(`{"taskDefinition":{"taskDefinitionArn":%q}}`, arnTwo)
	service := func(status, definition string, desired int) string {
		return fmt.Sprintf(`{"services":[{"serviceName":"web","status":%q,"taskDefinition":%q,"desiredCount":%d,"loadBalancers":[{"targetGroupArn":%q,"containerName":"web","containerPort":80}]}],"failures":[]}`,
			status, definition, desired, arnGroup)
	}
	alone := fmt.Sprintf(`{"services":[{"serviceName":"web","status":"ACTIVE","taskDefinition":%q,"desiredCount":3}],"failures":[]}`, arnOne)
	noGroup := `<ErrorResponse><Error><Type>Sender</Type><Code>TargetGroupNotFound</Code><Message>none</Message></Error></ErrorResponse>`
	group := func(operation string) string {
		return fmt.Sprintf(`<%[1]sResponse><%[1]sResult><TargetGroups><member><TargetGroupArn>%[2]s</TargetGroupArn></member></TargetGroups></%[1]sResult></%[1]sResponse>`, operation, arnGroup)
	}
	noService := `{"services":[],"failures":[{"reason":"MISSING"}]}`
	for name, test := range map[string]struct {
		definition string
		group      string
		services   []string
		want       []string
	}{
		"nothing there":      {none, noGroup, []string{noService}, []string{"DescribeTaskDefinition", "RegisterTaskDefinition", "DescribeTargetGroups", "CreateTargetGroup", "ModifyTargetGroupAttributes", "DescribeServices", "CreateService"}},
		"all there":          {same, group("DescribeTargetGroups"), []string{service("ACTIVE", arnOne, 3)}, []string{"DescribeTaskDefinition", "DescribeTargetGroups", "DescribeServices"}},
		"service gone":       {same, group("DescribeTargetGroups"), []string{service("INACTIVE", arnOne, 0)}, []string{"DescribeTaskDefinition", "DescribeTargetGroups", "DescribeServices", "CreateService"}},
		"other count":        {same, group("DescribeTargetGroups"), []string{service("ACTIVE", arnOne, 5)}, []string{"DescribeTaskDefinition", "DescribeTargetGroups", "DescribeServices", "UpdateService"}},
		"other definition":   {other, group("DescribeTargetGroups"), []string{service("ACTIVE", arnOne, 3)}, []string{"DescribeTaskDefinition", "RegisterTaskDefinition", "DescribeTargetGroups", "DescribeServices", "UpdateService"}},
		"in no target group": {same, group("DescribeTargetGroups"), []string{alone}, []string{"DescribeTaskDefinition", "DescribeTargetGroups", "DescribeServices", "UpdateService"}},
		"on its way to gone": {same, group("DescribeTargetGroups"), []string{service("DRAINING", arnOne, 0), service("INACTIVE", arnOne, 0)}, []string{"DescribeTaskDefinition", "DescribeTargetGroups", "DescribeServices", "DescribeServices", "CreateService"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &script{t: t, answers: map[string][]string{
				"DescribeTaskDefinition": {test.definition}, "RegisterTaskDefinition": {made},
				"DescribeServices": test.services, "CreateService": {"{}"}, "UpdateService": {"{}"},
				"DescribeTargetGroups": {test.group}, "CreateTargetGroup": {group("CreateTargetGroup")},
				"ModifyTargetGroupAttributes": {`<ModifyTargetGroupAttributesResponse><ModifyTargetGroupAttributesResult/></ModifyTargetGroupAttributesResponse>`},
			}}
			if err := deploymentAt(t, s).create(context.Background()); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(s.calls, test.want) {
				t.Errorf("calls\n %v; want\n %v", s.calls, test.want)
			}
		})
	}
}

func TestCreate_PassesOnARefusalWithTheServersWords(t *testing.T) {
	s := &script{t: t, answers: map[string][]string{
		"DescribeTaskDefinition": {`{"__type":"AccessDeniedException","message":"not you"}`},
	}}
	if err := deploymentAt(t, s).create(context.Background()); err == nil || !strings.Contains(err.Error(), "not you") {
		t.Errorf("create = %v; want the server's words", err)
	}
}

func TestReadDefinition_TakesTheSampleAsTheAWSCLIDoes(t *testing.T) {
	d, err := readDefinition(definitionFile)
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(d.Family) != "web" || len(d.ContainerDefinitions) != 1 {
		t.Fatalf("got family %q with %d containers", aws.ToString(d.Family), len(d.ContainerDefinitions))
	}
	c := d.ContainerDefinitions[0]
	if aws.ToString(c.Image) != "longshore-sample:latest" || c.Cpu != 64 || aws.ToInt32(c.Memory) != 64 || !aws.ToBool(c.Essential) ||
		len(c.PortMappings) != 1 || aws.ToInt32(c.PortMappings[0].ContainerPort) != 80 || aws.ToInt32(c.PortMappings[0].HostPort) != 0 {
		t.Errorf("got container %+v", c)
	}
}
