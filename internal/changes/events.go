package changes

import (
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/event"
)

// Names of the events of this module.
const (
	EventCreated          = "change.created"
	EventUpdated          = "change.updated"
	EventSubmitted        = "change.submitted"
	EventWithdrawn        = "change.withdrawn"
	EventApproved         = "change.approved"
	EventRejected         = "change.rejected"
	EventReturned         = "change.returned"
	EventReviewRestarted  = "change.review_restarted"
	EventScheduled        = "change.scheduled"
	EventUnscheduled      = "change.unscheduled"
	EventWindowMissed     = "change.window_missed"
	EventStarted          = "change.started"
	EventEmergencyStarted = "change.emergency_started"
	EventOverran          = "change.overran"
	EventCompleted        = "change.completed"
	EventFailed           = "change.failed"
	EventRolledBack       = "change.rolled_back"
	EventCancelled        = "change.cancelled"
	EventHeld             = "change.held"
	EventReleased         = "change.released"
	EventCommented        = "change.commented"
	EventCommentDeleted   = "change.comment_deleted"
	EventLinked           = "change.linked"
	EventUnlinked         = "change.unlinked"
	EventAttached         = "change.file_added"
	EventDetached         = "change.file_removed"
	EventStepChecked      = "change.step_checked"
	EventEvidenceAdded    = "change.evidence_added"
	EventReviewRequired   = "change.review_required"
	EventReviewCompleted  = "change.reviewed"
	EventRetroApproved    = "change.retro_approved"
	EventRetroRejected    = "change.retro_rejected"
	EventRetroOverdue     = "change.retro_overdue"
	EventTemplateLost     = "change.template_lost"
	EventPackExported     = "change.evidence_exported"

	EventTemplateProposed  = "change_template.proposed"
	EventTemplateApproved  = "change_template.approved"
	EventTemplateRejected  = "change_template.rejected"
	EventTemplateSuspended = "change_template.suspended"
	EventTemplateRetired   = "change_template.retired"
)

// HoldPayload is the body of change.held and change.released.
type HoldPayload struct {
	ChangePayload
	Kind       string `json:"kind"`
	HoldReason string `json:"hold_reason"`
}

// CommentPayload is the body of change.commented.
type CommentPayload struct {
	ChangePayload
	CommentID uuid.UUID   `json:"comment_id"`
	Body      string      `json:"body"`
	Mentions  []uuid.UUID `json:"mentions"`
}

// FilePayload is the body of change.file_added and change.file_removed.
type FilePayload struct {
	ChangePayload
	AttachmentID uuid.UUID `json:"attachment_id"`
	Name         string    `json:"name"`
	Size         int64     `json:"size"`
	SHA256       string    `json:"sha256"`
}

// StepPayload is the body of change.step_checked.
type StepPayload struct {
	ChangePayload
	StepID    uuid.UUID `json:"step_id"`
	Step      string    `json:"step"`
	StepState string    `json:"step_state"`
}

// EvidencePayload is the body of change.evidence_added.
type EvidencePayload struct {
	ChangePayload
	EvidenceID uuid.UUID `json:"evidence_id"`
	Kind       string    `json:"kind"`
	Summary    string    `json:"summary"`
}

// TemplatePayload is the body of the events of a template.
type TemplatePayload struct {
	TemplateID uuid.UUID     `json:"template_id"`
	Name       string        `json:"name"`
	State      TemplateState `json:"state"`
	Version    int32         `json:"version"`
	Reason     string        `json:"reason,omitempty"`
}

func eventTypes() []event.Type {
	start := time.Date(2026, time.November, 15, 21, 0, 0, 0, time.UTC)
	end := start.Add(time.Hour)
	change := ChangePayload{
		Key: "CHG-00012", Title: "Renew the certificate on pay.example.com", Type: lifecycle.Normal, State: lifecycle.Scheduled, Risk: lifecycle.Medium,
		Environment: "prod", Revision: 2, PlannedStart: &start, PlannedEnd: &end, AssetIDs: []uuid.UUID{},
	}
	in := func(s State, reason string) ChangePayload {
		c := change
		c.State, c.Reason = s, reason
		return c
	}
	// By default nobody is notified of these: this module tells those whom a change concerns.
	of := func(category event.Category, name, label string, s event.Severity, example any) event.Type {
		return event.Type{Name: name, Label: label, Group: "Changes", Severity: s, Category: category, Example: example}
	}
	activity := func(name, label string, s event.Severity, example any) event.Type {
		return of(event.CategoryActivity, name, label, s, example)
	}
	approval := func(name, label string, s event.Severity, example any) event.Type {
		return of(event.CategoryApproval, name, label, s, example)
	}
	template := TemplatePayload{Name: "Restart a web server", State: TemplateActive, Version: 3}
	exported := of(event.CategoryExport, EventPackExported, "Evidence pack of a change exported", event.Low, change)
	exported.AuditOnly = true
	hold := HoldPayload{ChangePayload: change, Kind: "freeze", HoldReason: "Year-end freeze: no releases"}
	file := FilePayload{ChangePayload: change, Name: "rehearsal.log", Size: 18_204, SHA256: "9c42e0185bd7…"}
	return []event.Type{
		activity(EventCreated, "Change filed", event.Info, in(lifecycle.Draft, "")),
		activity(EventUpdated, "Change edited", event.Info, change),
		approval(EventSubmitted, "Change submitted for review", event.Info, in(lifecycle.Review, "")),
		approval(EventWithdrawn, "Change withdrawn from review", event.Info, in(lifecycle.Draft, "The plan changed.")),
		approval(EventApproved, "Change approved", event.Low, in(lifecycle.Approved, "")),
		approval(EventRejected, "Change rejected", event.Medium, in(lifecycle.Draft, "No way back is described.")),
		approval(EventReturned, "Change returned for more work", event.Low, in(lifecycle.Draft, "Add a test plan.")),
		approval(EventReviewRestarted, "Change must be approved again", event.Medium, in(lifecycle.Review, "Edited by Mara Lindqvist.")),
		activity(EventScheduled, "Change scheduled", event.Low, change),
		activity(EventUnscheduled, "Change no longer scheduled", event.Low, in(lifecycle.Approved, "The vendor is not ready.")),
		activity(EventWindowMissed, "Change missed its window", event.Medium, in(lifecycle.Approved, "")),
		activity(EventStarted, "Change started", event.Low, in(lifecycle.InProgress, "")),
		approval(EventEmergencyStarted, "Emergency change started without approval", event.High, in(lifecycle.InProgress, "Checkout is down; INC-0007.")),
		activity(EventOverran, "Change runs longer than planned", event.Medium, in(lifecycle.InProgress, "")),
		activity(EventCompleted, "Change completed", event.Low, in(lifecycle.Completed, "")),
		activity(EventFailed, "Change failed", event.High, in(lifecycle.Failed, "The handshake check fails on one address.")),
		activity(EventRolledBack, "Change rolled back", event.High, in(lifecycle.RolledBack, "Back on the old certificate.")),
		activity(EventCancelled, "Change cancelled", event.Low, in(lifecycle.Cancelled, "No longer needed.")),
		activity(EventHeld, "Change put on hold", event.Medium, hold),
		activity(EventReleased, "Hold of a change released", event.Info, hold),
		activity(EventCommented, "Comment on a change", event.Info, CommentPayload{ChangePayload: change, Body: "Please keep 10 minutes between addresses.", Mentions: []uuid.UUID{}}),
		activity(EventCommentDeleted, "Comment on a change taken back", event.Info, change),
		activity(EventLinked, "Change linked to something", event.Info, change),
		activity(EventUnlinked, "Link of a change removed", event.Info, change),
		activity(EventAttached, "File attached to a change", event.Info, file),
		activity(EventDetached, "File of a change removed", event.Low, file),
		activity(EventStepChecked, "Step of a change checked off", event.Info, StepPayload{ChangePayload: in(lifecycle.InProgress, ""), Step: "Drain edge-oslo", StepState: "done"}),
		approval(EventEvidenceAdded, "Evidence added to a change", event.Info, EvidencePayload{ChangePayload: in(lifecycle.InProgress, ""), Kind: "validation", Summary: "All four addresses serve the new certificate."}),
		activity(EventReviewRequired, "Review of a change asked for", event.Low, in(lifecycle.Completed, "")),
		activity(EventReviewCompleted, "Change reviewed", event.Info, in(lifecycle.Completed, "")),
		approval(EventRetroApproved, "Emergency approved afterwards", event.Info, in(lifecycle.Completed, "")),
		approval(EventRetroRejected, "Emergency refused afterwards", event.High, in(lifecycle.Completed, "It could have waited.")),
		approval(EventRetroOverdue, "Retrospective approval overdue", event.High, in(lifecycle.Completed, "")),
		activity(EventTemplateLost, "Change left the way of its template", event.Low, in(lifecycle.Draft, "The template Restart a web server is suspended.")),
		exported,
		approval(EventTemplateProposed, "Change template proposed", event.Info, template),
		approval(EventTemplateApproved, "Change template approved", event.Low, template),
		approval(EventTemplateRejected, "Change template rejected", event.Low, template),
		approval(EventTemplateSuspended, "Change template suspended", event.Medium, template),
		approval(EventTemplateRetired, "Change template retired", event.Low, template),
	}
}
