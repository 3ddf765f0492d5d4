package main_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery"
	sdtypes "github.com/aws/aws-sdk-go-v2/service/servicediscovery/types"
	"github.com/miekg/dns"

	"github.com/longshore/longshore/controlplane/store/embedded"
	"github.com/longshore/longshore/scripts/testbed"
)

// dnsAddress gives the machine an address at which an agent can answer containers.
func dnsAddress(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can set up an address")
	}
	ip, err := exec.LookPath("ip")
	if err != nil {
		t.Skip("there is no ip: ", err)
	}
	address := fmt.Sprintf("169.254.%d.%d", 100+rand.IntN(60), 1+rand.IntN(250))
	if out, err := exec.Command(ip, "address", "add", address+"/32", "dev", "lo").CombinedOutput(); err != nil {
		t.Skipf("an address can not be set up: %v %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command(ip, "address", "delete", address+"/32", "dev", "lo").CombinedOutput(); err != nil {
			t.Errorf("the address is left: %v %s", err, out)
		}
	})
	return address
}

// bridgeAddress is that of the machine in the network of its containers.
func bridgeAddress(t *testing.T) string {
	t.Helper()
	bridge, err := net.InterfaceByName("docker0")
	if err != nil {
		t.Skip("the Docker daemon is not on this machine: ", err)
	}
	addresses, err := bridge.Addrs()
	if err != nil || len(addresses) == 0 {
		t.Skip("docker0 has no address: ", err)
	}
	return addresses[0].(*net.IPNet).IP.String()
}

func (s *site) cloudMap() *servicediscovery.Client {
	endpoint := "http://" + s.api
	return servicediscovery.New(servicediscovery.Options{
		BaseEndpoint: &endpoint, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("x", "y", ""),
	})
}

// registry makes prod.local and api in it, found by A and SRV records.
func (s *site) registry() *string {
	s.t.Helper()
	c := s.cloudMap()
	made, err := c.CreatePrivateDnsNamespace(s.t.Context(), &servicediscovery.CreatePrivateDnsNamespaceInput{Name: aws.String("prod.local"), Vpc: aws.String("v")})
	if err != nil {
		s.t.Fatal(err)
	}
	done, err := c.GetOperation(s.t.Context(), &servicediscovery.GetOperationInput{OperationId: made.OperationId})
	if err != nil {
		s.t.Fatal(err)
	}
	registry, err := c.CreateService(s.t.Context(), &servicediscovery.CreateServiceInput{
		Name: aws.String("api"), NamespaceId: aws.String(done.Operation.Targets["NAMESPACE"]),
		DnsConfig: &sdtypes.DnsConfig{DnsRecords: []sdtypes.DnsRecord{{Type: sdtypes.RecordTypeA, TTL: aws.Int64(1)}, {Type: sdtypes.RecordTypeSrv, TTL: aws.Int64(1)}}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return registry.Service.Arn
}

func get(url string) string {
	answer, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// One container finds another by its name, also while the control plane is dead.
func TestContainers_FindOneAnotherByNameWithoutTheControlPlane(t *testing.T) {
	s := newSite(t)
	address, bridge, dnsAddr := dnsAddress(t), bridgeAddress(t), testbed.FreeAddress(t)
	plane := s.plane("plane", s.api, s.agents, "--dns-addr", dnsAddr)
	s.createCluster(plane.AwaitReady())
	run := func() *testbed.Process {
		return s.agent("a1", s.agents, "--container-dns", address, "--advertise-address", bridge)
	}
	agent := run().AwaitReady()
	serving := web(s.images.Serve)
	serving.Name, serving.PortMappings = aws.String("main"), []types.PortMapping{{ContainerPort: aws.Int32(8080)}}
	definition := s.register("web", serving)
	s.createService("caller", definition, 1)
	_, err := s.ecs.CreateService(t.Context(), &awsecs.CreateServiceInput{
		Cluster: aws.String(s.cluster()), ServiceName: aws.String("api"), TaskDefinition: &definition, DesiredCount: aws.Int32(2),
		ServiceRegistries: []types.ServiceRegistry{{RegistryArn: s.registry(), ContainerName: aws.String("main"), ContainerPort: aws.Int32(8080)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.awaitStable("api")
	s.awaitStable("caller")
	caller := s.task(s.taskARNs("caller")[0])
	find := fmt.Sprintf("http://%s:%d/find/api.prod.local", bridge, *caller.Containers[0].NetworkBindings[0].HostPort)
	found := func() bool { return strings.HasSuffix(get(find), ".api.prod.local. 200\n") }
	s.await("the service by its name", found)

	// The control plane answers as well.
	q := new(dns.Msg)
	q.SetQuestion("api.prod.local.", dns.TypeA)
	s.await("both tasks in the control plane's DNS", func() bool {
		answer, err := dns.Exchange(q, dnsAddr)
		return err == nil && len(answer.Answer) == 2
	})
	_, err = s.ecs.UpdateService(t.Context(), &awsecs.UpdateServiceInput{Cluster: aws.String(s.cluster()), Service: aws.String("api"), DesiredCount: aws.Int32(1)})
	if err != nil {
		t.Fatal(err)
	}
	s.await("one task in the agent's DNS", func() bool {
		answer, err := dns.Exchange(q, net.JoinHostPort(address, "53"))
		return err == nil && len(answer.Answer) == 1
	})
	s.awaitStable("api")

	plane.Kill()
	if !found() {
		t.Errorf("without the control plane: %s", get(find))
	}
	// Nor does an agent need one to begin with: it goes on with what it knew.
	agent.Stop()
	agent = run()
	s.await("the service by its name, from an agent that has heard of no control plane", found)
	agent.Kill()
	run()
	s.await("the service by its name, from an agent that was killed", found)
	answer, err := dns.Exchange(q, net.JoinHostPort(address, "53"))
	if err != nil || len(answer.Answer) != 1 {
		t.Errorf("the agent answers %v, %v; want the one task that is left", answer, err)
	}
}

// addressesAt are the addresses that a name server has for a name; "" while it has none.
func addressesAt(server, name string) string {
	q := new(dns.Msg)
	q.SetQuestion(name, dns.TypeA)
	answer, err := dns.Exchange(q, server)
	if err != nil {
		return ""
	}
	var all []string
	for _, rr := range answer.Answer {
		all = append(all, rr.(*dns.A).A.String())
	}
	return sorted(all)
}

// A control plane that does not lead answers DNS as the other one does, goes on when
// that dies, and hears of what the next one changes. Tasks in awsvpc mode are found at
// their own addresses.
func TestDNS_OfEveryControlPlaneHasTheTasksOwnAddresses(t *testing.T) {
	s := newSite(t)
	etcd, err := embedded.Start(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { etcd.Close() })
	first, second, otherAPI, otherAgents := testbed.FreeAddress(t), testbed.FreeAddress(t), testbed.FreeAddress(t), testbed.FreeAddress(t)
	leading := s.plane("p1", s.api, s.agents, "--etcd-endpoints", etcd.Endpoint(), "--dns-addr", first).AwaitReady()
	s.plane("p2", otherAPI, otherAgents, "--etcd-endpoints", etcd.Endpoint(), "--dns-addr", second).AwaitReady()
	s.createCluster(leading)
	s.agent("a1", s.agents+","+otherAgents).AwaitReady()
	definition, network := s.networked()
	_, err = s.ecs.CreateService(t.Context(), &awsecs.CreateServiceInput{
		Cluster: aws.String(s.cluster()), ServiceName: aws.String("api"), TaskDefinition: &definition, DesiredCount: aws.Int32(2), NetworkConfiguration: network,
		ServiceRegistries: []types.ServiceRegistry{{RegistryArn: s.registry(), ContainerName: aws.String("main"), ContainerPort: aws.Int32(8080)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.awaitStable("api")
	const name = "api.prod.local."
	want := sorted(s.ownAddresses("api"))
	for _, server := range []string{first, second} {
		s.await("the addresses of both tasks at "+server, func() bool { return addressesAt(server, name) == want })
	}
	leading.Kill()
	if got := addressesAt(second, name); got != want {
		t.Errorf("without a leader the other one answers %q, want %q", got, want)
	}
	s.ecs = client(otherAPI)
	s.await("the other one to lead", func() bool {
		_, err := s.ecs.UpdateService(t.Context(), &awsecs.UpdateServiceInput{Cluster: aws.String(s.cluster()), Service: aws.String("api"), DesiredCount: aws.Int32(1)})
		return err == nil
	})
	s.await("the address of one task", func() bool {
		got := addressesAt(second, name)
		return got != "" && got != want && strings.Contains(want, got)
	})
	s.awaitStable("api")
	if got, want := addressesAt(second, name), sorted(s.ownAddresses("api")); got != want {
		t.Errorf("after a scale-in under the next leader %q, want %q", got, want)
	}
}

func TestNamespaceCommand_CreatesListsAndDeletes(t *testing.T) {
	s := newSite(t)
	s.plane("plane", s.api, s.agents).AwaitReady()
	run := func(args ...string) string {
		t.Helper()
		out, err := s.longshore(append([]string{"namespace"}, args...)...)
		if err != nil {
			t.Fatal(out, err)
		}
		return out
	}
	id := run("create", "prod.local")
	run("create", "test.local")
	if _, err := s.longshore("namespace", "create", "prod.local"); err == nil {
		t.Error("a namespace was made twice")
	}
	c := s.cloudMap()
	made, err := c.CreateService(t.Context(), &servicediscovery.CreateServiceInput{Name: aws.String("api"), NamespaceId: &id, DnsConfig: &sdtypes.DnsConfig{DnsRecords: []sdtypes.DnsRecord{{Type: sdtypes.RecordTypeA, TTL: aws.Int64(1)}}}})
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^prod\.local +` + regexp.QuoteMeta(id) + ` +DNS_PRIVATE +1$`)
	if list := run("list"); !row.MatchString(list) || !strings.Contains(list, "\ntest.local") {
		t.Errorf("listed\n%s\nwant %s and test.local", list, row)
	}
	if out, err := s.longshore("namespace", "delete", "prod.local"); err == nil || !strings.Contains(out, "ResourceInUse") {
		t.Errorf("deleting a namespace with a service: %v %s", err, out)
	}
	if _, err := c.DeleteService(t.Context(), &servicediscovery.DeleteServiceInput{Id: made.Service.Id}); err != nil {
		t.Fatal(err)
	}
	run("delete", "prod.local")
	if list := run("list"); strings.Contains(list, "prod.local") || !strings.Contains(list, "test.local") {
		t.Errorf("after the end of prod.local\n%s", list)
	}
}
