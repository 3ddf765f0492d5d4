// Package resolve finds the values that a task definition only names: the
// secrets of its containers, the secret options of their log drivers, and the
// credentials of private registries. It looks in Longshore's own store, and for
// what is not there at the Secrets Manager and Parameter Store that the operator
// configured.
//
// It decides nothing about who may ask. It keeps no value, and no error of it
// repeats one.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/secrets"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// Config is where values come from.
type Config struct {
	Owner model.Owner
	Keys  *secrets.Keyring // of the store's own secrets; nil: none of them can be opened
	// Remote is asked for what the store does not have; nil: nobody is.
	Remote *Remote
}

// Resolver finds values. It is safe for concurrent use.
type Resolver struct{ cfg Config }

// New makes a resolver.
func New(cfg Config) *Resolver { return &Resolver{cfg} }

// Values are what one container needs.
type Values struct {
	Container   string
	Environment map[string]string
	LogOptions  map[string]string
	Registry    *Credentials // nil: the image needs none
}

// String keeps values out of whatever prints them.
func (v Values) String() string { return "values of container " + v.Container }

// GoString does the same for %#v.
func (v Values) GoString() string { return v.String() }

// Credentials are those of a private registry.
type Credentials struct{ Username, Password string }

// String keeps the password out of whatever prints it.
func (c Credentials) String() string { return "credentials of a registry" }

// GoString does the same for %#v.
func (c Credentials) GoString() string { return c.String() }

// Needed tells whether a definition names any values.
func Needed(d *ecs.TaskDefinition) bool {
	for i := range d.ContainerDefinitions {
		c := &d.ContainerDefinitions[i]
		if len(c.Secrets) > 0 || c.RepositoryCredentials != nil || c.LogConfiguration != nil && len(c.LogConfiguration.SecretOptions) > 0 {
			return true
		}
	}
	return false
}

// want is one value and where it goes.
type want struct {
	source string // a valueFrom as it stands in the definition
	ref    secrets.Reference
	put    func(value string) error
}

// parallel is how many values of a task are asked for at a time.
const parallel = 8

// Resolve finds all values of a definition, or says which one it could not and why.
func (r *Resolver) Resolve(ctx context.Context, t *store.Tables, d *ecs.TaskDefinition) ([]Values, error) {
	all, wants, err := collect(d)
	if err != nil {
		return nil, err
	}
	lookups := newLookups(func(ctx context.Context, ref secrets.Reference) (string, error) { return r.fetch(ctx, t, ref) })
	var putting sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, w := range wants {
		group.Go(func() error {
			value, err := lookups.get(ctx, w.ref)
			if err == nil && w.ref.JSONKey != "" {
				value, err = secrets.Field(value, w.ref.JSONKey)
			}
			if err == nil {
				putting.Lock()
				defer putting.Unlock()
				err = w.put(value)
			}
			if err != nil {
				return fmt.Errorf("unable to retrieve secret %s: %w", w.source, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return all, nil
}

// collect lists what a definition names.
func collect(d *ecs.TaskDefinition) (all []Values, wants []want, err error) {
	add := func(source string, parse func(string) (secrets.Reference, error), put func(string) error) {
		ref, parseErr := parse(source)
		if parseErr != nil && err == nil {
			err = parseErr
		}
		wants = append(wants, want{source, ref, put})
	}
	for i := range d.ContainerDefinitions {
		c := &d.ContainerDefinitions[i]
		v := Values{Container: c.Name, Environment: map[string]string{}, LogOptions: map[string]string{}}
		into := func(m map[string]string, name string) func(string) error {
			return func(value string) error { m[name] = value; return nil }
		}
		before := len(wants)
		for _, s := range c.Secrets {
			add(s.ValueFrom, secrets.ParseReference, into(v.Environment, s.Name))
		}
		if c.LogConfiguration != nil {
			for _, s := range c.LogConfiguration.SecretOptions {
				add(s.ValueFrom, secrets.ParseReference, into(v.LogOptions, s.Name))
			}
		}
		if c.RepositoryCredentials != nil {
			v.Registry = &Credentials{}
			add(c.RepositoryCredentials.CredentialsParameter, secrets.ParseCredentialsParameter, func(value string) (err error) {
				v.Registry.Username, v.Registry.Password, err = secrets.Credentials(value)
				return err
			})
		}
		if len(wants) > before {
			all = append(all, v)
		}
	}
	return all, wants, err
}

// lookups fetches each value once, however many name it.
type lookups struct {
	fetch func(context.Context, secrets.Reference) (string, error)
	mu    sync.Mutex
	once  map[secrets.Reference]func() (string, error)
}

func newLookups(fetch func(context.Context, secrets.Reference) (string, error)) *lookups {
	return &lookups{fetch: fetch, once: map[secrets.Reference]func() (string, error){}}
}

func (l *lookups) get(ctx context.Context, ref secrets.Reference) (string, error) {
	ref.JSONKey = "" // of one value
	l.mu.Lock()
	find := l.once[ref]
	if find == nil {
		find = sync.OnceValues(func() (string, error) { return l.fetch(ctx, ref) })
		l.once[ref] = find
	}
	l.mu.Unlock()
	return find()
}

var (
	errNoSecret    = errors.New("ResourceNotFoundException: Secrets Manager can't find the specified secret")
	errNoParameter = errors.New("ParameterNotFound: there is no parameter of that name")
	errNoText      = errors.New("the secret's value is binary, not text")
)

// fetch gets one value: from the store if it has it, otherwise from the remote services.
func (r *Resolver) fetch(ctx context.Context, t *store.Tables, ref secrets.Reference) (string, error) {
	if ref.Parameter != "" {
		p, ok := secrets.FindParameter(t.Parameter, r.cfg.Owner, ref.Parameter)
		switch {
		case ok:
			value, err := r.cfg.Keys.OpenParameter(p)
			return string(value), err
		case r.cfg.Remote.hasParameters():
			return r.cfg.Remote.parameter(ctx, ref.Parameter)
		}
		return "", errNoParameter
	}
	s, ok := secrets.FindSecret(t.Secret, r.cfg.Owner, ref.Secret)
	switch {
	case ok:
		return r.own(s, ref)
	case r.cfg.Remote.hasSecrets():
		return r.cfg.Remote.secret(ctx, ref)
	}
	return "", errNoSecret
}

// own opens a secret of the store.
func (r *Resolver) own(s *model.Secret, ref secrets.Reference) (string, error) {
	if !s.DeletedAt.IsZero() {
		return "", errors.New("it was marked for deletion")
	}
	v, ok := secrets.FindVersion(s, ref.Stage, ref.Version)
	switch {
	case !ok:
		return "", fmt.Errorf("it has no version with the stage %q and the id %q", ref.Stage, ref.Version)
	case v.Binary:
		return "", errNoText
	}
	value, err := r.cfg.Keys.OpenSecret(s, v)
	return string(value), err
}
