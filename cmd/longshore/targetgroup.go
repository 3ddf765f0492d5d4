package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/spf13/cobra"

	"github.com/longshore/longshore/cmd/internal/program"
)

// groupFlags say which control plane the commands talk to.
type groupFlags struct{ endpoint, region string }

func (f *groupFlags) client() *elb.Client {
	identity, err := program.Credentials()
	if err != nil {
		// A control plane that checks nobody takes any signature.
		identity = credentials.NewStaticCredentialsProvider("longshore", "longshore", "")
	}
	return elb.New(elb.Options{BaseEndpoint: &f.endpoint, Region: f.region, Credentials: identity})
}

func newTargetGroup() *cobra.Command {
	var flags groupFlags
	cmd := &cobra.Command{
		Use:   "target-group",
		Short: "Make, show and delete the target groups that services put their tasks in",
		Long: `Make, show and delete target groups. A service names one in loadBalancers by the ARN
that create prints; proxies follow its targets.

Where the control plane has access keys, requests are signed with
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment.`,
	}
	cmd.PersistentFlags().StringVar(&flags.endpoint, "endpoint", "http://127.0.0.1:7470", "URL of the control plane's API")
	cmd.PersistentFlags().StringVar(&flags.region, "region", "us-east-1", "region of the control plane")
	cmd.AddCommand(newTargetGroupCreate(&flags), newTargetGroupList(&flags), newTargetGroupShow(&flags), newTargetGroupDelete(&flags))
	return cmd
}

// newGroup is what create is told.
type newGroup struct {
	protocol, version, targetType, path, matcher, checkProtocol, checkPort string
	port, interval, timeout, healthy, unhealthy, delay                     int32
}

func newTargetGroupCreate(flags *groupFlags) *cobra.Command {
	var g newGroup
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a target group, and print its ARN",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client := flags.client()
			made, err := client.CreateTargetGroup(cmd.Context(), g.input(args[0]))
			if err != nil {
				return fmt.Errorf("making target group %s: %w", args[0], err)
			}
			arn := made.TargetGroups[0].TargetGroupArn
			if cmd.Flags().Changed("deregistration-delay") {
				_, err = client.ModifyTargetGroupAttributes(cmd.Context(), &elb.ModifyTargetGroupAttributesInput{
					TargetGroupArn: arn,
					Attributes:     []types.TargetGroupAttribute{{Key: aws.String("deregistration_delay.timeout_seconds"), Value: aws.String(strconv.Itoa(int(g.delay)))}},
				})
				if err != nil {
					return fmt.Errorf("setting the deregistration delay of target group %s: %w", args[0], err)
				}
			}
			return printLine(cmd.OutOrStdout(), *arn)
		},
	}
	f := cmd.Flags()
	f.StringVar(&g.protocol, "protocol", "HTTP", "HTTP, HTTPS or TCP")
	f.StringVar(&g.version, "protocol-version", "", "HTTP1 or GRPC, of HTTP and HTTPS (default HTTP1)")
	f.StringVar(&g.targetType, "target-type", "instance", "instance, for network modes bridge and host, or ip, for awsvpc")
	f.Int32Var(&g.port, "port", 80, "port of targets that are registered without one")
	f.StringVar(&g.checkProtocol, "health-check-protocol", "", "HTTP, HTTPS or TCP (default: HTTP, or TCP for groups of it)")
	f.StringVar(&g.checkPort, "health-check-port", "", "port to check (default: each target's own)")
	f.StringVar(&g.path, "health-check-path", "", "path to check, of gRPC the method (default /)")
	f.StringVar(&g.matcher, "matcher", "", "codes that are successes, like 200,300-399 (default 200; of gRPC 12)")
	f.Int32Var(&g.interval, "health-check-interval", 0, "seconds between checks (default 30)")
	f.Int32Var(&g.timeout, "health-check-timeout", 0, "seconds after which a check has failed (default 5; of TCP 10)")
	f.Int32Var(&g.healthy, "healthy-threshold", 0, "successes in a row after which an unhealthy target is healthy (default 5)")
	f.Int32Var(&g.unhealthy, "unhealthy-threshold", 0, "failures in a row after which a target is unhealthy (default 2)")
	f.Int32Var(&g.delay, "deregistration-delay", 300, "seconds that a target is drained before its task stops")
	return cmd
}

func (g *newGroup) input(name string) *elb.CreateTargetGroupInput {
	in := &elb.CreateTargetGroupInput{
		Name: &name, Protocol: types.ProtocolEnum(g.protocol), Port: &g.port, TargetType: types.TargetTypeEnum(g.targetType),
		HealthCheckProtocol: types.ProtocolEnum(g.checkProtocol), ProtocolVersion: textOrNil(g.version),
		HealthCheckPort: textOrNil(g.checkPort), HealthCheckPath: textOrNil(g.path),
		HealthCheckIntervalSeconds: numberOrNil(g.interval), HealthCheckTimeoutSeconds: numberOrNil(g.timeout),
		HealthyThresholdCount: numberOrNil(g.healthy), UnhealthyThresholdCount: numberOrNil(g.unhealthy),
	}
	switch {
	case g.matcher == "":
	case g.version == "GRPC":
		in.Matcher = &types.Matcher{GrpcCode: &g.matcher}
	default:
		in.Matcher = &types.Matcher{HttpCode: &g.matcher}
	}
	return in
}

func textOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func numberOrNil(n int32) *int32 {
	if n == 0 {
		return nil
	}
	return &n
}

func newTargetGroupList(flags *groupFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List target groups",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "NAME\tPROTOCOL\tTARGETS\tARN") // to memory: Flush tells what went wrong
			pages := elb.NewDescribeTargetGroupsPaginator(flags.client(), &elb.DescribeTargetGroupsInput{})
			for pages.HasMorePages() {
				page, err := pages.NextPage(cmd.Context())
				if err != nil {
					return fmt.Errorf("listing target groups: %w", err)
				}
				for _, g := range page.TargetGroups {
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", *g.TargetGroupName, g.Protocol, g.TargetType, *g.TargetGroupArn)
				}
			}
			return table.Flush()
		},
	}
}

func newTargetGroupShow(flags *groupFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show a target group and the state of its targets",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client := flags.client()
			found, err := client.DescribeTargetGroups(cmd.Context(), &elb.DescribeTargetGroupsInput{Names: args})
			if err != nil {
				return fmt.Errorf("showing target group %s: %w", args[0], err)
			}
			g := found.TargetGroups[0]
			health, err := client.DescribeTargetHealth(cmd.Context(), &elb.DescribeTargetHealthInput{TargetGroupArn: g.TargetGroupArn})
			if err != nil {
				return fmt.Errorf("showing the targets of target group %s: %w", args[0], err)
			}
			return showGroup(cmd.OutOrStdout(), g, health.TargetHealthDescriptions)
		},
	}
}

func showGroup(w io.Writer, g types.TargetGroup, targets []types.TargetHealthDescription) error {
	if _, err := fmt.Fprintf(w, "%s\n%s, targets of the type %s, checked by %s at %s every %d s\n\n", *g.TargetGroupArn, g.Protocol, g.TargetType,
		g.HealthCheckProtocol, *g.HealthCheckPort, *g.HealthCheckIntervalSeconds); err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TARGET\tPORT\tSTATE\tREASON") // to memory: Flush tells what went wrong
	for _, t := range targets {
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", *t.Target.Id, *t.Target.Port, t.TargetHealth.State, aws.ToString(t.TargetHealth.Description))
	}
	return table.Flush()
}

func newTargetGroupDelete(flags *groupFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a target group that no service uses",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client := flags.client()
			found, err := client.DescribeTargetGroups(cmd.Context(), &elb.DescribeTargetGroupsInput{Names: args})
			if err == nil {
				_, err = client.DeleteTargetGroup(cmd.Context(), &elb.DeleteTargetGroupInput{TargetGroupArn: found.TargetGroups[0].TargetGroupArn})
			}
			if err != nil {
				return fmt.Errorf("deleting target group %s: %w", args[0], err)
			}
			return nil
		},
	}
}
