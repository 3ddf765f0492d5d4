package proxies_test

import (
	"os"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"

	"github.com/longshore/longshore/controlplane/proxies/catalog"
)

// Envoy is in no Debian package: its example is held against Envoy's own types
// and checks.
func TestEnvoyExample_IsABootstrapThatEnvoyTakes(t *testing.T) {
	text, err := os.ReadFile("../../deploy/proxies/envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	json, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	var bootstrap bootstrapv3.Bootstrap
	if err := protojson.Unmarshal(json, &bootstrap); err != nil {
		t.Fatal(err)
	}
	if err := bootstrap.ValidateAll(); err != nil {
		t.Error(err)
	}
}

// Nor is Traefik: its example is only known to be YAML with the address in it.
func TestTraefikExample_NamesTheProvider(t *testing.T) {
	text, err := os.ReadFile("../../deploy/proxies/traefik.yml")
	if err != nil {
		t.Fatal(err)
	}
	var example struct {
		Providers struct {
			HTTP struct{ Endpoint string }
		}
	}
	if err := yaml.Unmarshal(text, &example); err != nil {
		t.Fatal(err)
	}
	if got := example.Providers.HTTP.Endpoint; got != "http://127.0.0.1:7473/traefik" {
		t.Errorf("endpoint %q", got)
	}
}

func TestTraefik_HasAServiceForEachGroupAndNothingEmpty(t *testing.T) {
	address := serve(t, loaded(
		http1("web", at("10.0.0.1:80", catalog.Healthy), at("10.0.0.2:80", catalog.Draining)),
		http1("idle", at("10.0.0.3:80", catalog.Initial)),
		grpcGroup("api", at("[2001:db8::1]:90", catalog.Healthy)),
		&catalog.Group{Name: "tls", Protocol: "HTTPS", Members: []catalog.Member{at("10.0.0.4:443", catalog.Healthy)}},
		&catalog.Group{Name: "db", Protocol: "TCP", Members: []catalog.Member{at("10.0.0.5:5432", catalog.Healthy)}},
		&catalog.Group{Name: "nodb", Protocol: "TCP"},
	))
	_, got, _ := get(t, "http://"+address+"/traefik")
	want := `{"http":{"routers":{` +
		`"api":{"rule":"Host(` + "`api.longshore.internal`" + `)","service":"api"},` +
		`"idle":{"rule":"Host(` + "`idle.longshore.internal`" + `)","service":"idle"},` +
		`"tls":{"rule":"Host(` + "`tls.longshore.internal`" + `)","service":"tls"},` +
		`"web":{"rule":"Host(` + "`web.longshore.internal`" + `)","service":"web"}},"services":{` +
		`"api":{"loadBalancer":{"passHostHeader":true,"servers":[{"url":"h2c://[2001:db8::1]:90"}]}},` +
		`"idle":{"loadBalancer":{"passHostHeader":true}},` +
		`"tls":{"loadBalancer":{"passHostHeader":true,"servers":[{"url":"https://10.0.0.4:443"}],"serversTransport":"tls"}},` +
		`"web":{"loadBalancer":{"passHostHeader":true,"servers":[{"url":"http://10.0.0.1:80"}]}}},` +
		`"serversTransports":{"tls":{"insecureSkipVerify":true}}},` +
		`"tcp":{"services":{"db":{"loadBalancer":{"servers":[{"address":"10.0.0.5:5432"}]}}}}}`
	if strings.TrimSpace(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if _, nothing, _ := get(t, "http://"+serve(t, loaded())+"/traefik"); nothing != "{}\n" {
		t.Errorf("without groups %q", nothing)
	}
}
