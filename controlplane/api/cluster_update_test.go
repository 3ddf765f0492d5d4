package api_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

func insights(value string) []types.ClusterSetting {
	return []types.ClusterSetting{{Name: types.ClusterSettingNameContainerInsights, Value: &value}}
}

func execTo(bucket string) *types.ClusterConfiguration {
	return &types.ClusterConfiguration{ExecuteCommandConfiguration: &types.ExecuteCommandConfiguration{
		Logging: types.ExecuteCommandLoggingOverride, LogConfiguration: &types.ExecuteCommandLogConfiguration{S3BucketName: &bucket, S3EncryptionEnabled: true},
	}}
}

func TestCreateCluster_WithCapacityAndConfiguration(t *testing.T) {
	f := newFixture(t)
	f.provider("p")
	in := &awsecs.CreateClusterInput{
		ClusterName: aws.String("c"), CapacityProviders: []string{"p", "FARGATE"}, DefaultCapacityProviderStrategy: strategy{share("p", 1, 2)},
		Configuration: &types.ClusterConfiguration{ExecuteCommandConfiguration: &types.ExecuteCommandConfiguration{KmsKeyId: aws.String("k")}},
	}
	created := must(f.CreateCluster(f.ctx, in))(t).Cluster
	exec := created.Configuration.ExecuteCommandConfiguration
	if len(created.CapacityProviders) != 2 || created.DefaultCapacityProviderStrategy[0].Base != 1 || *exec.KmsKeyId != "k" || exec.Logging != types.ExecuteCommandLoggingDefault {
		t.Errorf("created %+v, %+v", created, exec)
	}
	in.ClusterName, in.Configuration = aws.String("d"), nil
	_, err := f.CreateCluster(f.ctx, in)
	wantError(t, err, "InvalidParameterException", "The capacity provider p is already associated with the cluster c.")
	if deleted := must(f.DeleteCluster(f.ctx, &awsecs.DeleteClusterInput{Cluster: aws.String("c")}))(t).Cluster; len(deleted.CapacityProviders)+len(deleted.DefaultCapacityProviderStrategy) != 0 {
		t.Errorf("deleting a cluster frees its capacity providers, got %+v", deleted)
	}
	must(f.CreateCluster(f.ctx, in))(t)
}

func TestUpdateCluster_ChangesWhatIsNamedOnly(t *testing.T) {
	f := newFixture(t)
	f.cluster("c")
	updated := must(f.UpdateCluster(f.ctx, &awsecs.UpdateClusterInput{Cluster: aws.String("c"), Configuration: execTo("logs")}))(t).Cluster
	if *updated.Configuration.ExecuteCommandConfiguration.LogConfiguration.S3BucketName != "logs" || *updated.Settings[0].Value != "disabled" {
		t.Errorf("updated %+v", updated)
	}
	must(f.UpdateCluster(f.ctx, &awsecs.UpdateClusterInput{Cluster: aws.String("c"), Settings: insights("enhanced")}))(t)
	describe := func(include ...types.ClusterField) types.Cluster {
		return must(f.DescribeClusters(f.ctx, &awsecs.DescribeClustersInput{Clusters: []string{"c"}, Include: include}))(t).Clusters[0]
	}
	if got := describe(types.ClusterFieldConfigurations, types.ClusterFieldSettings); *got.Settings[0].Value != "enhanced" || got.Configuration == nil {
		t.Errorf("described %+v", got)
	}
	if got := describe(); got.Configuration != nil || len(got.Settings) != 0 || got.AttachmentsStatus != nil {
		t.Errorf("nothing was included, got %+v", got)
	}
	settings := must(f.UpdateClusterSettings(f.ctx, &awsecs.UpdateClusterSettingsInput{Cluster: aws.String("c"), Settings: insights("enabled")}))(t).Cluster
	if *settings.Settings[0].Value != "enabled" || settings.Configuration == nil {
		t.Errorf("updated %+v", settings)
	}
}

func TestUpdateCluster_Refuses(t *testing.T) {
	f := newFixture(t)
	f.cluster("c")
	const invalid = "InvalidParameterException"
	for name, r := range map[string]struct {
		change func(*awsecs.UpdateClusterInput)
		code   string
	}{
		"no such cluster": {func(in *awsecs.UpdateClusterInput) { in.Cluster = aws.String("nowhere") }, "ClusterNotFoundException"},
		"a wrong setting": {func(in *awsecs.UpdateClusterInput) { in.Settings = insights("maybe") }, invalid},
		"an unknown logger": {func(in *awsecs.UpdateClusterInput) {
			in.Configuration = execTo("b")
			in.Configuration.ExecuteCommandConfiguration.Logging = "X"
		}, invalid},
		"logs without OVERRIDE": {func(in *awsecs.UpdateClusterInput) {
			in.Configuration = execTo("b")
			in.Configuration.ExecuteCommandConfiguration.Logging = types.ExecuteCommandLoggingNone
		}, invalid},
		"OVERRIDE without logs": {func(in *awsecs.UpdateClusterInput) { in.Configuration = execTo("") }, invalid},
		"service connect": {func(in *awsecs.UpdateClusterInput) {
			in.ServiceConnectDefaults = &types.ClusterServiceConnectDefaultsRequest{Namespace: aws.String("n")}
		}, invalid},
	} {
		t.Run(name, func(t *testing.T) {
			in := &awsecs.UpdateClusterInput{Cluster: aws.String("c")}
			r.change(in)
			_, err := f.UpdateCluster(f.ctx, in)
			wantError(t, err, r.code, "")
			if in.Settings != nil || *in.Cluster != "c" {
				settings := in.Settings
				if settings == nil {
					settings = insights("enabled")
				}
				_, err := f.UpdateClusterSettings(f.ctx, &awsecs.UpdateClusterSettingsInput{Cluster: in.Cluster, Settings: settings})
				wantError(t, err, r.code, "")
			}
		})
	}
}

func TestDescribeClusters_CountsByLaunchType(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.update(func(tx *store.Tx) {
		for i, l := range []ecs.LaunchType{ecs.LaunchTypeEC2, ecs.LaunchTypeEXTERNAL, ecs.LaunchTypeFARGATE, ecs.LaunchTypeFARGATE} {
			tx.PutTask(&model.Task{Cluster: "c", ID: model.TaskID(rune('a' + i)), LaunchType: l, LastStatus: model.TaskRunning, DesiredStatus: model.TaskRunning})
			tx.PutService(&model.Service{Cluster: "c", Name: model.ServiceName(rune('a' + i)), LaunchType: l, Status: model.StatusActive})
		}
		tx.PutService(&model.Service{Cluster: "c", Name: "z", Status: model.StatusDraining, CapacityProviderStrategy: []ecs.CapacityProviderStrategyItem{{CapacityProvider: "FARGATE"}}})
	})
	got := must(f.DescribeClusters(f.ctx, &awsecs.DescribeClustersInput{Clusters: []string{c}, Include: []types.ClusterField{types.ClusterFieldStatistics}}))(t).Clusters[0]
	values := map[string]string{}
	for _, s := range got.Statistics {
		values[*s.Name] = *s.Value
	}
	for name, want := range map[string]string{
		"runningEC2TasksCount": "1", "runningExternalTasksCount": "1", "runningFargateTasksCount": "2", "pendingEC2TasksCount": "0",
		"pendingFargateTasksCount": "0", "pendingExternalTasksCount": "0", "activeEC2ServiceCount": "1", "activeFargateServiceCount": "2",
		"activeExternalServiceCount": "1", "drainingEC2ServiceCount": "0", "drainingFargateServiceCount": "1", "drainingExternalServiceCount": "0",
	} {
		if values[name] != want {
			t.Errorf("%s is %q, want %q", name, values[name], want)
		}
	}
	if got.RunningTasksCount != 4 || got.ActiveServicesCount != 4 {
		t.Errorf("%d tasks, %d services", got.RunningTasksCount, got.ActiveServicesCount)
	}
}
