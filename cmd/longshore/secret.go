package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/spf13/cobra"

	"github.com/longshore/longshore/cmd/internal/program"
)

// secretFlags say which control plane the commands talk to.
type secretFlags struct{ endpoint, region string }

func (f *secretFlags) client() *secretsmanager.Client {
	identity, err := program.Credentials()
	if err != nil {
		// A control plane that checks nobody takes any signature.
		identity = credentials.NewStaticCredentialsProvider("longshore", "longshore", "")
	}
	return secretsmanager.New(secretsmanager.Options{BaseEndpoint: &f.endpoint, Region: f.region, Credentials: identity})
}

func newSecret() *cobra.Command {
	var flags secretFlags
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "Put, list and remove secrets that task definitions name",
		Long: `Put, list and remove the secrets of Longshore's own store. A task definition names
them in secrets, secretOptions and repositoryCredentials by the ARN that put prints.

Where the control plane has access keys, requests are signed with
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment.`,
	}
	cmd.PersistentFlags().StringVar(&flags.endpoint, "endpoint", "http://127.0.0.1:7470", "URL of the control plane's API")
	cmd.PersistentFlags().StringVar(&flags.region, "region", "us-east-1", "region of the control plane")
	cmd.AddCommand(newSecretPut(&flags), newSecretList(&flags), newSecretRemove(&flags))
	return cmd
}

func newSecretPut(flags *secretFlags) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "put NAME",
		Short: "Make a secret, or give one a new value",
		Long: `Make a secret, or give one a new value, which is read from standard input or from
--file, never from the command line, where others on the machine could see it. One
line break at the end is not part of it. Prints the secret's ARN.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			value, err := readValue(cmd.InOrStdin(), file)
			if err != nil {
				return err
			}
			client := flags.client()
			text, binary := aws.String(string(value)), []byte(nil)
			if !utf8.Valid(value) {
				text, binary = nil, value
			}
			made, err := client.CreateSecret(cmd.Context(), &secretsmanager.CreateSecretInput{Name: &args[0], SecretString: text, SecretBinary: binary})
			var exists *types.ResourceExistsException
			if err == nil {
				return printLine(cmd.OutOrStdout(), *made.ARN)
			}
			if !errors.As(err, &exists) {
				return fmt.Errorf("putting secret %s: %w", args[0], err)
			}
			changed, err := client.PutSecretValue(cmd.Context(), &secretsmanager.PutSecretValueInput{SecretId: &args[0], SecretString: text, SecretBinary: binary})
			if err != nil {
				return fmt.Errorf("putting secret %s: %w", args[0], err)
			}
			return printLine(cmd.OutOrStdout(), *changed.ARN)
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "file that holds the value (default: standard input)")
	return cmd
}

func printLine(w io.Writer, line string) error {
	_, err := fmt.Fprintln(w, line)
	return err
}

func readValue(stdin io.Reader, file string) ([]byte, error) {
	from := stdin
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("--file: %w", err)
		}
		defer f.Close()
		from = f
	}
	value, err := io.ReadAll(io.LimitReader(from, 1<<20)) // more than the API takes
	if err != nil {
		return nil, fmt.Errorf("reading the value: %w", err)
	}
	if utf8.Valid(value) {
		value = bytes.TrimSuffix(bytes.TrimSuffix(value, []byte("\n")), []byte("\r"))
	}
	if len(value) == 0 {
		return nil, errors.New("the value is empty")
	}
	return value, nil
}

func newSecretList(flags *secretFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the names and ARNs of secrets, never values",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "NAME\tCHANGED\tARN") // to memory: Flush tells what went wrong
			pages := secretsmanager.NewListSecretsPaginator(flags.client(), &secretsmanager.ListSecretsInput{})
			for pages.HasMorePages() {
				page, err := pages.NextPage(cmd.Context())
				if err != nil {
					return fmt.Errorf("listing secrets: %w", err)
				}
				for _, s := range page.SecretList {
					fmt.Fprintf(table, "%s\t%s\t%s\n", *s.Name, aws.ToTime(s.LastChangedDate).UTC().Format("2006-01-02 15:04:05"), *s.ARN)
				}
			}
			return table.Flush()
		},
	}
}

func newSecretRemove(flags *secretFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "rm NAME...",
		Short: "Remove secrets at once and for good",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range args {
				_, err := flags.client().DeleteSecret(cmd.Context(), &secretsmanager.DeleteSecretInput{SecretId: &name, ForceDeleteWithoutRecovery: aws.Bool(true)})
				if err != nil {
					return fmt.Errorf("removing secret %s: %w", name, err)
				}
			}
			return nil
		},
	}
}
