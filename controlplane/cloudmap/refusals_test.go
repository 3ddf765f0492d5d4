package cloudmap_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sd "github.com/aws/aws-sdk-go-v2/service/servicediscovery"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery/types"
	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/awsjson"
	"github.com/longshore/longshore/controlplane/cloudmap"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
)

func second[T any](_ T, err error) error { return err }

func tags(n int) []types.Tag {
	var out []types.Tag
	for i := range n {
		out = append(out, types.Tag{Key: aws.String(fmt.Sprint("k", i)), Value: aws.String("v")})
	}
	return out
}

func TestOperations_Refuse(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	ns := f.namespace("prod.local")
	checked := f.service(ns, "api")
	made, err := f.CreateHttpNamespace(ctx, &sd.CreateHttpNamespaceInput{Name: aws.String("http")})
	if err != nil {
		t.Fatal(err)
	}
	done, err := f.GetOperation(ctx, &sd.GetOperationInput{OperationId: made.OperationId})
	if err != nil {
		t.Fatal(err)
	}
	byAPI := done.Operation.Targets["NAMESPACE"]
	unchecked, err := f.CreateService(ctx, &sd.CreateServiceInput{Name: aws.String("unchecked"), NamespaceId: &byAPI})
	if err != nil {
		t.Fatal(err)
	}
	private := func(change func(*sd.CreatePrivateDnsNamespaceInput)) error {
		in := &sd.CreatePrivateDnsNamespaceInput{Name: aws.String("new.local"), Vpc: aws.String("v")}
		change(in)
		return second(f.CreatePrivateDnsNamespace(ctx, in))
	}
	service := func(change func(*sd.CreateServiceInput)) error {
		in := &sd.CreateServiceInput{Name: aws.String("new"), NamespaceId: &ns}
		change(in)
		return second(f.CreateService(ctx, in))
	}
	records := func(policy types.RoutingPolicy, records ...types.DnsRecord) func(*sd.CreateServiceInput) {
		return func(in *sd.CreateServiceInput) {
			in.DnsConfig = &types.DnsConfig{RoutingPolicy: policy, DnsRecords: records}
		}
	}
	a := func(ttl int64) types.DnsRecord { return types.DnsRecord{Type: types.RecordTypeA, TTL: &ttl} }
	register := func(service *string, id string, attributes map[string]string) error {
		return second(f.RegisterInstance(ctx, &sd.RegisterInstanceInput{ServiceId: service, InstanceId: &id, Attributes: attributes}))
	}
	at := func(key, value string) map[string]string {
		return map[string]string{"AWS_INSTANCE_IPV4": "10.0.0.1", key: value}
	}
	health := func(service *string, id string) error {
		return second(f.UpdateInstanceCustomHealthStatus(ctx, &sd.UpdateInstanceCustomHealthStatusInput{ServiceId: service, InstanceId: &id, Status: types.CustomHealthStatusHealthy}))
	}
	discover := func(change func(*sd.DiscoverInstancesInput)) error {
		in := &sd.DiscoverInstancesInput{NamespaceName: aws.String("prod.local"), ServiceName: aws.String("api")}
		change(in)
		return second(f.DiscoverInstances(ctx, in))
	}
	update := func(id string, change *types.PrivateDnsNamespaceChange) error {
		return second(f.UpdatePrivateDnsNamespace(ctx, &sd.UpdatePrivateDnsNamespaceInput{Id: &id, Namespace: change}))
	}
	soa := func(ttl int64) *types.PrivateDnsNamespaceChange {
		return &types.PrivateDnsNamespaceChange{Properties: &types.PrivateDnsNamespacePropertiesChange{
			DnsProperties: &types.PrivateDnsPropertiesMutableChange{SOA: &types.SOAChange{TTL: &ttl}}}}
	}
	if err := register(unchecked.Service.Id, "one", at("color", "red")); err != nil {
		t.Fatal(err)
	}
	const input = "InvalidInput"
	for name, c := range map[string]struct {
		err  error
		code string
	}{
		"a namespace that exists": {private(func(in *sd.CreatePrivateDnsNamespaceInput) { in.Name = aws.String("prod.local") }), "NamespaceAlreadyExists"},
		"a namespace that exists, by another request": {private(func(in *sd.CreatePrivateDnsNamespaceInput) {
			in.Name, in.CreatorRequestId = aws.String("prod.local"), aws.String("other")
		}), "NamespaceAlreadyExists"},
		"a name that is too long":                    {private(func(in *sd.CreatePrivateDnsNamespaceInput) { in.Name = aws.String(strings.Repeat("a.", 128)) }), input},
		"no VPC":                                     {private(func(in *sd.CreatePrivateDnsNamespaceInput) { in.Vpc = aws.String("") }), input},
		"too many tags":                              {private(func(in *sd.CreatePrivateDnsNamespaceInput) { in.Tags = tags(51) }), "TooManyTagsException"},
		"a description that is too long":             {private(func(in *sd.CreatePrivateDnsNamespaceInput) { in.Description = aws.String(strings.Repeat("x", 1025)) }), input},
		"a name that is an ARN":                      {second(f.CreateHttpNamespace(ctx, &sd.CreateHttpNamespaceInput{Name: aws.String("arn:x")})), input},
		"a public namespace":                         {second(f.CreatePublicDnsNamespace(ctx, &sd.CreatePublicDnsNamespaceInput{Name: aws.String("a.example")})), "UnknownOperationException"},
		"a namespace that is not there":              {second(f.GetNamespace(ctx, &sd.GetNamespaceInput{Id: aws.String("ns-x")})), "NamespaceNotFound"},
		"deleting one that is not there":             {second(f.DeleteNamespace(ctx, &sd.DeleteNamespaceInput{Id: aws.String("ns-x")})), "NamespaceNotFound"},
		"deleting one that is used":                  {second(f.DeleteNamespace(ctx, &sd.DeleteNamespaceInput{Id: &ns})), "ResourceInUse"},
		"changing one that is not there":             {update("ns-x", soa(1)), "NamespaceNotFound"},
		"changing one of another kind":               {update(byAPI, soa(1)), input},
		"a TTL below 0":                              {update(ns, soa(-1)), input},
		"a service that exists":                      {service(func(in *sd.CreateServiceInput) { in.Name = aws.String("API") }), "ServiceAlreadyExists"},
		"a service in no namespace":                  {service(func(in *sd.CreateServiceInput) { in.NamespaceId = nil }), input},
		"a service in a namespace that is not there": {service(func(in *sd.CreateServiceInput) { in.NamespaceId = aws.String("ns-x") }), "NamespaceNotFound"},
		"a service of a name with a space":           {service(func(in *sd.CreateServiceInput) { in.Name, in.NamespaceId = aws.String("a b"), &byAPI }), input},
		"a service of a name that is too long":       {service(func(in *sd.CreateServiceInput) { in.Name = aws.String(strings.Repeat("a", 128)) }), input},
		"records where there is no DNS":              {service(func(in *sd.CreateServiceInput) { in.NamespaceId = &byAPI; records("", a(1))(in) }), input},
		"an unknown routing policy":                  {service(records("RANDOM", a(1))), input},
		"a record twice":                             {service(records("", a(1), a(2))), input},
		"a TTL that is too large":                    {service(records("", a(1<<31))), input},
		"a health check of Route 53": {service(func(in *sd.CreateServiceInput) {
			in.HealthCheckConfig = &types.HealthCheckConfig{Type: types.HealthCheckTypeHttp}
		}), input},
		"a service that is not there":          {second(f.GetService(ctx, &sd.GetServiceInput{Id: aws.String("srv-x")})), "ServiceNotFound"},
		"deleting a service that is not there": {second(f.DeleteService(ctx, &sd.DeleteServiceInput{Id: aws.String("srv-x")})), "ServiceNotFound"},
		"deleting a service that is used":      {second(f.DeleteService(ctx, &sd.DeleteServiceInput{Id: unchecked.Service.Id})), "ResourceInUse"},
		"adding a record later": {second(f.UpdateService(ctx, &sd.UpdateServiceInput{Id: checked.Id, Service: &types.ServiceChange{
			DnsConfig: &types.DnsConfigChange{DnsRecords: []types.DnsRecord{{Type: types.RecordTypeSrv, TTL: aws.Int64(1)}}}}})), input},
		"an instance of a service that is not there": {register(aws.String("srv-x"), "i", at("k", "v")), "ServiceNotFound"},
		"an instance without an address":             {register(checked.Id, "i", map[string]string{"k": "v"}), input},
		"an instance of a bad id":                    {register(checked.Id, "a b", at("k", "v")), input},
		"an address that is none":                    {register(checked.Id, "i", map[string]string{"AWS_INSTANCE_IPV4": "::1"}), input},
		"a port that is none":                        {register(checked.Id, "i", at("AWS_INSTANCE_PORT", "65536")), input},
		"an attribute with a line break":             {register(checked.Id, "i", at("k", "a\nb")), input},
		"an attribute with a space in its name":      {register(checked.Id, "i", at("a b", "v")), input},
		"an attribute that is too long":              {register(checked.Id, "i", at("k", strings.Repeat("v", 1025))), input},
		"a first health that is none":                {register(checked.Id, "i", at("AWS_INIT_HEALTH_STATUS", "SICK")), input},
		"a first health where nobody tells it":       {register(unchecked.Service.Id, "i", at("AWS_INIT_HEALTH_STATUS", "HEALTHY")), input},
		"an alias":                                   {register(checked.Id, "i", at("AWS_ALIAS_DNS_NAME", "x")), input},
		"deregistering what is not there":            {second(f.DeregisterInstance(ctx, &sd.DeregisterInstanceInput{ServiceId: checked.Id, InstanceId: aws.String("i")})), "InstanceNotFound"},
		"the health of what is not there":            {health(checked.Id, "i"), "InstanceNotFound"},
		"health where nobody tells it":               {health(unchecked.Service.Id, "one"), "CustomHealthNotFound"},
		"discovering in no namespace":                {discover(func(in *sd.DiscoverInstancesInput) { in.NamespaceName = aws.String("x") }), "NamespaceNotFound"},
		"discovering no service":                     {discover(func(in *sd.DiscoverInstancesInput) { in.ServiceName = aws.String("x") }), "ServiceNotFound"},
		"discovering by an unknown health":           {discover(func(in *sd.DiscoverInstancesInput) { in.HealthStatus = "SICK" }), input},
		"discovering too many":                       {discover(func(in *sd.DiscoverInstancesInput) { in.MaxResults = aws.Int32(1001) }), input},
		"discovering none":                           {discover(func(in *sd.DiscoverInstancesInput) { in.MaxResults = aws.Int32(0) }), input},
		"an operation that is not there":             {second(f.GetOperation(ctx, &sd.GetOperationInput{OperationId: aws.String("x")})), "OperationNotFound"},
		"a page that is too large":                   {second(f.ListServices(ctx, &sd.ListServicesInput{MaxResults: aws.Int32(101)})), input},
		"a token that is none":                       {second(f.ListNamespaces(ctx, &sd.ListNamespacesInput{NextToken: aws.String("x")})), input},
		"two values that are to be equal": {second(f.ListServices(ctx, &sd.ListServicesInput{Filters: []types.ServiceFilter{
			{Name: types.ServiceFilterNameNamespaceId, Values: []string{"a", "b"}}}})), input},
		"operations between two times": {second(f.ListOperations(ctx, &sd.ListOperationsInput{Filters: []types.OperationFilter{
			{Name: types.OperationFilterNameUpdateDate, Condition: types.FilterConditionBetween, Values: []string{"1", "2"}}}})), input},
		"tags of what is not there": {second(f.TagResource(ctx, &sd.TagResourceInput{ResourceARN: aws.String("arn:x"), Tags: tags(1)})), "ResourceNotFoundException"},
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, c.err, c.code) })
	}
	for range f.store.View().Members(model.RegistryID(*checked.Id), "") {
		t.Error("a refused request has registered an instance")
	}
}

func TestRequests_CanBeRepeatedByTheirCreatorRequestId(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	var namespaces, services []string
	for range 2 {
		made, err := f.CreatePrivateDnsNamespace(ctx, &sd.CreatePrivateDnsNamespaceInput{Name: aws.String("prod.local"), Vpc: aws.String("v"), CreatorRequestId: aws.String("once")})
		if err != nil {
			t.Fatal(err)
		}
		done, err := f.GetOperation(ctx, &sd.GetOperationInput{OperationId: made.OperationId})
		if err != nil {
			t.Fatal(err)
		}
		namespaces = append(namespaces, done.Operation.Targets["NAMESPACE"])
		service, err := f.CreateService(ctx, &sd.CreateServiceInput{Name: aws.String("api"), NamespaceId: &namespaces[0], CreatorRequestId: aws.String("once")})
		if err != nil {
			t.Fatal(err)
		}
		services = append(services, *service.Service.Id)
	}
	if len(slices.Compact(namespaces)) != 1 || len(slices.Compact(services)) != 1 {
		t.Errorf("namespaces %v and services %v, want one of each", namespaces, services)
	}
}

func TestUpdateNamespace_ChangesWhatIsGiven(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	ns := f.namespace("prod.local")
	change := func(change *types.PrivateDnsNamespaceChange) (string, int64) {
		t.Helper()
		if _, err := f.UpdatePrivateDnsNamespace(ctx, &sd.UpdatePrivateDnsNamespaceInput{Id: &ns, Namespace: change}); err != nil {
			t.Fatal(err)
		}
		got, err := f.GetNamespace(ctx, &sd.GetNamespaceInput{Id: &ns})
		if err != nil {
			t.Fatal(err)
		}
		return aws.ToString(got.Namespace.Description), *got.Namespace.Properties.DnsProperties.SOA.TTL
	}
	if text, ttl := change(&types.PrivateDnsNamespaceChange{Description: aws.String("names")}); text != "names" || ttl != 15 {
		t.Errorf("%q, %d s after a change of the description", text, ttl)
	}
	if text, ttl := change(&types.PrivateDnsNamespaceChange{Properties: &types.PrivateDnsNamespacePropertiesChange{
		DnsProperties: &types.PrivateDnsPropertiesMutableChange{SOA: &types.SOAChange{TTL: aws.Int64(60)}}}}); text != "names" || ttl != 60 {
		t.Errorf("%q, %d s after a change of the TTL", text, ttl)
	}
}

func TestDiscoverInstances_OptionalParametersPreferAndFewAreNotAlwaysTheSame(t *testing.T) {
	f := newFixture(t)
	s := f.service(f.namespace("prod.local"), "api")
	for id, color := range map[string]string{"a": "blue", "b": "green", "c": "green"} {
		if _, err := f.RegisterInstance(t.Context(), &sd.RegisterInstanceInput{ServiceId: s.Id, InstanceId: &id, Attributes: map[string]string{"AWS_INSTANCE_IPV4": "10.0.0.1", "color": color}}); err != nil {
			t.Fatal(err)
		}
	}
	optional := func(color string) func(*sd.DiscoverInstancesInput) {
		return func(in *sd.DiscoverInstancesInput) { in.OptionalParameters = map[string]string{"color": color} }
	}
	f.want(f.discover(optional("green")), "b", "c")
	f.want(f.discover(optional("red")), "a", "b", "c")
	seen := map[string]bool{}
	for range 100 { // one of three is missed by chance once in 10¹⁷
		got := f.discover(func(in *sd.DiscoverInstancesInput) { in.MaxResults = aws.Int32(1) })
		if len(got) != 1 {
			t.Fatalf("%d instances, want one", len(got))
		}
		seen[got[0]] = true
	}
	if len(seen) != 3 {
		t.Errorf("only %v were ever found", seen)
	}
}

var operationNames = []string{
	"CreatePrivateDnsNamespace", "CreateHttpNamespace", "UpdatePrivateDnsNamespace", "UpdateHttpNamespace", "GetNamespace", "ListNamespaces", "DeleteNamespace",
	"CreateService", "GetService", "UpdateService", "ListServices", "DeleteService", "RegisterInstance", "DeregisterInstance", "UpdateInstanceCustomHealthStatus",
	"GetInstance", "ListInstances", "GetInstancesHealthStatus", "DiscoverInstances", "DiscoverInstancesRevision", "GetOperation", "ListOperations",
	"TagResource", "UntagResource", "ListTagsForResource", "CreatePublicDnsNamespace", "Nothing",
}

// drawMember draws a value of the right type for a member, or now and then of another.
func drawMember(t *rapid.T, name string, texts []string) any {
	text := func() string { return rapid.SampledFrom(texts).Draw(t, name) }
	number := func() any { return rapid.SampledFrom([]any{0, 1, 60, -1, 1 << 40, nil}).Draw(t, name+" number") }
	if rapid.IntRange(0, 29).Draw(t, name+" odd") == 0 {
		return rapid.SampledFrom([]any{nil, 1, 1.5, true, "x", []any{}, []any{nil}, map[string]any{}}).Draw(t, name+" is")
	}
	switch name {
	case "MaxResults":
		return number()
	case "Tags":
		return []any{map[string]any{"Key": text(), "Value": text()}}
	case "TagKeys", "Instances":
		return []any{text()}
	case "Filters":
		return []any{map[string]any{"Name": rapid.SampledFrom([]string{"NAMESPACE_ID", "SERVICE_ID", "TYPE", "NAME", "x"}).Draw(t, "filter"), "Values": []any{text()}, "Condition": rapid.SampledFrom([]any{"EQ", "IN", nil}).Draw(t, "condition")}}
	case "Attributes", "QueryParameters", "OptionalParameters":
		return map[string]any{"AWS_INSTANCE_IPV4": "10.0.0.1", text(): text()}
	case "DnsConfig":
		return map[string]any{"DnsRecords": []any{map[string]any{"Type": rapid.SampledFrom([]string{"A", "SRV", "x"}).Draw(t, "record"), "TTL": number()}}}
	case "Properties":
		return map[string]any{"DnsProperties": map[string]any{"SOA": map[string]any{"TTL": number()}}}
	case "HealthCheckCustomConfig":
		return map[string]any{}
	case "Namespace", "Service":
		return map[string]any{"Description": text(), "Properties": drawMember(t, "Properties", texts), "DnsConfig": drawMember(t, "DnsConfig", texts)}
	}
	return text()
}

var memberNames = []string{
	"Name", "Vpc", "CreatorRequestId", "Description", "Tags", "TagKeys", "Properties", "Id", "NamespaceId", "ServiceId", "InstanceId", "Namespace", "Service", "DnsConfig",
	"HealthCheckCustomConfig", "HealthCheckConfig", "Type", "Attributes", "Status", "NamespaceName", "ServiceName", "QueryParameters", "OptionalParameters", "HealthStatus",
	"MaxResults", "NextToken", "Filters", "Instances", "OperationId", "ResourceARN",
}

// wellFormed are requests that operations take as they are.
var wellFormed = map[string]func(namespace, service string) map[string]any{
	"ListNamespaces": func(_, _ string) map[string]any { return map[string]any{} },
	"ListServices":   func(_, _ string) map[string]any { return map[string]any{} },
	"GetNamespace":   func(ns, _ string) map[string]any { return map[string]any{"Id": ns} },
	"GetService":     func(_, s string) map[string]any { return map[string]any{"Id": s} },
	"ListInstances":  func(_, s string) map[string]any { return map[string]any{"ServiceId": s} },
	"RegisterInstance": func(_, s string) map[string]any {
		return map[string]any{"ServiceId": s, "InstanceId": "i1", "Attributes": map[string]any{"AWS_INSTANCE_IPV4": "10.0.0.1"}}
	},
	"DiscoverInstances": func(_, _ string) map[string]any {
		return map[string]any{"NamespaceName": "prod.local", "ServiceName": "api"}
	},
}

func TestAnyBody_GetsAnAnswerOfTheAPI(t *testing.T) {
	f := newFixture(t)
	ns := f.namespace("prod.local")
	s := f.service(ns, "api")
	open := httptest.NewServer(api.New(api.Config{
		Owner: owner, Store: func() *store.Store { return f.store },
		Services: []awsjson.Service{cloudmap.New(cloudmap.Config{Owner: owner})},
	}))
	t.Cleanup(open.Close)
	texts := []string{ns, ns, *s.Id, *s.Id, *s.Arn, "prod.local", "api", "i1", "", "x", "HTTP", "HEALTHY", "ALL", "10.0.0.1", "nö\x00\u2028", "a b", strings.Repeat("n", 2000), "AWS_INSTANCE_PORT", "80"}
	succeeded := map[string]bool{}
	rapid.Check(t, func(t *rapid.T) {
		operation := rapid.SampledFrom(operationNames).Draw(t, "operation")
		in := map[string]any{"Id": drawMember(t, "Id", texts), "ServiceId": *s.Id, "InstanceId": drawMember(t, "InstanceId", texts)}
		if well := wellFormed[operation]; well != nil && rapid.Bool().Draw(t, "begins well") {
			in = well(ns, *s.Id)
		}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(memberNames), 0, 8, rapid.ID).Draw(t, "members") {
			in[name] = drawMember(t, name, texts)
		}
		body, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		if rapid.IntRange(0, 19).Draw(t, "cut") == 0 {
			body = body[:len(body)/2]
		}
		request, err := http.NewRequest(http.MethodPost, open.URL, strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Amz-Target", "Route53AutoNaming_v20170314."+operation)
		request.Header.Set("Content-Type", "application/x-amz-json-1.1")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode == http.StatusOK {
			succeeded[operation] = true
		} else if answer.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "__type") {
			t.Fatalf("%s %s: %d %s", operation, body, answer.StatusCode, text)
		}
	})
	if len(succeeded) < 5 {
		t.Errorf("only %v ever succeeded: the requests do not go deep", succeeded)
	}
}
