package secretsapi_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

func parameter(name, value string) *ssm.PutParameterInput {
	return &ssm.PutParameterInput{Name: &name, Value: &value, Type: types.ParameterTypeSecureString}
}

func TestParameter_IsFoundByNameAndByARN(t *testing.T) {
	f := newFixture(t)
	must(f.parameters.PutParameter(t.Context(), parameter("/app/db", "parameter-value")))(t)
	must(f.parameters.PutParameter(t.Context(), parameter("plain", "plain-value")))(t)
	for name, want := range map[string]string{
		"/app/db": "parameter-value", "arn:aws:ssm:us-east-1:123456789012:parameter/app/db": "parameter-value",
		"plain": "plain-value", "arn:aws:ssm:us-east-1:123456789012:parameter/plain": "plain-value",
		"/app/db:1": "parameter-value",
	} {
		got := must(f.parameters.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)}))(t)
		if *got.Parameter.Value != want || got.Parameter.Version != 1 || got.Parameter.Type != types.ParameterTypeSecureString {
			t.Errorf("%s: %+v", name, got.Parameter)
		}
	}
	sealed := must(f.parameters.GetParameter(t.Context(), &ssm.GetParameterInput{Name: text("/app/db")}))(t)
	if strings.Contains(*sealed.Parameter.Value, "parameter-value") {
		t.Error("a SecureString is answered in the clear without being asked to decrypt")
	}
	_, err := f.parameters.GetParameter(t.Context(), &ssm.GetParameterInput{Name: text("nothing")})
	wantCode(t, err, "ParameterNotFound")
	f.nowhere("parameter-value")
}

func TestParameter_OverwritingCountsItsVersion(t *testing.T) {
	f := newFixture(t)
	in := parameter("p", "one")
	must(f.parameters.PutParameter(t.Context(), in))(t)
	_, err := f.parameters.PutParameter(t.Context(), in)
	wantCode(t, err, "ParameterAlreadyExists")
	in.Overwrite, in.Value, in.Type = aws.Bool(true), text("two"), ""
	if out := must(f.parameters.PutParameter(t.Context(), in))(t); out.Version != 2 {
		t.Errorf("version %d, want 2", out.Version)
	}
	_, err = f.parameters.GetParameter(t.Context(), &ssm.GetParameterInput{Name: text("p:1")})
	wantCode(t, err, "ParameterVersionNotFound")
	in.Type = types.ParameterTypeString
	_, err = f.parameters.PutParameter(t.Context(), in)
	wantCode(t, err, "HierarchyTypeMismatchException")
}

func TestParameters_ManyAtOnceNameThoseThatAreNotThere(t *testing.T) {
	f := newFixture(t)
	must(f.parameters.PutParameter(t.Context(), parameter("a", "1")))(t)
	must(f.parameters.PutParameter(t.Context(), parameter("b", "2")))(t)
	got := must(f.parameters.GetParameters(t.Context(), &ssm.GetParametersInput{Names: []string{"a", "x"}, WithDecryption: aws.Bool(true)}))(t)
	if len(got.Parameters) != 1 || *got.Parameters[0].Value != "1" || !slices.Equal(got.InvalidParameters, []string{"x"}) {
		t.Errorf("%+v", got)
	}
	gone := must(f.parameters.DeleteParameters(t.Context(), &ssm.DeleteParametersInput{Names: []string{"a", "b", "x"}}))(t)
	if !slices.Equal(gone.DeletedParameters, []string{"a", "b"}) || !slices.Equal(gone.InvalidParameters, []string{"x"}) {
		t.Errorf("%+v", gone)
	}
	_, err := f.parameters.DeleteParameter(t.Context(), &ssm.DeleteParameterInput{Name: text("a")})
	wantCode(t, err, "ParameterNotFound")
}

func TestParameters_ByPathInPages(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"/app/a", "/app/b", "/app/sub/c", "/apple", "app"} {
		must(f.parameters.PutParameter(t.Context(), parameter(name, "v")))(t)
	}
	list := func(recursive bool) (names []string) {
		pages := ssm.NewGetParametersByPathPaginator(f.parameters, &ssm.GetParametersByPathInput{Path: text("/app"), Recursive: &recursive, MaxResults: aws.Int32(1)})
		for pages.HasMorePages() {
			for _, p := range must(pages.NextPage(t.Context()))(t).Parameters {
				names = append(names, *p.Name)
			}
		}
		return names
	}
	if got := list(false); !slices.Equal(got, []string{"/app/a", "/app/b"}) {
		t.Errorf("one level: %v", got)
	}
	if got := list(true); !slices.Equal(got, []string{"/app/a", "/app/b", "/app/sub/c"}) {
		t.Errorf("all levels: %v", got)
	}
	described := must(f.parameters.DescribeParameters(t.Context(), &ssm.DescribeParametersInput{
		ParameterFilters: []types.ParameterStringFilter{{Key: text("Name"), Option: text("BeginsWith"), Values: []string{"/app/"}}},
	}))(t)
	if len(described.Parameters) != 3 {
		t.Errorf("described %d, want 3", len(described.Parameters))
	}
}

func TestParameter_RefusesWhatIsWrong(t *testing.T) {
	f := newFixture(t)
	for name, c := range map[string]struct {
		edit func(*ssm.PutParameterInput)
		code string
	}{
		"a path that does not begin with a slash": {func(in *ssm.PutParameterInput) { in.Name = text("a/b") }, "ValidationException"},
		"a name of AWS's":                         {func(in *ssm.PutParameterInput) { in.Name = text("/aws/x") }, "ValidationException"},
		"too many levels":                         {func(in *ssm.PutParameterInput) { in.Name = text(strings.Repeat("/x", 16)) }, "HierarchyLevelLimitExceededException"},
		"no type":                                 {func(in *ssm.PutParameterInput) { in.Type = "" }, "ValidationException"},
		"an unknown type":                         {func(in *ssm.PutParameterInput) { in.Type = "Blob" }, "UnsupportedParameterType"},
		"too long a value":                        {func(in *ssm.PutParameterInput) { in.Value = text(strings.Repeat("x", 4097)) }, "ValidationException"},
		"a KMS key":                               {func(in *ssm.PutParameterInput) { in.KeyId = text("alias/k") }, "ValidationException"},
		"the advanced tier":                       {func(in *ssm.PutParameterInput) { in.Tier = types.ParameterTierAdvanced }, "ValidationException"},
	} {
		in := parameter("p", "v")
		c.edit(in)
		_, err := f.parameters.PutParameter(t.Context(), in)
		t.Run(name, func(t *testing.T) { wantCode(t, err, c.code) })
	}
	_, err := f.parameters.GetParameterHistory(t.Context(), &ssm.GetParameterHistoryInput{Name: text("p")})
	wantCode(t, err, "UnknownOperationException")
}
