package model

import (
	"time"

	"github.com/longshore/longshore/proto/ecs"
)

// Sealed is a value as it is kept at rest: encrypted, under a key that the
// operator holds. Package secrets makes and opens it.
type Sealed struct {
	Key   string `json:",omitzero"` // id of the key
	Nonce []byte `json:",omitzero"`
	Data  []byte `json:",omitzero"` // ciphertext with its tag
}

// Secret is a secret of the kind that Secrets Manager keeps.
type Secret struct {
	Name        string    `json:",omitzero"`
	Suffix      string    `json:",omitzero"` // the six characters at the end of its ARN
	Description string    `json:",omitzero"`
	Tags        []ecs.Tag `json:",omitzero"`

	Versions []SecretVersion `json:",omitzero"` // those that have a stage, newest first

	CreatedAt time.Time `json:",omitzero"`
	ChangedAt time.Time `json:",omitzero"`
	// DeletedAt is when the deletion was asked for, PurgeAt when it happens; zero: not asked for.
	DeletedAt time.Time `json:",omitzero"`
	PurgeAt   time.Time `json:",omitzero"`
}

// SecretVersion is one value that a secret has or had.
type SecretVersion struct {
	ID        string    `json:",omitzero"`
	Stages    []string  `json:",omitzero"` // AWSCURRENT, AWSPREVIOUS and the caller's own
	CreatedAt time.Time `json:",omitzero"`
	Binary    bool      `json:",omitzero"` // the value is bytes, not text
	Value     Sealed    `json:",omitzero"`
}

// Parameter is a parameter of the kind that the SSM Parameter Store keeps.
type Parameter struct {
	Name        string    `json:",omitzero"` // a path of up to 15 levels, or a plain name
	Type        string    `json:",omitzero"` // String, StringList or SecureString
	Description string    `json:",omitzero"`
	Tags        []ecs.Tag `json:",omitzero"`
	Version     int64     `json:",omitzero"` // grows by one with each value
	ChangedAt   time.Time `json:",omitzero"`
	Value       Sealed    `json:",omitzero"`
}

// SecretARN returns the ARN of a secret.
func (o Owner) SecretARN(s *Secret) string {
	return o.SecretPrefix() + s.Name + "-" + s.Suffix
}

// SecretPrefix is what the ARNs of this account's secrets begin with.
func (o Owner) SecretPrefix() string {
	return "arn:aws:secretsmanager:" + o.Region + ":" + o.Account + ":secret:"
}

// ParameterARN returns the ARN of a parameter, in which the slash that a path
// begins with is not repeated.
func (o Owner) ParameterARN(name string) string {
	if len(name) > 0 && name[0] == '/' {
		name = name[1:]
	}
	return o.ParameterPrefix() + name
}

// ParameterPrefix is what the ARNs of this account's parameters begin with.
func (o Owner) ParameterPrefix() string {
	return "arn:aws:ssm:" + o.Region + ":" + o.Account + ":parameter/"
}
