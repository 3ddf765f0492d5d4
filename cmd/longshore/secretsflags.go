package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/longshore/longshore/cmd/internal/program"
	"github.com/longshore/longshore/controlplane"
	"github.com/longshore/longshore/controlplane/resolve"
	"github.com/longshore/longshore/controlplane/secrets"
)

// secretsFlags say with what secrets are sealed, and where those are that the
// store does not have.
type secretsFlags struct {
	keyFile         string
	manager, params string
}

func (f *secretsFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.keyFile, "secrets-key", "", "file of the keys that secrets are encrypted with in etcd: lines KEY-ID:BASE64 of 32 bytes, the newest first (default: none, and secrets are refused; dev makes one)")
	flags.StringVar(&f.manager, "secretsmanager-endpoint", "", "URL of a Secrets Manager to ask for secrets that are not in Longshore's own store; signed with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	flags.StringVar(&f.params, "ssm-endpoint", "", "URL of an SSM to ask for parameters that are not in Longshore's own store; signed likewise")
}

// makeKey gives a data folder a key of its own unless a key file was named.
func (f *secretsFlags) makeKey(dataDir string) error {
	if f.keyFile != "" {
		return nil
	}
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	f.keyFile = filepath.Join(dataDir, "secrets.key")
	file, err := os.OpenFile(f.keyFile, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("making a key for secrets: %w", err)
	}
	_, err = file.Write(secrets.NewKeyFile("dev"))
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("making a key for secrets: %w", errors.Join(err, os.Remove(f.keyFile)))
	}
	return nil
}

func (f *secretsFlags) configure(cfg *controlplane.Config) error {
	if f.keyFile != "" {
		text, err := os.ReadFile(f.keyFile)
		if err != nil {
			return fmt.Errorf("--secrets-key: %w", err)
		}
		if cfg.SecretsKeys, err = secrets.ParseKeys(text); err != nil {
			return fmt.Errorf("--secrets-key: %s: %w", f.keyFile, err)
		}
	}
	cfg.RemoteSecrets = resolve.RemoteConfig{SecretsManager: f.manager, ParameterStore: f.params, Region: cfg.Owner.Region}
	if f.manager == "" && f.params == "" {
		return nil
	}
	identity, err := program.Credentials()
	if err != nil {
		return fmt.Errorf("--secretsmanager-endpoint, --ssm-endpoint: %w", err)
	}
	cfg.RemoteSecrets.Credentials = identity
	return nil
}
