package elbv2_test

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/smithy-go"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/awsjson"
	"github.com/longshore/longshore/controlplane/elbv2"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/ecs"
)

var owner = model.Owner{Account: "123456789012", Region: "us-east-1"}

// fixture is the API over HTTP with callers that are checked, called by the AWS SDK.
type fixture struct {
	*elb.Client
	t     *testing.T
	store *store.Store
	url   string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, store: storetest.New(t, nil)}
	server := httptest.NewServer(api.New(api.Config{
		Owner: owner, Store: func() *store.Store { return f.store }, Keys: map[string]string{"AKIDEXAMPLE": "secret"},
		Services: []awsjson.Service{elbv2.New(elbv2.Config{Owner: owner})},
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
	f.Client = f.as("secret")
	return f
}

func (f *fixture) as(secret string) *elb.Client {
	return elb.New(elb.Options{
		BaseEndpoint: &f.url, Region: owner.Region, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", secret, ""),
	})
}

func (f *fixture) update(change func(*store.Tx)) {
	f.t.Helper()
	if err := f.store.Update(f.t.Context(), func(tx *store.Tx) error { change(tx); return nil }); err != nil {
		f.t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

func web(name string) *elb.CreateTargetGroupInput {
	return &elb.CreateTargetGroupInput{Name: &name, Protocol: types.ProtocolEnumHttp, Port: aws.Int32(80)}
}

func (f *fixture) create(in *elb.CreateTargetGroupInput) types.TargetGroup {
	f.t.Helper()
	out, err := f.CreateTargetGroup(f.t.Context(), in)
	if err != nil {
		f.t.Fatal(err)
	}
	return out.TargetGroups[0]
}

func TestCreateTargetGroup_FillsInWhatELBv2DoesAndCanBeRepeated(t *testing.T) {
	f := newFixture(t)
	g := f.create(web("web"))
	if *g.HealthCheckPath != "/" || *g.HealthCheckIntervalSeconds != 30 || *g.HealthCheckTimeoutSeconds != 5 || *g.HealthyThresholdCount != 5 ||
		*g.UnhealthyThresholdCount != 2 || *g.Matcher.HttpCode != "200" || *g.HealthCheckPort != "traffic-port" || g.TargetType != types.TargetTypeEnumInstance {
		t.Errorf("an HTTP group: %+v", g)
	}
	if again := f.create(web("web")); *again.TargetGroupArn != *g.TargetGroupArn {
		t.Errorf("the same again has another ARN")
	}
	other := web("web")
	other.Port = aws.Int32(81)
	_, err := f.CreateTargetGroup(t.Context(), other)
	wantCode(t, err, "DuplicateTargetGroupName")

	tcp := web("tcp")
	tcp.Protocol = types.ProtocolEnumTcp
	if g := f.create(tcp); g.HealthCheckPath != nil || g.Matcher != nil || *g.HealthCheckTimeoutSeconds != 10 || g.HealthCheckProtocol != types.ProtocolEnumTcp {
		t.Errorf("a TCP group: %+v", g)
	}
	grpc := web("grpc")
	grpc.ProtocolVersion = aws.String("GRPC")
	if g := f.create(grpc); *g.Matcher.GrpcCode != "12" || *g.HealthCheckPath != "/AWS.ALB/healthcheck" {
		t.Errorf("a gRPC group: %+v", g)
	}
}

func TestCreateTargetGroup_Refuses(t *testing.T) {
	f := newFixture(t)
	for name, c := range map[string]struct {
		change func(*elb.CreateTargetGroupInput)
		code   string
	}{
		"a bad name":      {func(in *elb.CreateTargetGroupInput) { in.Name = aws.String("-a") }, "ValidationError"},
		"no protocol":     {func(in *elb.CreateTargetGroupInput) { in.Protocol = "" }, "ValidationError"},
		"no port":         {func(in *elb.CreateTargetGroupInput) { in.Port = nil }, "ValidationError"},
		"UDP":             {func(in *elb.CreateTargetGroupInput) { in.Protocol = types.ProtocolEnumUdp }, "UnsupportedProtocol"},
		"HTTP2":           {func(in *elb.CreateTargetGroupInput) { in.ProtocolVersion = aws.String("HTTP2") }, "InvalidConfigurationRequest"},
		"functions":       {func(in *elb.CreateTargetGroupInput) { in.TargetType = types.TargetTypeEnumLambda }, "InvalidConfigurationRequest"},
		"IPv6":            {func(in *elb.CreateTargetGroupInput) { in.IpAddressType = types.TargetGroupIpAddressTypeEnumIpv6 }, "InvalidConfigurationRequest"},
		"no health check": {func(in *elb.CreateTargetGroupInput) { in.HealthCheckEnabled = aws.Bool(false) }, "ValidationError"},
		"too often":       {func(in *elb.CreateTargetGroupInput) { in.HealthCheckIntervalSeconds = aws.Int32(4) }, "ValidationError"},
		"too slow":        {func(in *elb.CreateTargetGroupInput) { in.HealthCheckTimeoutSeconds = aws.Int32(30) }, "ValidationError"},
		"a bad path":      {func(in *elb.CreateTargetGroupInput) { in.HealthCheckPath = aws.String("x") }, "ValidationError"},
		"a bad matcher":   {func(in *elb.CreateTargetGroupInput) { in.Matcher = &types.Matcher{HttpCode: aws.String("300-200")} }, "ValidationError"},
		"codes of gRPC":   {func(in *elb.CreateTargetGroupInput) { in.Matcher = &types.Matcher{GrpcCode: aws.String("0")} }, "ValidationError"},
		"a bad port":      {func(in *elb.CreateTargetGroupInput) { in.HealthCheckPort = aws.String("web") }, "ValidationError"},
		"a tag twice": {func(in *elb.CreateTargetGroupInput) {
			in.Tags = []types.Tag{{Key: aws.String("k")}, {Key: aws.String("k")}}
		}, "DuplicateTagKeys"},
		"a check over TCP": {func(in *elb.CreateTargetGroupInput) { in.HealthCheckProtocol = types.ProtocolEnumTcp }, "ValidationError"},
	} {
		t.Run(name, func(t *testing.T) {
			in := web("refused")
			c.change(in)
			_, err := f.CreateTargetGroup(t.Context(), in)
			wantCode(t, err, c.code)
		})
	}
	for range f.store.View().TargetGroups("") {
		t.Error("a refused request has made a group")
	}
}

func TestDescribeTargetGroups_PagesAndFinds(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"c", "a", "b"} {
		f.create(web(name))
	}
	pages := elb.NewDescribeTargetGroupsPaginator(f, &elb.DescribeTargetGroupsInput{PageSize: aws.Int32(2)})
	var names string
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range page.TargetGroups {
			names += *g.TargetGroupName
		}
		names += "."
	}
	if names != "ab.c." {
		t.Errorf("pages: %s", names)
	}
	_, err := f.DescribeTargetGroups(t.Context(), &elb.DescribeTargetGroupsInput{Names: []string{"a", "x"}})
	wantCode(t, err, "TargetGroupNotFound")
	_, err = f.DescribeTargetGroups(t.Context(), &elb.DescribeTargetGroupsInput{Marker: aws.String("x")})
	wantCode(t, err, "ValidationError")
	_, err = f.as("wrong").DescribeTargetGroups(t.Context(), &elb.DescribeTargetGroupsInput{})
	wantCode(t, err, "SignatureDoesNotMatch")
	_, err = f.DescribeLoadBalancers(t.Context(), &elb.DescribeLoadBalancersInput{})
	wantCode(t, err, "InvalidAction")
}

func TestModifyTargetGroup_ChangesTheCheckAndTheDelay(t *testing.T) {
	f := newFixture(t)
	arn := f.create(web("web")).TargetGroupArn
	out, err := f.ModifyTargetGroup(t.Context(), &elb.ModifyTargetGroupInput{TargetGroupArn: arn, HealthCheckPath: aws.String("/up")})
	if err != nil || *out.TargetGroups[0].HealthCheckPath != "/up" || *out.TargetGroups[0].HealthCheckIntervalSeconds != 30 {
		t.Errorf("modified: %+v %v", out, err)
	}
	set := func(key, value string) error {
		_, err := f.ModifyTargetGroupAttributes(t.Context(), &elb.ModifyTargetGroupAttributesInput{
			TargetGroupArn: arn, Attributes: []types.TargetGroupAttribute{{Key: &key, Value: &value}},
		})
		return err
	}
	if err := set("deregistration_delay.timeout_seconds", "7"); err != nil {
		t.Error(err)
	}
	if err := set("stickiness.enabled", "false"); err != nil {
		t.Errorf("turning off what is off: %v", err)
	}
	wantCode(t, set("deregistration_delay.timeout_seconds", "3601"), "ValidationError")
	wantCode(t, set("slow_start.duration_seconds", "30"), "InvalidConfigurationRequest")
	attributes, err := f.DescribeTargetGroupAttributes(t.Context(), &elb.DescribeTargetGroupAttributesInput{TargetGroupArn: arn})
	if err != nil || *attributes.Attributes[0].Value != "7" {
		t.Errorf("attributes: %+v %v", attributes, err)
	}
}

func TestTargets_OfCallersAreDrainedAndThoseOfServicesAreNotTheirs(t *testing.T) {
	f := newFixture(t)
	in := web("ip")
	in.TargetType = types.TargetTypeEnumIp
	arn := f.create(in).TargetGroupArn
	targets := []types.TargetDescription{{Id: aws.String("10.0.0.1"), Port: aws.Int32(8080)}}
	if _, err := f.RegisterTargets(t.Context(), &elb.RegisterTargetsInput{TargetGroupArn: arn, Targets: targets}); err != nil {
		t.Fatal(err)
	}
	state := func() types.TargetHealthStateEnum {
		t.Helper()
		out, err := f.DescribeTargetHealth(t.Context(), &elb.DescribeTargetHealthInput{TargetGroupArn: arn, Targets: targets})
		if err != nil || len(out.TargetHealthDescriptions) != 1 {
			t.Fatalf("%+v %v", out, err)
		}
		return out.TargetHealthDescriptions[0].TargetHealth.State
	}
	if s := state(); s != types.TargetHealthStateEnumUnavailable {
		t.Errorf("registered: %s", s)
	}
	if _, err := f.DeregisterTargets(t.Context(), &elb.DeregisterTargetsInput{TargetGroupArn: arn, Targets: targets}); err != nil {
		t.Fatal(err)
	}
	if s := state(); s != types.TargetHealthStateEnumDraining {
		t.Errorf("deregistered: %s", s)
	}
	_, err := f.DeregisterTargets(t.Context(), &elb.DeregisterTargetsInput{TargetGroupArn: arn, Targets: []types.TargetDescription{{Id: aws.String("10.0.0.2")}}})
	if err != nil {
		t.Errorf("a target that is not registered: %v, want that to be well", err)
	}
	_, err = f.RegisterTargets(t.Context(), &elb.RegisterTargetsInput{TargetGroupArn: arn, Targets: []types.TargetDescription{{Id: aws.String("host")}}})
	wantCode(t, err, "ValidationError")
}

func TestDescribeTargetHealth_ShowsTheTasksOfServices(t *testing.T) {
	f := newFixture(t)
	arn := f.create(web("web")).TargetGroupArn
	now := time.Now()
	task := model.Task{
		ID: "t1", Cluster: "c", Instance: "i1", Service: "s", LastStatus: model.TaskRunning, DesiredStatus: model.TaskRunning, RegisteredAt: now,
		Targets: []model.Target{{Group: model.TargetGroupARN(*arn), Container: "main", ContainerPort: 80}},
		Containers: []model.Container{{Name: "main", NetworkBindings: []ecs.NetworkBinding{
			{ContainerPort: aws.Int32(80), HostPort: aws.Int32(49153), Protocol: "tcp"}}}},
	}
	f.update(func(tx *store.Tx) {
		tx.PutInstance(&model.Instance{ID: "i1", Cluster: "c", EC2InstanceID: "host-1", Status: model.StatusActive,
			Attributes: []ecs.Attribute{{Name: model.AddressAttribute, Value: aws.String("10.0.0.9")}}})
		first := task
		tx.PutTask(&first)
	})
	show := func() types.TargetHealthDescription {
		t.Helper()
		out, err := f.DescribeTargetHealth(t.Context(), &elb.DescribeTargetHealthInput{TargetGroupArn: arn})
		if err != nil || len(out.TargetHealthDescriptions) != 1 {
			t.Fatalf("%+v %v", out, err)
		}
		return out.TargetHealthDescriptions[0]
	}
	if d := show(); *d.Target.Id != "host-1" || *d.Target.Port != 49153 || d.TargetHealth.State != "initial" || *d.HealthCheckPort != "49153" {
		t.Errorf("a new task: %+v %+v", d.Target, d.TargetHealth)
	}
	failing := task
	failing.Targets = []model.Target{{Group: model.TargetGroupARN(*arn), Container: "main", ContainerPort: 80, Health: model.TargetUnhealthy, Reason: "Target.Timeout", Description: "Request timed out"}}
	f.update(func(tx *store.Tx) { tx.PutTask(&failing) })
	if d := show(); d.TargetHealth.State != "unhealthy" || d.TargetHealth.Reason != types.TargetHealthReasonEnumTimeout {
		t.Errorf("a task that fails: %+v", d.TargetHealth)
	}
	_, err := f.DeleteTargetGroup(t.Context(), &elb.DeleteTargetGroupInput{TargetGroupArn: arn})
	wantCode(t, err, "ResourceInUse")
	_, err = f.DeregisterTargets(t.Context(), &elb.DeregisterTargetsInput{TargetGroupArn: arn, Targets: []types.TargetDescription{{Id: aws.String("host-1")}}})
	wantCode(t, err, "InvalidTarget")
	f.update(func(tx *store.Tx) { tx.DeleteTask(&task) })
	if _, err := f.DeleteTargetGroup(t.Context(), &elb.DeleteTargetGroupInput{TargetGroupArn: arn}); err != nil {
		t.Error(err)
	}
}

func TestTags_OfTargetGroups(t *testing.T) {
	f := newFixture(t)
	arn := *f.create(web("web")).TargetGroupArn
	if _, err := f.AddTags(t.Context(), &elb.AddTagsInput{ResourceArns: []string{arn}, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}, {Key: aws.String("l"), Value: aws.String("")}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.RemoveTags(t.Context(), &elb.RemoveTagsInput{ResourceArns: []string{arn}, TagKeys: []string{"l"}}); err != nil {
		t.Fatal(err)
	}
	out, err := f.DescribeTags(t.Context(), &elb.DescribeTagsInput{ResourceArns: []string{arn}})
	if err != nil || len(out.TagDescriptions) != 1 || len(out.TagDescriptions[0].Tags) != 1 || *out.TagDescriptions[0].Tags[0].Value != "v" {
		t.Errorf("tags: %+v %v", out, err)
	}
}
