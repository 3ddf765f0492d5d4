package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/longshore/longshore/proto/plan"
)

// name is the last part of an ARN, which is enough for a person.
func name(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// host names a container instance by its host, if that is known, and its id.
func host(i *plan.Instance) string {
	if i.Ec2InstanceID == "" {
		return name(i.ContainerInstanceArn)
	}
	return i.Ec2InstanceID + " (" + name(i.ContainerInstanceArn) + ")"
}

func writeRunTask(w io.Writer, p *plan.RunTask) error {
	if len(p.Repeated) > 0 {
		_, err := fmt.Fprintf(w, "The client token was used for the same request: it would answer the tasks %s and start none.\n", strings.Join(p.Repeated, ", "))
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "%d of %d tasks would be placed in cluster %s.\n\n", p.Placed, p.Count, name(p.ClusterArn))
	fmt.Fprintln(table, "INSTANCE\tTASKS\tWHY NOT, OR NO MORE")
	for i := range p.Instances {
		in := &p.Instances[i]
		provider := ""
		if in.CapacityProvider != "" {
			provider = " of " + in.CapacityProvider
		}
		fmt.Fprintf(table, "%s%s\t%d\t%s\n", host(in), provider, in.Tasks, why(in))
	}
	return table.Flush()
}

// why says why an instance takes no task or no more.
func why(i *plan.Instance) string {
	switch {
	case i.Reason != "":
		return strings.TrimSuffix(i.Reason, ".") + ": " + i.Detail
	case i.Tasks == 0:
		return "has room; the strategy chose others"
	}
	return ""
}

func writeUpdateService(w io.Writer, p *plan.UpdateService) error {
	deployment := "without a new deployment"
	if p.NewDeployment {
		deployment = "with a new deployment"
	}
	fmt.Fprintf(w, "Service %s would have %d tasks of %s, %s.\n", name(p.ServiceArn), p.DesiredCount, name(p.TaskDefinitionArn), deployment)
	fmt.Fprintf(w, "At least %d stay healthy, at most %d are there at once.\n", p.AtLeast, p.AtMost)
	for i := range p.Steps {
		writeStep(w, i+1, &p.Steps[i])
	}
	end := "Then the next steps follow."
	switch {
	case p.Settled && len(p.Steps) == 0:
		end = "Nothing would be started or stopped."
	case p.Settled:
		end = "Then nothing is left to do."
	case p.Stuck != "":
		end = "Then it can not go on: " + p.Stuck
	case len(p.Steps) > 0 && len(p.Steps[len(p.Steps)-1].PassedOver) > 0:
		end = "Then it waits for room."
	}
	_, err := fmt.Fprintf(w, "\n%s\n", end)
	return err
}

// writeStep leaves the errors of writing to the last line of all.
func writeStep(w io.Writer, number int, s *plan.Step) {
	after := time.Duration(s.AfterSeconds * float64(time.Second)).Round(100 * time.Millisecond)
	fmt.Fprintf(w, "\nStep %d, after %s if all goes well:\n", number, after)
	for _, t := range s.Stop {
		fmt.Fprintf(w, "  stop   %s (%s, %s) on %s: %s\n", name(t.TaskArn), name(t.TaskDefinitionArn), t.LastStatus, name(t.ContainerInstanceArn), t.Reason)
	}
	for _, t := range s.Start {
		fmt.Fprintf(w, "  start  a task of %s on %s\n", name(t.TaskDefinitionArn), name(t.ContainerInstanceArn))
	}
	for i := range s.PassedOver {
		fmt.Fprintf(w, "  no further task on %s: %s\n", host(&s.PassedOver[i]), why(&s.PassedOver[i]))
	}
	for _, e := range s.Events {
		fmt.Fprintf(w, "  event  %s\n", e)
	}
}
