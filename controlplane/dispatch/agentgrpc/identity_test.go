package agentgrpc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/big"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/longshore/longshore/controlplane/dispatch"
	"github.com/longshore/longshore/controlplane/model"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

// register answers the instance that it was asked for.
func register(_ context.Context, in *ecs.RegisterContainerInstanceRequest) (*ecs.RegisterContainerInstanceResponse, error) {
	return &ecs.RegisterContainerInstanceResponse{ContainerInstance: &ecs.ContainerInstance{ContainerInstanceArn: in.ContainerInstanceArn}}, nil
}

// elsewhere makes connections look as if they came over a network.
type elsewhere struct{ net.Listener }

func (l elsewhere) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return distant{c}, err
}

type distant struct{ net.Conn }

func (distant) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 40000} }

func TestResolveSecrets_NeverLeaveTheMachineInTheClear(t *testing.T) {
	b := newBenchOver(t, time.Minute, insecure.NewCredentials(), func(l net.Listener) net.Listener { return elsewhere{l} })
	b.secretive("mine", "i", model.TaskRunning)
	answer, err := b.client.ResolveSecrets(t.Context(), &agentv1.ResolveSecretsRequest{
		ContainerInstance: owner.InstanceARN("c", "i"), SessionToken: b.token("i"), Task: owner.TaskARN("c", "mine"),
	})
	if status.Code(err) != codes.FailedPrecondition || answer != nil {
		t.Errorf("got %v, %v; want the refusal of a connection that is not encrypted", answer, err)
	}
}

func TestResolveSecrets_OverANetworkToWhoHasACertificate(t *testing.T) {
	pki := newAuthority(t)
	b := newBenchOver(t, time.Minute, pki.server(), func(l net.Listener) net.Listener { return elsewhere{l} })
	b.client = b.as(pki.agent("host-1"))
	b.secretive("mine", "i", model.TaskRunning)
	_, err := b.client.ResolveSecrets(t.Context(), &agentv1.ResolveSecretsRequest{
		ContainerInstance: owner.InstanceARN("c", "i"), SessionToken: b.token("i"), Task: owner.TaskARN("c", "mine"),
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSession_AnInstanceBelongsToTheCertificateThatOpenedTheFirst(t *testing.T) {
	pki := newAuthority(t)
	b := newBenchOver(t, time.Minute, pki.server(), func(l net.Listener) net.Listener { return l })
	first, other := b.as(pki.agent("host-1")), b.as(pki.agent("host-2"))
	b.client = first
	stream := b.connect(t.Context(), "i")
	await(t, stream, func(m *agentv1.ControlMessage) bool { return m.GetWelcome() != nil })

	b.client = other
	if _, err := b.connect(t.Context(), "i").Recv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("another host opened a session as the instance: %v", err)
	}
	if got := b.registerAs(other, owner.InstanceARN("c", "i")); got != codes.PermissionDenied {
		t.Errorf("another host registered as the instance: %v", got)
	}
	if got := b.registerAs(other, "i"); got != codes.InvalidArgument {
		t.Errorf("another host registered as the instance by its short id: %v", got)
	}
	if got := b.registerAs(other, ""); got != codes.OK {
		t.Errorf("another host could not register itself: %v", got)
	}

	// The true one was not disturbed, and comes back with a new certificate.
	sent := &agentv1.AgentMessage{Message: &agentv1.AgentMessage_Report{Report: &agentv1.Report{Sequence: 1}}}
	if err := stream.Send(sent); err != nil {
		t.Fatal(err)
	}
	await(t, stream, func(m *agentv1.ControlMessage) bool { return acked(m) == 1 })
	b.client = b.as(pki.agent("host-1"))
	await(t, b.connect(t.Context(), "i"), fullDesired)
	if got := b.registerAs(b.client, owner.InstanceARN("c", "i")); got != codes.OK {
		t.Errorf("the instance's own host could not register again: %v", got)
	}
}

func TestSession_AnInstanceThatNobodyHadACertificateForIsTakenByTheFirstThatHas(t *testing.T) {
	b := newBench(t, time.Minute)
	await(t, b.connect(t.Context(), "i"), fullDesired)
	if i, _ := b.store.View().Instance("c", "i"); i.Agent != "" || !i.AgentConnected {
		t.Fatalf("instance %+v", i)
	}
	if err := b.dispatcher.Admits(key("i"), "host-1"); err != nil {
		t.Errorf("a certificate was given later, and refused: %v", err)
	}
	if _, err := b.dispatcher.Connect(t.Context(), key("i"), "host-1"); err != nil {
		t.Fatal(err)
	}
	if err := b.dispatcher.Admits(key("i"), "host-2"); err == nil {
		t.Error("the instance was not kept for its host")
	}
}

func key(id model.InstanceID) dispatch.InstanceKey { return dispatch.InstanceKey{Cluster: "c", ID: id} }

func (b *bench) registerAs(client agentv1.AgentServiceClient, instance string) codes.Code {
	b.t.Helper()
	input, err := json.Marshal(ecs.RegisterContainerInstanceRequest{Cluster: "c", ContainerInstanceArn: instance})
	if err != nil {
		b.t.Fatal(err)
	}
	_, err = client.RegisterContainerInstance(b.t.Context(), &agentv1.RegisterContainerInstanceRequest{Input: input})
	return status.Code(err)
}

// as connects with a certificate.
func (b *bench) as(transport credentials.TransportCredentials) agentv1.AgentServiceClient {
	b.t.Helper()
	conn, err := grpc.NewClient(b.addr, grpc.WithTransportCredentials(transport))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	return agentv1.NewAgentServiceClient(conn)
}

// authority signs the certificates of both ends.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, pool: x509.NewCertPool()}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	made := a.issue(template)
	a.cert, a.key = made.Leaf, made.PrivateKey.(*ecdsa.PrivateKey)
	a.pool.AddCert(a.cert)
	return a
}

// issue signs a certificate, itself the first.
func (a *authority) issue(template *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) config(template *x509.Certificate) credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{a.issue(template)}, RootCAs: a.pool, ClientCAs: a.pool, ClientAuth: tls.RequireAndVerifyClientCert,
	})
}

func (a *authority) server() credentials.TransportCredentials {
	return a.config(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
}

// agent has a certificate with the name as its common name, and another DNS name.
func (a *authority) agent(name string) credentials.TransportCredentials {
	return a.config(&x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{"shared.example"}})
}
