package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/longshore/longshore/cmd/internal/program"
	"github.com/longshore/longshore/controlplane"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/proxies"
	"github.com/longshore/longshore/controlplane/store"
)

// controlPlaneFlags are the settings of a control plane, alone or in dev.
type controlPlaneFlags struct {
	account, region             string
	apiAddr, agentAddr, opsAddr string
	endpointsAddr, zone         string
	dnsAddr                     string
	advertiseAPI, advertise     string
	advertiseEndpoints          string
	etcdEndpoints               []string
	etcdMaxTxnOps               int
	etcdTLS, agentTLS           program.TLS
	keys                        map[string]string
	disconnect, replace, giveUp time.Duration
	healthyAfter, retention     time.Duration
	maxRequest                  int64
	apiRate                     float64
	apiBurst                    int
	secrets                     secretsFlags
}

func (f *controlPlaneFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.account, "account-id", "000000000000", "account that ARNs name")
	flags.StringVar(&f.region, "region", "us-east-1", "region that ARNs name")
	flags.StringVar(&f.apiAddr, "api-addr", "127.0.0.1:7470", "address of the ECS API")
	flags.StringVar(&f.agentAddr, "agent-addr", "", "address for agents (default 127.0.0.1:7471; with TLS :7471)")
	flags.StringVar(&f.opsAddr, "ops-addr", "127.0.0.1:7472", "address of metrics, health and profiles")
	flags.StringVar(&f.endpointsAddr, "endpoints-addr", "", "address where proxies learn of the members of target groups, like 127.0.0.1:7473: xDS, HTTP, and DNS over TCP and UDP (default: none)")
	flags.StringVar(&f.zone, "endpoints-zone", "longshore.internal", "DNS zone of the names at --endpoints-addr: _GROUP._tcp.ZONE")
	flags.StringVar(&f.dnsAddr, "dns-addr", "", "address at which DNS is answered for the namespaces of service discovery, over UDP and TCP (default: none; containers ask their host's agent)")
	flags.StringToStringVar(&f.keys, "access-key", nil, "ID=SECRET of a caller of the API, may be repeated; without any, callers are not checked")
	flags.DurationVar(&f.disconnect, "agent-disconnect-after", 5*time.Second, "silence after which an instance is not connected and gets no tasks")
	flags.DurationVar(&f.replace, "agent-replace-after", 15*time.Second, "silence after which the service tasks of an instance are replaced elsewhere")
	flags.DurationVar(&f.giveUp, "agent-give-up-after", 10*time.Minute, "silence after which the tasks of an instance are STOPPED")
	flags.DurationVar(&f.healthyAfter, "task-healthy-after", 2*time.Second, "time RUNNING after which a service task without a health check counts as healthy")
	flags.DurationVar(&f.retention, "stopped-task-retention", time.Hour, "how long STOPPED tasks can be described")
	flags.Int64Var(&f.maxRequest, "api-max-request-bytes", 8<<20, "size up to which requests of the API are taken")
	flags.Float64Var(&f.apiRate, "api-rate", 5000, "API requests a second that one caller may send, 0 for no limit; without access keys all callers are one")
	flags.IntVar(&f.apiBurst, "api-burst", 10000, "API requests that one caller may send at once")
	f.secrets.add(flags)
}

func (f *controlPlaneFlags) addExternal(flags *pflag.FlagSet) {
	flags.StringSliceVar(&f.etcdEndpoints, "etcd-endpoints", nil, "external etcd, comma-separated; without, etcd runs embedded")
	flags.IntVar(&f.etcdMaxTxnOps, "etcd-max-txn-ops", 128, "what the external etcd has as its --max-txn-ops: more makes bursts of changes faster")
	f.etcdTLS.Add(flags, "etcd-tls", "etcd")
	f.agentTLS.Add(flags, "agent-tls", "agents")
	flags.StringVar(&f.advertiseAPI, "advertise-api-addr", "", "address by which other control planes reach this one's API (default --api-addr)")
	flags.StringVar(&f.advertise, "advertise-agent-addr", "", "address by which agents reach this control plane (default --agent-addr)")
	flags.StringVar(&f.advertiseEndpoints, "advertise-endpoints-addr", "", "address by which other control planes reach this one's target groups (default --endpoints-addr)")
}

var accountForm = regexp.MustCompile(`^[0-9]{12}$`)

// config checks the flags and opens the listeners.
func (f *controlPlaneFlags) config(dataDir string, log *slog.Logger) (controlplane.Config, error) {
	cfg := controlplane.Config{
		Owner:                model.Owner{Account: f.account, Region: f.region},
		DataDir:              dataDir,
		EtcdEndpoints:        f.etcdEndpoints,
		AdvertiseAPI:         f.advertiseAPI,
		AdvertiseAgents:      f.advertise,
		AdvertiseEndpoints:   f.advertiseEndpoints,
		EndpointsZone:        f.zone,
		Keys:                 f.keys,
		DisconnectAfter:      f.disconnect,
		ReplaceAfter:         f.replace,
		GiveUpAfter:          f.giveUp,
		HealthyAfter:         f.healthyAfter,
		StoppedTaskRetention: f.retention,
		MaxRequest:           f.maxRequest,
		APIRate:              f.apiRate,
		APIBurst:             f.apiBurst,
		Logger:               log,
	}
	var err error
	if !accountForm.MatchString(f.account) {
		return cfg, fmt.Errorf("--account-id: %q is not 12 digits", f.account)
	}
	if f.region == "" || strings.ContainsAny(f.region, ": /") {
		return cfg, fmt.Errorf("--region: %q is no name of a region", f.region)
	}
	if f.maxRequest < 1 {
		return cfg, fmt.Errorf("--api-max-request-bytes: %d is not above 0", f.maxRequest)
	}
	if f.apiRate < 0 || f.apiRate > 0 && f.apiBurst < 1 {
		return cfg, fmt.Errorf("--api-rate and --api-burst: %v requests a second and %d at once allow none", f.apiRate, f.apiBurst)
	}
	if err := f.secrets.configure(&cfg); err != nil {
		return cfg, err
	}
	if cfg.AgentTLS, err = f.agentTLS.Config(); err != nil {
		return cfg, err
	}
	if cfg.EtcdTLS, err = f.etcdTLS.Config(); err != nil {
		return cfg, err
	}
	if len(f.etcdEndpoints) > 0 {
		if cfg.EtcdLimits, err = etcdLimits(f.etcdMaxTxnOps); err != nil {
			return cfg, err
		}
	}
	if _, ok := dns.IsDomainName(f.zone); !ok || strings.Trim(f.zone, ".") == "" {
		return cfg, fmt.Errorf("--endpoints-zone: %q is no name of a DNS zone", f.zone)
	}
	agentAddr := f.agentAddr
	if agentAddr == "" {
		// Without TLS anybody who reaches the address can register a host.
		agentAddr = "127.0.0.1:7471"
		if cfg.AgentTLS != nil {
			agentAddr = ":7471"
		}
	}
	return cfg, f.listen(&cfg, agentAddr, log)
}

// etcdLimits keeps as much free of what etcd takes as the default limits do.
func etcdLimits(maxTxnOps int) (store.Limits, error) {
	const standard = 128
	limits := store.DefaultLimits()
	if maxTxnOps < standard {
		return limits, fmt.Errorf("--etcd-max-txn-ops: an etcd that takes %d operations, not %d, is not supported", maxTxnOps, standard)
	}
	limits.Operations += maxTxnOps - standard
	return limits, nil
}

func (f *controlPlaneFlags) listen(cfg *controlplane.Config, agentAddr string, log *slog.Logger) error {
	for _, l := range []struct {
		flag, address string
		listener      *net.Listener
	}{
		{"--api-addr", f.apiAddr, &cfg.API}, {"--agent-addr", agentAddr, &cfg.Agents}, {"--ops-addr", f.opsAddr, &cfg.Ops},
	} {
		listener, err := net.Listen("tcp", l.address)
		if err != nil {
			closeListeners(*cfg)
			return fmt.Errorf("%s: %w", l.flag, err)
		}
		*l.listener = listener
	}
	if f.endpointsAddr != "" {
		var err error
		if cfg.Endpoints, err = proxies.Listen(f.endpointsAddr); err != nil {
			closeListeners(*cfg)
			return fmt.Errorf("--endpoints-addr: %w", err)
		}
	}
	if err := listenDNS(cfg, f.dnsAddr); err != nil {
		closeListeners(*cfg)
		return err
	}
	if host, _, err := net.SplitHostPort(cfg.Agents.Addr().String()); err == nil && cfg.AgentTLS == nil {
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			log.Warn("agents connect without TLS: anyone who reaches the address can register a host", "address", cfg.Agents.Addr().String())
		}
	}
	return nil
}

func closeListeners(cfg controlplane.Config) {
	for _, l := range []net.Listener{cfg.API, cfg.Agents, cfg.Ops, cfg.DNSOverTCP} {
		if l != nil {
			l.Close()
		}
	}
	// What could not be closed goes with the process, which is about to end.
	_ = cfg.Endpoints.Close()
	if cfg.DNS != nil {
		cfg.DNS.Close()
	}
}

func newControlPlane() *cobra.Command {
	var flags controlPlaneFlags
	var logs program.Logs
	var dataDir string
	cmd := &cobra.Command{
		Use:   "controlplane",
		Short: "Run a control plane: the ECS API, the schedulers, and etcd",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := logs.Logger()
			if err != nil {
				return err
			}
			cfg, err := flags.config(dataDir, log)
			if err != nil {
				return err
			}
			prepareMemory(log)
			plane, err := controlplane.New(cmd.Context(), cfg)
			if err != nil {
				closeListeners(cfg)
				return err
			}
			if os.Getenv("GOGC") == "" {
				go plane.CollectGarbage(cmd.Context())
			}
			return runControlPlane(cmd.Context(), plane, cfg)
		},
	}
	flags.add(cmd.Flags())
	flags.addExternal(cmd.Flags())
	logs.Add(cmd.Flags())
	cmd.Flags().StringVar(&dataDir, "data-dir", "/var/lib/longshore/controlplane", "folder of the embedded etcd and of this control plane's identity")
	return cmd
}

func runControlPlane(ctx context.Context, plane *controlplane.ControlPlane, cfg controlplane.Config) error {
	serving := make(chan error, 1)
	go func() { serving <- plane.Run(ctx) }()
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	ready := make(chan error, 1)
	go func() { ready <- plane.WaitServing(waiting) }()
	select {
	case err := <-serving:
		return program.Ended(ctx, err)
	case err := <-ready:
		if err == nil {
			fmt.Printf("longshore controlplane is ready: ECS API http://%s, agents %s, operations http://%s\n", cfg.API.Addr(), cfg.Agents.Addr(), cfg.Ops.Addr())
		} else if !errors.Is(err, context.Canceled) {
			cfg.Logger.Error("waiting to serve", "error", err)
		}
	}
	return program.Ended(ctx, <-serving)
}
