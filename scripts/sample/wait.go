package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// wait returns once the service is stable and each of its tasks, and the
// proxy in front of them if there is one, has answered a request. If it does not come to that, the error tells what the service and
// its tasks said about it.
func (d deployment) wait(ctx context.Context) error {
	waiter := ecs.NewServicesStableWaiter(d.client, func(o *ecs.ServicesStableWaiterOptions) {
		o.MinDelay, o.MaxDelay = 200*time.Millisecond, time.Second
	})
	if err := waiter.Wait(ctx, &ecs.DescribeServicesInput{Services: []string{d.service}}, d.limit); err != nil {
		err = fmt.Errorf("wait for service %s to be stable: %w", d.service, err)
		return errors.Join(err, d.explain(context.WithoutCancel(ctx)))
	}
	tasks, err := d.tasks(ctx, types.DesiredStatusRunning)
	if err != nil {
		return err
	}
	rows := rowsOf(tasks)
	if len(rows) != int(d.count) {
		return fmt.Errorf("service %s is stable with %d tasks that have a host port; want %d", d.service, len(rows), d.count)
	}
	for _, row := range rows {
		if err := untilAnswered(ctx, row.url); err != nil {
			return fmt.Errorf("task %s: %w", row.task, err)
		}
	}
	if d.front == "" {
		return nil
	}
	if err := untilAnswered(ctx, d.front); err != nil {
		return fmt.Errorf("the proxy in front of target group %s: %w", d.group, err)
	}
	return nil
}

// explain gathers the service's latest events and why its tasks stopped.
func (d deployment) explain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	service, err := d.describe(ctx)
	if err != nil || service == nil {
		return err
	}
	var said []error
	for _, event := range service.Events[:min(5, len(service.Events))] {
		said = append(said, errors.New(aws.ToString(event.Message)))
	}
	stopped, err := d.tasks(ctx, types.DesiredStatusStopped)
	if err != nil {
		return errors.Join(append(said, err)...)
	}
	for _, task := range stopped[:min(5, len(stopped))] {
		said = append(said, fmt.Errorf("task %s stopped: %s", lastPart(aws.ToString(task.TaskArn)), reasons(task)))
	}
	return errors.Join(said...)
}

// reasons joins what is known of the end of a task and of its containers.
func reasons(task types.Task) string {
	all := []string{aws.ToString(task.StoppedReason)}
	for _, container := range task.Containers {
		if reason := aws.ToString(container.Reason); reason != "" {
			all = append(all, aws.ToString(container.Name)+": "+reason)
		}
	}
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), "; ")
}

// tasks describes the tasks of the service that should be in a state.
func (d deployment) tasks(ctx context.Context, desired types.DesiredStatus) ([]types.Task, error) {
	pages := ecs.NewListTasksPaginator(d.client, &ecs.ListTasksInput{ServiceName: aws.String(d.service), DesiredStatus: desired})
	var tasks []types.Task
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the tasks of %s: %w", d.service, err)
		}
		if len(page.TaskArns) == 0 {
			continue
		}
		out, err := d.client.DescribeTasks(ctx, &ecs.DescribeTasksInput{Tasks: page.TaskArns})
		if err != nil {
			return nil, fmt.Errorf("describe the tasks of %s: %w", d.service, err)
		}
		tasks = append(tasks, out.Tasks...)
	}
	return tasks, nil
}

// untilAnswered asks until the server answers 200. A container runs a moment
// before the server in it listens.
func untilAnswered(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for {
		err := answers(ctx, url)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w", err)
		case <-retry.C:
		}
	}
}

func answers(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
