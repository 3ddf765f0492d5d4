package api_test

import (
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// secretive registers a definition that names values of every kind.
func (f *fixture) secretive(t *testing.T) *types.TaskDefinition {
	t.Helper()
	return must(f.RegisterTaskDefinition(f.ctx, &awsecs.RegisterTaskDefinitionInput{
		Family: aws.String("app"), ExecutionRoleArn: aws.String("arn:aws:iam::123456789012:role/x"),
		ContainerDefinitions: []types.ContainerDefinition{container("main", func(c *types.ContainerDefinition) {
			c.Secrets = []types.Secret{
				{Name: aws.String("A"), ValueFrom: aws.String("arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf:password:AWSCURRENT:")},
				{Name: aws.String("B"), ValueFrom: aws.String("/app/token")},
			}
			c.EnvironmentFiles = []types.EnvironmentFile{{Type: "s3", Value: aws.String("arn:aws:s3:::b/k.env")}}
			c.RepositoryCredentials = &types.RepositoryCredentials{CredentialsParameter: aws.String("registry")}
		})},
	}))(t).TaskDefinition
}

func TestRegisterTaskDefinition_AsksForHostsThatCanResolveWhatItNames(t *testing.T) {
	f := newFixture(t)
	d := f.secretive(t)
	var names []string
	for _, a := range d.RequiresAttributes {
		names = append(names, *a.Name)
	}
	for _, want := range []string{
		"ecs.capability.env-files.s3", "ecs.capability.private-registry-authentication.secretsmanager",
		"ecs.capability.secrets.asm.environment-variables", "ecs.capability.secrets.ssm.environment-variables",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not required; there are %v", want, names)
		}
	}
	if got := *d.ContainerDefinitions[0].Secrets[1].ValueFrom; got != "/app/token" {
		t.Errorf("valueFrom %q", got)
	}
}

func TestRegisterTaskDefinition_RefusesReferencesThatCanBeNone(t *testing.T) {
	f := newFixture(t)
	secret := func(from string) func(*registering) {
		return both(withRole, of(func(c *types.ContainerDefinition) {
			c.Secrets = []types.Secret{{Name: aws.String("A"), ValueFrom: &from}}
		}))
	}
	f.wantRefusals(t, map[string]definitionCase{
		"a bucket":       {secret("arn:aws:s3:::bucket/x"), "~valueFrom is the ARN of a secret"},
		"too many parts": {secret("arn:aws:secretsmanager:us-east-1:123456789012:secret:db:a:b:c:d"), "~valueFrom is the ARN of a secret"},
		"a registry of a ssm": {of(func(c *types.ContainerDefinition) {
			c.RepositoryCredentials = &types.RepositoryCredentials{CredentialsParameter: aws.String("arn:aws:ssm:us-east-1:123456789012:parameter/x")}
		}), "~A credentialsParameter is the ARN or the name of a secret"},
	})
}

func TestRunTask_TakesEnvironmentFilesOfAnOverride(t *testing.T) {
	f := newFixture(t)
	c := f.cluster("c")
	f.host(c, 1024, 1024)
	d := f.definition("app")
	run := func(value string) (*awsecs.RunTaskOutput, error) {
		return f.RunTask(f.ctx, &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: &d, Overrides: &types.TaskOverride{
			ContainerOverrides: []types.ContainerOverride{{Name: aws.String("main"), EnvironmentFiles: []types.EnvironmentFile{{Type: "s3", Value: &value}}}},
		}})
	}
	out := must(run("arn:aws:s3:::b/k.env"))(t)
	if got := out.Tasks[0].Overrides.ContainerOverrides[0].EnvironmentFiles; len(got) != 1 || *got[0].Value != "arn:aws:s3:::b/k.env" {
		t.Errorf("overrides %+v", got)
	}
	_, err := run("arn:aws:s3:::b/k.txt")
	wantError(t, err, "InvalidParameterException", "")
}
