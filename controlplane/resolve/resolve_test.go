package resolve_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/resolve"
	"github.com/longshore/longshore/controlplane/secrets"
	"github.com/longshore/longshore/controlplane/secretsapi"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/ecs"
)

var owner = model.Owner{Account: "123456789012", Region: "us-east-1"}

// place is a store with an API in front of it, which can be somebody's own or
// stand for the services elsewhere.
type place struct {
	store      *store.Store
	keys       *secrets.Keyring
	url        string
	asked      atomic.Int64
	secrets    *secretsmanager.Client
	parameters *ssm.Client
}

func newPlace(t *testing.T, o model.Owner) *place {
	t.Helper()
	keys, err := secrets.ParseKeys(secrets.NewKeyFile("k"))
	if err != nil {
		t.Fatal(err)
	}
	p := &place{store: storetest.New(t, nil), keys: keys}
	handler := api.New(api.Config{
		Owner: o, Store: func() *store.Store { return p.store }, Keys: map[string]string{"AKID": "secret"},
		Services: secretsapi.New(secretsapi.Config{Owner: o, Keys: keys}),
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	p.secrets = secretsmanager.New(secretsmanager.Options{BaseEndpoint: &p.url, Region: o.Region, Credentials: identity("secret")})
	p.parameters = ssm.New(ssm.Options{BaseEndpoint: &p.url, Region: o.Region, Credentials: identity("secret")})
	return p
}

func identity(secret string) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider("AKID", secret, "")
}

func (p *place) secret(t *testing.T, name, value string) (arn string) {
	t.Helper()
	out, err := p.secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value})
	if err != nil {
		t.Fatal(err)
	}
	return *out.ARN
}

func (p *place) parameter(t *testing.T, name, value string) {
	t.Helper()
	if _, err := p.parameters.PutParameter(t.Context(), &ssm.PutParameterInput{Name: &name, Value: &value, Type: "SecureString"}); err != nil {
		t.Fatal(err)
	}
}

func secret(name, from string) ecs.Secret { return ecs.Secret{Name: name, ValueFrom: from} }

func TestResolve_FindsEverythingThatADefinitionNames(t *testing.T) {
	p := newPlace(t, owner)
	db := p.secret(t, "db", `{"user":"app","password":"one"}`)
	if _, err := p.secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("db"), SecretString: aws.String(`{"user":"app","password":"two"}`)}); err != nil {
		t.Fatal(err)
	}
	p.secret(t, "registry", `{"username":"u","password":"p"}`)
	p.parameter(t, "/app/token", "tok")
	d := &ecs.TaskDefinition{ContainerDefinitions: []ecs.ContainerDefinition{
		{Name: "plain"},
		{
			Name:                  "web",
			Secrets:               []ecs.Secret{secret("NEW", db+":password::"), secret("OLD", db+":password:AWSPREVIOUS:"), secret("TOKEN", "/app/token")},
			LogConfiguration:      &ecs.LogConfiguration{LogDriver: "splunk", SecretOptions: []ecs.Secret{secret("splunk-token", "arn:aws:ssm:us-east-1:123456789012:parameter/app/token")}},
			RepositoryCredentials: &ecs.RepositoryCredentials{CredentialsParameter: "registry"},
		},
	}}
	values, err := resolve.New(resolve.Config{Owner: owner, Keys: p.keys}).Resolve(t.Context(), p.store.View(), d)
	if err != nil || len(values) != 1 || values[0].Container != "web" {
		t.Fatalf("got %v, %v", values, err)
	}
	v := values[0]
	if got := fmt.Sprint(v.Environment); got != "map[NEW:two OLD:one TOKEN:tok]" {
		t.Errorf("environment %s", got)
	}
	if got := fmt.Sprint(v.LogOptions); got != "map[splunk-token:tok]" {
		t.Errorf("log options %s", got)
	}
	if v.Registry == nil || v.Registry.Username != "u" || v.Registry.Password != "p" {
		t.Error("not the registry's credentials")
	}
	if printed := fmt.Sprintf("%v %+v %#v %v %#v", v, v, values, v.Registry, *v.Registry); strings.Contains(printed, "two") || strings.Contains(printed, `"p"`) {
		t.Errorf("printing shows values: %s", printed)
	}
}

func TestResolve_AsksElsewhereForWhatTheStoreDoesNotHave(t *testing.T) {
	elsewhere := newPlace(t, model.Owner{Account: "999999999999", Region: "us-east-1"})
	there := elsewhere.secret(t, "shared", `{"k":"remote"}`)
	elsewhere.parameter(t, "/remote", "far")
	elsewhere.parameter(t, "/both", "far")
	own := newPlace(t, owner)
	own.parameter(t, "/both", "near")
	own.secret(t, "mine", "here")
	resolver := func(key string) *resolve.Resolver {
		return resolve.New(resolve.Config{Owner: owner, Keys: own.keys, Remote: resolve.NewRemote(resolve.RemoteConfig{
			SecretsManager: elsewhere.url, ParameterStore: elsewhere.url, Region: "us-east-1", Credentials: identity(key), Timeout: 10 * time.Second,
		})})
	}
	d := &ecs.TaskDefinition{ContainerDefinitions: []ecs.ContainerDefinition{
		{Name: "a", Secrets: []ecs.Secret{secret("K", there+":k::"), secret("ALL", there), secret("P", "/remote"), secret("B", "/both")}},
		{Name: "b", Secrets: []ecs.Secret{secret("K", there+":k::"), secret("M", owner.SecretPrefix()+"mine")}},
	}}
	before := elsewhere.asked.Load()
	values, err := resolver("secret").Resolve(t.Context(), own.store.View(), d)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(values[0].Environment, values[1].Environment); got != `map[ALL:{"k":"remote"} B:near K:remote P:far] map[K:remote M:here]` {
		t.Errorf("got %s", got)
	}
	if n := elsewhere.asked.Load() - before; n != 2 {
		t.Errorf("the services were asked %d times for one secret and one parameter", n)
	}

	_, err = resolver("wrong").Resolve(t.Context(), own.store.View(), d)
	if err == nil || !strings.Contains(err.Error(), "InvalidSignatureException") {
		t.Errorf("with another key: %v", err)
	}
	for from, want := range map[string]string{
		"/nowhere": "unable to retrieve secret /nowhere: the Parameter Store answered ParameterNotFound",
		"arn:aws:secretsmanager:us-east-1:999999999999:secret:nothing": "Secrets Manager answered ResourceNotFoundException",
	} {
		_, err := resolver("secret").Resolve(t.Context(), own.store.View(), &ecs.TaskDefinition{ContainerDefinitions: []ecs.ContainerDefinition{{Name: "a", Secrets: []ecs.Secret{secret("A", from)}}}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", from, err)
		}
	}
}

func TestResolve_AnAnswerThatCannotBeReadIsNotRepeated(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"SecretString": "sesame", `)
	}))
	defer server.Close()
	r := resolve.New(resolve.Config{Owner: owner, Remote: resolve.NewRemote(resolve.RemoteConfig{SecretsManager: server.URL, Region: "us-east-1", Credentials: identity("x"), Timeout: 10 * time.Second})})
	s := storetest.New(t, nil)
	_, err := r.Resolve(t.Context(), s.View(), &ecs.TaskDefinition{ContainerDefinitions: []ecs.ContainerDefinition{
		{Name: "a", Secrets: []ecs.Secret{secret("A", owner.SecretPrefix()+"x")}},
	}})
	if err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("got %v", err)
	}
}
