package metadata

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/sync/singleflight"
)

// STSConfig is a Security Token Service and who asks it.
type STSConfig struct {
	Endpoint string // URL
	Region   string
	// The base credentials, which must be allowed to assume the roles.
	AccessKeyID, SecretAccessKey, SessionToken string
}

const (
	// refreshBefore is how long before their end credentials are replaced. SDKs
	// ask for new ones some minutes before the end of theirs.
	refreshBefore = 15 * time.Minute
	assumeWithin  = 10 * time.Second
)

// assumer gets credentials by AssumeRole, and keeps them as long as they are good.
type assumer struct {
	client *sts.Client
	flight singleflight.Group

	mu   sync.Mutex
	kept map[assumed]Credentials
}

type assumed struct{ role, session string }

func newAssumer(c STSConfig) (*assumer, error) {
	if c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return nil, errors.New("the STS endpoint needs base credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	return &assumer{
		kept: map[assumed]Credentials{},
		client: sts.New(sts.Options{
			BaseEndpoint: aws.String(c.Endpoint),
			Region:       c.Region,
			Credentials:  credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken),
		}),
	}, nil
}

func (a *assumer) get(ctx context.Context, role, session string, now time.Time) (Credentials, error) {
	key := assumed{role, session}
	c := a.cached(key)
	if c.freshAt(now) {
		return c, nil
	}
	// One request for all who ask at once; it goes on if the first of them gives up.
	got := a.flight.DoChan(role+"\n"+session, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), assumeWithin)
		defer cancel()
		return a.assume(ctx, key, now)
	})
	select {
	case <-ctx.Done():
		return Credentials{}, ctx.Err()
	case r := <-got:
		if r.Err == nil {
			return r.Val.(Credentials), nil
		}
		if now.Before(c.Expiration) {
			return c, nil // still good; the next request tries again
		}
		return Credentials{}, r.Err
	}
}

// cached returns what is kept, perhaps no longer good; the zero value if nothing is.
func (a *assumer) cached(key assumed) Credentials {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.kept[key]
}

// freshAt reports whether they need not be replaced yet.
func (c Credentials) freshAt(now time.Time) bool {
	return now.Add(refreshBefore).Before(c.Expiration)
}

func (a *assumer) assume(ctx context.Context, key assumed, now time.Time) (Credentials, error) {
	if c := a.cached(key); c.freshAt(now) {
		return c, nil // another request has ended since its caller looked
	}
	out, err := a.client.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &key.role, RoleSessionName: &key.session})
	if err != nil {
		return Credentials{}, fmt.Errorf("assume role %s: %w", key.role, err)
	}
	if out.Credentials == nil || out.Credentials.Expiration == nil {
		return Credentials{}, fmt.Errorf("assume role %s: the answer has no credentials", key.role)
	}
	c := Credentials{
		AccessKeyID:     aws.ToString(out.Credentials.AccessKeyId),
		SecretAccessKey: aws.ToString(out.Credentials.SecretAccessKey),
		Token:           aws.ToString(out.Credentials.SessionToken),
		Expiration:      *out.Credentials.Expiration,
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for other, old := range a.kept {
		if !now.Before(old.Expiration) {
			delete(a.kept, other)
		}
	}
	a.kept[key] = c
	return c, nil
}
