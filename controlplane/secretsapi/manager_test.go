package secretsapi_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/longshore/longshore/controlplane/api"
	"github.com/longshore/longshore/controlplane/secrets"
	"github.com/longshore/longshore/controlplane/secretsapi"
)

func (f *fixture) create(name, value string) *secretsmanager.CreateSecretOutput {
	f.t.Helper()
	return must(f.secrets.CreateSecret(f.t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value}))(f.t)
}

func (f *fixture) get(id string, edit ...func(*secretsmanager.GetSecretValueInput)) (*secretsmanager.GetSecretValueOutput, error) {
	in := &secretsmanager.GetSecretValueInput{SecretId: &id}
	for _, e := range edit {
		e(in)
	}
	return f.secrets.GetSecretValue(f.t.Context(), in)
}

func TestSecret_IsFoundByNameByARNAndByPartOfTheARN(t *testing.T) {
	f := newFixture(t)
	made := f.create("prod/db", "hunter2-value")
	whole := *made.ARN
	partial := whole[:len(whole)-7]
	if want := "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db"; partial != want {
		t.Errorf("ARN %s, want %s and six characters", whole, want)
	}
	for _, id := range []string{"prod/db", whole, partial} {
		got := must(f.get(id))(t)
		if *got.SecretString != "hunter2-value" || *got.ARN != whole || *got.VersionId != *made.VersionId || !slices.Equal(got.VersionStages, []string{"AWSCURRENT"}) {
			t.Errorf("%s: %+v", id, got)
		}
	}
	for _, id := range []string{"prod", partial + "-Zzzzzz", "arn:aws:secretsmanager:us-east-1:999999999999:secret:prod/db"} {
		_, err := f.get(id)
		wantCode(t, err, "ResourceNotFoundException")
	}
	f.nowhere("hunter2-value")
}

func TestSecret_ANewValueMakesTheOneBeforePrevious(t *testing.T) {
	f := newFixture(t)
	first := f.create("s", "one")
	put := func(value string, stages ...string) *secretsmanager.PutSecretValueOutput {
		t.Helper()
		return must(f.secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: text("s"), SecretString: &value, VersionStages: stages}))(t)
	}
	second := put("two")
	stage := func(name string) func(*secretsmanager.GetSecretValueInput) {
		return func(in *secretsmanager.GetSecretValueInput) { in.VersionStage = &name }
	}
	if got := must(f.get("s", stage("AWSPREVIOUS")))(t); *got.SecretString != "one" || *got.VersionId != *first.VersionId {
		t.Errorf("AWSPREVIOUS is %q", *got.SecretString)
	}
	put("candidate", "PENDING")
	if got := must(f.get("s"))(t); *got.SecretString != "two" || *got.VersionId != *second.VersionId {
		t.Errorf("a version with a stage of its own became the current one: %q", *got.SecretString)
	}
	if got := must(f.get("s", stage("PENDING")))(t); *got.SecretString != "candidate" {
		t.Errorf("PENDING is %q", *got.SecretString)
	}
	put("three")
	_, err := f.get("s", func(in *secretsmanager.GetSecretValueInput) { in.VersionId = first.VersionId })
	wantCode(t, err, "ResourceNotFoundException") // its last stage went on
	d := must(f.secrets.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: text("s")}))(t)
	if len(d.VersionIdsToStages) != 3 || !slices.Equal(d.VersionIdsToStages[*second.VersionId], []string{"AWSPREVIOUS"}) {
		t.Errorf("stages %v", d.VersionIdsToStages)
	}
}

func TestSecret_BinaryValuesComeBackAsTheyWere(t *testing.T) {
	f := newFixture(t)
	value := []byte{0, 1, 2, 0xff, '\n'}
	must(f.secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: text("b"), SecretBinary: value}))(t)
	got := must(f.get("b"))(t)
	if !slices.Equal(got.SecretBinary, value) || got.SecretString != nil {
		t.Errorf("got %v and %v", got.SecretBinary, got.SecretString)
	}
}

func TestSecret_TheSameRequestAgainIsNoError(t *testing.T) {
	f := newFixture(t)
	token := strings.Repeat("t", 32)
	in := &secretsmanager.CreateSecretInput{Name: text("s"), SecretString: text("v"), ClientRequestToken: &token}
	first := must(f.secrets.CreateSecret(t.Context(), in))(t)
	if again := must(f.secrets.CreateSecret(t.Context(), in))(t); *again.ARN != *first.ARN || *again.VersionId != token {
		t.Errorf("again: %+v", again)
	}
	in.SecretString = text("other")
	_, err := f.secrets.CreateSecret(t.Context(), in)
	wantCode(t, err, "ResourceExistsException")
	_, err = f.secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: text("s"), SecretString: text("other"), ClientRequestToken: &token})
	wantCode(t, err, "ResourceExistsException")
}

func TestSecret_DeletedCanBeRestoredUntilItIsGone(t *testing.T) {
	f := newFixture(t)
	f.create("s", "v")
	out := must(f.secrets.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: text("s"), RecoveryWindowInDays: aws.Int64(7)}))(t)
	s, _ := f.store.View().Secret("s")
	if got := out.DeletionDate.Sub(s.DeletedAt).Round(day(1)); got != day(7) {
		t.Errorf("goes after %v, want 7 days", got)
	}
	_, err := f.get("s")
	wantCode(t, err, "InvalidRequestException")
	_, err = f.secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: text("s"), SecretString: text("w")})
	wantCode(t, err, "InvalidRequestException")
	must(f.secrets.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: text("s")}))(t)
	if got := must(f.get("s"))(t); *got.SecretString != "v" {
		t.Error("not as it was")
	}
	must(f.secrets.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: text("s"), ForceDeleteWithoutRecovery: aws.Bool(true)}))(t)
	_, err = f.get("s")
	wantCode(t, err, "ResourceNotFoundException")
}

func TestSecrets_AreListedByNameInPagesWithoutValues(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"b", "a/2", "a/1", "c"} {
		f.create(name, "listed-value")
	}
	var names []string
	pages := secretsmanager.NewListSecretsPaginator(f.secrets, &secretsmanager.ListSecretsInput{MaxResults: aws.Int32(2)})
	for pages.HasMorePages() {
		for _, s := range must(pages.NextPage(t.Context()))(t).SecretList {
			names = append(names, *s.Name)
		}
	}
	if want := []string{"a/1", "a/2", "b", "c"}; !slices.Equal(names, want) {
		t.Errorf("listed %v, want %v", names, want)
	}
	filtered := must(f.secrets.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{Filters: []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{"a/"}}}}))(t)
	if len(filtered.SecretList) != 2 {
		t.Errorf("filtered %d, want 2", len(filtered.SecretList))
	}
	_, err := f.secrets.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{NextToken: text("made-up")})
	wantCode(t, err, "InvalidNextTokenException")
}

func TestSecret_RefusesWhatIsWrong(t *testing.T) {
	f := newFixture(t)
	f.create("s", "v")
	for name, c := range map[string]struct {
		in   secretsmanager.CreateSecretInput
		code string
	}{
		"a name with a space":  {secretsmanager.CreateSecretInput{Name: text("a b"), SecretString: text("v")}, "InvalidParameterException"},
		"a name that is there": {secretsmanager.CreateSecretInput{Name: text("s"), SecretString: text("v")}, "ResourceExistsException"},
		"two values":           {secretsmanager.CreateSecretInput{Name: text("x"), SecretString: text("v"), SecretBinary: []byte("v")}, "InvalidParameterException"},
		"too long":             {secretsmanager.CreateSecretInput{Name: text("x"), SecretString: text(strings.Repeat("x", 65537))}, "InvalidParameterException"},
		"a KMS key":            {secretsmanager.CreateSecretInput{Name: text("x"), SecretString: text("v"), KmsKeyId: text("alias/k")}, "InvalidParameterException"},
	} {
		_, err := f.secrets.CreateSecret(t.Context(), &c.in)
		t.Run(name, func(t *testing.T) { wantCode(t, err, c.code) })
	}
	_, err := f.secrets.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: text("s")})
	wantCode(t, err, "UnknownOperationException")
	if !strings.Contains(err.Error(), "RotateSecret") {
		t.Errorf("%v does not name the operation", err)
	}
}

func TestSecret_LargeVersionsTogetherAreRefusedAndNothingIsLost(t *testing.T) {
	f := newFixture(t)
	f.create("s", "v")
	var err error
	for i := range 20 {
		if _, err = f.secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
			SecretId: text("s"), SecretString: text(strings.Repeat("x", 65536)), VersionStages: []string{string(rune('A' + i))},
		}); err != nil {
			break
		}
	}
	wantCode(t, err, "LimitExceededException")
	if got := must(f.get("s"))(t); *got.SecretString != "v" {
		t.Error("the current version is lost")
	}
}

func TestSecret_WithoutAKeyIsRefusedAndSaysHowToGiveOne(t *testing.T) {
	f := newFixture(t, func(c *secretsapi.Config, _ *api.Config) { c.Keys = nil })
	_, err := f.secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: text("s"), SecretString: text("v")})
	wantCode(t, err, "EncryptionFailure")
	if !strings.Contains(err.Error(), "--secrets-key") {
		t.Errorf("%v does not say what to do", err)
	}
	_, err = f.parameters.PutParameter(t.Context(), parameter("p", "v"))
	wantCode(t, err, "InvalidKeyId")
}

func TestSecret_AnotherKeyOfTheSameIDIsToldFromTheRightOne(t *testing.T) {
	f := newFixture(t)
	f.create("s", "v")
	wrong := keyring(t, string(secrets.NewKeyFile("k1")))
	s, _ := f.store.View().Secret("s")
	if _, err := wrong.OpenSecret(s, &s.Versions[0]); !errors.Is(err, secrets.ErrWrongKey) {
		t.Errorf("got %v, want ErrWrongKey", err)
	}
}

func TestServices_CheckSignaturesInTheirOwnScope(t *testing.T) {
	f := newFixture(t)
	wrong := secretsmanager.New(secretsmanager.Options{
		BaseEndpoint: &f.url, Region: owner.Region, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "wrong", ""),
	})
	_, err := wrong.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{})
	wantCode(t, err, "InvalidSignatureException")

	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "secretsmanager.ListSecrets")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || !strings.Contains(string(body), "MissingAuthenticationTokenException") {
		t.Errorf("without a signature: %s (%v)", body, err)
	}
}

func TestServices_AreThrottledTogetherWithECS(t *testing.T) {
	f := newFixture(t, func(_ *secretsapi.Config, c *api.Config) { c.Rate, c.Burst = 0.001, 1 })
	must(f.secrets.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{}))(t)
	_, err := f.secrets.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{})
	wantCode(t, err, "ThrottlingException")
}
