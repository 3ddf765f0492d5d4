package agentcmd

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/longshore/longshore/agent/envfile"
	"github.com/longshore/longshore/cmd/internal/program"
)

// envFileFlags say where environment files come from.
type envFileFlags struct{ dir, endpoint, region string }

func (f *envFileFlags) add(flags *pflag.FlagSet, region string) {
	flags.StringVar(&f.dir, "env-files-dir", "", "folder of environment files: DIR/BUCKET/KEY is read for arn:aws:s3:::BUCKET/KEY")
	flags.StringVar(&f.endpoint, "s3-endpoint", "", "URL of an S3-compatible store to ask for environment files that are not in --env-files-dir; signed with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	flags.StringVar(&f.region, "s3-region", region, "region of --s3-endpoint")
}

// sources opens them, in the order in which they are asked; close gives them back.
func (f *envFileFlags) sources() (sources []envfile.Source, close func() error, err error) {
	close = func() error { return nil }
	if f.endpoint != "" {
		identity, err := program.Credentials()
		if err != nil {
			return nil, nil, fmt.Errorf("--s3-endpoint: %w", err)
		}
		sources = []envfile.Source{envfile.NewS3(f.endpoint, f.region, identity)}
	}
	if f.dir != "" {
		dir, err := envfile.OpenDir(f.dir)
		if err != nil {
			return nil, nil, fmt.Errorf("--env-files-dir: %w", err)
		}
		sources = append([]envfile.Source{dir}, sources...)
		close = dir.Close
	}
	return sources, close, nil
}
