package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// row is one task in the table.
type row struct {
	task      string
	status    string
	container string
	port      int32
	url       string
}

// show prints where the tasks can be reached, what to try next, and the tasks.
func (d deployment) show(ctx context.Context, out io.Writer) error {
	tasks, err := d.tasks(ctx, types.DesiredStatusRunning)
	if err != nil {
		return err
	}
	return d.print(out, rowsOf(tasks))
}

func (d deployment) print(out io.Writer, rows []row) error {
	var text strings.Builder
	if d.front != "" {
		fmt.Fprintf(&text, "\nThe service %s answers behind one address, whichever tasks it has:\n\n  %s\n\nIts %d tasks by themselves:\n\n", d.service, d.front, len(rows))
	} else {
		fmt.Fprintf(&text, "\nThe service %s runs %d tasks:\n\n", d.service, len(rows))
	}
	for _, r := range rows {
		fmt.Fprintf(&text, "  %s\n", r.url)
	}
	fmt.Fprintf(&text, "\nTry next, with the AWS CLI (any credentials will do):\n\n")
	fmt.Fprintf(&text, "  export AWS_DEFAULT_REGION=%s AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s\n", d.region, accessKey, secretKey)
	for _, command := range []string{
		"list-tasks --service-name " + d.service,
		"update-service --service " + d.service + " --desired-count 5",
		"describe-services --services " + d.service + " --query 'services[0].events[:5].message'",
	} {
		fmt.Fprintf(&text, "  aws --endpoint-url %s ecs %s\n", d.endpoint, command)
	}
	text.WriteString("\n")
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  TASK\tSTATUS\tCONTAINER\tHOST PORT")
	for _, r := range rows {
		fmt.Fprintf(table, "  %s\t%s\t%s\t%d\n", r.task, r.status, r.container, r.port)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("lay out the table of tasks: %w", err)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// rowsOf makes a row of each task that has a port on its host, ordered by port.
func rowsOf(tasks []types.Task) []row {
	var rows []row
	for _, task := range tasks {
		for _, container := range task.Containers {
			binding, ok := firstTCP(container.NetworkBindings)
			if !ok {
				continue
			}
			rows = append(rows, row{
				task:      lastPart(aws.ToString(task.TaskArn)),
				status:    aws.ToString(task.LastStatus),
				container: shortID(aws.ToString(container.RuntimeId)),
				port:      aws.ToInt32(binding.HostPort),
				url:       "http://" + net.JoinHostPort(reachable(aws.ToString(binding.BindIP)), strconv.Itoa(int(aws.ToInt32(binding.HostPort)))) + "/",
			})
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.port, b.port) })
	return rows
}

// firstTCP picks one binding of a container; with IPv6 a port has two.
func firstTCP(bindings []types.NetworkBinding) (types.NetworkBinding, bool) {
	for _, binding := range bindings {
		if binding.Protocol != types.TransportProtocolUdp && aws.ToInt32(binding.HostPort) != 0 {
			return binding, true
		}
	}
	return types.NetworkBinding{}, false
}

// reachable turns the address that a port is bound to into one to connect to
// from this machine.
func reachable(bound string) string {
	if ip := net.ParseIP(bound); ip == nil || ip.IsUnspecified() {
		return "127.0.0.1"
	}
	return bound
}

func shortID(id string) string { return id[:min(12, len(id))] }

func lastPart(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }
