package secretsapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/longshore/longshore/controlplane/awsjson"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/secrets"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// Codes of the Parameter Store's errors.
const (
	codeParameterNotFound = "ParameterNotFound"
	codeParameterExists   = "ParameterAlreadyExists"
	codeParameterVersion  = "ParameterVersionNotFound"
	codeParameterType     = "UnsupportedParameterType"
	codeTypeMismatch      = "HierarchyTypeMismatchException"
	codeLevels            = "HierarchyLevelLimitExceededException"
	codeKey               = "InvalidKeyId"
	codeFilterKey         = "InvalidFilterKey"
	codeSSMToken          = "InvalidNextToken"
	codeValidation        = "ValidationException"
)

// parameterOperations is the table of what is answered of the Parameter Store.
func parameterOperations() map[string]awsjson.Operation[handler] {
	return map[string]awsjson.Operation[handler]{
		"PutParameter":        awsjson.Op((*handler).putParameter),
		"GetParameter":        awsjson.Op((*handler).getParameter),
		"GetParameters":       awsjson.Op((*handler).getParameters),
		"GetParametersByPath": awsjson.Op((*handler).getParametersByPath),
		"DescribeParameters":  awsjson.Op((*handler).describeParameters),
		"DeleteParameter":     awsjson.Op((*handler).deleteParameter),
		"DeleteParameters":    awsjson.Op((*handler).deleteParameters),
	}
}

// parameterRefuses are the others that are about parameters. What Systems Manager
// has besides is no operation of this service here.
var parameterRefuses = []string{
	"GetParameterHistory", "LabelParameterVersion", "UnlabelParameterVersion",
	"AddTagsToResource", "RemoveTagsFromResource", "ListTagsForResource",
}

const (
	maxParameter = 4096 // characters of the standard tier
	maxLevels    = 15

	maxParameterName = 1011 // characters, of 2048 in the ARN
	maxNames         = 10   // of one request
	secureString     = "SecureString"
	standardTier     = "Standard"
	textParameter    = "text"
)

var (
	parameterTypes    = []string{"String", "StringList", secureString}
	parameterNameForm = regexp.MustCompile(`^[A-Za-z0-9_./-]+$`)
	reservedName      = regexp.MustCompile(`(?i)^/?(aws|ssm)`)
)

func checkParameterName(name string) error {
	switch {
	case len(name) > maxParameterName, !parameterNameForm.MatchString(name), strings.Contains(name, "//"), strings.HasSuffix(name, "/"):
		return ecs.Errorf(codeValidation, "Parameter name: can't be prefixed with \"ssm\" (case-insensitive). If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_")
	case reservedName.MatchString(name):
		return ecs.Errorf(codeValidation, "Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive).")
	case strings.Contains(name, "/") && name[0] != '/':
		return ecs.Errorf(codeValidation, "Parameter name must be a fully qualified name.")
	case strings.Count(name, "/") > maxLevels:
		return ecs.Errorf(codeLevels, "A hierarchy can have a maximum of %d levels.", maxLevels)
	}
	return nil
}

type putParameterIn struct {
	Name, Value, Type, Description, DataType, Tier string
	Overwrite                                      bool
	Tags                                           []tag

	KeyId, AllowedPattern, Policies json.RawMessage
}

type putParameterOut struct {
	Version int64
	Tier    string
}

func (in *putParameterIn) check() error {
	refused := unsupported{"KeyId": in.KeyId, "AllowedPattern": in.AllowedPattern, "Policies": in.Policies}
	if err := refused.check(codeValidation); err != nil {
		return err
	}
	if err := checkParameterName(in.Name); err != nil {
		return err
	}
	switch {
	case in.Type != "" && !slices.Contains(parameterTypes, in.Type):
		return ecs.Errorf(codeParameterType, "The parameter type is not supported.")
	case in.Value == "":
		return ecs.Errorf(codeValidation, "The parameter's value must not be empty.")
	case len(in.Value) > maxParameter:
		return ecs.Errorf(codeValidation, "Standard tier parameters support a maximum parameter value of %d characters.", maxParameter)
	case len(in.Description) > 1024:
		return ecs.Errorf(codeValidation, "The description has at most 1024 characters.")
	case in.Tier != "" && in.Tier != standardTier:
		return ecs.Errorf(codeValidation, "Longshore supports the tier Standard and no other.")
	case in.DataType != "" && in.DataType != textParameter:
		return ecs.Errorf(codeValidation, "Longshore supports the data type text and no other.")
	case in.Overwrite && len(in.Tags) > 0:
		return ecs.Errorf(codeValidation, "Invalid request: tags and overwrite can't be used together.")
	}
	return nil
}

func (h *handler) putParameter(ctx context.Context, in *putParameterIn) (*putParameterOut, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	tags, err := tagsOf(in.Tags, codeValidation)
	if err != nil {
		return nil, err
	}
	out := &putParameterOut{Tier: standardTier}
	err = h.store.Update(ctx, func(tx *store.Tx) error {
		next := model.Parameter{Name: in.Name, Type: in.Type, Tags: tags}
		old, exists := tx.Parameter(in.Name)
		switch {
		case !exists && in.Type == "":
			return ecs.Errorf(codeValidation, "A parameter type is required when you create a parameter.")
		case !exists:
		case !in.Overwrite:
			return ecs.Errorf(codeParameterExists, "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
		case in.Type != "" && in.Type != old.Type:
			return ecs.Errorf(codeTypeMismatch, "A parameter's type can't be changed: %s is a %s.", old.Name, old.Type)
		default:
			next = *old
		}
		next.Version++
		next.ChangedAt = h.Clock()
		if in.Description != "" {
			next.Description = in.Description
		}
		sealed, err := h.Keys.SealParameter(next.Name, next.Version, []byte(in.Value))
		if err != nil {
			return keyFailure(codeKey, err)
		}
		next.Value = sealed
		out.Version = next.Version
		tx.PutParameter(&next)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// parameter is what is shown of a parameter with its value.
type parameter struct {
	ARN, Name, Type, Value string
	Version                int64
	LastModifiedDate       *ecs.Timestamp
	DataType               string
	Selector               string `json:",omitempty"`
}

// show opens a parameter. Without decryption, a SecureString is answered as it
// is kept.
func (h *handler) show(p *model.Parameter, decrypt bool) (parameter, error) {
	out := parameter{
		ARN: h.Owner.ParameterARN(p.Name), Name: p.Name, Type: p.Type, Version: p.Version,
		LastModifiedDate: timestamp(p.ChangedAt), DataType: textParameter,
	}
	if p.Type == secureString && !decrypt {
		out.Value = base64.StdEncoding.EncodeToString(slices.Concat(p.Value.Nonce, p.Value.Data))
		return out, nil
	}
	plain, err := h.Keys.OpenParameter(p)
	if err != nil {
		return parameter{}, keyFailure(codeKey, err)
	}
	out.Value = string(plain)
	return out, nil
}

// find finds a parameter by name or ARN, perhaps with a colon and a version behind it.
func (h *handler) find(t *store.Tables, name string, decrypt bool) (parameter, error) {
	if name == "" {
		return parameter{}, ecs.Errorf(codeValidation, "A parameter's name must be given.")
	}
	base, selector := name, ""
	start := 0
	if strings.HasPrefix(name, "arn:") {
		start = strings.LastIndex(name, "parameter/") + 1
	}
	if at := strings.Index(name[start:], ":"); at >= 0 {
		base, selector = name[:start+at], name[start+at:]
	}
	p, ok := secrets.FindParameter(t.Parameter, h.Owner, base)
	if !ok {
		return parameter{}, ecs.Errorf(codeParameterNotFound, "Parameter %s not found.", clip(base))
	}
	if selector != "" && selector[1:] != strconv.FormatInt(p.Version, 10) {
		return parameter{}, ecs.Errorf(codeParameterVersion, "Systems Manager could not find version %s of %s: its newest version, which is the one that is kept, is %d.", clip(selector[1:]), p.Name, p.Version)
	}
	out, err := h.show(p, decrypt)
	out.Selector = selector
	return out, err
}

// clip keeps a name that a caller sent, when it is repeated to them, short.
func clip(s string) string { return s[:min(len(s), 200)] }

type getParameterIn struct {
	Name           string
	WithDecryption bool
}

type getParameterOut struct{ Parameter parameter }

func (h *handler) getParameter(_ context.Context, in *getParameterIn) (*getParameterOut, error) {
	p, err := h.find(h.store.View(), in.Name, in.WithDecryption)
	if err != nil {
		return nil, err
	}
	return &getParameterOut{p}, nil
}

type getParametersIn struct {
	Names          []string
	WithDecryption bool
}

type getParametersOut struct {
	Parameters        []parameter
	InvalidParameters []string
}

// missing are the codes that make a name of many an invalid one.
var missing = []string{codeParameterNotFound, codeParameterVersion}

func (h *handler) getParameters(_ context.Context, in *getParametersIn) (*getParametersOut, error) {
	if err := checkNames(in.Names); err != nil {
		return nil, err
	}
	view := h.store.View()
	out := &getParametersOut{Parameters: []parameter{}, InvalidParameters: []string{}}
	for _, name := range in.Names {
		p, err := h.find(view, name, in.WithDecryption)
		if isMissing(err) {
			out.InvalidParameters = append(out.InvalidParameters, name)
			continue
		}
		if err != nil {
			return nil, err
		}
		out.Parameters = append(out.Parameters, p)
	}
	return out, nil
}

func isMissing(err error) bool {
	e, ok := err.(*ecs.Error)
	return ok && slices.Contains(missing, e.Code)
}

func checkNames(names []string) error {
	if len(names) == 0 || len(names) > maxNames {
		return ecs.Errorf(codeValidation, "1 to %d names can be given, not %d.", maxNames, len(names))
	}
	return nil
}

type deleteParameterIn struct{ Name string }

type empty struct{}

func (h *handler) deleteParameter(ctx context.Context, in *deleteParameterIn) (*empty, error) {
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		p, ok := tx.Parameter(in.Name)
		if !ok {
			return ecs.Errorf(codeParameterNotFound, "Parameter %s not found.", clip(in.Name))
		}
		tx.DeleteParameter(p)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &empty{}, nil
}

type deleteParametersIn struct{ Names []string }

type deleteParametersOut struct{ DeletedParameters, InvalidParameters []string }

func (h *handler) deleteParameters(ctx context.Context, in *deleteParametersIn) (*deleteParametersOut, error) {
	if err := checkNames(in.Names); err != nil {
		return nil, err
	}
	out := &deleteParametersOut{}
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		*out = deleteParametersOut{DeletedParameters: []string{}, InvalidParameters: []string{}}
		for _, name := range in.Names {
			p, ok := tx.Parameter(name)
			if !ok {
				out.InvalidParameters = append(out.InvalidParameters, name)
				continue
			}
			tx.DeleteParameter(p)
			out.DeletedParameters = append(out.DeletedParameters, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
