package main_test

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/docker/docker/api/types/container"

	"github.com/longshore/longshore/scripts/testbed"
)

func (s *site) putParameter(name, value string) {
	s.t.Helper()
	_, err := s.parameters().PutParameter(s.t.Context(), &ssm.PutParameterInput{Name: &name, Value: &value, Type: ssmtypes.ParameterTypeSecureString, Overwrite: aws.Bool(true)})
	if err != nil {
		s.t.Fatal(err)
	}
}

// inspectNamed returns what Docker says of a container of a task.
func (s *site) inspectNamed(task types.Task, name string) container.InspectResponse {
	s.t.Helper()
	for _, c := range task.Containers {
		if *c.Name != name {
			continue
		}
		found, err := dockerClient(s.t).ContainerInspect(s.t.Context(), *c.RuntimeId)
		if err != nil {
			s.t.Fatal(err)
		}
		return found
	}
	s.t.Fatalf("task %s has no container %s", *task.TaskArn, name)
	return container.InspectResponse{}
}

// TestSecrets_ReachTheLogDriverAndNothingElse listens where the driver sends to:
// what a container writes arrives with the value of a secret option.
func TestSecrets_ReachTheLogDriverAndNothingElse(t *testing.T) {
	s := newSite(t)
	listener, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p := s.dev("--log-level", "debug")
	const value, refused = "option-value-88", "refused-value-89"
	s.putParameter("/log/tag", value)
	logging := func(secret types.Secret) types.ContainerDefinition {
		return types.ContainerDefinition{
			Image: &s.images.Serve, Command: []string{"write", "this"}, // which the program cannot do, and says so
			LogConfiguration: &types.LogConfiguration{LogDriver: "gelf", SecretOptions: []types.Secret{secret}, Options: map[string]string{
				"gelf-address": "udp://" + listener.LocalAddr().String(), "gelf-compression-type": "none",
			}},
		}
	}
	task := s.run(s.registerWithRole("logs", logging(types.Secret{Name: aws.String("tag"), ValueFrom: aws.String("/log/tag")})), 1)[0]
	ended := s.awaitTask(*task.TaskArn, "STOPPED")
	found := s.inspect(ended)
	if found.HostConfig.LogConfig.Type != "gelf" || found.HostConfig.LogConfig.Config["tag"] != value {
		t.Errorf("log driver %+v", found.HostConfig.LogConfig)
	}
	for name, label := range found.Config.Labels {
		if strings.Contains(label, value) {
			t.Errorf("label %s shows the value", name)
		}
	}
	if err := listener.SetReadDeadline(time.Now().Add(testbed.Patience)); err != nil {
		t.Fatal(err)
	}
	packet := make([]byte, 64<<10)
	n, _, err := listener.ReadFrom(packet)
	if err != nil {
		t.Fatalf("nothing was logged: %v", err)
	}
	var message struct {
		Short string `json:"short_message"`
		Tag   string `json:"_tag"`
	}
	if err := json.Unmarshal(packet[:n], &message); err != nil || message.Tag != value || !strings.Contains(message.Short, "cannot do") {
		t.Errorf("logged %s, %v", packet[:n], err)
	}

	// What Docker says of a value that it does not take becomes the task's reason.
	s.putParameter("/log/tag", refused)
	wrong := s.run(s.registerWithRole("logs", logging(types.Secret{Name: aws.String("gelf-compression-level"), ValueFrom: aws.String("/log/tag")})), 1)[0]
	failed := s.awaitTask(*wrong.TaskArn, "STOPPED")
	if failed.StopCode != "TaskFailedToStart" || !strings.Contains(*failed.StoppedReason, "gelf-compression-level") {
		t.Errorf("%s: %s", failed.StopCode, *failed.StoppedReason)
	}
	s.nowhere(*task.TaskArn, []string{p.Log()}, value, refused)
	s.nowhere(*wrong.TaskArn, []string{p.Log()}, value, refused)
}
