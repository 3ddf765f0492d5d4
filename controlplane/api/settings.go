package api

import (
	"context"
	"iter"
	"regexp"
	"slices"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	settingEnabled  = "enabled"
	settingDisabled = "disabled"

	maxSettingsPage = 10 // ListAccountSettings, seed 000
)

// accountSetting is what may be said with one account setting.
type accountSetting struct {
	name     ecs.SettingName
	standard string   // its value where nobody has set it
	legal    []string // values that can be put
	managed  bool     // by AWS: shown, and never put
}

// accountSettings lists the settings by name, with the values and defaults of
// ECS's account settings page.
func accountSettings() []accountSetting {
	onOff := []string{settingEnabled, settingDisabled}
	return []accountSetting{
		{name: ecs.SettingNameAwsvpcTrunking, standard: settingDisabled, legal: onOff},
		insightsSetting(),
		{name: ecs.SettingNameContainerInstanceLongArnFormat, standard: settingEnabled, legal: onOff},
		{name: ecs.SettingNameDefaultLogDriverMode, standard: "non-blocking", legal: []string{"blocking", "non-blocking"}},
		{name: ecs.SettingNameFargateEventWindows, standard: settingDisabled, legal: onOff},
		{name: ecs.SettingNameFargateFIPSMode, standard: settingDisabled, legal: onOff},
		{name: ecs.SettingNameFargateTaskRetirementWaitPeriod, standard: "7", legal: []string{"0", "7", "14"}},
		{name: ecs.SettingNameGuardDutyActivate, standard: "off", managed: true},
		{name: ecs.SettingNameServiceLongArnFormat, standard: settingEnabled, legal: onOff},
		{name: ecs.SettingNameTagResourceAuthorization, standard: "on", legal: []string{"on", "off"}},
		{name: ecs.SettingNameTaskLongArnFormat, standard: settingEnabled, legal: onOff},
	}
}

// insightsSetting decides what new clusters get.
func insightsSetting() accountSetting {
	return accountSetting{
		name: ecs.SettingNameContainerInsights, standard: settingDisabled,
		legal: []string{settingEnabled, settingDisabled, "enhanced"},
	}
}

func findSetting(name ecs.SettingName) (accountSetting, error) {
	for _, s := range accountSettings() {
		if s.name == name {
			return s, nil
		}
	}
	return accountSetting{}, invalid("There is no account setting %q.", clip(string(name)))
}

// check tells whether a value can be put.
func (s *accountSetting) check(value string) error {
	switch {
	case s.managed:
		return invalid("The account setting %s is managed by AWS and can not be changed.", s.name)
	case !slices.Contains(s.legal, value):
		return invalid("The account setting %s is %s, not %q.", s.name, strings.Join(s.legal, " or "), clip(value))
	case strings.HasSuffix(string(s.name), "LongArnFormat") && value == settingDisabled:
		return invalid("You can no longer disable Long Arn settings")
	}
	return nil
}

// effective is the setting's value for a principal: its own, else that of the
// account's root, else the standard.
func (h *Handler) effective(t *store.Tables, s *accountSetting, principal string) string {
	for _, p := range []string{principal, h.principal()} {
		if own, ok := t.AccountSetting(p, s.name); ok {
			return own.Value
		}
	}
	return s.standard
}

func (h *Handler) settingShape(t *store.Tables, s *accountSetting, principal string) *ecs.Setting {
	shape := &ecs.Setting{Name: s.name, Value: h.effective(t, s, principal), PrincipalArn: principal, Type: ecs.SettingTypeUser}
	if s.managed {
		shape.Type = ecs.SettingTypeAwsManaged
	}
	return shape
}

// principalName is what an IAM ARN of a principal ends in; users and roles have a
// path before their name.
var principalName = regexp.MustCompile(`^(root|(user|role)(/[\w+=,.@-]+)+)$`)

const maxPrincipalName = 576 // characters of path and name

// principalOf checks the ARN of a principal; none means the caller.
func (h *Handler) principalOf(arn string) (string, error) {
	if arn == "" {
		return h.principal(), nil
	}
	name, ok := strings.CutPrefix(arn, "arn:aws:iam::"+h.Owner.Account+":")
	if !ok || len(name) > maxPrincipalName || !principalName.MatchString(name) {
		return "", invalid("principalArn must be the ARN of a user, a role or the root of account %s, not %q.", h.Owner.Account, clip(arn))
	}
	return arn, nil
}

func (h *Handler) putAccountSetting(ctx context.Context, in *ecs.PutAccountSettingRequest) (*ecs.PutAccountSettingResponse, error) {
	setting, err := h.putSetting(ctx, in.Name, in.Value, in.PrincipalArn)
	if err != nil {
		return nil, err
	}
	return &ecs.PutAccountSettingResponse{Setting: setting}, nil
}

// putAccountSettingDefault puts the root's setting: it is the default of all who
// have none of their own.
func (h *Handler) putAccountSettingDefault(ctx context.Context, in *ecs.PutAccountSettingDefaultRequest) (*ecs.PutAccountSettingDefaultResponse, error) {
	setting, err := h.putSetting(ctx, in.Name, in.Value, h.principal())
	if err != nil {
		return nil, err
	}
	return &ecs.PutAccountSettingDefaultResponse{Setting: setting}, nil
}

func (h *Handler) putSetting(ctx context.Context, name ecs.SettingName, value, principalARN string) (*ecs.Setting, error) {
	setting, err := findSetting(name)
	if err != nil {
		return nil, err
	}
	if err := setting.check(value); err != nil {
		return nil, err
	}
	principal, err := h.principalOf(principalARN)
	if err != nil {
		return nil, err
	}
	var shape *ecs.Setting
	err = h.store.Update(ctx, func(tx *store.Tx) error {
		if own, ok := tx.AccountSetting(principal, name); !ok || own.Value != value {
			tx.PutAccountSetting(&model.AccountSetting{Principal: principal, Name: name, Value: value})
		}
		shape = h.settingShape(tx.Tables, &setting, principal)
		return nil
	})
	return shape, err
}

// deleteAccountSetting takes a principal's own setting away and answers the one
// that holds from then on.
func (h *Handler) deleteAccountSetting(ctx context.Context, in *ecs.DeleteAccountSettingRequest) (*ecs.DeleteAccountSettingResponse, error) {
	setting, err := findSetting(in.Name)
	if err != nil {
		return nil, err
	}
	principal, err := h.principalOf(in.PrincipalArn)
	if err != nil {
		return nil, err
	}
	out := &ecs.DeleteAccountSettingResponse{}
	err = h.store.Update(ctx, func(tx *store.Tx) error {
		if own, ok := tx.AccountSetting(principal, in.Name); ok {
			tx.DeleteAccountSetting(own)
		}
		out.Setting = h.settingShape(tx.Tables, &setting, principal)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (h *Handler) listAccountSettings(_ context.Context, in *ecs.ListAccountSettingsRequest) (*ecs.ListAccountSettingsResponse, error) {
	if in.Value != "" && in.Name == "" {
		return nil, invalid("value can only be given together with name.")
	}
	if in.MaxResults < 0 || in.MaxResults > maxSettingsPage {
		return nil, invalid("maxResults must be between 1 and %d, not %d.", maxSettingsPage, in.MaxResults)
	}
	principal, err := h.principalOf(in.PrincipalArn)
	if err != nil {
		return nil, err
	}
	most := in.MaxResults
	if most == 0 { // absent
		most = maxSettingsPage
	}
	p, err := h.page("ListAccountSettings", in.NextToken, &most, maxSettingsPage, in.Name, in.Value, principal, in.EffectiveSettings)
	if err != nil {
		return nil, err
	}
	view := h.store.View()
	out := &ecs.ListAccountSettingsResponse{}
	out.Settings, out.NextToken = fill(p, settingsFrom(p.after),
		func(s *accountSetting) string { return string(s.name) },
		func(s *accountSetting) (ecs.Setting, bool) {
			_, own := view.AccountSetting(principal, s.name)
			shape := h.settingShape(view, s, principal)
			return *shape, (own || in.EffectiveSettings) &&
				(in.Name == "" || in.Name == s.name) && (in.Value == "" || in.Value == shape.Value)
		})
	return out, nil
}

// settingsFrom walks the settings by name, starting at from.
func settingsFrom(from string) iter.Seq[*accountSetting] {
	return func(yield func(*accountSetting) bool) {
		for _, s := range accountSettings() {
			if string(s.name) >= from && !yield(&s) {
				return
			}
		}
	}
}
