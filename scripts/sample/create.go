package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

const (
	active   = "ACTIVE"
	draining = "DRAINING"
)

// create makes the service what it should be, whatever is there: nothing, a
// service of an earlier run, or one with another definition or number of tasks.
func (d deployment) create(ctx context.Context) error {
	want, err := readDefinition(d.definition)
	if err != nil {
		return err
	}
	definition, err := d.register(ctx, want)
	if err != nil {
		return err
	}
	group, err := d.targetGroup(ctx)
	if err != nil {
		return err
	}
	wired, err := wiring(group, want)
	if err != nil {
		return err
	}
	service, err := d.describe(ctx)
	if err != nil {
		return err
	}
	if service != nil && aws.ToString(service.Status) == draining {
		if err := d.awaitInactive(ctx); err != nil {
			return err
		}
		service = nil
	}
	switch {
	case service == nil || aws.ToString(service.Status) != active:
		_, err = d.client.CreateService(ctx, &ecs.CreateServiceInput{
			ServiceName: aws.String(d.service), TaskDefinition: aws.String(definition), DesiredCount: aws.Int32(d.count),
			LoadBalancers: wired,
		})
	case aws.ToString(service.TaskDefinition) != definition || service.DesiredCount != d.count || !isIn(service, group):
		fmt.Printf("It is there with %d tasks of %s; it is set to %d of %s.\n",
			service.DesiredCount, lastPart(aws.ToString(service.TaskDefinition)), d.count, lastPart(definition))
		_, err = d.client.UpdateService(ctx, &ecs.UpdateServiceInput{
			Service: aws.String(d.service), TaskDefinition: aws.String(definition), DesiredCount: aws.Int32(d.count),
			LoadBalancers: wired,
		})
	default:
		fmt.Println("It is there already.")
	}
	if err != nil {
		return fmt.Errorf("deploy service %s: %w", d.service, err)
	}
	return nil
}

// describe returns the service, nil if there never was one of that name.
func (d deployment) describe(ctx context.Context) (*types.Service, error) {
	out, err := d.client.DescribeServices(ctx, &ecs.DescribeServicesInput{Services: []string{d.service}})
	if err != nil {
		return nil, fmt.Errorf("look for service %s: %w", d.service, err)
	}
	if len(out.Services) == 0 {
		return nil, nil
	}
	return &out.Services[0], nil
}

func (d deployment) awaitInactive(ctx context.Context) error {
	waiter := ecs.NewServicesInactiveWaiter(d.client, func(o *ecs.ServicesInactiveWaiterOptions) {
		o.MinDelay, o.MaxDelay = 200*time.Millisecond, time.Second
	})
	if err := waiter.Wait(ctx, &ecs.DescribeServicesInput{Services: []string{d.service}}, d.limit); err != nil {
		return fmt.Errorf("wait for the deleted service %s to drain: %w", d.service, err)
	}
	return nil
}

// register returns the ARN of a task definition; it makes a new revision only if the
// latest one says something else.
func (d deployment) register(ctx context.Context, want *ecs.RegisterTaskDefinitionInput) (string, error) {
	latest, err := d.client.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: want.Family})
	var unknown *types.ClientException
	if err != nil && !errors.As(err, &unknown) {
		return "", fmt.Errorf("look for task definition %s: %w", aws.ToString(want.Family), err)
	}
	if err == nil {
		same, err := saysTheSame(want, latest.TaskDefinition)
		if err != nil {
			return "", err
		}
		if same {
			return aws.ToString(latest.TaskDefinition.TaskDefinitionArn), nil
		}
	}
	made, err := d.client.RegisterTaskDefinition(ctx, want)
	if err != nil {
		return "", fmt.Errorf("register task definition %s: %w", aws.ToString(want.Family), err)
	}
	return aws.ToString(made.TaskDefinition.TaskDefinitionArn), nil
}

// readDefinition reads a file as `aws ecs register-task-definition
// --cli-input-json` takes it. The SDK's types have the same names but for the
// case of the first letter, which encoding/json does not mind.
func readDefinition(path string) (*ecs.RegisterTaskDefinitionInput, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var definition ecs.RegisterTaskDefinitionInput
	if err := json.Unmarshal(text, &definition); err != nil {
		return nil, fmt.Errorf("read task definition %s: %w", path, err)
	}
	if aws.ToString(definition.Family) == "" {
		return nil, fmt.Errorf("read task definition %s: no family", path)
	}
	return &definition, nil
}

// saysTheSame tells whether all that is wanted is in what is registered, which
// also has what the control plane filled in.
func saysTheSame(want *ecs.RegisterTaskDefinitionInput, have *types.TaskDefinition) (bool, error) {
	wanted, err := generic(want)
	if err != nil {
		return false, err
	}
	registered, err := generic(have)
	if err != nil {
		return false, err
	}
	return contains(registered, wanted), nil
}

func generic(value any) (any, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("compare task definitions: %w", err)
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		return nil, fmt.Errorf("compare task definitions: %w", err)
	}
	return plain, nil
}

// contains tells whether have agrees with all of want that is more than a zero
// value: absent, false and 0 mean the same in a task definition's JSON.
func contains(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		members, _ := have.(map[string]any)
		for name, value := range want {
			if !contains(members[name], value) {
				return false
			}
		}
		return true
	case []any:
		elements, _ := have.([]any)
		if len(elements) != len(want) {
			return false
		}
		for i, value := range want {
			if !contains(elements[i], value) {
				return false
			}
		}
		return true
	case nil:
		return true
	default:
		return have == want || have == nil && isZero(want)
	}
}

func isZero(value any) bool {
	return value == false || value == 0.0 || value == ""
}
