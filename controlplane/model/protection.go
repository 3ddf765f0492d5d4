package model

import "time"

// Protected tells whether the task is protected from scaling and deployments
// (UpdateTaskProtection) at a moment.
func (t *Task) Protected(now time.Time) bool { return now.Before(t.ProtectedUntil) }
