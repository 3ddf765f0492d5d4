package main_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/longshore/longshore/controlplane/store/embedded"
	"github.com/longshore/longshore/scripts/testbed"
)

func balancing(address string) *elb.Client {
	return elb.New(elb.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://" + address),
		Credentials: credentials.NewStaticCredentialsProvider("any", "thing", ""),
	})
}

// targetList is what an endpoints address says of a group; "" if it does not answer.
func targetList(ctx context.Context, address, group string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/prometheus/groups/"+group, nil)
	if err != nil {
		return ""
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}

// A proxy that asks any control plane hears of changes, and goes on with what it
// knows while another one takes over.
func TestEndpoints_AreTheSameAtEveryControlPlaneAndSurviveTheLeader(t *testing.T) {
	s := newSite(t)
	etcd, err := embedded.Start(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { etcd.Close() })
	standby, standbyAPI := testbed.FreeAddress(t), testbed.FreeAddress(t)
	leading := s.plane("p1", s.api, s.agents, "--etcd-endpoints", etcd.Endpoint(), "--endpoints-addr", s.endpoints).AwaitReady()
	s.plane("p2", standbyAPI, testbed.FreeAddress(t), "--etcd-endpoints", etcd.Endpoint(), "--endpoints-addr", standby).AwaitReady()
	made, err := balancing(s.api).CreateTargetGroup(t.Context(), &elb.CreateTargetGroupInput{
		Name: aws.String("web"), Protocol: types.ProtocolEnumHttp, Port: aws.Int32(80), TargetType: types.TargetTypeEnumIp, VpcId: aws.String("vpc-1"),
	})
	if err != nil {
		t.Fatal(err)
	}
	register := func(api, address string) error {
		_, err := balancing(api).RegisterTargets(t.Context(), &elb.RegisterTargetsInput{
			TargetGroupArn: made.TargetGroups[0].TargetGroupArn, Targets: []types.TargetDescription{{Id: &address, Port: aws.Int32(8080)}},
		})
		return err
	}
	for _, address := range []string{"10.0.0.1", "10.0.0.2"} {
		if err := register(s.api, address); err != nil {
			t.Fatal(err)
		}
		s.await(address+" at both control planes", func() bool {
			return strings.Contains(targetList(t.Context(), s.endpoints, "web"), address+":8080") &&
				strings.Contains(targetList(t.Context(), standby, "web"), address+":8080")
		})
	}
	before := targetList(t.Context(), standby, "web")
	leading.Kill()
	if now := targetList(t.Context(), standby, "web"); now != before {
		t.Errorf("without a leader the other one says %q, want what it said before: %q", now, before)
	}
	s.await("the other one to lead", func() bool { return register(standbyAPI, "10.0.0.3") == nil })
	s.await("a target registered at the new leader", func() bool {
		list := targetList(t.Context(), standby, "web")
		return strings.Contains(list, "10.0.0.1:8080") && strings.Contains(list, "10.0.0.3:8080")
	})
}
