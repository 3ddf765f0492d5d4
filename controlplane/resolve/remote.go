package resolve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"

	"github.com/longshore/longshore/controlplane/secrets"
)

// RemoteConfig says where secrets are that the store does not have.
type RemoteConfig struct {
	SecretsManager string // URL of a Secrets Manager; empty: none
	ParameterStore string // URL of an SSM; empty: none
	Region         string
	Credentials    aws.CredentialsProvider
	// Timeout bounds one request with its repetitions. Default 20 s.
	Timeout time.Duration
}

// Remote is a Secrets Manager and a Parameter Store of somebody else.
type Remote struct {
	timeout    time.Duration
	secrets    *secretsmanager.Client // nil: none
	parameters *ssm.Client            // nil: none
}

// NewRemote makes the clients; it asks nobody yet. Without any address it is nil.
func NewRemote(cfg RemoteConfig) *Remote {
	if cfg.SecretsManager == "" && cfg.ParameterStore == "" {
		return nil
	}
	r := &Remote{timeout: cfg.Timeout}
	if r.timeout == 0 {
		r.timeout = 20 * time.Second
	}
	if cfg.SecretsManager != "" {
		r.secrets = secretsmanager.New(secretsmanager.Options{BaseEndpoint: &cfg.SecretsManager, Region: cfg.Region, Credentials: cfg.Credentials})
	}
	if cfg.ParameterStore != "" {
		r.parameters = ssm.New(ssm.Options{BaseEndpoint: &cfg.ParameterStore, Region: cfg.Region, Credentials: cfg.Credentials})
	}
	return r
}

func (r *Remote) hasSecrets() bool    { return r != nil && r.secrets != nil }
func (r *Remote) hasParameters() bool { return r != nil && r.parameters != nil }

func (r *Remote) secret(ctx context.Context, ref secrets.Reference) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	in := &secretsmanager.GetSecretValueInput{SecretId: &ref.Secret}
	if ref.Stage != "" {
		in.VersionStage = &ref.Stage
	}
	if ref.Version != "" {
		in.VersionId = &ref.Version
	}
	out, err := r.secrets.GetSecretValue(ctx, in)
	switch {
	case err != nil:
		return "", refusal("Secrets Manager", err)
	case out.SecretString == nil:
		return "", errNoText
	}
	return *out.SecretString, nil
}

func (r *Remote) parameter(ctx context.Context, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	out, err := r.parameters.GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
	switch {
	case err != nil:
		return "", refusal("the Parameter Store", err)
	case out.Parameter == nil || out.Parameter.Value == nil:
		return "", errors.New("the Parameter Store answered no value")
	}
	return *out.Parameter.Value, nil
}

// refusal says what a service answered. What else went wrong is worded without
// the body of the answer, which may hold the value.
func refusal(service string, err error) error {
	var answered smithy.APIError
	var undecodable *smithy.DeserializationError
	switch {
	case errors.As(err, &answered):
		return fmt.Errorf("%s answered %s: %s", service, answered.ErrorCode(), answered.ErrorMessage())
	case errors.As(err, &undecodable):
		return fmt.Errorf("%s gave an answer that cannot be read", service)
	}
	return fmt.Errorf("asking %s: %w", service, err)
}
