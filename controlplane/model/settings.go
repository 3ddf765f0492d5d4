package model

import "github.com/longshore/longshore/proto/ecs"

// AccountSetting is one account setting that a principal was given. The one of
// the account's root is the default of all who have none of their own.
type AccountSetting struct {
	Principal string          `json:",omitzero"` // ARN of an IAM user or role, or of the root
	Name      ecs.SettingName `json:",omitzero"`
	Value     string          `json:",omitzero"`
}
