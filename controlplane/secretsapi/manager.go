package secretsapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"time"

	"github.com/longshore/longshore/controlplane/awsjson"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/secrets"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// Codes of Secrets Manager's errors.
const (
	codeNotFound   = "ResourceNotFoundException"
	codeExists     = "ResourceExistsException"
	codeParameter  = "InvalidParameterException"
	codeRequest    = "InvalidRequestException"
	codeToken      = "InvalidNextTokenException"
	codeLimit      = "LimitExceededException"
	codeEncryption = "EncryptionFailure"
	codeDecryption = "DecryptionFailure"
)

// managerOperations is the table of what is answered of Secrets Manager.
func managerOperations() map[string]awsjson.Operation[handler] {
	return map[string]awsjson.Operation[handler]{
		"CreateSecret":   awsjson.Op((*handler).createSecret),
		"PutSecretValue": awsjson.Op((*handler).putSecretValue),
		"UpdateSecret":   awsjson.Op((*handler).updateSecret),
		"GetSecretValue": awsjson.Op((*handler).getSecretValue),
		"DescribeSecret": awsjson.Op((*handler).describeSecret),
		"ListSecrets":    awsjson.Op((*handler).listSecrets),
		"DeleteSecret":   awsjson.Op((*handler).deleteSecret),
		"RestoreSecret":  awsjson.Op((*handler).restoreSecret),
	}
}

var managerRefuses = []string{
	"BatchGetSecretValue", "CancelRotateSecret", "DeleteResourcePolicy", "GetRandomPassword", "GetResourcePolicy",
	"ListSecretVersionIds", "PutResourcePolicy", "RemoveRegionsFromReplication", "ReplicateSecretToRegions", "RotateSecret",
	"StopReplicationToReplica", "TagResource", "UntagResource", "UpdateSecretVersionStage", "ValidateResourcePolicy",
}

const (
	maxSecret      = 65536 // bytes (Secrets Manager quotas)
	maxDescription = 2048  // characters
)

var (
	secretNameForm = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]{1,512}$`)
	stageForm      = regexp.MustCompile(`^[^\s]{1,256}$`)
)

// value is what a request gives a secret: one of the two members, or neither.
type value struct {
	SecretString *string
	SecretBinary []byte
}

// bytes returns the value; given tells whether there is one.
func (v *value) bytes() (plain []byte, binary, given bool, err error) {
	switch {
	case v.SecretString != nil && v.SecretBinary != nil:
		return nil, false, false, ecs.Errorf(codeParameter, "You can't specify both a binary secret value and a string secret value in the same secret.")
	case v.SecretString != nil:
		plain, given = []byte(*v.SecretString), true
	case v.SecretBinary != nil:
		plain, binary, given = v.SecretBinary, true, true
	}
	if len(plain) > maxSecret {
		return nil, false, false, ecs.Errorf(codeParameter, "A secret value has at most %d bytes, not %d.", maxSecret, len(plain))
	}
	return plain, binary, given, nil
}

// versionID reads the token of a request, which becomes the version's id.
func versionID(token string) (string, error) {
	if token == "" {
		return model.NewUUID(), nil
	}
	if len(token) < 32 || len(token) > 64 || !keyPart.MatchString(token) {
		return "", ecs.Errorf(codeParameter, "ClientRequestToken must be 32 to 64 letters, digits and hyphens.")
	}
	return token, nil
}

var keyPart = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// keyFailure words why a value could not be sealed or opened.
func keyFailure(code string, err error) error {
	for _, known := range []error{secrets.ErrNoKey, secrets.ErrUnknownKey, secrets.ErrWrongKey} {
		if errors.Is(err, known) {
			return ecs.Errorf(code, "%s.", err)
		}
	}
	return err
}

type createSecretIn struct {
	value
	Name, Description, ClientRequestToken string
	Tags                                  []tag

	KmsKeyId, AddReplicaRegions, Type json.RawMessage
	ForceOverwriteReplicaSecret       bool // of replicas, which there are none of
}

// versionOut is how a change of a secret is answered.
type versionOut struct {
	ARN, Name     string
	VersionId     string   `json:",omitempty"`
	VersionStages []string `json:",omitempty"`
}

func (h *handler) createSecret(ctx context.Context, in *createSecretIn) (*versionOut, error) {
	refused := unsupported{"KmsKeyId": in.KmsKeyId, "AddReplicaRegions": in.AddReplicaRegions, "Type": in.Type}
	if err := refused.check(codeParameter); err != nil {
		return nil, err
	}
	if !secretNameForm.MatchString(in.Name) {
		return nil, ecs.Errorf(codeParameter, "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@")
	}
	if len(in.Description) > maxDescription {
		return nil, ecs.Errorf(codeParameter, "The description has at most %d characters.", maxDescription)
	}
	tags, err := tagsOf(in.Tags, codeParameter)
	if err != nil {
		return nil, err
	}
	s := &model.Secret{
		Name: in.Name, Suffix: rand.Text()[:6], Description: in.Description, Tags: tags, CreatedAt: h.Clock(), ChangedAt: h.Clock(),
	}
	out := &versionOut{}
	err = h.store.Update(ctx, func(tx *store.Tx) error {
		if old, ok := tx.Secret(in.Name); ok {
			return h.createdBefore(old, in, out)
		}
		next, answer, err := h.withValue(s, &in.value, in.ClientRequestToken, nil)
		if err != nil {
			return err
		}
		if h.Keys.Empty() {
			return keyFailure(codeEncryption, secrets.ErrNoKey)
		}
		tx.PutSecret(next)
		*out = versionOut{ARN: answer.ARN, Name: answer.Name, VersionId: answer.VersionId}
		return nil
	})
	if err != nil {
		return nil, tooLarge(err)
	}
	return out, nil
}

// createdBefore answers the creation of a secret that is there: the same request
// once more is no error.
func (h *handler) createdBefore(old *model.Secret, in *createSecretIn, out *versionOut) error {
	if !old.DeletedAt.IsZero() {
		return ecs.Errorf(codeRequest, "You can't create this secret because a secret with this name is already scheduled for deletion.")
	}
	if v, ok := secrets.FindVersion(old, "", in.ClientRequestToken); ok && in.ClientRequestToken != "" {
		same, err := h.sameValue(old, v, &in.value)
		if err != nil {
			return err
		}
		if same {
			*out = versionOut{ARN: h.Owner.SecretARN(old), Name: old.Name, VersionId: v.ID}
			return nil
		}
	}
	return ecs.Errorf(codeExists, "The operation failed because the secret %s already exists.", old.Name)
}

func (h *handler) sameValue(s *model.Secret, v *model.SecretVersion, given *value) (bool, error) {
	plain, binary, _, err := given.bytes()
	if err != nil {
		return false, err
	}
	have, err := h.Keys.OpenSecret(s, v)
	if err != nil {
		return false, keyFailure(codeDecryption, err)
	}
	return binary == v.Binary && bytes.Equal(plain, have), nil
}

// withValue returns a copy of the secret with one more version, if a value is
// given. The same version once more is no error; with another value it is.
func (h *handler) withValue(s *model.Secret, given *value, token string, stages []string) (*model.Secret, *versionOut, error) {
	out := &versionOut{ARN: h.Owner.SecretARN(s), Name: s.Name}
	plain, binary, isGiven, err := given.bytes()
	if err != nil || !isGiven {
		return s, out, err
	}
	id, err := versionID(token)
	if err != nil {
		return nil, nil, err
	}
	out.VersionId = id
	if have, ok := secrets.FindVersion(s, "", id); ok {
		same, err := h.sameValue(s, have, given)
		if err == nil && !same {
			err = ecs.Errorf(codeExists, "You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", id, out.ARN)
		}
		out.VersionStages = have.Stages
		return s, out, err
	}
	if len(stages) == 0 || len(s.Versions) == 0 && !slices.Contains(stages, secrets.StageCurrent) {
		stages = append(slices.Clone(stages), secrets.StageCurrent)
	}
	sealed, err := h.Keys.SealSecret(s, id, plain)
	if err != nil {
		return nil, nil, keyFailure(codeEncryption, err)
	}
	next := *s
	next.ChangedAt = h.Clock()
	next.Versions = secrets.AddVersion(s.Versions, model.SecretVersion{ID: id, Stages: stages, CreatedAt: next.ChangedAt, Binary: binary, Value: sealed})
	if secrets.CountStages(next.Versions) > secrets.MaxStages {
		return nil, nil, ecs.Errorf(codeLimit, "A secret has at most %d staging labels.", secrets.MaxStages)
	}
	out.VersionStages = stages
	return &next, out, nil
}

// tooLarge says what a record that etcd does not take means here.
func tooLarge(err error) error {
	if errors.Is(err, store.ErrTooLarge) {
		return ecs.Errorf(codeLimit, "The versions of the secret that have staging labels are too large together.")
	}
	return err
}

// secret finds the secret that an id means.
func (h *handler) secret(t *store.Tables, id string) (*model.Secret, error) {
	if id == "" {
		return nil, ecs.Errorf(codeParameter, "SecretId must be given.")
	}
	s, ok := secrets.FindSecret(t.Secret, h.Owner, id)
	if !ok {
		return nil, ecs.Errorf(codeNotFound, "Secrets Manager can't find the specified secret.")
	}
	return s, nil
}

// usable is secret for operations that do not take one that is to be deleted.
func (h *handler) usable(t *store.Tables, id string) (*model.Secret, error) {
	s, err := h.secret(t, id)
	if err == nil && !s.DeletedAt.IsZero() {
		return nil, ecs.Errorf(codeRequest, "You can't perform this operation on the secret because it was marked for deletion.")
	}
	return s, err
}

type putSecretValueIn struct {
	value
	SecretId, ClientRequestToken string
	VersionStages                []string

	RotationToken json.RawMessage
}

func (h *handler) putSecretValue(ctx context.Context, in *putSecretValueIn) (*versionOut, error) {
	if err := (unsupported{"RotationToken": in.RotationToken}).check(codeParameter); err != nil {
		return nil, err
	}
	if in.SecretString == nil && in.SecretBinary == nil {
		return nil, ecs.Errorf(codeParameter, "You must provide either SecretString or SecretBinary.")
	}
	if len(in.VersionStages) > secrets.MaxStages {
		return nil, ecs.Errorf(codeLimit, "A secret has at most %d staging labels.", secrets.MaxStages)
	}
	for i, stage := range in.VersionStages {
		if !stageForm.MatchString(stage) || slices.Contains(in.VersionStages[:i], stage) {
			return nil, ecs.Errorf(codeParameter, "A staging label has 1 to 256 characters and is given once.")
		}
	}
	return h.change(ctx, in.SecretId, func(s *model.Secret) (*model.Secret, *versionOut, error) {
		return h.withValue(s, &in.value, in.ClientRequestToken, in.VersionStages)
	})
}

type updateSecretIn struct {
	value
	SecretId, ClientRequestToken string
	Description                  *string

	KmsKeyId, Type json.RawMessage
}

func (h *handler) updateSecret(ctx context.Context, in *updateSecretIn) (*versionOut, error) {
	if err := (unsupported{"KmsKeyId": in.KmsKeyId, "Type": in.Type}).check(codeParameter); err != nil {
		return nil, err
	}
	if in.Description != nil && len(*in.Description) > maxDescription {
		return nil, ecs.Errorf(codeParameter, "The description has at most %d characters.", maxDescription)
	}
	return h.change(ctx, in.SecretId, func(s *model.Secret) (*model.Secret, *versionOut, error) {
		next, out, err := h.withValue(s, &in.value, in.ClientRequestToken, nil)
		if err != nil {
			return nil, nil, err
		}
		out.VersionStages = nil
		if in.Description != nil {
			described := *next
			described.Description, described.ChangedAt = *in.Description, h.Clock()
			next = &described
		}
		return next, out, nil
	})
}

// change replaces a secret by what f makes of it.
func (h *handler) change(ctx context.Context, id string, f func(*model.Secret) (*model.Secret, *versionOut, error)) (*versionOut, error) {
	var out *versionOut
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		s, err := h.usable(tx.Tables, id)
		if err != nil {
			return err
		}
		next, answer, err := f(s)
		if err != nil {
			return err
		}
		if next != s {
			tx.PutSecret(next)
		}
		out = answer
		return nil
	})
	if err != nil {
		return nil, tooLarge(err)
	}
	return out, nil
}

type getSecretValueIn struct{ SecretId, VersionId, VersionStage string }

type getSecretValueOut struct {
	ARN, Name, VersionId string
	SecretString         *string `json:",omitempty"`
	SecretBinary         []byte  `json:",omitempty"`
	VersionStages        []string
	CreatedDate          *ecs.Timestamp
}

func (h *handler) getSecretValue(_ context.Context, in *getSecretValueIn) (*getSecretValueOut, error) {
	s, err := h.usable(h.store.View(), in.SecretId)
	if err != nil {
		return nil, err
	}
	v, ok := secrets.FindVersion(s, in.VersionStage, in.VersionId)
	if !ok {
		what := "staging label: " + secrets.StageCurrent
		switch {
		case in.VersionId != "":
			what = "VersionId: " + in.VersionId
		case in.VersionStage != "":
			what = "staging label: " + in.VersionStage
		}
		return nil, ecs.Errorf(codeNotFound, "Secrets Manager can't find the specified secret value for %s", what)
	}
	plain, err := h.Keys.OpenSecret(s, v)
	if err != nil {
		return nil, keyFailure(codeDecryption, err)
	}
	out := &getSecretValueOut{ARN: h.Owner.SecretARN(s), Name: s.Name, VersionId: v.ID, VersionStages: v.Stages, CreatedDate: timestamp(v.CreatedAt)}
	if v.Binary {
		out.SecretBinary = plain
	} else {
		text := string(plain)
		out.SecretString = &text
	}
	return out, nil
}

type deleteSecretIn struct {
	SecretId                   string
	RecoveryWindowInDays       *int64
	ForceDeleteWithoutRecovery bool
}

type deleteSecretOut struct {
	ARN, Name    string
	DeletionDate *ecs.Timestamp
}

// deleteSecret marks the secret; the reaper forgets it when its window is over.
func (h *handler) deleteSecret(ctx context.Context, in *deleteSecretIn) (*deleteSecretOut, error) {
	days := int64(30)
	switch {
	case in.RecoveryWindowInDays != nil && in.ForceDeleteWithoutRecovery:
		return nil, ecs.Errorf(codeParameter, "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
	case in.RecoveryWindowInDays != nil:
		if days = *in.RecoveryWindowInDays; days < 7 || days > 30 {
			return nil, ecs.Errorf(codeParameter, "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
		}
	}
	var out *deleteSecretOut
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		s, err := h.secret(tx.Tables, in.SecretId)
		if err != nil {
			return err
		}
		out = &deleteSecretOut{ARN: h.Owner.SecretARN(s), Name: s.Name}
		if in.ForceDeleteWithoutRecovery {
			out.DeletionDate = timestamp(h.Clock())
			tx.DeleteSecret(s)
			return nil
		}
		if !s.DeletedAt.IsZero() {
			return ecs.Errorf(codeRequest, "You can't perform this operation on the secret because it was already scheduled for deletion.")
		}
		next := *s
		next.DeletedAt = h.Clock()
		next.PurgeAt = next.DeletedAt.Add(time.Duration(days) * 24 * time.Hour)
		out.DeletionDate = timestamp(next.PurgeAt)
		tx.PutSecret(&next)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

type secretIDIn struct{ SecretId string }

func (h *handler) restoreSecret(ctx context.Context, in *secretIDIn) (*versionOut, error) {
	var out *versionOut
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		s, err := h.secret(tx.Tables, in.SecretId)
		if err != nil {
			return err
		}
		out = &versionOut{ARN: h.Owner.SecretARN(s), Name: s.Name}
		if s.DeletedAt.IsZero() {
			return nil
		}
		next := *s
		next.DeletedAt, next.PurgeAt = time.Time{}, time.Time{}
		tx.PutSecret(&next)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
