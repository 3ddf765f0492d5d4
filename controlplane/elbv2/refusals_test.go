package elbv2_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/awsjson"
	"github.com/longshore/longshore/controlplane/elbv2"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

func targets(ids ...string) []types.TargetDescription {
	var out []types.TargetDescription
	for _, id := range ids {
		out = append(out, types.TargetDescription{Id: &id})
	}
	return out
}

func tags(n int) []types.Tag {
	var out []types.Tag
	for i := range n {
		out = append(out, types.Tag{Key: aws.String(fmt.Sprint("k", i)), Value: aws.String("v")})
	}
	return out
}

func TestOperations_Refuse(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.update(func(tx *store.Tx) {
		tx.PutInstance(&model.Instance{ID: "i1", Cluster: "c", EC2InstanceID: "host-1", Status: model.StatusActive})
		tx.PutInstance(&model.Instance{ID: "i2", Cluster: "c", EC2InstanceID: "host-2", Status: model.StatusInactive})
	})
	host := f.create(web("host")).TargetGroupArn
	byIP := web("ip")
	byIP.TargetType = types.TargetTypeEnumIp
	ip := f.create(byIP).TargetGroupArn
	tcp := web("tcp")
	tcp.Protocol = types.ProtocolEnumTcp
	plain := f.create(tcp).TargetGroupArn
	f.update(func(tx *store.Tx) {
		tx.PutService(&model.Service{Cluster: "c", Name: "s", Status: model.StatusActive, Controller: ecs.DeploymentControllerTypeEXTERNAL,
			TaskSets: []model.TaskSet{{ID: "ecs-svc/1", Wiring: model.Wiring{LoadBalancers: []ecs.LoadBalancer{{TargetGroupArn: *host}}}}}})
	})
	gone, foreign := owner.TargetGroupARN("gone", "0123456789abcdef"), model.Owner{Account: "210987654321", Region: "us-east-1"}.TargetGroupARN("host", "0123456789abcdef")

	register := func(arn *string, targets ...types.TargetDescription) error {
		_, err := f.RegisterTargets(ctx, &elb.RegisterTargetsInput{TargetGroupArn: arn, Targets: targets})
		return err
	}
	modify := func(arn *string, change func(*elb.ModifyTargetGroupInput)) error {
		in := &elb.ModifyTargetGroupInput{TargetGroupArn: arn}
		change(in)
		_, err := f.ModifyTargetGroup(ctx, in)
		return err
	}
	attribute := func(arn *string, key, value string) error {
		_, err := f.ModifyTargetGroupAttributes(ctx, &elb.ModifyTargetGroupAttributesInput{TargetGroupArn: arn, Attributes: []types.TargetGroupAttribute{{Key: &key, Value: &value}}})
		return err
	}
	addTags := func(tags []types.Tag, arns ...string) error {
		_, err := f.AddTags(ctx, &elb.AddTagsInput{ResourceArns: arns, Tags: tags})
		return err
	}
	const (
		validation    = "ValidationError"
		notFound      = "TargetGroupNotFound"
		target        = "InvalidTarget"
		configuration = "InvalidConfigurationRequest"
	)
	for name, c := range map[string]struct {
		err  error
		code string
	}{
		"registering in a group that is not there":                {register(aws.String(string(gone)), targets("10.0.0.1")...), notFound},
		"registering in a group of another account":               {register(aws.String(string(foreign)), targets("10.0.0.1")...), notFound},
		"registering in what is no ARN":                           {register(aws.String("host"), targets("10.0.0.1")...), validation},
		"registering a host that is not there":                    {register(host, targets("host-9")...), target},
		"registering a host that is gone":                         {register(host, targets("host-2")...), target},
		"registering an address among hosts":                      {register(host, targets("10.0.0.1")...), target},
		"registering a host among addresses":                      {register(ip, targets("host-1")...), validation},
		"registering an IPv6 address":                             {register(ip, targets("::1")...), validation},
		"registering no address at all":                           {register(ip, targets("0.0.0.0")...), validation},
		"registering a multicast address":                         {register(ip, targets("224.0.0.1")...), validation},
		"registering one good and one bad":                        {register(ip, targets("10.0.0.1", "10.0.0.256")...), validation},
		"registering port 0":                                      {register(ip, types.TargetDescription{Id: aws.String("10.0.0.1"), Port: aws.Int32(0)}), validation},
		"registering port 65536":                                  {register(ip, types.TargetDescription{Id: aws.String("10.0.0.1"), Port: aws.Int32(65536)}), validation},
		"registering with an Availability Zone":                   {register(ip, types.TargetDescription{Id: aws.String("10.0.0.1"), AvailabilityZone: aws.String("a")}), configuration},
		"registering nothing":                                     {register(ip, []types.TargetDescription{}...), validation},
		"registering too many":                                    {register(ip, many(501)...), "TooManyTargets"},
		"an interval that is too short":                           {modify(host, func(in *elb.ModifyTargetGroupInput) { in.HealthCheckIntervalSeconds = aws.Int32(4) }), validation},
		"an interval that is too long":                            {modify(host, func(in *elb.ModifyTargetGroupInput) { in.HealthCheckIntervalSeconds = aws.Int32(301) }), validation},
		"a timeout that is too long":                              {modify(host, func(in *elb.ModifyTargetGroupInput) { in.HealthCheckTimeoutSeconds = aws.Int32(121) }), validation},
		"a timeout that is as long as the interval":               {modify(host, func(in *elb.ModifyTargetGroupInput) { in.HealthCheckTimeoutSeconds = aws.Int32(30) }), validation},
		"a threshold that is too low":                             {modify(host, func(in *elb.ModifyTargetGroupInput) { in.HealthyThresholdCount = aws.Int32(1) }), validation},
		"a threshold that is too high":                            {modify(host, func(in *elb.ModifyTargetGroupInput) { in.UnhealthyThresholdCount = aws.Int32(11) }), validation},
		"a code that no load balancer of HTTP takes":              {modify(host, func(in *elb.ModifyTargetGroupInput) { in.Matcher = &types.Matcher{HttpCode: aws.String("200-500")} }), validation},
		"codes that are none":                                     {modify(host, func(in *elb.ModifyTargetGroupInput) { in.Matcher = &types.Matcher{HttpCode: aws.String("+200")} }), validation},
		"a matcher of a check over TCP":                           {modify(plain, func(in *elb.ModifyTargetGroupInput) { in.Matcher = &types.Matcher{HttpCode: aws.String("200")} }), validation},
		"a path with a space":                                     {modify(host, func(in *elb.ModifyTargetGroupInput) { in.HealthCheckPath = aws.String("/a b") }), validation},
		"a path that is too long":                                 {modify(host, func(in *elb.ModifyTargetGroupInput) { in.HealthCheckPath = aws.String("/" + strings.Repeat("a", 1024)) }), validation},
		"a port with a sign":                                      {modify(host, func(in *elb.ModifyTargetGroupInput) { in.HealthCheckPort = aws.String("+80") }), validation},
		"modifying a group that is not there":                     {modify(aws.String(string(gone)), func(*elb.ModifyTargetGroupInput) {}), notFound},
		"an attribute that does not exist":                        {attribute(host, "color", "red"), validation},
		"an attribute that is not a number":                       {attribute(host, "deregistration_delay.timeout_seconds", "x"), validation},
		"an attribute below its range":                            {attribute(host, "deregistration_delay.timeout_seconds", "-1"), validation},
		"an attribute that nothing follows":                       {attribute(host, "stickiness.enabled", "true"), configuration},
		"an attribute of groups for HTTP, for TCP":                {attribute(plain, "slow_start.duration_seconds", "0"), configuration},
		"an attribute of functions":                               {attribute(host, "lambda.multi_value_headers.enabled", "false"), configuration},
		"attributes of a group that is not there":                 {attribute(aws.String(string(gone)), "deregistration_delay.timeout_seconds", "1"), notFound},
		"tags of a group that is not there":                       {addTags(tags(1), string(gone)), notFound},
		"tags of nothing":                                         {addTags(tags(1), []string{}...), validation},
		"no tags":                                                 {addTags([]types.Tag{}, *host), validation},
		"too many tags":                                           {addTags(tags(51), *host), "TooManyTags"},
		"a tag of AWS":                                            {addTags([]types.Tag{{Key: aws.String("aws:x"), Value: aws.String("")}}, *host), validation},
		"a tag with a line break":                                 {addTags([]types.Tag{{Key: aws.String("x"), Value: aws.String("a\nb")}}, *host), validation},
		"the tags of one group that is there and one that is not": {addTags(tags(1), *host, string(gone)), notFound},
		"deleting a group that a service names":                   {second(f.DeleteTargetGroup(ctx, &elb.DeleteTargetGroupInput{TargetGroupArn: host})), "ResourceInUse"},
		"deleting what is no ARN":                                 {second(f.DeleteTargetGroup(ctx, &elb.DeleteTargetGroupInput{TargetGroupArn: aws.String("x")})), validation},
		"the health of a group that is not there":                 {second(f.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: aws.String(string(gone))})), notFound},
		"the health of a host that is not there":                  {second(f.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: host, Targets: targets("host-9")})), target},
		"deregistering nothing":                                   {second(f.DeregisterTargets(ctx, &elb.DeregisterTargetsInput{TargetGroupArn: ip, Targets: []types.TargetDescription{}})), validation},
		"attributes described of a group that is not there":       {second(f.DescribeTargetGroupAttributes(ctx, &elb.DescribeTargetGroupAttributesInput{TargetGroupArn: aws.String(string(gone))})), notFound},
		"names and ARNs at once":                                  {second(f.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{Names: []string{"host"}, TargetGroupArns: []string{*host}})), validation},
		"a page that is too large":                                {second(f.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{PageSize: aws.Int32(401)})), validation},
		"the groups of a load balancer":                           {second(f.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{LoadBalancerArn: aws.String("arn:x")})), "LoadBalancerNotFound"},
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, c.err, c.code) })
	}
	for g := range f.store.View().TargetGroups("") {
		if len(g.Manual) > 0 || len(g.Tags) > 0 {
			t.Errorf("a refused request has changed %s: %+v", g.Name, g)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func many(n int) []types.TargetDescription {
	var out []types.TargetDescription
	for i := range n {
		out = append(out, types.TargetDescription{Id: aws.String("10.0.0.1"), Port: aws.Int32(int32(i + 1))})
	}
	return out
}

// parameters are the names in requests of all operations, and values that mean
// something in them.
var parameters = []string{
	"Name", "Names.member.1", "Names.member.2", "TargetGroupArn", "TargetGroupArns.member.1", "LoadBalancerArn", "Protocol", "ProtocolVersion", "Port", "VpcId", "TargetType",
	"IpAddressType", "HealthCheckProtocol", "HealthCheckPort", "HealthCheckPath", "HealthCheckEnabled", "HealthCheckIntervalSeconds",
	"HealthCheckTimeoutSeconds", "HealthyThresholdCount", "UnhealthyThresholdCount", "Matcher.HttpCode", "Matcher.GrpcCode", "Marker", "PageSize",
	"Targets.member.1.Id", "Targets.member.1.Port", "Targets.member.2.Id", "Targets.member.1.AvailabilityZone", "Attributes.member.1.Key", "Attributes.member.1.Value",
	"ResourceArns.member.1", "Tags.member.1.Key", "Tags.member.1.Value", "Tags.member.2.Key", "TagKeys.member.1", "Include.member.1",
}

var operationNames = []string{
	"CreateTargetGroup", "ModifyTargetGroup", "DescribeTargetGroups", "DeleteTargetGroup", "ModifyTargetGroupAttributes", "DescribeTargetGroupAttributes",
	"RegisterTargets", "DeregisterTargets", "DescribeTargetHealth", "AddTags", "RemoveTags", "DescribeTags", "DescribeLoadBalancers", "",
}

// wellFormed are requests that operations take as they are, of some group.
var wellFormed = map[string]map[string]string{
	"CreateTargetGroup":             {"Name": "web", "Protocol": "HTTP", "Port": "80", "VpcId": "vpc-1"},
	"ModifyTargetGroup":             {"TargetGroupArn": "", "HealthCheckIntervalSeconds": "20"},
	"ModifyTargetGroupAttributes":   {"TargetGroupArn": "", "Attributes.member.1.Key": "deregistration_delay.timeout_seconds", "Attributes.member.1.Value": "5"},
	"DescribeTargetGroupAttributes": {"TargetGroupArn": ""},
	"RegisterTargets":               {"TargetGroupArn": "", "Targets.member.1.Id": "10.0.0.1"},
	"DeregisterTargets":             {"TargetGroupArn": "", "Targets.member.1.Id": "10.0.0.1"},
	"DescribeTargetHealth":          {"TargetGroupArn": ""},
}

func TestAnyForm_GetsAnAnswerOfTheAPI(t *testing.T) {
	f := newFixture(t)
	byIP := web("ip")
	byIP.TargetType = types.TargetTypeEnumIp
	arns := []string{*f.create(web("web")).TargetGroupArn, *f.create(byIP).TargetGroupArn}
	open := httptest.NewServer(api.New(api.Config{
		Owner: owner, Store: func() *store.Store { return f.store },
		Services: []awsjson.Service{elbv2.New(elbv2.Config{Owner: owner})},
	}))
	t.Cleanup(open.Close)
	values := append(arns, "", "web", "ip", "x", "HTTP", "HTTPS", "TCP", "UDP", "GRPC", "HTTP1", "instance", "ip", "10.0.0.1", "0", "1", "5", "80", "70000", "-1", "99999999999999999999", "true", "false",
		"200", "200-299", "1-", "/", "traffic-port", "deregistration_delay.timeout_seconds", "nö\x00\u2028", "\xff\xfe", "%", "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/", strings.Repeat("n", 5000), "dGFyZ2V0Z3JvdXBzCndlYg")
	succeeded := map[string]bool{}
	rapid.Check(t, func(t *rapid.T) {
		operation := rapid.SampledFrom(operationNames).Draw(t, "operation")
		form := url.Values{"Action": {operation}, "Version": {"2015-12-01"}}
		if rapid.Bool().Draw(t, "begins well") {
			for name, value := range wellFormed[operation] {
				form.Set(name, value)
			}
			if form.Has("TargetGroupArn") {
				form.Set("TargetGroupArn", rapid.SampledFrom(arns).Draw(t, "of group"))
			}
		}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(parameters), 0, 6, rapid.ID).Draw(t, "parameters") {
			form.Set(name, rapid.SampledFrom(values).Draw(t, name))
		}
		if strings.Contains(operation, "Attributes") || strings.Contains(operation, "Health") || strings.Contains(operation, "Targets") {
			form.Set("TargetGroupArn", rapid.SampledFrom(arns).Draw(t, "group"))
		}
		body := form.Encode()
		if rapid.IntRange(0, 19).Draw(t, "garbled") == 0 {
			body = strings.Replace(body, "%", "%%", 1) + "&;=&=&%zz"
		}
		answer, err := http.Post(open.URL, "application/x-www-form-urlencoded; charset=utf-8", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode == http.StatusOK {
			succeeded[operation] = true
		} else if answer.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "<Code>") {
			t.Fatalf("%s: %d %s", body, answer.StatusCode, text)
		}
	})
	if len(succeeded) < 4 {
		t.Errorf("only %v ever succeeded: the requests do not go deep", succeeded)
	}
}
