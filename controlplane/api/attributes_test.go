package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func attribute(name, value, target string) types.Attribute {
	a := types.Attribute{Name: &name, TargetId: &target}
	if value != "" {
		a.Value = &value
	}
	return a
}

func (f *fixture) putAttributes(cluster string, attributes ...types.Attribute) []types.Attribute {
	f.t.Helper()
	return must(f.PutAttributes(f.ctx, &awsecs.PutAttributesInput{Cluster: &cluster, Attributes: attributes}))(f.t).Attributes
}

// attributes lists what a cluster has as "name=value of instance", page by page.
func (f *fixture) attributes(cluster, name, value string) []string {
	f.t.Helper()
	in := &awsecs.ListAttributesInput{Cluster: &cluster, TargetType: types.TargetTypeContainerInstance, MaxResults: aws.Int32(2)}
	if name != "" {
		in.AttributeName = &name
	}
	if value != "" {
		in.AttributeValue = &value
	}
	out := []string{}
	pages := awsecs.NewListAttributesPaginator(f.Client, in)
	for pages.HasMorePages() {
		for _, a := range must(pages.NextPage(f.ctx))(f.t).Attributes {
			out = append(out, written(a))
		}
	}
	return out
}

func written(a types.Attribute) string {
	return fmt.Sprintf("%s=%s of %s", *a.Name, aws.ToString(a.Value), *a.TargetId)
}

func wantAttributes(t *testing.T, got []string, want ...string) {
	t.Helper()
	slices.Sort(want) // names and values here are of letters only
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAttributes_ArePutReplacedListedAndDeleted(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	a := f.host(c, 1024, 1024, types.Attribute{Name: aws.String("ecs.os-type"), Value: aws.String("linux")})
	b := f.host(c, 1024, 1024)
	f.host(f.cluster("other"), 1024, 1024, types.Attribute{Name: aws.String("stack"), Value: aws.String("prod")})
	id := b[strings.LastIndex(b, "/")+1:]
	short := attribute("stack", "test", id)
	short.TargetType = types.TargetTypeContainerInstance
	put := f.putAttributes(c, attribute("stack", "prod", a), short, attribute("gpu", "", a))
	if got := []string{written(put[0]), written(put[1]), written(put[2])}; !slices.Equal(got, []string{"stack=prod of " + a, "stack=test of " + b, "gpu= of " + a}) {
		t.Errorf("answered %q", got)
	}
	wantAttributes(t, f.attributes(c, "", ""), "ecs.os-type=linux of "+a, "gpu= of "+a, "stack=prod of "+a, "stack=test of "+b)
	wantAttributes(t, f.attributes(c, "stack", ""), "stack=prod of "+a, "stack=test of "+b)
	wantAttributes(t, f.attributes(c, "stack", "test"), "stack=test of "+b)
	wantAttributes(t, f.attributes(c, "stack", "none"))
	wantAttributes(t, f.attributes(c, "stac", ""))

	f.putAttributes(c, attribute("stack", "prod", b))
	wantAttributes(t, f.attributes(c, "stack", "prod"), "stack=prod of "+a, "stack=prod of "+b)
	deleted := must(f.DeleteAttributes(f.ctx, &awsecs.DeleteAttributesInput{
		Cluster: &c, Attributes: []types.Attribute{attribute("stack", "", b), attribute("unknown", "", b)}}))(t).Attributes
	if len(deleted) != 1 || written(deleted[0]) != "stack=prod of "+b {
		t.Errorf("deleted %+v", deleted)
	}
	wantAttributes(t, f.attributes(c, "stack", ""), "stack=prod of "+a)
	must(f.DeregisterContainerInstance(f.ctx, &awsecs.DeregisterContainerInstanceInput{Cluster: &c, ContainerInstance: &a}))(t)
	wantAttributes(t, f.attributes(c, "", ""))
}

func TestPutAttributes_CountsInPlacementAndInTheVersion(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	arn := f.host(c, 1024, 1024)
	describe := func() types.ContainerInstance {
		return must(f.DescribeContainerInstances(f.ctx, &awsecs.DescribeContainerInstancesInput{Cluster: &c, ContainerInstances: []string{arn}}))(t).ContainerInstances[0]
	}
	before := describe().Version
	f.putAttributes(c, attribute("stack", "prod", arn))
	f.putAttributes(c, attribute("stack", "prod", arn))
	if got := describe(); got.Version != before+1 || len(got.Attributes) != 1 || *got.Attributes[0].Value != "prod" {
		t.Errorf("after version %d: %+v", before, got)
	}
	instance, _ := f.store.View().Fleet("c").Instance(arn[strings.LastIndex(arn, "/")+1:])
	if v, ok := instance.Attribute("stack"); !ok || v != "prod" {
		t.Errorf("placement sees %q", v)
	}
}

func TestPutAttributes_LimitsCustomAttributesOfAnInstance(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	arn := f.host(c, 1024, 1024, types.Attribute{Name: aws.String("ecs.os-type"), Value: aws.String("linux")})
	var ten []types.Attribute
	for n := range 10 {
		ten = append(ten, attribute(fmt.Sprintf("a%d", n), "v", arn))
	}
	f.putAttributes(c, ten...)
	_, err := f.PutAttributes(f.ctx, &awsecs.PutAttributesInput{Cluster: &c, Attributes: []types.Attribute{attribute("a0", "changed", arn), attribute("b", "v", arn)}})
	wantError(t, err, "AttributeLimitExceededException", "")
	wantAttributes(t, f.attributes(c, "a0", ""), "a0=v of "+arn) // all or nothing
	f.putAttributes(c, attribute("a0", "changed", arn))
}

func TestAttributes_Refuse(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	arn := f.host(c, 1024, 1024)
	eleven := make([]types.Attribute, 11)
	for n := range eleven {
		eleven[n] = attribute(fmt.Sprintf("a%d", n), "", arn)
	}
	one := func(a types.Attribute) []types.Attribute { return []types.Attribute{a} }
	for name, r := range map[string]struct {
		attributes []types.Attribute
		code       string
		putOnly    bool
	}{
		"none":                 {[]types.Attribute{}, "InvalidParameterException", false},
		"eleven":               {eleven, "InvalidParameterException", false},
		"one twice":            {[]types.Attribute{attribute("a", "", arn), attribute("a", "", arn)}, "InvalidParameterException", false},
		"one of ECS":           {one(attribute("ecs.os-type", "", arn)), "InvalidParameterException", false},
		"a capability":         {one(attribute("com.amazonaws.ecs.capability.x", "", arn)), "InvalidParameterException", false},
		"no target":            {one(types.Attribute{Name: aws.String("a")}), "InvalidParameterException", false},
		"an id without a type": {one(attribute("a", "", "0123")), "InvalidParameterException", false},
		"an unknown target":    {one(attribute("a", "", arn[:len(arn)-1]+"x")), "TargetNotFoundException", false},
		"another cluster's":    {one(attribute("a", "", owner.InstanceARN("d", "x"))), "InvalidParameterException", false},
		"a strange name":       {one(attribute("a b", "", arn)), "InvalidParameterException", true},
		"a name too long":      {one(attribute(strings.Repeat("n", 129), "", arn)), "InvalidParameterException", true},
		"an empty value":       {one(types.Attribute{Name: aws.String("a"), Value: aws.String(""), TargetId: &arn}), "InvalidParameterException", true},
		"a value too long":     {one(attribute("a", strings.Repeat("v", 129), arn)), "InvalidParameterException", true},
		"a padded value":       {one(attribute("a", "v ", arn)), "InvalidParameterException", true},
		"a strange value":      {one(attribute("a", "v{", arn)), "InvalidParameterException", true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.PutAttributes(f.ctx, &awsecs.PutAttributesInput{Cluster: &c, Attributes: r.attributes})
			wantError(t, err, r.code, "")
			if !r.putOnly {
				_, err = f.DeleteAttributes(f.ctx, &awsecs.DeleteAttributesInput{Cluster: &c, Attributes: r.attributes})
				wantError(t, err, r.code, "")
			}
		})
	}
	_, err := f.DeleteAttributes(f.ctx, &awsecs.DeleteAttributesInput{Cluster: &c, Attributes: one(attribute("a", "v", arn))})
	wantError(t, err, "InvalidParameterException", "The attribute a must be named without its value.")
	_, err = f.PutAttributes(f.ctx, &awsecs.PutAttributesInput{Cluster: aws.String("none"), Attributes: one(attribute("a", "v", arn))})
	wantError(t, err, "ClusterNotFoundException", "Cluster not found.")
	_, err = f.ListAttributes(f.ctx, &awsecs.ListAttributesInput{Cluster: aws.String("none"), TargetType: types.TargetTypeContainerInstance})
	wantError(t, err, "ClusterNotFoundException", "Cluster not found.")
	for _, in := range []*awsecs.ListAttributesInput{
		{TargetType: "shelf"},
		{TargetType: types.TargetTypeContainerInstance, AttributeValue: aws.String("v")},
		{TargetType: types.TargetTypeContainerInstance, MaxResults: aws.Int32(101)},
		{TargetType: types.TargetTypeContainerInstance, NextToken: aws.String("x")},
	} {
		in.Cluster = &c
		_, err = f.ListAttributes(f.ctx, in)
		wantError(t, err, "InvalidParameterException", "")
	}
}
