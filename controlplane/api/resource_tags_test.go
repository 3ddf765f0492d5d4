package api_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

func tag(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }

func tagMap(tags []types.Tag) map[string]string {
	out := map[string]string{}
	for _, t := range tags {
		out[*t.Key] = aws.ToString(t.Value)
	}
	return out
}

// taggable makes a resource of each kind, in cluster c, and returns their ARNs.
func (f *fixture) taggable(c string) map[string]string {
	f.t.Helper()
	f.update(func(tx *store.Tx) {
		tx.PutCapacityProvider(&model.CapacityProvider{Name: "pool", Status: ecs.CapacityProviderStatusACTIVE})
	})
	definition := f.definition("web")
	return map[string]string{
		"cluster":            owner.ClusterARN(model.ClusterName(c)),
		"container instance": f.host(c, 1024, 1024),
		"task definition":    definition,
		"task":               *f.run(c, definition, 1).Tasks[0].TaskArn,
		"service":            *f.service(c, "s", definition, 0, nil).ServiceArn,
		"capacity provider":  owner.ProviderARN("pool"),
	}
}

func (f *fixture) tagsOf(arn string) map[string]string {
	f.t.Helper()
	return tagMap(must(f.ListTagsForResource(f.ctx, &awsecs.ListTagsForResourceInput{ResourceArn: &arn}))(f.t).Tags)
}

func (f *fixture) tag(arn string, tags ...types.Tag) error {
	_, err := f.TagResource(f.ctx, &awsecs.TagResourceInput{ResourceArn: &arn, Tags: tags})
	return err
}

func TestTags_OfEveryResourceArePutListedAndTakenAway(t *testing.T) {
	f := newFixture(t)
	for kind, arn := range f.taggable(f.cluster("c")) {
		t.Run(kind, func(t *testing.T) {
			if got := f.tagsOf(arn); len(got) != 0 {
				t.Errorf("a new resource has tags %v", got)
			}
			for _, tags := range [][]types.Tag{{tag("a", "1"), tag("b", "2")}, {tag("b", "3"), {Key: aws.String("c")}}} {
				if err := f.tag(arn, tags...); err != nil {
					t.Fatal(err)
				}
			}
			if got, want := f.tagsOf(arn), map[string]string{"a": "1", "b": "3", "c": ""}; !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			must(f.UntagResource(f.ctx, &awsecs.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"a", "c", "unknown"}}))(t)
			if got, want := f.tagsOf(arn), map[string]string{"b": "3"}; !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestTags_ShowInDescribe(t *testing.T) {
	f := newFixture(t)
	arns := f.taggable(f.cluster("c"))
	for _, arn := range arns {
		if err := f.tag(arn, tag("team", "blue")); err != nil {
			t.Fatal(err)
		}
	}
	c := aws.String("c")
	got := map[string][]types.Tag{
		"cluster": must(f.DescribeClusters(f.ctx, &awsecs.DescribeClustersInput{
			Clusters: []string{"c"}, Include: []types.ClusterField{types.ClusterFieldTags}}))(t).Clusters[0].Tags,
		"container instance": must(f.DescribeContainerInstances(f.ctx, &awsecs.DescribeContainerInstancesInput{
			Cluster: c, ContainerInstances: []string{arns["container instance"]}, Include: []types.ContainerInstanceField{types.ContainerInstanceFieldTags}}))(t).ContainerInstances[0].Tags,
		"task definition": must(f.DescribeTaskDefinition(f.ctx, &awsecs.DescribeTaskDefinitionInput{
			TaskDefinition: aws.String("web"), Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags}}))(t).Tags,
		"task": must(f.DescribeTasks(f.ctx, &awsecs.DescribeTasksInput{
			Cluster: c, Tasks: []string{arns["task"]}, Include: []types.TaskField{types.TaskFieldTags}}))(t).Tasks[0].Tags,
		"service": must(f.DescribeServices(f.ctx, &awsecs.DescribeServicesInput{
			Cluster: c, Services: []string{"s"}, Include: []types.ServiceField{types.ServiceFieldTags}}))(t).Services[0].Tags,
	}
	for kind, tags := range got {
		if !reflect.DeepEqual(tagMap(tags), map[string]string{"team": "blue"}) {
			t.Errorf("%s: tags %v", kind, tagMap(tags))
		}
	}
}

func TestTagResource_Refuses(t *testing.T) {
	f := newFixture(t)
	arn := owner.ClusterARN(model.ClusterName(f.cluster("c")))
	other := strings.Replace(arn, owner.Account, "999999999999", 1)
	gone := owner.ClusterARN(model.ClusterName(f.cluster("gone")))
	must(f.DeleteCluster(f.ctx, &awsecs.DeleteClusterInput{Cluster: &gone}))(t)
	ok := []types.Tag{tag("a", "b")}
	for name, c := range map[string]struct {
		arn     string
		tags    []types.Tag
		code    string
		message string
	}{
		"a key twice":               {arn, []types.Tag{tag("a", "1"), tag("a", "2")}, "InvalidParameterException", ""},
		"a reserved key":            {arn, []types.Tag{tag("Aws:x", "1")}, "InvalidParameterException", ""},
		"a reserved value":          {arn, []types.Tag{tag("x", "aws:1")}, "InvalidParameterException", ""},
		"a key too long":            {arn, []types.Tag{tag(strings.Repeat("k", 129), "")}, "InvalidParameterException", ""},
		"an empty key":              {arn, []types.Tag{tag("", "")}, "InvalidParameterException", ""},
		"a value too long":          {arn, []types.Tag{tag("k", strings.Repeat("v", 257))}, "InvalidParameterException", ""},
		"a strange character":       {arn, []types.Tag{tag("k{", "")}, "InvalidParameterException", ""},
		"no ARN":                    {"c", ok, "InvalidParameterException", ""},
		"another account's":         {other, ok, "InvalidParameterException", ""},
		"another kind":              {strings.Replace(arn, "cluster/", "shelf/", 1), ok, "InvalidParameterException", "A shelf can not be tagged."},
		"an old ARN":                {"arn:aws:ecs:us-east-1:123456789012:service/s", ok, "InvalidParameterException", "Long arn format must be used for tagging operations"},
		"a deleted cluster":         {gone, ok, "InvalidParameterException", "The specified cluster is inactive. Specify an active cluster and try again."},
		"no such cluster":           {owner.ClusterARN("none"), ok, "ClusterNotFoundException", "Cluster not found."},
		"in no such cluster":        {owner.ServiceARN(model.ServiceKey{Cluster: "none", Name: "s"}), ok, "ClusterNotFoundException", "Cluster not found."},
		"no such service":           {owner.ServiceARN(model.ServiceKey{Cluster: "c", Name: "s"}), ok, "ResourceNotFoundException", ""},
		"no such task":              {owner.TaskARN("c", "t"), ok, "ResourceNotFoundException", ""},
		"no such instance":          {owner.InstanceARN("c", "i"), ok, "ResourceNotFoundException", ""},
		"no such definition":        {owner.DefinitionARN(model.DefinitionRef{Family: "none", Revision: 1}), ok, "ResourceNotFoundException", ""},
		"a family":                  {"arn:aws:ecs:us-east-1:123456789012:task-definition/web", ok, "ResourceNotFoundException", ""},
		"no such provider":          {owner.ProviderARN("none"), ok, "ResourceNotFoundException", ""},
		"a provider from the start": {owner.ProviderARN("FARGATE"), ok, "InvalidParameterException", ""},
	} {
		t.Run(name, func(t *testing.T) { wantError(t, f.tag(c.arn, c.tags...), c.code, c.message) })
	}
	_, err := f.ListTagsForResource(f.ctx, &awsecs.ListTagsForResourceInput{ResourceArn: aws.String(owner.TaskARN("c", "t"))})
	wantError(t, err, "InvalidParameterException", "The specified task was not found.")
	_, err = f.UntagResource(f.ctx, &awsecs.UntagResourceInput{ResourceArn: aws.String(owner.TaskARN("c", "t")), TagKeys: []string{"k"}})
	wantError(t, err, "ResourceNotFoundException", "")
}

func TestTagResource_AllowsFiftyTagsBesidesThoseOfECS(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 1024, 1024)
	out := must(f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: aws.String(f.definition("web")), EnableECSManagedTags: true}))(t)
	arn := *out.Tasks[0].TaskArn
	managed := len(f.tagsOf(arn))
	if managed == 0 {
		t.Fatal("the task has no managed tags")
	}
	var tags []types.Tag
	for n := range 50 {
		tags = append(tags, tag(fmt.Sprintf("k%d", n), "v"))
	}
	if err := f.tag(arn, tags...); err != nil {
		t.Fatal(err)
	}
	wantError(t, f.tag(arn, tag("one more", "v")), "LimitExceededException", "")
	if err := f.tag(arn, tag("k7", "another value")); err != nil {
		t.Error(err)
	}
	if n := len(f.tagsOf(arn)); n != 50+managed {
		t.Errorf("%d tags, want %d", n, 50+managed)
	}
	_, err := f.UntagResource(f.ctx, &awsecs.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"aws:ecs:clusterName"}})
	wantError(t, err, "InvalidParameterException", "")
}
