package agentcmd

import (
	"fmt"
	"net/netip"
	"os"

	"github.com/spf13/pflag"

	"github.com/longshore/longshore/agent"
	"github.com/longshore/longshore/agent/metadata"
)

// metadataFlags are about what tasks can ask of their host.
type metadataFlags struct {
	on          bool
	address     string
	roles       string
	stsEndpoint string
	stsRegion   string
}

func (f *metadataFlags) add(flags *pflag.FlagSet) {
	flags.BoolVar(&f.on, "metadata", true, "let tasks ask for their metadata, the credentials of their role, and their protection")
	flags.StringVar(&f.address, "metadata-addr", "", "link-local IPv4 address at which tasks ask (default: 169.254.170.2, or that of docker0 where the agent may not set it up)")
	flags.StringVar(&f.roles, "role-credentials", "", "JSON file that maps the ARNs of task roles to credentials; its mode must be 0600")
	flags.StringVar(&f.stsEndpoint, "sts-endpoint", "", "URL of an STS at which task roles are assumed, with the credentials in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN")
	flags.StringVar(&f.stsRegion, "sts-region", "us-east-1", "region that requests to the STS are signed for")
}

// config returns nil if tasks are to have nothing to ask.
func (f *metadataFlags) config() (*agent.MetadataConfig, error) {
	if !f.on {
		if f.address != "" || f.roles != "" || f.stsEndpoint != "" {
			return nil, fmt.Errorf("--metadata-addr, --role-credentials and --sts-endpoint have no meaning with --metadata=false")
		}
		return nil, nil
	}
	var c agent.MetadataConfig
	var err error
	if f.address != "" {
		if c.Address, err = netip.ParseAddr(f.address); err != nil {
			return nil, fmt.Errorf("--metadata-addr: %w", err)
		}
	}
	roles := metadata.RolesConfig{File: f.roles}
	if f.stsEndpoint != "" {
		roles.STS = &metadata.STSConfig{
			Endpoint: f.stsEndpoint, Region: f.stsRegion,
			AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
		}
	}
	if c.Roles, err = metadata.NewRoles(roles); err != nil {
		return nil, fmt.Errorf("--role-credentials, --sts-endpoint: %w", err)
	}
	return &c, nil
}
