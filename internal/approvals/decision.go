package approvals

import (
	"time"

	"github.com/google/uuid"
)

// Verdict is what somebody decides about a seat.
type Verdict string

// The verdicts. A return sends the subject back to its author without calling it wrong.
const (
	Approve Verdict = "approve"
	Reject  Verdict = "reject"
	Return  Verdict = "return"
)

// Decision is what a person sends. Revision is the one that they read.
type Decision struct {
	Verdict        Verdict
	Revision       int64
	Comment        string
	IdempotencyKey string
}

// CABDecision is the outcome of an item of a board, which fills the seat of the board.
type CABDecision struct {
	Verdict Verdict // approve or reject
	BoardID uuid.UUID
	ItemID  uuid.UUID
	Comment string
}

// Decided is what became of a decision.
type Decided struct {
	DecisionID   uuid.UUID
	SeatID       uuid.UUID
	RequestID    uuid.UUID
	Verdict      Verdict
	StageState   StageState
	RequestState State
	DecidedAt    time.Time
}

// CABItem is an open seat that a board must decide.
type CABItem struct {
	SeatID      uuid.UUID
	RequestID   uuid.UUID
	SubjectType string
	SubjectID   uuid.UUID
	Key         string
	Title       string
	Path        string
	Revision    int64
	OpenedAt    time.Time
	DueAt       time.Time
	Facts       Facts
	Excluded    []Excluded
}

// Record is a decision with everything that proves it. Each holds the hash of the record
// before it about the same subject.
type Record struct {
	ID            uuid.UUID      `json:"id"`
	Sequence      int64          `json:"sequence"` // 1 for the first decision about the subject
	SubjectType   string         `json:"subject_type"`
	SubjectID     uuid.UUID      `json:"subject_id"`
	SubjectKey    string         `json:"subject_key"`
	Revision      int64          `json:"revision"`
	ContentHash   []byte         `json:"content_hash"`
	ShownHash     []byte         `json:"shown_hash"`
	RequestID     uuid.UUID      `json:"request_id"`
	RequestKind   Kind           `json:"request_kind"`
	Policies      []PinnedPolicy `json:"policies"`
	Stage         int            `json:"stage"`
	StageName     string         `json:"stage_name"`
	SeatID        uuid.UUID      `json:"seat_id"`
	SeatSource    string         `json:"seat_source"`
	Principal     uuid.UUID      `json:"principal"`
	PrincipalName string         `json:"principal_name"`
	Actor         uuid.UUID      `json:"actor"`
	ActorName     string         `json:"actor_name"`
	ActorRole     string         `json:"actor_role"`
	Path          []uuid.UUID    `json:"path"`
	Delegations   []string       `json:"delegations"`
	Verdict       Verdict        `json:"verdict"`
	Comment       string         `json:"comment"`
	DecidedAt     time.Time      `json:"decided_at"`
	SessionID     uuid.UUID      `json:"session_id"`
	AuthMethod    string         `json:"auth_method"`
	MFA           string         `json:"mfa"`
	SignedInAt    *time.Time     `json:"signed_in_at"`
	Address       string         `json:"address"`
	AuditID       uuid.UUID      `json:"audit_id"`
	Previous      []byte         `json:"previous"`
	Hash          []byte         `json:"hash"`
	// Shown is the text that was decided on. It is not hashed itself; ShownHash is.
	Shown string `json:"shown"`
}
