package api_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestClusters_LiveFromCreateToDelete(t *testing.T) {
	f := newFixture(t)
	start := time.Now()
	created := must(f.CreateCluster(f.ctx, &awsecs.CreateClusterInput{
		ClusterName: aws.String("prod"),
		Tags:        []types.Tag{{Key: aws.String("team"), Value: aws.String("x")}},
		Settings:    []types.ClusterSetting{{Name: types.ClusterSettingNameContainerInsights, Value: aws.String("enabled")}},
	}))(t).Cluster
	if *created.ClusterArn != "arn:aws:ecs:us-east-1:123456789012:cluster/prod" || *created.Status != "ACTIVE" {
		t.Errorf("created %+v", created)
	}
	again := must(f.CreateCluster(f.ctx, &awsecs.CreateClusterInput{ClusterName: aws.String("prod")}))(t).Cluster
	if len(again.Tags) != 1 || *again.Settings[0].Value != "enabled" {
		t.Errorf("creating an ACTIVE cluster again must answer it as it is, got %+v", again)
	}
	plain := must(f.DescribeClusters(f.ctx, &awsecs.DescribeClustersInput{Clusters: []string{"prod"}}))(t).Clusters[0]
	if len(plain.Tags)+len(plain.Settings)+len(plain.Statistics) != 0 {
		t.Errorf("nothing was included, got %+v", plain)
	}
	full := must(f.DescribeClusters(f.ctx, &awsecs.DescribeClustersInput{
		Clusters: []string{*created.ClusterArn},
		Include:  []types.ClusterField{types.ClusterFieldTags, types.ClusterFieldSettings, types.ClusterFieldStatistics, types.ClusterFieldAttachments, types.ClusterFieldConfigurations},
	}))(t).Clusters[0]
	if len(full.Tags) != 1 || len(full.Settings) != 1 || len(full.Statistics) != 12 {
		t.Errorf("everything was included, got %+v", full)
	}
	deleted := must(f.DeleteCluster(f.ctx, &awsecs.DeleteClusterInput{Cluster: aws.String("prod")}))(t).Cluster
	if *deleted.Status != "INACTIVE" {
		t.Errorf("deleted %+v", deleted)
	}
	out := must(f.DescribeClusters(f.ctx, &awsecs.DescribeClustersInput{Clusters: []string{"prod", "other"}}))(t)
	if *out.Clusters[0].Status != "INACTIVE" {
		t.Errorf("a deleted cluster must be describable and INACTIVE, got %+v", out.Clusters[0])
	}
	if len(out.Failures) != 1 || *out.Failures[0].Arn != "arn:aws:ecs:us-east-1:123456789012:cluster/other" || *out.Failures[0].Reason != "MISSING" {
		t.Errorf("failures %+v", out.Failures)
	}
	if arns := must(f.ListClusters(f.ctx, &awsecs.ListClustersInput{}))(t).ClusterArns; len(arns) != 0 {
		t.Errorf("a deleted cluster is listed: %v", arns)
	}
	_, err := f.DeleteCluster(f.ctx, &awsecs.DeleteClusterInput{Cluster: aws.String("prod")})
	wantError(t, err, "ClusterNotFoundException", "Cluster not found.")
	revived := must(f.CreateCluster(f.ctx, &awsecs.CreateClusterInput{ClusterName: aws.String("prod")}))(t).Cluster
	if *revived.Status != "ACTIVE" || *revived.Settings[0].Value != "disabled" {
		t.Errorf("revived %+v", revived)
	}
	if c, ok := f.store.View().Cluster("prod"); !ok || c.CreatedAt.Before(start) {
		t.Errorf("stored %+v", c)
	}
}

func TestCreateCluster_WithoutANameIsTheDefaultOne(t *testing.T) {
	f := newFixture(t)
	if c := must(f.CreateCluster(f.ctx, &awsecs.CreateClusterInput{}))(t).Cluster; *c.ClusterName != "default" {
		t.Errorf("got %s", *c.ClusterName)
	}
	if c := must(f.DescribeClusters(f.ctx, &awsecs.DescribeClustersInput{}))(t).Clusters; len(c) != 1 || *c[0].ClusterName != "default" {
		t.Errorf("got %+v", c)
	}
}

func TestCreateCluster_Refuses(t *testing.T) {
	f := newFixture(t)
	for name, in := range map[string]*awsecs.CreateClusterInput{
		"a name with a space": {ClusterName: aws.String("a b")},
		"a long name":         {ClusterName: aws.String(strings.Repeat("x", 256))},
		"a wrong setting":     {Settings: []types.ClusterSetting{{Name: types.ClusterSettingNameContainerInsights, Value: aws.String("maybe")}}},
		"an unknown setting":  {Settings: []types.ClusterSetting{{Name: "other", Value: aws.String("enabled")}}},
		"no such provider":    {CapacityProviders: []string{"nobody"}},
		"a provider twice":    {CapacityProviders: []string{"FARGATE", "FARGATE"}},
		"a strategy of none":  {DefaultCapacityProviderStrategy: []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String("FARGATE")}}},
		"service connect":     {ServiceConnectDefaults: &types.ClusterServiceConnectDefaultsRequest{Namespace: aws.String("n")}},
		"managed storage":     {Configuration: &types.ClusterConfiguration{ManagedStorageConfiguration: &types.ManagedStorageConfiguration{KmsKeyId: aws.String("k")}}},
		"logging to nowhere":  {Configuration: &types.ClusterConfiguration{ExecuteCommandConfiguration: &types.ExecuteCommandConfiguration{Logging: types.ExecuteCommandLoggingOverride}}},
		"a tag twice":         {Tags: []types.Tag{{Key: aws.String("a")}, {Key: aws.String("a")}}},
		"a reserved tag":      {Tags: []types.Tag{{Key: aws.String("AWS:x")}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.CreateCluster(f.ctx, in)
			wantError(t, err, "InvalidParameterException", "")
		})
	}
}

func TestDeleteCluster_SaysWhatIsStillThere(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("busy")
	host, definition := f.host(c, 1024, 1024), f.definition("web")
	task := *f.run(c, definition, 1).Tasks[0].TaskArn
	must(f.CreateService(f.ctx, &awsecs.CreateServiceInput{Cluster: &c, ServiceName: aws.String("s"), TaskDefinition: &definition, DesiredCount: aws.Int32(0)}))(t)

	remove := func() error {
		_, err := f.DeleteCluster(f.ctx, &awsecs.DeleteClusterInput{Cluster: &c})
		return err
	}
	wantError(t, remove(), "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active.")
	f.dropService(c, "s")
	wantError(t, remove(), "ClusterContainsContainerInstancesException", "The Cluster cannot be deleted while Container Instances are active or draining.")
	f.dropInstanceRecord(host)
	wantError(t, remove(), "ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
	f.stopNow(task)
	if err := remove(); err != nil {
		t.Error(err)
	}
}

func TestClusters_OfAnotherAccountOrRegionAreRefused(t *testing.T) {
	f := newFixture(t)
	for _, arn := range []string{
		"arn:aws:ecs:us-east-1:999999999999:cluster/default",
		"arn:aws:ecs:eu-west-1:123456789012:cluster/default",
		"arn:aws:ecs:us-east-1:123456789012:service/default",
		"arn:nonsense",
	} {
		_, err := f.DescribeClusters(f.ctx, &awsecs.DescribeClustersInput{Clusters: []string{arn}})
		wantError(t, err, "InvalidParameterException", "")
		_, err = f.ListTasks(f.ctx, &awsecs.ListTasksInput{Cluster: &arn})
		wantError(t, err, "InvalidParameterException", "")
	}
}

func TestOperationsInAnUnknownClusterSayThatItIsNotFound(t *testing.T) {
	f := newFixture(t)
	c, x := aws.String("nowhere"), aws.String("x")
	definition := f.definition("web")
	for name, call := range map[string]func() error{
		"DeleteCluster": func() error { _, err := f.DeleteCluster(f.ctx, &awsecs.DeleteClusterInput{Cluster: c}); return err },
		"RunTask": func() error {
			_, err := f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: c, TaskDefinition: &definition})
			return err
		},
		"StartTask": func() error {
			_, err := f.StartTask(f.ctx, &awsecs.StartTaskInput{Cluster: c, TaskDefinition: &definition, ContainerInstances: []string{"x"}})
			return err
		},
		"StopTask": func() error { _, err := f.StopTask(f.ctx, &awsecs.StopTaskInput{Cluster: c, Task: x}); return err },
		"DescribeTasks": func() error {
			_, err := f.DescribeTasks(f.ctx, &awsecs.DescribeTasksInput{Cluster: c, Tasks: []string{"x"}})
			return err
		},
		"ListTasks": func() error { _, err := f.ListTasks(f.ctx, &awsecs.ListTasksInput{Cluster: c}); return err },
		"CreateService": func() error {
			_, err := f.CreateService(f.ctx, &awsecs.CreateServiceInput{Cluster: c, ServiceName: x, TaskDefinition: &definition, DesiredCount: aws.Int32(1)})
			return err
		},
		"UpdateService": func() error {
			_, err := f.UpdateService(f.ctx, &awsecs.UpdateServiceInput{Cluster: c, Service: x})
			return err
		},
		"DeleteService": func() error {
			_, err := f.DeleteService(f.ctx, &awsecs.DeleteServiceInput{Cluster: c, Service: x})
			return err
		},
		"DescribeServices": func() error {
			_, err := f.DescribeServices(f.ctx, &awsecs.DescribeServicesInput{Cluster: c, Services: []string{"x"}})
			return err
		},
		"ListServices":              func() error { _, err := f.ListServices(f.ctx, &awsecs.ListServicesInput{Cluster: c}); return err },
		"RegisterContainerInstance": func() error { _, err := f.RegisterContainerInstance(f.ctx, registration("nowhere", 1, 1)); return err },
		"DeregisterContainerInstance": func() error {
			_, err := f.DeregisterContainerInstance(f.ctx, &awsecs.DeregisterContainerInstanceInput{Cluster: c, ContainerInstance: x})
			return err
		},
		"DescribeContainerInstances": func() error {
			_, err := f.DescribeContainerInstances(f.ctx, &awsecs.DescribeContainerInstancesInput{Cluster: c, ContainerInstances: []string{"x"}})
			return err
		},
		"ListContainerInstances": func() error {
			_, err := f.ListContainerInstances(f.ctx, &awsecs.ListContainerInstancesInput{Cluster: c})
			return err
		},
		"SubmitTaskStateChange": func() error {
			_, err := f.SubmitTaskStateChange(f.ctx, &awsecs.SubmitTaskStateChangeInput{Cluster: c, Task: x})
			return err
		},
		"SubmitContainerStateChange": func() error {
			_, err := f.SubmitContainerStateChange(f.ctx, &awsecs.SubmitContainerStateChangeInput{Cluster: c, Task: x})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { wantError(t, call(), "ClusterNotFoundException", "Cluster not found.") })
	}
}

func TestDescribeClusters_CountsWhatIsInThem(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 1024, 1024)
	definition := f.definition("web")
	running := *f.run(c, definition, 3).Tasks[0].TaskArn
	f.running(running)
	got := must(f.DescribeClusters(f.ctx, &awsecs.DescribeClustersInput{Clusters: []string{c}, Include: []types.ClusterField{types.ClusterFieldStatistics}}))(t).Clusters[0]
	if got.RegisteredContainerInstancesCount != 1 || got.RunningTasksCount != 1 || got.PendingTasksCount != 2 || got.ActiveServicesCount != 0 {
		t.Errorf("got %+v", got)
	}
	if !slices.ContainsFunc(got.Statistics, func(s types.KeyValuePair) bool { return *s.Name == "pendingEC2TasksCount" && *s.Value == "2" }) {
		t.Errorf("statistics %+v", got.Statistics)
	}
}
