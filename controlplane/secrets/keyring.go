// Package secrets holds what is secret about secrets and nothing else: how a
// value is sealed for keeping at rest, how the references of a task definition
// are read, and which version of a secret a reference means. It is given records
// and keys; it must not read or write a store, a file or the network, and no
// error of it repeats a value.
package secrets

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
)

// Errors of sealing and opening.
var (
	// ErrNoKey: the operator has given this control plane no key.
	ErrNoKey = errors.New("this control plane has no key for secrets; start it with --secrets-key")
	// ErrUnknownKey: the value was sealed under a key that is not in the ring.
	ErrUnknownKey = errors.New("sealed under a key that is not in the key file")
	// ErrWrongKey: the key of that id does not open the value, or the value was changed.
	ErrWrongKey = errors.New("the key does not open it: the key file holds another key of that id, or the record was changed")
)

const keySize = 32 // bytes: AES-256

var keyIDForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// Keyring holds the operator's keys. The zero value and nil have none. It is
// safe for concurrent use.
type Keyring struct {
	newest string
	keys   map[string]cipher.AEAD
}

// ParseKeys reads a key file: a line for each key, KEY-ID:BASE64 of 32 bytes, the
// newest first. New values are sealed under the first; the others open what was
// sealed before. Empty lines and those that begin with # are skipped.
func ParseKeys(text []byte) (*Keyring, error) {
	ring := &Keyring{keys: map[string]cipher.AEAD{}}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, encoded, found := strings.Cut(line, ":")
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
		switch {
		case !found || !keyIDForm.MatchString(id):
			return nil, fmt.Errorf("line %d is not KEY-ID:BASE64", number)
		case err != nil || len(key) != keySize:
			return nil, fmt.Errorf("line %d: key %s is not %d bytes in base64", number, id, keySize)
		case ring.keys[id] != nil:
			return nil, fmt.Errorf("line %d: a second key with the id %s", number, id)
		}
		if ring.keys[id], err = newAEAD(key); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if ring.newest == "" {
			ring.newest = id
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if ring.newest == "" {
		return nil, errors.New("it holds no key")
	}
	return ring, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// NewKeyFile returns the content of a key file with one fresh key of that id.
func NewKeyFile(id string) []byte {
	key := make([]byte, keySize)
	rand.Read(key) // does not fail on supported systems
	return []byte(id + ":" + base64.StdEncoding.EncodeToString(key) + "\n")
}

// Empty tells whether there is no key at all.
func (r *Keyring) Empty() bool { return r == nil || r.newest == "" }

// seal encrypts a value under the newest key. The label is what the value
// belongs to: it opens only as the value of that.
func (r *Keyring) seal(label string, value []byte) (model.Sealed, error) {
	if r.Empty() {
		return model.Sealed{}, ErrNoKey
	}
	aead := r.keys[r.newest]
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce)
	return model.Sealed{Key: r.newest, Nonce: nonce, Data: aead.Seal(nil, nonce, value, []byte(label))}, nil
}

func (r *Keyring) open(label string, sealed model.Sealed) ([]byte, error) {
	if r.Empty() {
		return nil, ErrNoKey
	}
	aead := r.keys[sealed.Key]
	switch {
	case aead == nil:
		return nil, fmt.Errorf("key %q: %w", sealed.Key, ErrUnknownKey)
	case len(sealed.Nonce) != aead.NonceSize():
		return nil, fmt.Errorf("key %q: %w", sealed.Key, ErrWrongKey)
	}
	value, err := aead.Open(nil, sealed.Nonce, sealed.Data, []byte(label))
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", sealed.Key, ErrWrongKey)
	}
	return value, nil
}

// SealSecret encrypts the value of a version of a secret.
func (r *Keyring) SealSecret(s *model.Secret, version string, value []byte) (model.Sealed, error) {
	return r.seal(secretLabel(s, version), value)
}

// OpenSecret decrypts the value of a version of a secret.
func (r *Keyring) OpenSecret(s *model.Secret, v *model.SecretVersion) ([]byte, error) {
	value, err := r.open(secretLabel(s, v.ID), v.Value)
	if err != nil {
		return nil, fmt.Errorf("opening secret %s: %w", s.Name, err)
	}
	return value, nil
}

// SealParameter encrypts the value of a version of a parameter.
func (r *Keyring) SealParameter(name string, version int64, value []byte) (model.Sealed, error) {
	return r.seal(parameterLabel(name, version), value)
}

// OpenParameter decrypts a parameter's value.
func (r *Keyring) OpenParameter(p *model.Parameter) ([]byte, error) {
	value, err := r.open(parameterLabel(p.Name, p.Version), p.Value)
	if err != nil {
		return nil, fmt.Errorf("opening parameter %s: %w", p.Name, err)
	}
	return value, nil
}

// The parts of a label hold no line break, so that no two labels are the same.
func secretLabel(s *model.Secret, version string) string {
	return "secret\n" + s.Name + "\n" + s.Suffix + "\n" + version
}

func parameterLabel(name string, version int64) string {
	return fmt.Sprintf("parameter\n%s\n%d", name, version)
}
