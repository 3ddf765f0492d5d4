package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery/types"
	"github.com/spf13/cobra"

	"github.com/longshore/longshore/cmd/internal/program"
)

// namespaceFlags say which control plane the commands talk to.
type namespaceFlags struct{ endpoint, region string }

func (f *namespaceFlags) client() *servicediscovery.Client {
	identity, err := program.Credentials()
	if err != nil {
		// A control plane that checks nobody takes any signature.
		identity = credentials.NewStaticCredentialsProvider("longshore", "longshore", "")
	}
	return servicediscovery.New(servicediscovery.Options{BaseEndpoint: &f.endpoint, Region: f.region, Credentials: identity})
}

func newNamespace() *cobra.Command {
	var flags namespaceFlags
	cmd := &cobra.Command{
		Use:   "namespace",
		Short: "Create, list and delete the namespaces in which services are found",
		Long: `Create, list and delete the namespaces in which services are found by name. The
services in them are made with the AWS CLI (aws servicediscovery create-service) and
named in serviceRegistries of ECS services.

Where the control plane has access keys, requests are signed with
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment.`,
	}
	cmd.PersistentFlags().StringVar(&flags.endpoint, "endpoint", "http://127.0.0.1:7470", "URL of the control plane's API")
	cmd.PersistentFlags().StringVar(&flags.region, "region", "us-east-1", "region of the control plane")
	cmd.AddCommand(newNamespaceCreate(&flags), newNamespaceList(&flags), newNamespaceDelete(&flags))
	return cmd
}

func newNamespaceCreate(flags *namespaceFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "create NAME",
		Short: "Create a namespace that is found by DNS, such as prod.local, and print its id",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client := flags.client()
			made, err := client.CreatePrivateDnsNamespace(cmd.Context(), &servicediscovery.CreatePrivateDnsNamespaceInput{Name: &args[0], Vpc: aws.String("longshore")})
			if err != nil {
				return fmt.Errorf("creating namespace %s: %w", args[0], err)
			}
			done, err := client.GetOperation(cmd.Context(), &servicediscovery.GetOperationInput{OperationId: made.OperationId})
			if err != nil {
				return fmt.Errorf("creating namespace %s: %w", args[0], err)
			}
			return printLine(cmd.OutOrStdout(), done.Operation.Targets[string(types.OperationTargetTypeNamespace)])
		},
	}
}

func eachNamespace(cmd *cobra.Command, client *servicediscovery.Client, visit func(types.NamespaceSummary)) error {
	pages := servicediscovery.NewListNamespacesPaginator(client, &servicediscovery.ListNamespacesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(cmd.Context())
		if err != nil {
			return fmt.Errorf("listing namespaces: %w", err)
		}
		for _, n := range page.Namespaces {
			visit(n)
		}
	}
	return nil
}

func newNamespaceList(flags *namespaceFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the namespaces",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "NAME\tID\tTYPE\tSERVICES") // to memory: Flush tells what went wrong
			err := eachNamespace(cmd, flags.client(), func(n types.NamespaceSummary) {
				fmt.Fprintf(table, "%s\t%s\t%s\t%d\n", *n.Name, *n.Id, n.Type, aws.ToInt32(n.ServiceCount))
			})
			return errors.Join(err, table.Flush())
		},
	}
}

func newNamespaceDelete(flags *namespaceFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME-OR-ID",
		Short: "Delete a namespace that has no services any more",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, id := flags.client(), args[0]
			err := eachNamespace(cmd, client, func(n types.NamespaceSummary) {
				if *n.Name == args[0] {
					id = *n.Id
				}
			})
			if err != nil {
				return err
			}
			if _, err := client.DeleteNamespace(cmd.Context(), &servicediscovery.DeleteNamespaceInput{Id: &id}); err != nil {
				return fmt.Errorf("deleting namespace %s: %w", args[0], err)
			}
			return nil
		},
	}
}
