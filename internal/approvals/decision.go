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
