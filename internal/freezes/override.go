package freezes

import (
	"time"

	"github.com/google/uuid"
)

// OverrideState is where the permission to pass a freeze stands.
type OverrideState string

// The states of an override. Void is one whose freeze stops more than it did, or whose
// change was edited.
const (
	Requested OverrideState = "requested"
	Granted   OverrideState = "granted"
	Refused   OverrideState = "refused"
	Void      OverrideState = "void"
)

// Override lets one revision of one change pass one freeze.
type Override struct {
	ID            uuid.UUID     `db:"id"`
	FreezeID      uuid.UUID     `db:"freeze_id"`
	FreezeName    string        `db:"freeze_name"`
	FreezeVersion int64         `db:"freeze_version"`
	ChangeID      uuid.UUID     `db:"change_id"`
	ChangeKey     string        `db:"change_key"`
	ChangeTitle   string        `db:"change_title"`
	ChangePath    string        `db:"change_path"` // below the workspace
	Revision      int64         `db:"revision"`
	Start         time.Time     `db:"window_start"`
	End           time.Time     `db:"window_end"`
	State         OverrideState `db:"state" audit:"state"`
	// SelfGranted marks one that an emergency wrote for itself: it waits for the
	// retrospective approval of the change.
	SelfGranted  bool          `db:"self_granted" audit:"self_granted"`
	Reason       string        `db:"reason" audit:"reason"`
	RequestedBy  uuid.UUID     `db:"requested_by"`
	RequestedAt  time.Time     `db:"requested_at"`
	DecidedBy    uuid.NullUUID `db:"decided_by"`
	DecidedAt    *time.Time    `db:"decided_at"`
	DecisionNote string        `db:"decision_note" audit:"note"`
}
