package secrets_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/secrets"
)

var owner = model.Owner{Account: "123456789012", Region: "us-east-1"}

func ring(t *testing.T, text string) *secrets.Keyring {
	t.Helper()
	r, err := secrets.ParseKeys([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func key(fill byte) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(fill), 32)))
}

func TestParseKeys_RefusesWhatIsNoKeyFile(t *testing.T) {
	for name, text := range map[string]string{
		"empty":         "",
		"only comments": "# nothing\n\n",
		"no id":         key('a'),
		"a short key":   "k:" + base64.StdEncoding.EncodeToString([]byte("short")),
		"no base64":     "k:!!!",
		"an id twice":   "k:" + key('a') + "\nk:" + key('b'),
	} {
		_, err := secrets.ParseKeys([]byte(text))
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), key('a')) {
			t.Errorf("%s: the error shows a key: %v", name, err)
		}
	}
}

func TestKeyring_SealsUnderTheNewestAndOpensUnderAny(t *testing.T) {
	s := &model.Secret{Name: "db", Suffix: "AbCdEf"}
	old := ring(t, "k1:"+key('a'))
	sealed, err := old.SealSecret(s, "v1", []byte("hunter2"))
	if err != nil || sealed.Key != "k1" || strings.Contains(string(sealed.Data), "hunter2") {
		t.Fatalf("sealed %+v, %v", sealed, err)
	}
	v := &model.SecretVersion{ID: "v1", Value: sealed}
	both := ring(t, "# newest first\nk2:"+key('b')+"\n\nk1:"+key('a')+"\n")
	if plain, err := both.OpenSecret(s, v); err != nil || string(plain) != "hunter2" {
		t.Errorf("opened %q, %v", plain, err)
	}
	if again, err := both.SealSecret(s, "v1", []byte("hunter2")); err != nil || again.Key != "k2" {
		t.Errorf("sealed under %q (%v), want the newest", again.Key, err)
	}
	if twice, err := old.SealSecret(s, "v1", []byte("hunter2")); err != nil || string(twice.Nonce) == string(sealed.Nonce) || string(twice.Data) == string(sealed.Data) {
		t.Errorf("the same value is sealed the same way twice (%v)", err)
	}
	for name, c := range map[string]struct {
		ring *secrets.Keyring
		want error
	}{
		"no key":                 {nil, secrets.ErrNoKey},
		"another key":            {ring(t, "k2:"+key('b')), secrets.ErrUnknownKey},
		"another of the same id": {ring(t, "k1:"+key('b')), secrets.ErrWrongKey},
	} {
		if _, err := c.ring.OpenSecret(s, v); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// A value that is moved to another record, or an older one put in the place of a
// newer, does not open.
func TestKeyring_AValueOpensInItsOwnRecordOnly(t *testing.T) {
	r := ring(t, "k1:"+key('a'))
	s := &model.Secret{Name: "db", Suffix: "AbCdEf"}
	sealed, err := r.SealSecret(s, "v1", []byte("hunter2"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		secret  model.Secret
		version string
	}{
		"another name":    {model.Secret{Name: "dc", Suffix: "AbCdEf"}, "v1"},
		"another life":    {model.Secret{Name: "db", Suffix: "Zzzzzz"}, "v1"},
		"another version": {*s, "v2"},
	} {
		if _, err := r.OpenSecret(&c.secret, &model.SecretVersion{ID: c.version, Value: sealed}); !errors.Is(err, secrets.ErrWrongKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	parameter, err := r.SealParameter("p", 1, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.OpenParameter(&model.Parameter{Name: "p", Version: 2, Value: parameter}); !errors.Is(err, secrets.ErrWrongKey) {
		t.Errorf("another version of a parameter: %v", err)
	}
	parameter.Data[0] ^= 1
	if _, err := r.OpenParameter(&model.Parameter{Name: "p", Version: 1, Value: parameter}); !errors.Is(err, secrets.ErrWrongKey) {
		t.Errorf("a changed value: %v", err)
	}
}

func TestParseReference_ReadsEveryFormOfTheGuide(t *testing.T) {
	const asm, ssm = "arn:aws:secretsmanager:us-east-1:123456789012:secret:appauth-AbCdEf", "arn:aws:ssm:us-east-1:123456789012:parameter/a/b"
	for from, want := range map[string]secrets.Reference{
		"/a/b":                           {Parameter: "/a/b"},
		"name":                           {Parameter: "name"},
		ssm:                              {Parameter: ssm},
		asm:                              {Secret: asm},
		asm + ":user::":                  {Secret: asm, JSONKey: "user"},
		asm + "::AWSPREVIOUS:":           {Secret: asm, Stage: "AWSPREVIOUS"},
		asm + ":::9d4cb84b":              {Secret: asm, Version: "9d4cb84b"},
		asm + ":user:AWSCURRENT:9d4cb84": {Secret: asm, JSONKey: "user", Stage: "AWSCURRENT", Version: "9d4cb84"},
	} {
		if got, err := secrets.ParseReference(from); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", from, got, err, want)
		}
	}
	for _, from := range []string{"arn:aws:s3:::b/k", "arn:aws:secretsmanager:r:1:secret", "arn:aws:secretsmanager:r:1:secret:", asm + ":a:b:c:d", "arn:aws:ssm:r:1:document/x", "arn:"} {
		if got, err := secrets.ParseReference(from); err == nil {
			t.Errorf("%s was read as %+v", from, got)
		}
	}
}

func TestFindSecret_PrefersTheWholeARNToANameThatLooksLikeOne(t *testing.T) {
	all := map[string]*model.Secret{"db": {Name: "db", Suffix: "AbCdEf"}, "db-backup": {Name: "db-backup", Suffix: "Xxxxxx"}}
	byName := func(name string) (*model.Secret, bool) { s, ok := all[name]; return s, ok }
	for id, want := range map[string]string{
		"db": "db", owner.SecretPrefix() + "db": "db", owner.SecretPrefix() + "db-AbCdEf": "db",
		owner.SecretPrefix() + "db-backup": "db-backup", owner.SecretPrefix() + "db-backup-Xxxxxx": "db-backup",
	} {
		if s, ok := secrets.FindSecret(byName, owner, id); !ok || s.Name != want {
			t.Errorf("%s: %v, want %s", id, s, want)
		}
	}
	for _, id := range []string{"nothing", owner.SecretPrefix() + "db-Wrong1", strings.Replace(owner.SecretPrefix(), "us-east-1", "eu-west-1", 1) + "db"} {
		if s, ok := secrets.FindSecret(byName, owner, id); ok {
			t.Errorf("%s found %s", id, s.Name)
		}
	}
}

func TestField_ReadsJSONAndRepeatsNothing(t *testing.T) {
	const value = `{"text":"a\"b","number":1000000,"flag":true,"deep":{"x":1},"none":null}`
	for k, want := range map[string]string{"text": `a"b`, "number": "1000000", "flag": "true", "deep": `{"x":1}`, "none": "null"} {
		if got, err := secrets.Field(value, k); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", k, got, err, want)
		}
	}
	for _, bad := range []string{"sesame", `"sesame"`, `["sesame"]`, `{"other":"sesame"}`, "null"} {
		if _, err := secrets.Field(bad, "k"); err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v", bad, err)
		}
		if _, _, err := secrets.Credentials(bad); err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("credentials %s: %v", bad, err)
		}
	}
}

func TestAddVersion_EachStageIsThatOfOneVersion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var versions []model.SecretVersion
		current := ""
		for i := range rapid.IntRange(1, 12).Draw(t, "versions") {
			stages := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"AWSCURRENT", "A", "B"}), 1, 3, rapid.ID).Draw(t, "stages")
			if i == 0 && !slices.Contains(stages, "AWSCURRENT") {
				stages = append(stages, "AWSCURRENT")
			}
			before := current
			id := string(rune('a' + i))
			versions = secrets.AddVersion(versions, model.SecretVersion{ID: id, Stages: stages})
			seen := map[string]string{}
			for _, v := range versions {
				if len(v.Stages) == 0 {
					t.Fatalf("version %s is kept without a stage", v.ID)
				}
				for _, s := range v.Stages {
					if seen[s] != "" {
						t.Fatalf("%s is a stage of %s and of %s", s, seen[s], v.ID)
					}
					seen[s] = v.ID
				}
			}
			if slices.Contains(stages, "AWSCURRENT") {
				current = id
				if seen["AWSPREVIOUS"] != before {
					t.Fatalf("AWSPREVIOUS is %q, want the one that was current before, %q", seen["AWSPREVIOUS"], before)
				}
			}
			if seen["AWSCURRENT"] != current {
				t.Fatalf("AWSCURRENT is %q, want %q", seen["AWSCURRENT"], current)
			}
		}
	})
}
