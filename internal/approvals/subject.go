package approvals

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// Facts are what policies match on and what their sources resolve from. The provider of a
// subject fills them; ids of people are user ids.
type Facts struct {
	ChangeType    string        `json:"change_type"`
	Category      string        `json:"category"`
	Environment   string        `json:"environment"`
	Priority      string        `json:"priority"`
	Risk          string        `json:"risk"`
	AssetIDs      []uuid.UUID   `json:"asset_ids"`
	AssetTags     []string      `json:"asset_tags"`
	AssetTypes    []string      `json:"asset_types"`
	AssetOwners   []uuid.UUID   `json:"asset_owners"`
	ServiceOwners []uuid.UUID   `json:"service_owners"`
	BlastOwners   []BlastOwner  `json:"blast_owners"`
	Requester     uuid.UUID     `json:"requester"`
	Manager       uuid.NullUUID `json:"manager"`
	Downtime      bool          `json:"downtime"`
}

// BlastOwner owns an asset in the blast radius. Criticality is low, medium, high or critical.
type BlastOwner struct {
	Owner       uuid.UUID `json:"owner"`
	Criticality string    `json:"criticality"`
}

// Excluded is somebody who may not decide, and why: requester, submitter, implementer, editor.
type Excluded struct {
	UserID uuid.UUID `json:"user_id"`
	Why    string    `json:"why"`
}

// Subject is the thing that wants approval, as it is at one moment.
type Subject struct {
	Type string
	ID   uuid.UUID
	Key  string // such as CHG-00012
	// Title names it on pages; Path is its page below the workspace.
	Title string
	Path  string
	// Revision counts material edits; ContentHash is the SHA-256 of the canonical material
	// form, 32 bytes.
	Revision    int64
	ContentHash []byte
	// Shown is the text that deciders read, kept with the request.
	Shown    string
	Facts    Facts
	Excluded []Excluded
	// Emergency shortens how long an approval is valid.
	Emergency  bool
	PlannedEnd time.Time // zero for none
}

// Kind says what a request is for.
type Kind string

// The kinds of request.
const (
	// Normal decides before anything happens.
	Normal Kind = "normal"
	// Retro looks back at an emergency that was started without approval.
	Retro Kind = "retro"
	// Template decides a template whose uses then need no approval.
	Template Kind = "template"
)

// Outcome is how a request ended, as providers are told.
type Outcome string

// The outcomes. Overdue is told of retro requests only; they stay open after it.
const (
	Approved Outcome = "approved"
	Rejected Outcome = "rejected"
	Returned Outcome = "returned"
	TimedOut Outcome = "timed_out"
	Overdue  Outcome = "overdue"
)

// The reasons that a settlement may carry as Code.
const (
	CodeTimeout       = "approval_timeout"
	CodeUnsatisfiable = "approval_unsatisfiable"
)

// Settlement is the end of a request.
type Settlement struct {
	RequestID uuid.UUID
	Kind      Kind
	Outcome   Outcome
	Revision  int64
	// Code is approval_timeout or approval_unsatisfiable when no person decided it.
	Code string
	// Reason is a sentence: the comment of who decided, or why Vigilo did.
	Reason string
	// DecidedBy is the person whose decision settled it, zero when time did.
	DecidedBy uuid.UUID
	// ValidUntil is until when an approval counts; zero for other outcomes.
	ValidUntil time.Time
}

// SubjectProvider is implemented by the module that owns a type of subject. Both methods
// run in the deciding transaction.
type SubjectProvider interface {
	// LockForDecision locks the subject's row and returns it as it is now, and whether it is
	// in a state that takes decisions.
	LockForDecision(ctx context.Context, tx *db.Tx, id uuid.UUID) (Subject, bool, error)
	// Settled is called when the whole request is approved, rejected, returned or timed out.
	Settled(ctx context.Context, tx *db.Tx, s Subject, r Settlement) error
}
