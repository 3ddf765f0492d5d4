package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// Credentials are what a task gets for its role.
type Credentials struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Token           string `json:"SessionToken"` // may be empty
	Expiration      time.Time
}

// roleLifetime is when SDKs ask again for credentials that do not expire: so
// they notice soon that the operator has changed them.
const roleLifetime = time.Hour

// RolesConfig says where the credentials of task roles come from. A role that
// is in the file is not asked for at STS.
type RolesConfig struct {
	// File is JSON: role ARN → {"AccessKeyId", "SecretAccessKey", "SessionToken"
	// and "Expiration", which may be missing}. Nobody but its owner may read it.
	// It is read again when it has changed.
	File string
	STS  *STSConfig
}

// Roles knows the credentials of roles.
type Roles struct {
	file string
	sts  *assumer // may be nil

	mu     sync.Mutex
	seen   os.FileInfo // of the file when it was read; nil: not yet
	mapped map[string]Credentials
}

// ErrNoRole: the operator has mapped nothing to the role.
var ErrNoRole = errors.New("nothing is mapped to the role")

// NewRoles checks the configuration, and the file if there is one. It returns nil
// if nothing is configured.
func NewRoles(c RolesConfig) (*Roles, error) {
	if c.File == "" && c.STS == nil {
		return nil, nil
	}
	r := &Roles{file: c.File}
	if c.STS != nil {
		var err error
		if r.sts, err = newAssumer(*c.STS); err != nil {
			return nil, err
		}
	}
	if _, err := r.read(); err != nil {
		return nil, err
	}
	return r, nil
}

// Check returns why a role can not be had, as far as that can be told without
// asking anybody.
func (r *Roles) Check(role string) error {
	if r == nil {
		return ErrNoRole
	}
	mapped, err := r.read()
	if err != nil {
		return err
	}
	if _, ok := mapped[role]; !ok && r.sts == nil {
		return ErrNoRole
	}
	return nil
}

// Get returns the credentials of a role for a session, which is the task's id.
func (r *Roles) Get(ctx context.Context, role, session string, now time.Time) (Credentials, error) {
	mapped, err := r.read()
	if err != nil {
		return Credentials{}, err
	}
	c, ok := mapped[role]
	switch {
	case !ok && r.sts != nil:
		return r.sts.get(ctx, role, session, now)
	case !ok:
		return Credentials{}, fmt.Errorf("%w %s", ErrNoRole, role)
	case c.Expiration.IsZero():
		c.Expiration = now.Add(roleLifetime).Truncate(time.Second)
	case !now.Before(c.Expiration):
		return Credentials{}, fmt.Errorf("the credentials of role %s have expired at %s", role, c.Expiration.Format(time.RFC3339))
	}
	return c, nil
}

// read returns what the file says now. Looking whether it has changed is all
// that a request costs.
func (r *Roles) read() (map[string]Credentials, error) {
	if r.file == "" {
		return nil, nil
	}
	now, err := os.Stat(r.file)
	if err != nil {
		return nil, fmt.Errorf("read the credentials of roles: %w", err)
	}
	if now.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the credentials of roles in %s can be read by others than their owner (mode %04o): chmod 600 it", r.file, now.Mode().Perm())
	}
	r.mu.Lock()
	seen, mapped := r.seen, r.mapped
	r.mu.Unlock()
	if seen != nil && os.SameFile(seen, now) && seen.ModTime().Equal(now.ModTime()) && seen.Size() == now.Size() {
		return mapped, nil
	}
	text, err := os.ReadFile(r.file)
	if err != nil {
		return nil, fmt.Errorf("read the credentials of roles: %w", err)
	}
	if mapped, err = parseRoles(text); err != nil {
		return nil, fmt.Errorf("read the credentials of roles in %s: %w", r.file, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen, r.mapped = now, mapped
	return mapped, nil
}

// parseRoles never quotes the text in its errors: there are secrets in it.
func parseRoles(text []byte) (map[string]Credentials, error) {
	var mapped map[string]Credentials
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&mapped); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("not JSON at byte %d", syntax.Offset)
		}
		return nil, errors.New("not an object of role ARNs with AccessKeyId, SecretAccessKey, SessionToken and Expiration each")
	}
	for role, c := range mapped {
		if !strings.HasPrefix(role, "arn:") {
			return nil, fmt.Errorf("%q is not the ARN of a role", role)
		}
		if c.AccessKeyID == "" || c.SecretAccessKey == "" {
			return nil, fmt.Errorf("role %s has no AccessKeyId or no SecretAccessKey", role)
		}
	}
	return mapped, nil
}
