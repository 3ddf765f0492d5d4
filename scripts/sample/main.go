// Command sample deploys the sample service through the public API, with the
// AWS SDK, and shows it: `sample create`, `sample wait`, `sample show`. It knows
// nothing of Longshore but its address.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

// Every SDK wants credentials; longshore dev takes any. The same are shown to
// the reader for the AWS CLI.
const (
	accessKey = "longshore"
	secretKey = "longshore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sample:", err)
		os.Exit(1)
	}
}

// deployment is what is to be deployed, and where.
type deployment struct {
	client     *ecs.Client
	endpoint   string
	region     string
	definition string // path of the task definition's JSON
	service    string
	group      string // target group of the service; its container and port are the definition's first
	front      string // URL of the proxy in front of the group; empty: none
	balancing  *elb.Client
	count      int32
	limit      time.Duration // how long it may take until it is stable
}

func run(ctx context.Context, args []string) error {
	var d deployment
	flags := flag.NewFlagSet("sample", flag.ExitOnError)
	flags.StringVar(&d.endpoint, "endpoint", "http://127.0.0.1:7470", "address of the API")
	flags.StringVar(&d.region, "region", "us-east-1", "region in the requests")
	flags.StringVar(&d.definition, "definition", "deploy/sample/web.json", "file with the task definition")
	flags.StringVar(&d.service, "service", "web", "name of the service")
	flags.StringVar(&d.group, "group", "web", "name of the target group of the service")
	flags.StringVar(&d.front, "front", "", "URL of a proxy in front of the target group")
	flags.DurationVar(&d.limit, "limit", 3*time.Minute, "how long to wait for the service")
	count := flags.Int("count", 3, "number of tasks")
	if err := flags.Parse(args); err != nil {
		return err
	}
	d.count = int32(*count)
	d.client = ecs.New(ecs.Options{
		BaseEndpoint: aws.String(d.endpoint),
		Region:       d.region,
		Credentials:  credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	})
	d.balancing = elb.New(elb.Options{
		BaseEndpoint: aws.String(d.endpoint),
		Region:       d.region,
		Credentials:  credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	})
	switch verb := flags.Arg(0); verb {
	case "create":
		return d.create(ctx)
	case "wait":
		return d.wait(ctx)
	case "show":
		return d.show(ctx, os.Stdout)
	default:
		return fmt.Errorf("%q: want create, wait or show", verb)
	}
}
