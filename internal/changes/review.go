package changes

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Review is the post-implementation review of a change.
type Review struct {
	Why           string        `db:"why"` // overrun, issues, emergency, risk, failure, retro
	DueAt         time.Time     `db:"due_at"`
	Summary       string        `db:"summary" audit:"summary"`
	WentWell      string        `db:"went_well" audit:"went_well"`
	WentBadly     string        `db:"went_badly" audit:"went_badly"`
	FollowUp      string        `db:"follow_up" audit:"follow_up"`
	CompletedAt   *time.Time    `db:"completed_at"`
	CompletedBy   uuid.NullUUID `db:"completed_by"`
	CompleterName string        `db:"completer_name"`
}

// reviewReason says why a completed change wants a review; empty when it wants none.
func reviewReason(c Change, l lifecycle.Limits) string {
	switch {
	case c.PIR != "none":
		return ""
	case c.Type == lifecycle.Emergency:
		return "emergency"
	case c.Risk.Rank() >= l.ReviewFrom.Rank():
		return "risk"
	case c.Outcome == WithIssues:
		return "issues"
	case c.ActualEnd != nil && c.Overrun(*c.ActualEnd) > 0:
		return "overrun"
	}
	return ""
}

// reviewWords says in words why a review is asked for.
func reviewWords(why string) string {
	switch why {
	case "emergency":
		return "it was an emergency"
	case "risk":
		return "its risk was high"
	case "issues":
		return "it had issues"
	case "overrun":
		return "it ran longer than planned"
	case "failure":
		return "it failed"
	case "retro":
		return "its retrospective approval was refused"
	}
	return why
}

// askReview asks for a post-implementation review. One that is done is asked for again only
// after a refused retrospective approval.
func (s *Service) askReview(ctx context.Context, tx *db.Tx, c *Change, why string) error {
	if c.PIR == "required" {
		return nil
	}
	due := tx.Now.AddDate(0, 0, s.limits.ReviewWithinDays)
	if _, err := insertReview.Run(ctx, tx, db.Args{"id": c.ID, "why": why, "due": due}); err != nil {
		return err
	}
	before := *c
	c.PIR = "required"
	c.Version++
	if err := saveChange(ctx, tx, *c); err != nil {
		return err
	}
	id, err := s.record(ctx, tx, ledger.Entry{
		Action: EventReviewRequired, Subject: c.subject(), Before: before, After: *c, Payload: c.payload(), Reason: "Because " + reviewWords(why) + ".",
	})
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, *c, id, Notice{
		Recipients: append(c.owners(), c.Implementers...), EventName: EventReviewRequired, Title: c.Key + " wants a review",
		Body: "Because " + reviewWords(why) + ". Due " + due.Format("2 January 2006") + ".", Path: c.Path() + "/review", Icon: "clipboard-check",
	})
}

// NewReview is a review as a person writes it.
type NewReview struct{ Summary, WentWell, WentBadly, FollowUp string }

// CompleteReview writes the post-implementation review. Tasks that guard the closing must be
// done.
func (s *Service) CompleteReview(ctx context.Context, a db.Actor, ref string, n NewReview) (Change, error) {
	var out Change
	if err := s.policy.Check(a, CanUpdate); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		c, err := lockChange(ctx, tx, ref)
		if err != nil {
			return err
		}
		if c.PIR != "required" {
			return fault.NewConflict("no_review", "No review of "+c.Key+" is asked for.")
		}
		if !c.State.Final() && c.State != lifecycle.Failed {
			return fault.NewConflict("not_over", c.Key+" is "+strings.ToLower(c.State.Label())+"; it is reviewed once it is over.")
		}
		r := Review{Summary: tidyText(n.Summary), WentWell: tidyText(n.WentWell), WentBadly: tidyText(n.WentBadly), FollowUp: tidyText(n.FollowUp)}
		var check form.Check
		check.Text("summary", r.Summary, "A summary", maxText)
		check.Longest("went_well", r.WentWell, "What went well", maxText)
		check.Longest("went_badly", r.WentBadly, "What went badly", maxText)
		check.Longest("follow_up", r.FollowUp, "What follows", maxText)
		if err := check.Err(); err != nil {
			return err
		}
		if err := s.closingGates(ctx, tx, c); err != nil {
			return err
		}
		if err := saveReview(ctx, tx, c.ID, r); err != nil {
			return err
		}
		out = c
		out.PIR = "done"
		out.Version++
		out.UpdatedAt = tx.Now
		if err := saveChange(ctx, tx, out); err != nil {
			return err
		}
		_, err = s.record(ctx, tx, ledger.Entry{
			Action: EventReviewCompleted, Subject: c.subject(), Before: c, After: out, Payload: out.payload(),
			Changes: []ledger.Change{{Field: "review", To: r.Summary}},
		})
		return err
	})
	return out, err
}

func (s *Service) closingGates(ctx context.Context, tx *db.Tx, c Change) error {
	gates, err := s.tasks.Gates(ctx, tx, SubjectChange, c.ID, c.Implementers...)
	if err != nil {
		return fmt.Errorf("read tasks of %s: %w", c.Key, err)
	}
	var failures []lifecycle.Failure
	for _, g := range gates {
		if g.Gate == "before_close" && !g.Done {
			failures = append(failures, lifecycle.Failure{
				Guard: lifecycle.GuardTask, Code: lifecycle.CodeTasks, Message: "This task must be done before the review is completed: " + g.Key + " " + g.Title + ".",
				Refs: []lifecycle.Ref{{Kind: "task", ID: g.ID, Key: g.Key, Text: g.Title}},
			})
		}
	}
	return refuse(failures)
}

// Evidence shows that a change works, or that it was undone.
type Evidence struct {
	ID           uuid.UUID         `db:"id"`
	Kind         string            `db:"kind"` // validation, backout
	Summary      string            `db:"summary"`
	URL          string            `db:"url"`
	AttachmentID uuid.NullUUID     `db:"attachment_id"`
	Facts        map[string]string `db:"facts"`
	CreatedAt    time.Time         `db:"created_at"`
	CreatedBy    uuid.NullUUID     `db:"created_by"`
	AuthorName   string            `db:"author_name"`
}

// NewEvidence is evidence as a person or a module gives it.
type NewEvidence struct {
	Kind       string
	Summary    string
	URL        string
	Attachment string // id of an attachment of the change
	Facts      map[string]string
}

// AddEvidence adds evidence while a change runs, or afterwards to what was said.
func (s *Service) AddEvidence(ctx context.Context, a db.Actor, ref string, n NewEvidence) (Evidence, error) {
	var out Evidence
	if err := s.policy.Check(a, CanComplete); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		c, err := lockChange(ctx, tx, ref)
		if err != nil {
			return err
		}
		out, err = s.AddEvidenceIn(ctx, tx, c, n)
		return err
	})
	return out, err
}

// AddEvidenceIn is AddEvidence in the transaction of a module that saw something itself.
func (s *Service) AddEvidenceIn(ctx context.Context, tx *db.Tx, c Change, n NewEvidence) (Evidence, error) {
	id, err := newID()
	if err != nil {
		return Evidence{}, err
	}
	out := Evidence{
		ID: id, Kind: n.Kind, Summary: tidyText(n.Summary), Facts: n.Facts, CreatedAt: tx.Now, CreatedBy: db.NullID(tx.Actor.UserID), AuthorName: tx.Actor.Name,
	}
	if out.Facts == nil {
		out.Facts = map[string]string{}
	}
	var check form.Check
	check.OneOf("kind", n.Kind, "The kind", "validation", "backout")
	check.Text("summary", out.Summary, "A sentence about what was seen", 5000)
	if text := strings.TrimSpace(n.URL); text != "" {
		if out.URL, err = webAddress(text); err != nil {
			check.Add("url", "invalid_url", "Use a whole address, such as https://ci.example.com/run/17.")
		}
		check.Longest("url", out.URL, "The address", 2048)
	}
	if text := strings.TrimSpace(n.Attachment); text != "" {
		if out.AttachmentID, err = ownAttachment(ctx, tx, c, text); err != nil {
			return out, err
		}
		if !out.AttachmentID.Valid {
			check.Add("attachment_id", "unknown_attachment", "The change has no such attachment.")
		}
	}
	if err := check.Err(); err != nil {
		return out, err
	}
	if c.State == lifecycle.Draft || c.State == lifecycle.Review || c.State == lifecycle.Cancelled {
		return out, fault.NewConflict("not_running", "Evidence is added once a change is approved; it is "+strings.ToLower(c.State.Label())+".")
	}
	if err := insertEvidence(ctx, tx, c.ID, out); err != nil {
		return out, err
	}
	_, err = s.record(ctx, tx, ledger.Entry{
		Action: EventEvidenceAdded, Subject: c.subject(), Payload: EvidencePayload{ChangePayload: c.payload(), EvidenceID: id, Kind: out.Kind, Summary: out.Summary},
		Detail: map[string]any{"kind": out.Kind, "summary": out.Summary, "url": out.URL}, Severity: event.Info,
	})
	return out, err
}

// ownAttachment finds an attachment of a change; null when it has none of that id.
func ownAttachment(ctx context.Context, tx *db.Tx, c Change, text string) (uuid.NullUUID, error) {
	id, parseErr := uuid.Parse(text)
	if parseErr != nil {
		return uuid.NullUUID{}, nil
	}
	_, ok, err := attachmentOf.Maybe(ctx, tx, db.Args{"change": c.ID, "id": id})
	return uuid.NullUUID{UUID: id, Valid: ok}, err
}
