package main_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// A task asks its host, and the host the control plane.
func TestDev_TasksAskForMetadataTagsAndProtection(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can set up an address")
	}
	if _, err := exec.LookPath("iptables"); err != nil {
		t.Skip("there is no iptables: ", err)
	}
	s := newSite(t)
	address := fmt.Sprintf("169.254.%d.%d", 180+rand.IntN(60), 1+rand.IntN(250))
	p := s.dev("--metadata-addr", address)
	out := t.TempDir()
	definition, err := s.ecs.RegisterTaskDefinition(t.Context(), &awsecs.RegisterTaskDefinitionInput{
		Family:  aws.String(s.cluster()),
		Volumes: []types.Volume{{Name: aws.String("out"), Host: &types.HostVolumeProperties{SourcePath: aws.String(out)}}},
		ContainerDefinitions: []types.ContainerDefinition{{
			Name: aws.String("main"), Image: aws.String(s.images.Serve), Memory: aws.Int32(64), Command: []string{"fetch", "/out"},
			MountPoints: []types.MountPoint{{SourceVolume: aws.String("out"), ContainerPath: aws.String("/out")}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.ecs.CreateService(t.Context(), &awsecs.CreateServiceInput{
		Cluster: aws.String(s.cluster()), ServiceName: aws.String("asks"), TaskDefinition: definition.TaskDefinition.TaskDefinitionArn,
		DesiredCount: aws.Int32(1), PropagateTags: types.PropagateTagsService, Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("blue")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"protection": `"ProtectionEnabled":true`,
		"tags":       `"TaskTags":{"team":"blue"}`,
		"task":       `"ServiceName":"asks"`,
		"container":  `"ContainerARN":"arn:aws:ecs:us-east-1:000000000000:container/` + s.cluster() + `/`,
	} {
		s.await(name, func() bool {
			text, err := os.ReadFile(filepath.Join(out, name))
			return err == nil && strings.HasPrefix(string(text), "200\n") && strings.Contains(string(text), want)
		})
	}
	p.Stop()
	if left, err := exec.Command("iptables", "-w", "-t", "nat", "-S").Output(); err != nil || strings.Contains(string(left), address) {
		t.Errorf("rules are left behind: %v\n%s", err, left)
	}
}
