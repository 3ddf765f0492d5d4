package api

import (
	"context"
	"errors"
	"reflect"

	"github.com/longshore/longshore/controlplane/awsjson"
	"github.com/longshore/longshore/proto/ecs"
)

// operations is the table of what the API answers, one row an operation. The
// operations of the model that are not in it are refused by name.
func operations() []operation {
	return []operation{
		op("CreateCluster", (*Handler).createCluster),
		op("DeleteCluster", (*Handler).deleteCluster),
		op("DescribeClusters", (*Handler).describeClusters),
		op("ListClusters", (*Handler).listClusters),

		op("UpdateCluster", (*Handler).updateCluster),
		op("UpdateClusterSettings", (*Handler).updateClusterSettings),
		op("PutClusterCapacityProviders", (*Handler).putClusterCapacityProviders),

		op("CreateCapacityProvider", (*Handler).createCapacityProvider),
		op("UpdateCapacityProvider", (*Handler).updateCapacityProvider),
		op("DeleteCapacityProvider", (*Handler).deleteCapacityProvider),
		op("DescribeCapacityProviders", (*Handler).describeCapacityProviders),

		op("RegisterTaskDefinition", (*Handler).registerTaskDefinition).refusing(ecs.CodeClient),
		op("DeregisterTaskDefinition", (*Handler).deregisterTaskDefinition).refusing(ecs.CodeClient),
		op("DescribeTaskDefinition", (*Handler).describeTaskDefinition).refusing(ecs.CodeClient),
		op("ListTaskDefinitions", (*Handler).listTaskDefinitions),
		op("DeleteTaskDefinitions", (*Handler).deleteTaskDefinitions),
		op("ListTaskDefinitionFamilies", (*Handler).listTaskDefinitionFamilies),

		op("RunTask", (*Handler).runTask),
		op("StartTask", (*Handler).startTask),
		op("StopTask", (*Handler).stopTask),
		op("DescribeTasks", (*Handler).describeTasks),
		op("ListTasks", (*Handler).listTasks),

		op("CreateService", (*Handler).createService),
		op("UpdateService", (*Handler).updateService),
		op("DeleteService", (*Handler).deleteService),
		op("DescribeServices", (*Handler).describeServices),
		op("ListServices", (*Handler).listServices),

		op("CreateTaskSet", (*Handler).createTaskSet),
		op("DescribeTaskSets", (*Handler).describeTaskSets),
		op("UpdateTaskSet", (*Handler).updateTaskSet),
		op("DeleteTaskSet", (*Handler).deleteTaskSet),
		op("UpdateServicePrimaryTaskSet", (*Handler).updateServicePrimaryTaskSet),

		op("RegisterContainerInstance", (*Handler).registerContainerInstance),
		op("DeregisterContainerInstance", (*Handler).deregisterContainerInstance),
		op("DescribeContainerInstances", (*Handler).describeContainerInstances),
		op("ListContainerInstances", (*Handler).listContainerInstances),

		op("UpdateContainerInstancesState", (*Handler).updateContainerInstancesState),
		op("UpdateContainerAgent", (*Handler).updateContainerAgent),

		op("PutAttributes", (*Handler).putAttributes),
		op("DeleteAttributes", (*Handler).deleteAttributes),
		op("ListAttributes", (*Handler).listAttributes),

		op("GetTaskProtection", (*Handler).getTaskProtection),
		op("UpdateTaskProtection", (*Handler).updateTaskProtection),

		op("TagResource", (*Handler).tagResource),
		op("UntagResource", (*Handler).untagResource),
		op("ListTagsForResource", (*Handler).listTagsForResource),

		op("PutAccountSetting", (*Handler).putAccountSetting),
		op("PutAccountSettingDefault", (*Handler).putAccountSettingDefault),
		op("DeleteAccountSetting", (*Handler).deleteAccountSetting),
		op("ListAccountSettings", (*Handler).listAccountSettings),

		op("DiscoverPollEndpoint", (*Handler).discoverPollEndpoint),
		op("SubmitTaskStateChange", (*Handler).submitTaskStateChange),
		op("SubmitContainerStateChange", (*Handler).submitContainerStateChange),
		op("SubmitAttachmentStateChanges", (*Handler).submitAttachmentStateChanges),
	}
}

// operation is one row of the table.
type operation struct {
	name    string
	refusal string // code for an input that breaks the constraints of its shape
	in, out reflect.Type
	input   func() validator
	run     func(ctx context.Context, h *Handler, in validator) (any, error)
}

// validator is an operation's input, a pointer to a structure of the model.
type validator interface{ Validate() error }

// input is the type of a handler's input.
type input[In any] interface {
	*In
	validator
}

func op[In, Out any, P input[In]](name string, f func(*Handler, context.Context, P) (*Out, error)) operation {
	return operation{
		name:    name,
		refusal: ecs.CodeInvalidParameter,
		in:      reflect.TypeFor[In](),
		out:     reflect.TypeFor[Out](),
		input:   func() validator { return P(new(In)) },
		run: func(ctx context.Context, h *Handler, in validator) (any, error) {
			out, err := f(h, ctx, in.(P))
			if err != nil {
				return nil, err
			}
			return out, nil
		},
	}
}

// refusing changes the code for an input that breaks its constraints.
func (o operation) refusing(code string) operation {
	o.refusal = code
	return o
}

// call decodes a body, checks it against its shape, and runs the operation.
func (o *operation) call(ctx context.Context, h *Handler, body []byte) (any, error) {
	in := o.input()
	if err := awsjson.Decode(body, in); err != nil {
		return nil, err
	}
	if err := in.Validate(); err != nil {
		var invalid *ecs.ValidationError
		if errors.As(err, &invalid) {
			return nil, ecs.Errorf(o.refusal, "%s", invalid.In(body))
		}
		return nil, err
	}
	return o.run(ctx, h, in)
}
