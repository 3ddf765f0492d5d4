package secretsapi

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/longshore/longshore/controlplane/awsjson"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// description is what is shown of a secret: everything but its values.
type description struct {
	ARN, Name       string
	Description     string         `json:",omitempty"`
	CreatedDate     *ecs.Timestamp `json:",omitempty"`
	LastChangedDate *ecs.Timestamp `json:",omitempty"`
	DeletedDate     *ecs.Timestamp `json:",omitempty"`
	Tags            []tag
	// The two operations call the same by two names.
	VersionIdsToStages     map[string][]string `json:",omitempty"`
	SecretVersionsToStages map[string][]string `json:",omitempty"`
}

func (h *handler) describe(s *model.Secret) (description, map[string][]string) {
	stages := map[string][]string{}
	for _, v := range s.Versions {
		stages[v.ID] = v.Stages
	}
	return description{
		ARN: h.Owner.SecretARN(s), Name: s.Name, Description: s.Description, Tags: showTags(s.Tags),
		CreatedDate: timestamp(s.CreatedAt), LastChangedDate: timestamp(s.ChangedAt), DeletedDate: timestamp(s.DeletedAt),
	}, stages
}

func (h *handler) describeSecret(_ context.Context, in *secretIDIn) (*description, error) {
	s, err := h.secret(h.store.View(), in.SecretId)
	if err != nil {
		return nil, err
	}
	d, stages := h.describe(s)
	d.VersionIdsToStages = stages
	return &d, nil
}

type listSecretsIn struct {
	Filters                []listFilter
	IncludePlannedDeletion bool
	MaxResults             *int32
	NextToken              string
	SortOrder              string

	SortBy json.RawMessage
}

type listFilter struct {
	Key    string
	Values []string
}

type listSecretsOut struct {
	SecretList []description
	NextToken  string `json:",omitempty"`
}

// listSecrets lists by name. Of filters it knows the name, by its beginning.
func (h *handler) listSecrets(_ context.Context, in *listSecretsIn) (*listSecretsOut, error) {
	if err := (unsupported{"SortBy": in.SortBy}).check(codeParameter); err != nil {
		return nil, err
	}
	if in.SortOrder != "" && in.SortOrder != "asc" {
		return nil, ecs.Errorf(codeParameter, "Longshore does not support the SortOrder %s: secrets are listed in the order of their names.", in.SortOrder)
	}
	for _, f := range in.Filters {
		if f.Key != "name" || len(f.Values) == 0 {
			return nil, ecs.Errorf(codeParameter, "Longshore supports the filter name, with a value, and no other.")
		}
	}
	limit, err := pageSize(in.MaxResults, 100, codeParameter)
	if err != nil {
		return nil, err
	}
	after, ok := awsjson.After("ListSecrets", in.NextToken)
	if !ok {
		return nil, ecs.Errorf(codeToken, "The NextToken value is invalid.")
	}
	out := &listSecretsOut{SecretList: []description{}}
	for s := range h.store.View().Secrets(after) {
		switch {
		case s.Name == after && after != "", !in.IncludePlannedDeletion && !s.DeletedAt.IsZero(), !named(s.Name, in.Filters):
			continue
		case len(out.SecretList) == limit:
			out.NextToken = awsjson.Token("ListSecrets", out.SecretList[limit-1].Name)
			return out, nil
		}
		d, stages := h.describe(s)
		d.SecretVersionsToStages = stages
		out.SecretList = append(out.SecretList, d)
	}
	return out, nil
}

// named tells whether a name passes all filters: each by any of its values.
func named(name string, filters []listFilter) bool {
	return !slices.ContainsFunc(filters, func(f listFilter) bool {
		return !slices.ContainsFunc(f.Values, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
	})
}
