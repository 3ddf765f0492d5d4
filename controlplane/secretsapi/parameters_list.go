package secretsapi

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strings"

	"github.com/longshore/longshore/controlplane/awsjson"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

const maxExamined = 1000 // records that one page looks at

// pageOf takes a page of the parameters that a filter lets through.
func pageOf(records iter.Seq[*model.Parameter], after, list string, limit int, passes func(*model.Parameter) bool) (page []*model.Parameter, token string) {
	last, examined := "", 0
	for p := range records {
		if p.Name == after {
			continue
		}
		if len(page) == limit || examined == maxExamined {
			return page, awsjson.Token(list, last)
		}
		examined++
		last = p.Name
		if passes(p) {
			page = append(page, p)
		}
	}
	return page, ""
}

type getParametersByPathIn struct {
	Path           string
	Recursive      bool
	WithDecryption bool
	MaxResults     *int32
	NextToken      string

	ParameterFilters json.RawMessage
}

type getParametersByPathOut struct {
	Parameters []parameter
	NextToken  string `json:",omitempty"`
}

func (h *handler) getParametersByPath(_ context.Context, in *getParametersByPathIn) (*getParametersByPathOut, error) {
	if err := (unsupported{"ParameterFilters": in.ParameterFilters}).check(codeValidation); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(in.Path, "/") {
		return nil, ecs.Errorf(codeValidation, "The parameter doesn't meet the parameter name requirements. The path must begin with a forward slash \"/\".")
	}
	limit, err := pageSize(in.MaxResults, 10, codeValidation)
	if err != nil {
		return nil, err
	}
	folder := strings.TrimSuffix(in.Path, "/") + "/"
	list := "GetParametersByPath " + folder
	after, ok := awsjson.After(list, in.NextToken)
	if !ok {
		return nil, ecs.Errorf(codeSSMToken, "The specified token is not valid.")
	}
	inside := func(yield func(*model.Parameter) bool) {
		for p := range h.store.View().Parameters(max(after, folder)) {
			if !strings.HasPrefix(p.Name, folder) || !yield(p) {
				return
			}
		}
	}
	page, token := pageOf(inside, after, list, limit, func(p *model.Parameter) bool {
		return in.Recursive || !strings.Contains(p.Name[len(folder):], "/")
	})
	out := &getParametersByPathOut{Parameters: []parameter{}, NextToken: token}
	for _, p := range page {
		shown, err := h.show(p, in.WithDecryption)
		if err != nil {
			return nil, err
		}
		out.Parameters = append(out.Parameters, shown)
	}
	return out, nil
}

type describeParametersIn struct {
	ParameterFilters []parameterFilter
	MaxResults       *int32
	NextToken        string

	Filters json.RawMessage
	Shared  bool
}

type parameterFilter struct {
	Key, Option string
	Values      []string
}

// metadata is what is shown of a parameter without its value.
type metadata struct {
	ARN, Name, Type  string
	Description      string `json:",omitempty"`
	Version          int64
	LastModifiedDate *ecs.Timestamp
	Tier, DataType   string
}

type describeParametersOut struct {
	Parameters []metadata
	NextToken  string `json:",omitempty"`
}

func (h *handler) describeParameters(_ context.Context, in *describeParametersIn) (*describeParametersOut, error) {
	if err := (unsupported{"Filters": in.Filters}).check(codeValidation); err != nil {
		return nil, err
	}
	if in.Shared {
		return nil, ecs.Errorf(codeValidation, "Longshore does not support Shared.")
	}
	for _, f := range in.ParameterFilters {
		if f.Key != "Name" && f.Key != "Type" || f.Key == "Type" && f.Option == "BeginsWith" || !slices.Contains([]string{"", "Equals", "BeginsWith"}, f.Option) || len(f.Values) == 0 {
			return nil, ecs.Errorf(codeFilterKey, "Longshore supports the filters Name, which Equals or BeginsWith, and Type, which Equals.")
		}
	}
	limit, err := pageSize(in.MaxResults, 50, codeValidation)
	if err != nil {
		return nil, err
	}
	after, ok := awsjson.After("DescribeParameters", in.NextToken)
	if !ok {
		return nil, ecs.Errorf(codeSSMToken, "The specified token is not valid.")
	}
	page, token := pageOf(h.store.View().Parameters(after), after, "DescribeParameters", limit, func(p *model.Parameter) bool {
		return !slices.ContainsFunc(in.ParameterFilters, func(f parameterFilter) bool { return !f.passes(p) })
	})
	out := &describeParametersOut{Parameters: []metadata{}, NextToken: token}
	for _, p := range page {
		out.Parameters = append(out.Parameters, metadata{
			ARN: h.Owner.ParameterARN(p.Name), Name: p.Name, Type: p.Type, Description: p.Description, Version: p.Version,
			LastModifiedDate: timestamp(p.ChangedAt), Tier: standardTier, DataType: textParameter,
		})
	}
	return out, nil
}

func (f *parameterFilter) passes(p *model.Parameter) bool {
	field := p.Name
	if f.Key == "Type" {
		field = p.Type
	}
	return slices.ContainsFunc(f.Values, func(value string) bool {
		return field == value || f.Option == "BeginsWith" && strings.HasPrefix(field, value)
	})
}
