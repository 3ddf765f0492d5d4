package secrets

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
)

// The stages that Secrets Manager moves by itself.
const (
	StageCurrent  = "AWSCURRENT"
	StagePrevious = "AWSPREVIOUS"
)

// Reference is a valueFrom, taken apart. Either Secret or Parameter is set.
type Reference struct {
	Secret    string // ARN, whole or without its suffix, or name
	JSONKey   string // of the secret's value; empty: all of it
	Stage     string // of the secret; empty: AWSCURRENT, unless there is a Version
	Version   string // id of the secret's version
	Parameter string // ARN or name
}

// ParseReference reads the valueFrom of a secret: the ARN of a secret, perhaps
// with a JSON key, a stage and a version behind it
// (arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX:json-key:version-stage:version-id),
// or the ARN or name of a parameter (ECS guide, specifying sensitive data).
func ParseReference(valueFrom string) (Reference, error) {
	if !strings.HasPrefix(valueFrom, "arn:") {
		return Reference{Parameter: valueFrom}, nil
	}
	parts := strings.Split(valueFrom, ":")
	switch {
	case len(parts) == 6 && parts[2] == "ssm" && strings.HasPrefix(parts[5], "parameter/"):
		return Reference{Parameter: valueFrom}, nil
	case len(parts) >= 7 && len(parts) <= 10 && parts[2] == "secretsmanager" && parts[5] == "secret" && parts[6] != "":
	default:
		return Reference{}, fmt.Errorf("invalid ARN %q: neither that of a secret nor that of a parameter", valueFrom)
	}
	r := Reference{Secret: strings.Join(parts[:7], ":")}
	for i, field := range []*string{&r.JSONKey, &r.Stage, &r.Version} {
		if len(parts) > 7+i {
			*field = parts[7+i]
		}
	}
	return r, nil
}

// ParseCredentialsParameter reads the credentialsParameter of a private
// registry: the ARN or the name of a secret.
func ParseCredentialsParameter(s string) (Reference, error) {
	if !strings.HasPrefix(s, "arn:") {
		return Reference{Secret: s}, nil
	}
	r, err := ParseReference(s)
	if err == nil && r.Secret == "" {
		err = fmt.Errorf("invalid ARN %q: not that of a secret", s)
	}
	return r, err
}

// suffixLength is that of an ARN's last part, its hyphen included.
const suffixLength = 7

// FindSecret finds what an id means: a name, an ARN, or an ARN without its suffix.
func FindSecret(byName func(string) (*model.Secret, bool), owner model.Owner, id string) (*model.Secret, bool) {
	if !strings.HasPrefix(id, "arn:") {
		return byName(id)
	}
	name, own := strings.CutPrefix(id, owner.SecretPrefix())
	if !own {
		return nil, false
	}
	if at := len(name) - suffixLength; at > 0 && name[at] == '-' {
		if s, ok := byName(name[:at]); ok && s.Suffix == name[at+1:] {
			return s, true
		}
	}
	return byName(name)
}

// FindParameter finds what a name or an ARN means. The ARN does not tell whether
// a name of one level begins with a slash.
func FindParameter(byName func(string) (*model.Parameter, bool), owner model.Owner, nameOrARN string) (*model.Parameter, bool) {
	if !strings.HasPrefix(nameOrARN, "arn:") {
		return byName(nameOrARN)
	}
	name, own := strings.CutPrefix(nameOrARN, owner.ParameterPrefix())
	if !own {
		return nil, false
	}
	if p, ok := byName("/" + name); ok {
		return p, true
	}
	return byName(name)
}

// FindVersion returns the version of a secret that a stage and an id name; both
// must hold where both are given, and without either it is the current one.
func FindVersion(s *model.Secret, stage, id string) (*model.SecretVersion, bool) {
	if stage == "" && id == "" {
		stage = StageCurrent
	}
	i := slices.IndexFunc(s.Versions, func(v model.SecretVersion) bool {
		return (id == "" || v.ID == id) && (stage == "" || slices.Contains(v.Stages, stage))
	})
	if i < 0 {
		return nil, false
	}
	return &s.Versions[i], true
}

// errNotObject and the others say what is wrong with a value without repeating it:
// the errors of encoding/json quote what they read.
var (
	errNotObject   = errors.New("the secret's value is not a JSON object")
	errCredentials = errors.New("the secret's value must be a JSON object with a username and a password")
)

// Field returns a field of a secret whose value is a JSON object. Text is
// returned as it is, anything else in its JSON form.
func Field(value, key string) (string, error) {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(value), &fields) != nil || fields == nil {
		return "", errNotObject
	}
	raw, ok := fields[key]
	if !ok {
		return "", fmt.Errorf("the secret's value has no JSON key %s", key)
	}
	var text string
	if json.Unmarshal(raw, &text) == nil && string(raw) != "null" {
		return text, nil
	}
	return string(raw), nil
}

// Credentials reads the secret of a private registry.
func Credentials(value string) (username, password string, err error) {
	var c struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}
	if json.Unmarshal([]byte(value), &c) != nil || c.Username == "" || c.Password == "" {
		return "", "", errCredentials
	}
	return c.Username, c.Password, nil
}
