package program

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"
)

// TLS names the files with which the control plane and its agents
// recognise each other: both ends hold a certificate of the same authority.
type TLS struct {
	prefix        string
	ca, cert, key string
}

// Add registers the flags PREFIX-ca, PREFIX-cert and PREFIX-key.
func (f *TLS) Add(flags *pflag.FlagSet, prefix, what string) {
	f.prefix = prefix
	flags.StringVar(&f.ca, prefix+"-ca", "", "PEM file of the authority that signs "+what)
	flags.StringVar(&f.cert, prefix+"-cert", "", "PEM file of this process's certificate for "+what)
	flags.StringVar(&f.key, prefix+"-key", "", "PEM file of that certificate's key")
}

// Config returns nil if no TLS was asked for.
func (f *TLS) Config() (*tls.Config, error) {
	if f.ca == "" && f.cert == "" && f.key == "" {
		return nil, nil
	}
	if f.ca == "" || f.cert == "" || f.key == "" {
		return nil, fmt.Errorf("--%[1]s-ca, --%[1]s-cert and --%[1]s-key go together", f.prefix)
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, fmt.Errorf("--%s-cert: %w", f.prefix, err)
	}
	pem, err := os.ReadFile(f.ca)
	if err != nil {
		return nil, fmt.Errorf("--%s-ca: %w", f.prefix, err)
	}
	authority := x509.NewCertPool()
	if !authority.AppendCertsFromPEM(pem) {
		return nil, errors.New("--" + f.prefix + "-ca: no certificate in " + f.ca)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{pair},
		RootCAs:      authority,
		ClientCAs:    authority,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}, nil
}
