package identity

import (
	"context"
	"net/netip"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// RecordArgs asks for an entry about a session in the log of one workspace. It holds no
// name: the worker reads who it was.
type RecordArgs struct {
	job.InWorkspace
	Action    string    `json:"action"`
	SessionID uuid.UUID `json:"session_id"` // nil when the sign-in was refused
	UserID    uuid.UUID `json:"user_id"`
	RequestID uuid.UUID `json:"request_id"`
	IP        string    `json:"ip"`
	UserAgent string    `json:"user_agent,omitempty"` // of a refused sign-in, which has no session
	Reason    string    `json:"reason,omitempty"`
	At        time.Time `json:"at"`
}

// Kind names the job.
func (RecordArgs) Kind() string { return "identity.record" }

type recordWorker struct {
	river.WorkerDefaults[RecordArgs]
	s *Service
}

// Work writes the entry. A job that ran before and was interrupted writes no second one.
func (w *recordWorker) Work(ctx context.Context, j *river.Job[RecordArgs]) error {
	return w.s.writeRecord(ctx, j.Args)
}

func (s *Service) writeRecord(ctx context.Context, args RecordArgs) error {
	who, err := actorOf.One(ctx, s.DB.SystemRead(), db.Args{
		"user": args.UserID, "session": args.SessionID, "workspace": args.WorkspaceID,
	})
	if err != nil {
		return err
	}
	a := db.Actor{
		WorkspaceID: args.WorkspaceID, Kind: db.ActorUser, ID: args.UserID, UserID: args.UserID, Name: who.Name, Email: who.Email,
		Role: who.Role, PlatformAdmin: who.PlatformAdmin, AuthMethod: who.AuthMethod, SessionID: args.SessionID,
		RequestID: args.RequestID, UserAgent: who.UserAgent,
	}
	if args.UserAgent != "" {
		a.UserAgent = args.UserAgent
	}
	if ip, err := netip.ParseAddr(args.IP); err == nil {
		a.IP = ip
	}
	e := ledger.Entry{
		Action: args.Action, Subject: event.Subject{Type: "session", ID: args.SessionID, Title: device(a.UserAgent)},
		Reason: args.Reason, Detail: map[string]any{"at": args.At.UTC().Format(time.RFC3339)},
	}
	if args.Action == eventRefused {
		e.Subject, e.Outcome = event.Subject{Type: "user", ID: args.UserID}, ledger.Denied
	}
	return s.DB.InWorkspace(ctx, a, func(tx *db.Tx) error {
		done, err := entryExists.One(ctx, tx, db.Args{
			"type": e.Subject.Type, "id": e.Subject.ID, "action": e.Action,
			"request": uuid.NullUUID{UUID: args.RequestID, Valid: args.RequestID != uuid.Nil},
		})
		if err != nil || done {
			return err
		}
		_, err = s.Ledger.Record(ctx, tx, e)
		return err
	})
}

// SweepArgs asks to remove expired sessions and spent logout tokens.
type SweepArgs struct{}

// Kind names the job.
func (SweepArgs) Kind() string { return "identity.sweep" }

type sweepWorker struct {
	river.WorkerDefaults[SweepArgs]
	s *Service
}

// Work sweeps.
func (w *sweepWorker) Work(ctx context.Context, _ *river.Job[SweepArgs]) error { return w.s.Sweep(ctx) }
