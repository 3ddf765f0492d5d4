package api_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

const (
	rootARN = "arn:aws:iam::123456789012:root"
	userARN = "arn:aws:iam::123456789012:user/team/ann"
)

func (f *fixture) putSetting(name types.SettingName, value, principal string) *types.Setting {
	f.t.Helper()
	in := &awsecs.PutAccountSettingInput{Name: name, Value: &value}
	if principal != "" {
		in.PrincipalArn = &principal
	}
	return must(f.PutAccountSetting(f.ctx, in))(f.t).Setting
}

// settings lists what one principal has, page by page.
func (f *fixture) settings(in awsecs.ListAccountSettingsInput) []types.Setting {
	f.t.Helper()
	var out []types.Setting
	pages := awsecs.NewListAccountSettingsPaginator(f.Client, &in)
	for pages.HasMorePages() {
		out = append(out, must(pages.NextPage(f.ctx))(f.t).Settings...)
	}
	return out
}

func wantSetting(t *testing.T, got types.Setting, name types.SettingName, value, principal string) {
	t.Helper()
	if got.Name != name || *got.Value != value || *got.PrincipalArn != principal {
		t.Errorf("got %s=%s of %s, want %s=%s of %s", got.Name, *got.Value, *got.PrincipalArn, name, value, principal)
	}
}

func TestListAccountSettings_ShowsEveryEffectiveSettingWithItsDefault(t *testing.T) {
	f := newFixture(t)
	if own := f.settings(awsecs.ListAccountSettingsInput{}); len(own) != 0 {
		t.Errorf("nobody has set %+v", own)
	}
	got := map[types.SettingName]string{}
	for _, s := range f.settings(awsecs.ListAccountSettingsInput{EffectiveSettings: true, MaxResults: 3}) {
		got[s.Name] = *s.Value
		if managed := s.Name == types.SettingNameGuardDutyActivate; managed != (s.Type == types.SettingTypeAwsManaged) {
			t.Errorf("%s is of type %s", s.Name, s.Type)
		}
	}
	want := map[types.SettingName]string{
		"serviceLongArnFormat": "enabled", "taskLongArnFormat": "enabled", "containerInstanceLongArnFormat": "enabled",
		"awsvpcTrunking": "disabled", "containerInsights": "disabled", "fargateFIPSMode": "disabled", "tagResourceAuthorization": "on",
		"fargateTaskRetirementWaitPeriod": "7", "guardDutyActivate": "off", "defaultLogDriverMode": "non-blocking", "fargateEventWindows": "disabled",
	}
	for _, name := range loadModel().Shapes["SettingName"].Enum {
		if got[types.SettingName(name)] != want[types.SettingName(name)] {
			t.Errorf("%s is %q, want %q", name, got[types.SettingName(name)], want[types.SettingName(name)])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d settings, want %d", len(got), len(want))
	}
	if page := must(f.ListAccountSettings(f.ctx, &awsecs.ListAccountSettingsInput{EffectiveSettings: true}))(t); len(page.Settings) != 10 || page.NextToken == nil {
		t.Errorf("a page has %d settings, want 10 and a token", len(page.Settings))
	}
}

func TestAccountSettings_OwnOnesWinOverTheRootsAndThoseOverTheDefault(t *testing.T) {
	f := newFixture(t)
	trunking := types.SettingNameAwsvpcTrunking
	effective := func(principal string) types.Setting {
		t.Helper()
		all := f.settings(awsecs.ListAccountSettingsInput{EffectiveSettings: true, Name: trunking, PrincipalArn: &principal})
		if len(all) != 1 {
			t.Fatalf("got %+v", all)
		}
		return all[0]
	}
	wantSetting(t, effective(userARN), trunking, "disabled", userARN)
	out := must(f.PutAccountSettingDefault(f.ctx, &awsecs.PutAccountSettingDefaultInput{Name: trunking, Value: aws.String("enabled")}))(t)
	wantSetting(t, *out.Setting, trunking, "enabled", rootARN)
	wantSetting(t, effective(userARN), trunking, "enabled", userARN)
	wantSetting(t, *f.putSetting(trunking, "disabled", userARN), trunking, "disabled", userARN)
	wantSetting(t, effective(userARN), trunking, "disabled", userARN)
	wantSetting(t, effective(rootARN), trunking, "enabled", rootARN)

	own := f.settings(awsecs.ListAccountSettingsInput{PrincipalArn: aws.String(userARN)})
	if len(own) != 1 {
		t.Fatalf("got %+v", own)
	}
	deleted := must(f.DeleteAccountSetting(f.ctx, &awsecs.DeleteAccountSettingInput{Name: trunking, PrincipalArn: aws.String(userARN)}))(t)
	wantSetting(t, *deleted.Setting, trunking, "enabled", userARN)
	deleted = must(f.DeleteAccountSetting(f.ctx, &awsecs.DeleteAccountSettingInput{Name: trunking}))(t)
	wantSetting(t, *deleted.Setting, trunking, "disabled", rootARN)
	if all := f.settings(awsecs.ListAccountSettingsInput{}); len(all) != 0 {
		t.Errorf("got %+v", all)
	}
}

func TestPutAccountSetting_IsTheCallersWithoutAPrincipal(t *testing.T) {
	f := newFixture(t)
	name := types.SettingNameFargateTaskRetirementWaitPeriod
	wantSetting(t, *f.putSetting(name, "14", ""), name, "14", rootARN)
	for value, want := range map[string]int{"14": 1, "7": 0} {
		if got := f.settings(awsecs.ListAccountSettingsInput{Name: name, Value: &value}); len(got) != want {
			t.Errorf("%d settings of value %s, want %d", len(got), value, want)
		}
	}
}

func TestCreateCluster_TakesContainerInsightsFromTheAccount(t *testing.T) {
	f := newFixture(t)
	f.putSetting(types.SettingNameContainerInsights, "enhanced", "")
	out := must(f.CreateCluster(f.ctx, &awsecs.CreateClusterInput{ClusterName: aws.String("c")}))(t)
	if s := out.Cluster.Settings; len(s) != 1 || *s[0].Value != "enhanced" {
		t.Errorf("settings %+v", s)
	}
	out = must(f.CreateCluster(f.ctx, &awsecs.CreateClusterInput{
		ClusterName: aws.String("d"), Settings: []types.ClusterSetting{{Name: types.ClusterSettingNameContainerInsights, Value: aws.String("disabled")}}}))(t)
	if s := out.Cluster.Settings; len(s) != 1 || *s[0].Value != "disabled" {
		t.Errorf("settings %+v", s)
	}
}

func TestPutAccountSetting_Refuses(t *testing.T) {
	f := newFixture(t)
	for name, c := range map[string]struct{ name, value, principal, message string }{
		"an unknown name":              {name: "dualStackIPv6", value: "enabled"},
		"a value of another setting":   {name: "awsvpcTrunking", value: "on"},
		"an empty value":               {name: "awsvpcTrunking", value: ""},
		"a period that is none":        {name: "fargateTaskRetirementWaitPeriod", value: "8"},
		"what AWS manages":             {name: "guardDutyActivate", value: "on"},
		"short ARNs":                   {name: "taskLongArnFormat", value: "disabled", message: "You can no longer disable Long Arn settings"},
		"another account's principal":  {name: "awsvpcTrunking", value: "enabled", principal: "arn:aws:iam::999999999999:root"},
		"a federated user":             {name: "awsvpcTrunking", value: "enabled", principal: "arn:aws:sts::123456789012:federated-user/x"},
		"a principal that is a group":  {name: "awsvpcTrunking", value: "enabled", principal: "arn:aws:iam::123456789012:group/x"},
		"a principal that is no ARN":   {name: "awsvpcTrunking", value: "enabled", principal: "ann"},
		"a principal without its name": {name: "awsvpcTrunking", value: "enabled", principal: "arn:aws:iam::123456789012:user/"},
	} {
		t.Run(name, func(t *testing.T) {
			in := &awsecs.PutAccountSettingInput{Name: types.SettingName(c.name), Value: &c.value}
			if c.principal != "" {
				in.PrincipalArn = &c.principal
			}
			_, err := f.PutAccountSetting(f.ctx, in)
			wantError(t, err, "InvalidParameterException", c.message)
			if c.principal == "" {
				_, err := f.PutAccountSettingDefault(f.ctx, &awsecs.PutAccountSettingDefaultInput{Name: in.Name, Value: in.Value})
				wantError(t, err, "InvalidParameterException", c.message)
			}
		})
	}
	_, err := f.DeleteAccountSetting(f.ctx, &awsecs.DeleteAccountSettingInput{Name: types.SettingNameAwsvpcTrunking, PrincipalArn: aws.String("ann")})
	wantError(t, err, "InvalidParameterException", "")
	for name, in := range map[string]*awsecs.ListAccountSettingsInput{
		"a value without a name": {Value: aws.String("enabled")},
		"too large a page":       {MaxResults: 11},
		"a page below nothing":   {MaxResults: -1},
		"a token of nobody":      {NextToken: aws.String("x")},
		"no principal":           {PrincipalArn: aws.String("ann")},
	} {
		_, err := f.ListAccountSettings(f.ctx, in)
		if err == nil {
			t.Errorf("%s is taken", name)
			continue
		}
		wantError(t, err, "InvalidParameterException", "")
	}
}
