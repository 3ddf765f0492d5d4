package cloudmap_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/awsjson"
	"github.com/longshore/longshore/controlplane/cloudmap"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/ecs"
)

var owner = model.Owner{Account: "123456789012", Region: "us-east-1"}

// fixture is the API over HTTP on a store with a real etcd, called by the AWS SDK.
type fixture struct {
	*servicediscovery.Client
	t     *testing.T
	store *store.Store
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	f := &fixture{t: t, store: storetest.New(t, nil)}
	server := httptest.NewServer(api.New(api.Config{
		Owner: owner, Store: func() *store.Store { return f.store }, Keys: map[string]string{"AKIDEXAMPLE": "secret"},
		Services: []awsjson.Service{cloudmap.New(cloudmap.Config{Owner: owner})},
	}))
	t.Cleanup(server.Close)
	f.Client = servicediscovery.New(servicediscovery.Options{
		BaseEndpoint: &server.URL, Region: owner.Region, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		APIOptions:  []func(*middleware.Stack) error{withoutPrefix},
	})
	return f
}

// withoutPrefix keeps the SDK from putting "data-" before the address of DiscoverInstances.
func withoutPrefix(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("WithoutPrefix", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		return next.HandleInitialize(smithyhttp.DisableEndpointHostPrefix(ctx, true), in)
	}), middleware.Before)
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

func (f *fixture) namespace(name string) string {
	f.t.Helper()
	made, err := f.CreatePrivateDnsNamespace(f.t.Context(), &servicediscovery.CreatePrivateDnsNamespaceInput{Name: &name, Vpc: aws.String("vpc-1")})
	if err != nil {
		f.t.Fatal(err)
	}
	done, err := f.GetOperation(f.t.Context(), &servicediscovery.GetOperationInput{OperationId: made.OperationId})
	if err != nil || done.Operation.Status != types.OperationStatusSuccess {
		f.t.Fatalf("operation: %+v, %v", done, err)
	}
	return done.Operation.Targets["NAMESPACE"]
}

func (f *fixture) service(namespace, name string) *types.Service {
	f.t.Helper()
	out, err := f.CreateService(f.t.Context(), &servicediscovery.CreateServiceInput{
		Name: &name, NamespaceId: &namespace, HealthCheckCustomConfig: &types.HealthCheckCustomConfig{},
		DnsConfig: &types.DnsConfig{DnsRecords: []types.DnsRecord{{Type: types.RecordTypeA, TTL: aws.Int64(7)}}},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return out.Service
}

func (f *fixture) update(change func(*store.Tx)) {
	f.t.Helper()
	if err := f.store.Update(f.t.Context(), func(tx *store.Tx) error { change(tx); return nil }); err != nil {
		f.t.Fatal(err)
	}
}

// discover asks for the ids of the instances of api.prod.local.
func (f *fixture) discover(edit func(*servicediscovery.DiscoverInstancesInput)) []string {
	f.t.Helper()
	in := &servicediscovery.DiscoverInstancesInput{NamespaceName: aws.String("prod.local"), ServiceName: aws.String("api")}
	edit(in)
	out, err := f.DiscoverInstances(f.t.Context(), in)
	if err != nil {
		f.t.Fatal(err)
	}
	ids := []string{}
	for _, i := range out.Instances {
		ids = append(ids, *i.InstanceId)
	}
	slices.Sort(ids)
	return ids
}

func (f *fixture) want(got []string, ids ...string) {
	f.t.Helper()
	if len(got) != len(ids) {
		f.t.Errorf("found %q, want %q", got, ids)
		return
	}
	for i := range ids {
		if got[i] != ids[i] {
			f.t.Errorf("found %q, want %q", got, ids)
		}
	}
}

func TestNamespacesAndServices_AreMadeDescribedListedAndDeleted(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	ns := f.namespace("Prod.local")
	got, err := f.GetNamespace(ctx, &servicediscovery.GetNamespaceInput{Id: &ns})
	if err != nil || *got.Namespace.Name != "prod.local" || *got.Namespace.Arn != owner.NamespaceARN(model.NamespaceID(ns)) || *got.Namespace.Properties.DnsProperties.SOA.TTL != 15 {
		t.Errorf("namespace: %+v, %v", got, err)
	}
	_, err = f.CreatePrivateDnsNamespace(ctx, &servicediscovery.CreatePrivateDnsNamespaceInput{Name: aws.String("prod.local"), Vpc: aws.String("v")})
	wantCode(t, err, "NamespaceAlreadyExists")
	_, err = f.CreatePrivateDnsNamespace(ctx, &servicediscovery.CreatePrivateDnsNamespaceInput{Name: aws.String("no name"), Vpc: aws.String("v")})
	wantCode(t, err, "InvalidInput")
	s := f.service(ns, "api")
	if *s.Arn != owner.RegistryARN(model.RegistryID(*s.Id)) || s.DnsConfig.RoutingPolicy != types.RoutingPolicyMultivalue || s.CreateDate == nil {
		t.Errorf("service: %+v", s)
	}
	_, err = f.CreateService(ctx, &servicediscovery.CreateServiceInput{Name: aws.String("api"), NamespaceId: &ns})
	wantCode(t, err, "ServiceAlreadyExists")
	_, err = f.CreateService(ctx, &servicediscovery.CreateServiceInput{Name: aws.String("six"), NamespaceId: &ns,
		DnsConfig: &types.DnsConfig{DnsRecords: []types.DnsRecord{{Type: types.RecordTypeAaaa, TTL: aws.Int64(7)}}}})
	wantCode(t, err, "InvalidInput")
	_, err = f.CreateService(ctx, &servicediscovery.CreateServiceInput{Name: aws.String("api"), NamespaceId: aws.String("ns-none")})
	wantCode(t, err, "NamespaceNotFound")
	listed, err := f.ListServices(ctx, &servicediscovery.ListServicesInput{Filters: []types.ServiceFilter{{Name: types.ServiceFilterNameNamespaceId, Values: []string{ns}}}})
	if err != nil || len(listed.Services) != 1 {
		t.Errorf("services: %+v, %v", listed, err)
	}
	_, err = f.DeleteNamespace(ctx, &servicediscovery.DeleteNamespaceInput{Id: &ns})
	wantCode(t, err, "ResourceInUse")
	if _, err = f.DeleteService(ctx, &servicediscovery.DeleteServiceInput{Id: s.Id}); err != nil {
		t.Error(err)
	}
	_, err = f.GetService(ctx, &servicediscovery.GetServiceInput{Id: s.Id})
	wantCode(t, err, "ServiceNotFound")
	if _, err = f.DeleteNamespace(ctx, &servicediscovery.DeleteNamespaceInput{Id: &ns}); err != nil {
		t.Error(err)
	}
	operations, err := f.ListOperations(ctx, &servicediscovery.ListOperationsInput{})
	if err != nil || len(operations.Operations) != 2 {
		t.Errorf("operations: %+v, %v; want that of the creation and that of the deletion", operations, err)
	}
}

func TestRegisterInstance_IsFoundByHealthAndAttributes(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	s := f.service(f.namespace("prod.local"), "api")
	register := func(id string, attributes map[string]string) error {
		_, err := f.RegisterInstance(ctx, &servicediscovery.RegisterInstanceInput{ServiceId: s.Id, InstanceId: &id, Attributes: attributes})
		return err
	}
	wantCode(t, register("x", map[string]string{"color": "red"}), "InvalidInput")
	for _, err := range []error{
		register("a", map[string]string{"AWS_INSTANCE_IPV4": "10.0.0.1", "color": "blue"}),
		register("b", map[string]string{"AWS_INSTANCE_IPV4": "10.0.0.2", "color": "green", "AWS_INIT_HEALTH_STATUS": "UNHEALTHY"}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	status := func(h types.HealthStatusFilter) func(*servicediscovery.DiscoverInstancesInput) {
		return func(in *servicediscovery.DiscoverInstancesInput) { in.HealthStatus = h }
	}
	f.want(f.discover(status("")), "a")
	f.want(f.discover(status(types.HealthStatusFilterAll)), "a", "b")
	f.want(f.discover(status(types.HealthStatusFilterUnhealthy)), "b")
	f.want(f.discover(func(in *servicediscovery.DiscoverInstancesInput) {
		in.QueryParameters = map[string]string{"color": "green"}
	}), "b")
	f.want(f.discover(func(in *servicediscovery.DiscoverInstancesInput) {
		in.QueryParameters = map[string]string{"color": "red"}
	}))
	before, err := f.DiscoverInstancesRevision(ctx, &servicediscovery.DiscoverInstancesRevisionInput{NamespaceName: aws.String("prod.local"), ServiceName: aws.String("api")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.UpdateInstanceCustomHealthStatus(ctx, &servicediscovery.UpdateInstanceCustomHealthStatusInput{ServiceId: s.Id, InstanceId: aws.String("b"), Status: types.CustomHealthStatusHealthy}); err != nil {
		t.Fatal(err)
	}
	f.want(f.discover(status("")), "a", "b")
	after, err := f.DiscoverInstancesRevision(ctx, &servicediscovery.DiscoverInstancesRevisionInput{NamespaceName: aws.String("prod.local"), ServiceName: aws.String("api")})
	if err != nil || *after.InstancesRevision <= *before.InstancesRevision {
		t.Errorf("revision %v after %v, %v", after, *before.InstancesRevision, err)
	}
	_, err = f.DeleteService(ctx, &servicediscovery.DeleteServiceInput{Id: s.Id})
	wantCode(t, err, "ResourceInUse")
	if _, err := f.DeregisterInstance(ctx, &servicediscovery.DeregisterInstanceInput{ServiceId: s.Id, InstanceId: aws.String("a")}); err != nil {
		t.Fatal(err)
	}
	_, err = f.GetInstance(ctx, &servicediscovery.GetInstanceInput{ServiceId: s.Id, InstanceId: aws.String("a")})
	wantCode(t, err, "InstanceNotFound")
}

func TestTasksOfAService_AreItsInstancesWhileTheyRun(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	s := f.service(f.namespace("prod.local"), "api")
	address, zone, port, host := "192.0.2.7", "local-1a", int32(80), int32(49153)
	wiring := model.Wiring{ServiceRegistries: []ecs.ServiceRegistry{{RegistryArn: *s.Arn, ContainerName: "main", ContainerPort: &port}}}
	task := model.Task{
		ID: "0123456789abcdef0123456789abcdef", Cluster: "c", Service: "web", Deployment: "ecs-svc/1", Instance: "i", LaunchType: ecs.LaunchTypeEC2,
		Definition: model.DefinitionRef{Family: "fam", Revision: 1}, DesiredStatus: model.TaskRunning, LastStatus: model.TaskPending,
		Containers: []model.Container{{Name: "main", NetworkBindings: []ecs.NetworkBinding{{ContainerPort: &port, HostPort: &host}}}},
	}
	f.update(func(tx *store.Tx) {
		tx.PutInstance(&model.Instance{ID: "i", Cluster: "c", Status: model.StatusActive, EC2InstanceID: "host-1", Attributes: []ecs.Attribute{
			{Name: model.AddressAttribute, Value: &address}, {Name: "ecs.availability-zone", Value: &zone},
		}})
		tx.PutService(&model.Service{Cluster: "c", Name: "web", Status: model.StatusActive, Controller: ecs.DeploymentControllerTypeEXTERNAL,
			TaskSets: []model.TaskSet{{ID: "ecs-svc/1", ExternalID: "blue", Wiring: wiring}}})
		tx.PutTask(&task)
	})
	all := func(in *servicediscovery.DiscoverInstancesInput) { in.HealthStatus = types.HealthStatusFilterAll }
	f.want(f.discover(all))
	put := func(change func(*model.Task)) {
		t.Helper()
		next := task
		change(&next)
		task = next
		f.update(func(tx *store.Tx) { tx.PutTask(&next) })
	}
	put(func(t *model.Task) { t.LastStatus = model.TaskRunning })
	f.want(f.discover(func(in *servicediscovery.DiscoverInstancesInput) {}), string(task.ID))
	id := string(task.ID)
	got, err := f.GetInstance(ctx, &servicediscovery.GetInstanceInput{ServiceId: s.Id, InstanceId: &id})
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{
		"AWS_INSTANCE_IPV4": address, "AWS_INSTANCE_PORT": "49153", "AVAILABILITY_ZONE": zone, "ECS_CLUSTER_NAME": "c", "ECS_SERVICE_NAME": "web",
		"ECS_TASK_DEFINITION_FAMILY": "fam", "ECS_TASK_SET_EXTERNAL_ID": "blue", "EC2_INSTANCE_ID": "host-1",
	} {
		if got.Instance.Attributes[key] != value {
			t.Errorf("%s is %q, want %q", key, got.Instance.Attributes[key], value)
		}
	}
	_, err = f.DeregisterInstance(ctx, &servicediscovery.DeregisterInstanceInput{ServiceId: s.Id, InstanceId: &id})
	wantCode(t, err, "ResourceInUse")
	put(func(t *model.Task) { t.HealthStatus = ecs.HealthStatusUNHEALTHY })
	f.want(f.discover(func(in *servicediscovery.DiscoverInstancesInput) { in.HealthStatus = types.HealthStatusFilterHealthy }))
	put(func(t *model.Task) { t.HealthStatus = ecs.HealthStatusHEALTHY })
	f.want(f.discover(func(in *servicediscovery.DiscoverInstancesInput) { in.HealthStatus = types.HealthStatusFilterHealthy }), id)
	// A task that is to stop is not found any more before its agent hears of that.
	put(func(t *model.Task) { t.Stop(ecs.TaskStopCodeUserInitiated, "enough", time.Now()) })
	f.want(f.discover(all))
	_, err = f.DeleteService(ctx, &servicediscovery.DeleteServiceInput{Id: s.Id})
	wantCode(t, err, "ResourceInUse") // the task set may start other tasks
}

// HealthStatus "is ignored for services that don't have a health check configured"
// (DiscoverInstances, Cloud Map API).
func TestDiscoverInstances_FindsAllOfAServiceWithoutAHealthCheck(t *testing.T) {
	f := newFixture(t)
	namespace := f.namespace("prod.local")
	s, err := f.CreateService(t.Context(), &servicediscovery.CreateServiceInput{Name: aws.String("api"), NamespaceId: &namespace})
	if err != nil {
		t.Fatal(err)
	}
	address := "192.0.2.7"
	f.update(func(tx *store.Tx) {
		tx.PutInstance(&model.Instance{ID: "i", Cluster: "c", Status: model.StatusActive, Attributes: []ecs.Attribute{{Name: model.AddressAttribute, Value: &address}}})
		tx.PutService(&model.Service{Cluster: "c", Name: "web", Status: model.StatusActive, Controller: ecs.DeploymentControllerTypeEXTERNAL,
			TaskSets: []model.TaskSet{{ID: "ecs-svc/1", Wiring: model.Wiring{ServiceRegistries: []ecs.ServiceRegistry{{RegistryArn: *s.Service.Arn}}}}}})
		for id, health := range map[model.TaskID]ecs.HealthStatus{"well": ecs.HealthStatusHEALTHY, "ill": ecs.HealthStatusUNHEALTHY} {
			tx.PutTask(&model.Task{
				ID: id, Cluster: "c", Service: "web", Deployment: "ecs-svc/1", Instance: "i", LaunchType: ecs.LaunchTypeEC2,
				Definition: model.DefinitionRef{Family: "fam", Revision: 1}, DesiredStatus: model.TaskRunning, LastStatus: model.TaskRunning, HealthStatus: health,
			})
		}
	})
	for _, status := range append(types.HealthStatusFilter("").Values(), "") {
		f.want(f.discover(func(in *servicediscovery.DiscoverInstancesInput) { in.HealthStatus = status }), "ill", "well")
	}
}
