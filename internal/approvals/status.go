package approvals

import (
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals/seats"
)

// State is where a request stands.
type State string

// The states of a request. Only an open one takes decisions.
const (
	StateOpen      State = "open"
	StateApproved  State = "approved"
	StateRejected  State = "rejected"
	StateReturned  State = "returned"
	StateTimedOut  State = "timed_out"
	StateWithdrawn State = "withdrawn"
)

// StageState is where a stage stands.
type StageState string

// The states of a stage. Closed means that the request ended before it did.
const (
	StageWaiting   StageState = "waiting"
	StageOpen      StageState = "open"
	StageSatisfied StageState = "satisfied"
	StageRejected  StageState = "rejected"
	StageClosed    StageState = "closed"
)

// SeatState is where a seat stands.
type SeatState string

// The states of a seat. Voided: its person left the group that it stood for. Superseded: the
// request ended without it.
const (
	SeatOpen       SeatState = "open"
	SeatApproved   SeatState = "approved"
	SeatRejected   SeatState = "rejected"
	SeatReturned   SeatState = "returned"
	SeatVoided     SeatState = "voided"
	SeatSuperseded SeatState = "superseded"
)

// SeatKind says who may fill a seat: one person, any of several, or a board.
type SeatKind = seats.Kind

// The kinds of seat.
const (
	PersonalSeat = seats.Personal
	SharedSeat   = seats.Shared
	BoardSeat    = seats.BoardSeat
)

// Mode is how the seats of a stage are counted.
type Mode = seats.Mode

// Unrouted is why a seat has nobody who could fill it now.
type Unrouted = seats.Unrouted

// Who is a person by user id. Name is empty for somebody who left the workspace.
type Who struct {
	UserID uuid.UUID
	Name   string
}

// PinnedPolicy is a version of a policy that a request was composed from.
type PinnedPolicy struct {
	ID      uuid.UUID `json:"id"`
	Name    string    `json:"name"`
	Version int       `json:"version"`
}

// Request is one round of approval of one revision of a subject.
type Request struct {
	ID          uuid.UUID
	SubjectType string
	SubjectID   uuid.UUID
	Key         string
	Title       string
	Path        string
	Kind        Kind
	State       State
	Revision    int64
	ContentHash []byte
	Emergency   bool
	Risk        string
	Pinned      []PinnedPolicy
	OpenedBy    uuid.UUID
	OpenedAt    time.Time
	SettledAt   *time.Time
	// Code and Reason say why it ended, see Settlement.
	Code       string
	Reason     string
	ValidUntil *time.Time
	PlannedEnd *time.Time
	Overdue    bool
	Version    int64
}

// Status is where the approval of a subject stands: its latest request, if there is one.
type Status struct {
	Exists  bool
	Request Request
	Stages  []StageStatus
}

// StageStatus is one stage of a request.
type StageStatus struct {
	ID         uuid.UUID
	Position   int // 1 for the first
	Name       string
	State      StageState
	OpenedAt   *time.Time
	DueAt      *time.Time
	Reauth     bool
	Escalated  bool
	Escalation []string // who it goes to when nobody answers, in words
	Blocks     []BlockStatus
}

// BlockStatus is a requirement of a stage. A stage is satisfied when each of its blocks is.
type BlockStatus struct {
	Mode       Mode
	Need       int // approvals that satisfy it
	Of         int // seats that count
	Approvals  int
	Rejections int
	Sources    []string // who it asks, in words
	Policies   []string // names of the policies that ask
	// Reduced says that somebody was left out because they may not decide on own work.
	Reduced bool
	Seats   []SeatStatus
}

// SeatStatus is one seat.
type SeatStatus struct {
	ID     uuid.UUID
	Kind   SeatKind
	Label  string // the source it stands for, in words
	Status SeatState
	Routes []Route
	// Decisions are those of the seat: at most one, except where each of several must reject.
	Decisions []DecisionStatus
}

// Route says who may fill a seat in place of whom.
type Route struct {
	Principal Who
	// Assignee is who is asked; zero when the seat is unrouted.
	Assignee Who
	// Path leads from the principal to the assignee, both included.
	Path []Who
	// Delegations are the keys of the delegations on the way, such as DLG-00012.
	Delegations []string
	Unrouted    Unrouted
	// Escalated routes were added because nobody answered in time.
	Escalated bool
}

// DecisionStatus is a decision as a status shows it.
type DecisionStatus struct {
	ID          uuid.UUID
	Verdict     Verdict
	Actor       Who
	Principal   Who
	Delegations []string
	Comment     string
	DecidedAt   time.Time
}

// Approved reports whether every stage is satisfied.
func (s Status) Approved() bool { return s.Exists && s.Request.State == StateApproved }

// ValidAt reports whether the approval counts at a moment.
func (s Status) ValidAt(t time.Time) bool {
	return s.Approved() && s.Request.ValidUntil != nil && t.Before(*s.Request.ValidUntil)
}

// BoardPending reports whether a board has still to decide.
func (s Status) BoardPending() bool {
	for _, st := range s.Stages {
		for _, b := range st.Blocks {
			if b.Mode == seats.CAB && st.State != StageSatisfied && b.Approvals == 0 {
				return true
			}
		}
	}
	return false
}

// OnlyApprover returns the person whose decisions are all that approved the request; false
// when several people approved, or nobody.
func (s Status) OnlyApprover() (uuid.UUID, bool) {
	var only uuid.UUID
	for _, st := range s.Stages {
		for _, b := range st.Blocks {
			for _, seat := range b.Seats {
				for _, d := range seat.Decisions {
					if d.Verdict != Approve || d.Actor.UserID == only {
						continue
					}
					if only != uuid.Nil {
						return uuid.Nil, false
					}
					only = d.Actor.UserID
				}
			}
		}
	}
	return only, only != uuid.Nil
}

// Preview is what Open would make of a subject now.
type Preview struct {
	Policies []PinnedPolicy
	Stages   []StageStatus // seats have no ids yet
	// Problems say why nobody could ever approve it; empty when Open would succeed.
	Problems []Problem
}

// Problem is a stage that cannot be satisfied and what would help.
type Problem struct {
	Stage string
	Text  string
	Fix   string
}

// Away says that somebody is absent, and until when.
type Away struct {
	UserID uuid.UUID
	Start  time.Time
	End    time.Time
	Reason string
}
