package store

import (
	"iter"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

var settingIndexes = []index[model.AccountSetting]{{
	less: func(a, b *model.AccountSetting) bool {
		if a.Principal != b.Principal {
			return a.Principal < b.Principal
		}
		return a.Name < b.Name
	},
}}

// AccountSetting returns the setting of that name that a principal was given.
func (t *Tables) AccountSetting(principal string, name ecs.SettingName) (*model.AccountSetting, bool) {
	return t.settings.get(&model.AccountSetting{Principal: principal, Name: name})
}

// AccountSettings walks the settings that a principal was given by name, starting at from.
func (t *Tables) AccountSettings(principal string, from ecs.SettingName) iter.Seq[*model.AccountSetting] {
	return t.settings.scan(0, &model.AccountSetting{Principal: principal, Name: from},
		func(s *model.AccountSetting) bool { return s.Principal == principal })
}

// PutAccountSetting makes or replaces a setting.
func (tx *Tx) PutAccountSetting(s *model.AccountSetting) {
	old, _ := tx.AccountSetting(s.Principal, s.Name)
	put(tx, &settingKind, old, s)
}

// DeleteAccountSetting forgets a setting.
func (tx *Tx) DeleteAccountSetting(s *model.AccountSetting) {
	old, _ := tx.AccountSetting(s.Principal, s.Name)
	put(tx, &settingKind, old, nil)
}
