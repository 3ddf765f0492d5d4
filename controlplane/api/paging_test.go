package api_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestNextToken_IsGoodForItsOwnListOnly(t *testing.T) {
	f := newFixture(t)
	c, other := f.cluster("c"), f.cluster("other")
	d := f.definition("web")
	f.definition("web")
	for i := range 3 {
		f.service(c, fmt.Sprint("s", i), d, 0, nil)
		f.service(other, fmt.Sprint("s", i), d, 0, nil)
	}
	one := aws.Int32(1)
	token := must(f.ListServices(f.ctx, &awsecs.ListServicesInput{Cluster: &c, MaxResults: one}))(t).NextToken
	if token == nil {
		t.Fatal("no token")
	}
	if page := must(f.ListServices(f.ctx, &awsecs.ListServicesInput{Cluster: aws.String(owner.ClusterARN("c")), NextToken: token}))(t); len(page.ServiceArns) != 2 {
		t.Errorf("another page size, and the cluster by ARN, are the same list: got %v", page.ServiceArns)
	}
	changed := []byte(*token)
	changed[0] ^= 1
	for name, call := range map[string]func() error{
		"another cluster": func() error {
			_, err := f.ListServices(f.ctx, &awsecs.ListServicesInput{Cluster: &other, NextToken: token})
			return err
		},
		"another filter": func() error {
			_, err := f.ListServices(f.ctx, &awsecs.ListServicesInput{Cluster: &c, NextToken: token, LaunchType: types.LaunchTypeEc2})
			return err
		},
		"another operation": func() error {
			_, err := f.ListTasks(f.ctx, &awsecs.ListTasksInput{Cluster: &c, NextToken: token})
			return err
		},
		"a changed token": func() error {
			_, err := f.ListServices(f.ctx, &awsecs.ListServicesInput{Cluster: &c, NextToken: aws.String(string(changed))})
			return err
		},
		"a made-up token": func() error {
			_, err := f.ListServices(f.ctx, &awsecs.ListServicesInput{Cluster: &c, NextToken: aws.String("AAAAAAAAAAAAAAAAAAAAAAAA")})
			return err
		},
		"no token at all": func() error {
			_, err := f.ListServices(f.ctx, &awsecs.ListServicesInput{Cluster: &c, NextToken: aws.String("?")})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { wantError(t, call(), "InvalidParameterException", "Invalid token.") })
	}
}
