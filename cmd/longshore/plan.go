package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/spf13/cobra"

	"github.com/longshore/longshore/proto/plan"
)

// planFlags are the settings of the plan commands.
type planFlags struct {
	endpoint string
	region   string
	input    string
	json     bool
}

func newPlan() *cobra.Command {
	var f planFlags
	c := &cobra.Command{
		Use:   "plan",
		Short: "Show what a RunTask or an UpdateService would do, without doing it",
		Long: `Shows what a RunTask or an UpdateService would do, and why each instance would be passed
over, without doing it. The control plane goes through the request as if it were meant, and
takes everything back.

Where placement strategies leave a choice it is made at random, and the request itself may
choose otherwise. Ids of deployments in the answer are made up.

The request is signed with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, if they are set.`,
	}
	endpoint := os.Getenv("AWS_ENDPOINT_URL_ECS")
	if endpoint == "" {
		endpoint = "http://127.0.0.1:7470"
	}
	flags := c.PersistentFlags()
	flags.StringVar(&f.endpoint, "endpoint-url", endpoint, "address of the API (AWS_ENDPOINT_URL_ECS)")
	flags.StringVar(&f.region, "region", "us-east-1", "region that the request is signed for")
	flags.StringVar(&f.input, "cli-input-json", "", "file with the request, as the AWS CLI takes it; - reads standard input")
	flags.BoolVar(&f.json, "json", false, "print the answer as JSON")
	c.AddCommand(
		planCommand(&f, "run-task", "Show where the tasks of a RunTask would go", "PlanRunTask", writeRunTask),
		planCommand(&f, "update-service", "Show what the scheduler would do after an UpdateService", "PlanUpdateService", writeUpdateService),
	)
	return c
}

// planCommand is the command of one operation, whose answer write puts for people.
func planCommand[T any](f *planFlags, use, short, operation string, write func(io.Writer, *T) error) *cobra.Command {
	return &cobra.Command{
		Use:   use + " --cli-input-json FILE",
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			request, err := f.request(c.InOrStdin())
			if err != nil {
				return err
			}
			answer, err := f.call(c.Context(), operation, request)
			if err != nil {
				return err
			}
			if f.json {
				return writeIndented(c.OutOrStdout(), answer)
			}
			var out T
			if err := json.Unmarshal(answer, &out); err != nil {
				return fmt.Errorf("reading the answer of %s: %w", operation, err)
			}
			return write(c.OutOrStdout(), &out)
		},
	}
}

// request reads the request from where the flags say.
func (f *planFlags) request(stdin io.Reader) ([]byte, error) {
	var text []byte
	var err error
	switch f.input {
	case "":
		return nil, errors.New("--cli-input-json is needed: a file with the request, or - for standard input")
	case "-":
		text, err = io.ReadAll(stdin)
	default:
		text, err = os.ReadFile(f.input)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the request: %w", err)
	}
	return text, nil
}

// call sends a request to one of Longshore's own operations.
func (f *planFlags) call(ctx context.Context, operation string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("calling %s: %w", operation, err)
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", plan.TargetPrefix+operation)
	if err := f.sign(ctx, request, body); err != nil {
		return nil, fmt.Errorf("signing the call of %s: %w", operation, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("calling %s: %w", operation, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", operation, err)
	}
	if response.StatusCode == http.StatusOK {
		return answer, nil
	}
	var refusal struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(answer, &refusal); err != nil || refusal.Type == "" {
		return nil, fmt.Errorf("%s was answered %s", operation, response.Status)
	}
	return nil, fmt.Errorf("%s: %s", refusal.Type, refusal.Message)
}

// sign signs a request if the environment has keys.
func (f *planFlags) sign(ctx context.Context, request *http.Request, body []byte) error {
	keys := aws.Credentials{
		AccessKeyID:     os.Getenv("AWS_ACCESS_KEY_ID"),
		SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
		SessionToken:    os.Getenv("AWS_SESSION_TOKEN"),
	}
	if !keys.HasKeys() {
		return nil
	}
	sum := sha256.Sum256(body)
	return v4.NewSigner().SignHTTP(ctx, keys, request, hex.EncodeToString(sum[:]), "ecs", f.region, time.Now())
}

func writeIndented(w io.Writer, answer []byte) error {
	var out bytes.Buffer
	if err := json.Indent(&out, answer, "", "  "); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	out.WriteByte('\n')
	_, err := out.WriteTo(w)
	return err
}
