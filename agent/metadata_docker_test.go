package agent_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/longshore/longshore/agent"
	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/docker"
	"github.com/longshore/longshore/agent/metadata"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

const testRole = "arn:aws:iam::000000000000:role/reader"

// TaskProtection grants what is asked for.
func (c *controlPlane) TaskProtection(_ context.Context, r *agentv1.TaskProtectionRequest) (*agentv1.TaskProtectionResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Update != nil {
		c.protected = r.Update.Enabled
	}
	output, err := json.Marshal(ecs.GetTaskProtectionResponse{
		ProtectedTasks: []ecs.ProtectedTask{{TaskArn: r.Task, ProtectionEnabled: c.protected}}, Failures: []ecs.Failure{},
	})
	return &agentv1.TaskProtectionResponse{Output: output}, err
}

func (c *controlPlane) TaskTags(context.Context, *agentv1.TaskTagsRequest) (*agentv1.TaskTagsResponse, error) {
	return &agentv1.TaskTagsResponse{
		Task: []*agentv1.Tag{{Key: "of", Value: "task"}}, ContainerInstance: []*agentv1.Tag{{Key: "of", Value: "instance"}},
	}, nil
}

// ownMetadata gives an agent an address that no other test has, so that it and
// the rules for it go with it.
func ownMetadata(t *testing.T) *agent.MetadataConfig {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can set up an address")
	}
	if _, err := exec.LookPath("iptables"); err != nil {
		t.Skip("there is no iptables: ", err)
	}
	file := filepath.Join(t.TempDir(), "roles.json")
	text := `{"` + testRole + `": {"AccessKeyId": "AKIDTEST", "SecretAccessKey": "secret", "SessionToken": "token"}}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	roles, err := metadata.NewRoles(metadata.RolesConfig{File: file})
	if err != nil {
		t.Fatal(err)
	}
	address := netip.AddrFrom4([4]byte{169, 254, byte(180 + rand.IntN(60)), byte(1 + rand.IntN(250))})
	return &agent.MetadataConfig{Address: address, RunDir: filepath.Join(t.TempDir(), "run"), Roles: roles}
}

// TestMetadata_FromContainersOfEveryNetworkMode asks from real containers.
func TestMetadata_FromContainersOfEveryNetworkMode(t *testing.T) {
	address := agenttest.DockerHost(t)
	config := ownMetadata(t)
	images := agenttest.ImportImages(t, address)
	engine, err := docker.New(docker.Config{Host: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	c := newControlPlane(t)
	t.Cleanup(func() { clear(t, c, engine) })
	newHost(t, c, engine, func(a *agent.Config) { a.Metadata = config })

	for _, mode := range []struct {
		network ecs.NetworkMode
		reached bool
	}{
		{ecs.NetworkModeBridge, true},
		{ecs.NetworkModeHost, true},
		{ecs.NetworkModeNone, false},
		{ecs.NetworkModeAwsvpc, true},
	} {
		t.Run(string(mode.network), func(t *testing.T) {
			f := fetched{t, t.TempDir()}
			arn := "arn:aws:ecs:us-east-1:000000000000:task/default/" + strings.Repeat("0", 24) + string(mode.network)
			c.run(arn, ecs.TaskDefinition{
				Family: "fetch", Revision: 3, NetworkMode: mode.network, TaskRoleArn: testRole,
				Volumes: []ecs.Volume{{Name: "out", Host: &ecs.HostVolumeProperties{SourcePath: f.dir}}},
				ContainerDefinitions: []ecs.ContainerDefinition{{
					Name: "main", Image: images.Serve, Command: []string{"fetch", "/out"}, Memory: ptr(int32(64)), Cpu: 10,
					MountPoints: []ecs.MountPoint{{SourceVolume: "out", ContainerPath: "/out"}},
				}},
			})
			c.becomes(arn, "STOPPED")
			f.check(arn, mode.network, mode.reached)
		})
	}
}

// fetched is what the program wrote down.
type fetched struct {
	t   *testing.T
	dir string
}

func (f fetched) read(name string) (status, body string) {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil {
		f.t.Fatal(err)
	}
	status, body, _ = strings.Cut(string(text), "\n")
	return status, body
}

func (f fetched) decode(name string, into any) {
	f.t.Helper()
	status, body := f.read(name)
	if status != "200" {
		f.t.Fatalf("%s: %s %s", name, status, body)
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		f.t.Fatalf("%s: %v: %s", name, err, body)
	}
}

func (f fetched) check(arn string, network ecs.NetworkMode, reached bool) {
	t := f.t
	if !reached {
		if status, body := f.read("container"); status != "error" {
			t.Errorf("a container without a network was answered: %s %s", status, body)
		}
		return
	}
	var container struct {
		DockerId, Name, KnownStatus, DesiredStatus, ImageID, Type string
		Limits                                                    struct{ CPU, Memory int }
		Networks                                                  []struct {
			NetworkMode                                               string
			IPv4Addresses                                             []string
			AttachmentIndex                                           *int
			MACAddress, IPv4SubnetCIDRBlock, SubnetGatewayIpv4Address string
			PrivateDNSName                                            string
		}
	}
	f.decode("container", &container)
	if container.DockerId == "" || container.Name != "main" || container.KnownStatus != "RUNNING" || container.DesiredStatus != "RUNNING" ||
		container.ImageID == "" || container.Type != "NORMAL" || container.Limits.CPU != 10 || container.Limits.Memory != 64 {
		t.Errorf("container: %+v", container)
	}
	n := container.Networks
	if len(n) != 1 || n[0].NetworkMode != string(network) || (network != ecs.NetworkModeHost) != (len(n[0].IPv4Addresses) == 1) {
		t.Fatalf("networks: %+v", n)
	}
	if own := network == ecs.NetworkModeAwsvpc; own != (n[0].AttachmentIndex != nil) || own != (n[0].MACAddress != "") || own != strings.Contains(n[0].IPv4SubnetCIDRBlock, "/") ||
		own != strings.Contains(n[0].SubnetGatewayIpv4Address, "/") || own != (len(n[0].PrivateDNSName) == 12) {
		t.Errorf("network: %+v", n[0])
	}
	var task struct {
		TaskARN, Family, Revision, KnownStatus string
		TaskTags, ContainerInstanceTags        map[string]string
		Containers                             []struct{ Name string }
	}
	f.decode("tags", &task)
	if task.TaskARN != arn || task.Family != "fetch" || task.Revision != "3" || task.KnownStatus != "RUNNING" ||
		task.TaskTags["of"] != "task" || task.ContainerInstanceTags["of"] != "instance" || len(task.Containers) != 1 {
		t.Errorf("task: %+v", task)
	}
	var stats map[string]json.RawMessage
	f.decode("stats", &stats)
	if len(stats["cpu_stats"]) == 0 || len(stats["precpu_stats"]) == 0 || (network != ecs.NetworkModeHost) != (len(stats["network_rate_stats"]) > 0) {
		t.Errorf("stats: %s", stats)
	}
	var all map[string]json.RawMessage
	f.decode("task-stats", &all)
	if len(all[container.DockerId]) < 10 {
		t.Errorf("task stats: %s", all)
	}
	var credentials map[string]string
	f.decode("credentials", &credentials)
	if credentials["AccessKeyId"] != "AKIDTEST" || credentials["Token"] != "token" || credentials["RoleArn"] != testRole || credentials["Expiration"] == "" {
		t.Errorf("credentials: %v", credentials)
	}
	var protection struct {
		Protection struct {
			ProtectionEnabled bool
			TaskArn           string
		} `json:"protection"`
	}
	f.decode("protection", &protection)
	if !protection.Protection.ProtectionEnabled || protection.Protection.TaskArn != arn {
		t.Errorf("protection: %+v", protection)
	}
}
