package changes

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

// The words of the rules, for this package and those above it.
type (
	State = lifecycle.State
	Type  = lifecycle.Type
	Level = lifecycle.Level
)

// Change is one change. Times are UTC; people are user ids.
type Change struct {
	ID          uuid.UUID  `db:"id"`
	Key         string     `db:"key"` // such as CHG-00012
	Type        Type       `db:"type" audit:"type"`
	State       State      `db:"state" audit:"state"`
	StateReason string     `db:"state_reason" audit:"state_reason"`
	Title       string     `db:"title" audit:"title"`
	Description string     `db:"description" audit:"description"` // Markdown, as are the plans
	Priority    Level      `db:"priority" audit:"priority"`
	Category    string     `db:"category" audit:"category"`
	Environment string     `db:"environment" audit:"environment"`
	Start       *time.Time `db:"planned_start" audit:"planned_start"`
	End         *time.Time `db:"planned_end" audit:"planned_end"`
	// RefStart and RefEnd are the window that was decided on: small shifts do not move them.
	RefStart    *time.Time `db:"ref_start"`
	RefEnd      *time.Time `db:"ref_end"`
	ActualStart *time.Time `db:"actual_start" audit:"actual_start"`
	ActualEnd   *time.Time `db:"actual_end" audit:"actual_end"`
	FailedAt    *time.Time `db:"failed_at" audit:"failed_at"`
	RecoveredAt *time.Time `db:"recovered_at" audit:"recovered_at"`

	ImplementationPlan string            `db:"implementation_plan" audit:"implementation_plan"`
	BackoutPlan        string            `db:"backout_plan" audit:"backout_plan"`
	TestPlan           string            `db:"test_plan" audit:"test_plan"`
	Downtime           bool              `db:"downtime" audit:"downtime"`
	Vendor             string            `db:"vendor" audit:"vendor"`
	Custom             map[string]string `db:"custom" audit:"custom"`
	Requester          uuid.NullUUID     `db:"requester_user_id" audit:"requester"`
	Owner              uuid.NullUUID     `db:"owner_user_id" audit:"owner"`
	Submitter          uuid.NullUUID     `db:"submitter_user_id" audit:"submitter"`
	StartedBy          uuid.NullUUID     `db:"started_by" audit:"started_by"`
	ParentID           uuid.NullUUID     `db:"parent_id" audit:"parent"`
	LeadReason         string            `db:"lead_reason" audit:"lead_reason"`
	AutoSchedule       bool              `db:"auto_schedule" audit:"auto_schedule"`
	EvidenceRequired   bool              `db:"evidence_required" audit:"evidence_required"`
	Outcome            string            `db:"outcome" audit:"outcome"`
	OutcomeNotes       string            `db:"outcome_notes" audit:"outcome_notes"`

	RiskAnswers       map[string]string `db:"risk_answers" audit:"risk_answers"`
	RiskManual        Level             `db:"risk_manual" audit:"risk_manual"`
	RiskQuestionnaire Level             `db:"risk_questionnaire" audit:"risk_questionnaire"`
	RiskScore         int32             `db:"risk_score" audit:"risk_score"`
	Risk              Level             `db:"risk_level" audit:"risk"`
	RiskLines         []RiskLine        `db:"risk_lines"`
	RiskAt            *time.Time        `db:"risk_at"`
	ApprovedRisk      Level             `db:"approved_risk" audit:"approved_risk"`

	Revision           int64             `db:"revision" audit:"revision"`
	ContentHash        []byte            `db:"content_hash"`
	SubmittedHash      []byte            `db:"submitted_hash"`
	Editors            []uuid.UUID       `db:"editors"`
	RemovedAttachments []string          `db:"removed_attachments"`
	SubmittedAt        *time.Time        `db:"submitted_at"`
	ApprovedAt         *time.Time        `db:"approved_at"`
	ApprovalValidUntil *time.Time        `db:"approval_valid_until" audit:"approval_valid_until"`
	ScheduledAt        *time.Time        `db:"scheduled_at"`
	ScheduleSequence   int32             `db:"schedule_sequence"`
	Preauthorisation   *Preauthorisation `db:"preauthorisation"`
	Retro              string            `db:"retro_approval" audit:"retro_approval"` // none, pending, approved, rejected, overdue
	PIR                string            `db:"pir" audit:"pir"`                       // none, required, done
	MissedWindow       bool              `db:"missed_window" audit:"missed_window"`
	TemplateID         uuid.NullUUID     `db:"template_id" audit:"template"`
	TemplateVersion    *int32            `db:"template_version" audit:"template_version"`
	TemplateValues     map[string]string `db:"template_values" audit:"template_values"`
	TemplateNote       string            `db:"template_note" audit:"template_note"`
	CheckAt            *time.Time        `db:"check_at"`
	Version            int64             `db:"version"`
	CreatedAt          time.Time         `db:"created_at"`
	CreatedBy          uuid.NullUUID     `db:"created_by"`
	UpdatedAt          time.Time         `db:"updated_at"`

	Implementers []uuid.UUID `db:"implementers" audit:"implementers"`
	AssetIDs     []uuid.UUID `db:"asset_ids" audit:"assets"`
	Tags         []string    `db:"tags" audit:"tags"`
}

// RiskLine is one reason of a risk score with its points.
type RiskLine struct {
	Code   string `json:"code"`
	Label  string `json:"label"`
	Points int    `json:"points"`
	Detail string `json:"detail,omitempty"`
}

// Preauthorisation is the decision record of a standard change: the template that stands
// for its approval, and who approved that.
type Preauthorisation struct {
	TemplateID uuid.UUID `json:"template_id"`
	Template   string    `json:"template"`
	Version    int32     `json:"version"`
	BodyHash   []byte    `json:"body_hash"`
	ApprovedBy string    `json:"approved_by"`
	Revision   int64     `json:"revision"`
	At         time.Time `json:"at"`
}

// Text is the record in words.
func (p Preauthorisation) Text() string {
	return fmt.Sprintf("Pre-authorised by template %s version %d, approved by %s.", p.Template, p.Version, p.ApprovedBy)
}

// Path is the page of the change below its workspace.
func (c Change) Path() string { return changePath(c.Key) }

func changePath(key string) string { return "/changes/" + key }

func (c Change) subject() event.Subject {
	return event.Subject{Type: SubjectChange, ID: c.ID, Key: c.Key, Title: c.Title}
}

// HasWindow reports whether a window is planned.
func (c Change) HasWindow() bool { return c.Start != nil && c.End != nil }

// window returns the planned window, zero times for none.
func (c Change) window() (start, end time.Time) {
	if c.HasWindow() {
		start, end = *c.Start, *c.End
	}
	return start, end
}

// owners are those who answer for the change.
func (c Change) owners() []uuid.UUID { return unique([]uuid.UUID{c.Owner.UUID, c.Requester.UUID}) }

// Overrun is how much longer the change took than planned, 0 when it did not.
func (c Change) Overrun(now time.Time) time.Duration {
	if c.End == nil || c.ActualStart == nil {
		return 0
	}
	end := now
	if c.ActualEnd != nil {
		end = *c.ActualEnd
	}
	return max(0, end.Sub(*c.End))
}

// Duration is how long a change ran, as far as it has.
func (c Change) Duration(now time.Time) time.Duration {
	if c.ActualStart == nil {
		return 0
	}
	if c.ActualEnd != nil {
		return c.ActualEnd.Sub(*c.ActualStart)
	}
	return now.Sub(*c.ActualStart)
}

// Recovery is the time from failure to rollback; false while there is none.
func (c Change) Recovery() (time.Duration, bool) {
	if c.FailedAt == nil || c.RecoveredAt == nil {
		return 0, false
	}
	return c.RecoveredAt.Sub(*c.FailedAt), true
}

// Categories lists what a change may be about.
func Categories() []string {
	return []string{"deployment", "maintenance", "security", "configuration", "infrastructure", "database", "network", "access", "other"}
}

// Environments lists where a change may happen, as assets name them.
func Environments() []string { return []string{"prod", "staging", "dev", "qa", "other"} }

// environment accepts the long names too.
func environment(text string) string {
	switch text = strings.ToLower(strings.TrimSpace(text)); text {
	case "production":
		return "prod"
	case "development":
		return "dev"
	case "test", "testing":
		return "qa"
	}
	return text
}

// The outcomes of a completed change.
const (
	Successful = "successful"
	WithIssues = "successful_with_issues"
)

// Limits of the content of a change.
const (
	maxTitle        = 200
	maxText         = 20_000
	maxPlan         = 50_000
	maxAssets       = 500
	maxImplementers = 20
	maxTags         = 20
	maxTag          = 40
	maxCustom       = 30
	maxSteps        = 200
)

// SplitTags cuts what a person typed into tags.
func SplitTags(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == ';' })
}

// tidyTags writes tags as they are stored: lower case, each once, in order.
func tidyTags(in []string) []string {
	out := []string{}
	for _, t := range in {
		if t = strings.ToLower(strings.Join(strings.Fields(t), " ")); t != "" {
			out = append(out, t)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// tidyText writes a text in one form, so that an edit without content changes nothing.
func tidyText(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " \t\r")
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

// minute drops seconds: windows begin and end on a minute.
func minute(t *time.Time) *time.Time {
	if t == nil || t.IsZero() {
		return nil
	}
	m := t.UTC().Truncate(time.Minute)
	return &m
}

// check returns every field that cannot be. What a submission asks for besides is a guard.
func (c *Change) check() *form.Check {
	out := &form.Check{}
	out.Text("title", c.Title, "A title", maxTitle)
	out.OneOf("type", string(c.Type), "The type", words(lifecycle.Types())...)
	out.OneOf("priority", string(c.Priority), "The priority", words(lifecycle.Levels())...)
	out.OneOf("category", c.Category, "The category", Categories()...)
	if c.Environment != "" {
		out.OneOf("environment", c.Environment, "The environment", Environments()...)
	}
	out.Longest("description", c.Description, "The description", maxText)
	out.Longest("implementation_plan", c.ImplementationPlan, "The implementation plan", maxPlan)
	out.Longest("backout_plan", c.BackoutPlan, "The backout plan", maxPlan)
	out.Longest("test_plan", c.TestPlan, "The test plan", maxPlan)
	out.Longest("vendor", c.Vendor, "The vendor", 120)
	out.Longest("lead_reason", c.LeadReason, "The reason", 1000)
	out.Longest("outcome_notes", c.OutcomeNotes, "The notes", 10_000)
	if c.RiskManual != "" {
		out.OneOf("risk", string(c.RiskManual), "The risk", words(lifecycle.Levels())...)
	}
	c.checkWindow(out)
	return out
}

func (c *Change) checkWindow(out *form.Check) {
	switch {
	case (c.Start == nil) != (c.End == nil):
		field := "planned_start"
		if c.End == nil {
			field = "planned_end"
		}
		out.Add(field, "required", "A window has a start and an end.")
	case c.Start != nil && !c.Start.Before(*c.End):
		out.Add("planned_end", "invalid_window", "The window must end after it starts.")
	case c.Start != nil && (c.Start.Year() < 2000 || c.End.Year() > 2100):
		out.Add("planned_start", "out_of_range", "The year must lie between 2000 and 2100.")
	}
}

func (c *Change) checkLists(out *form.Check) {
	if len(c.AssetIDs) > maxAssets {
		out.Add("assets", "too_many", fmt.Sprintf("A change may name at most %d assets.", maxAssets))
	}
	if len(c.Implementers) > maxImplementers {
		out.Add("implementers", "too_many", fmt.Sprintf("At most %d people can carry out a change.", maxImplementers))
	}
	if len(c.Tags) > maxTags {
		out.Add("tags", "too_many", fmt.Sprintf("A change may have at most %d tags.", maxTags))
	}
	for _, t := range c.Tags {
		out.Longest("tags", t, "A tag", maxTag)
	}
	if len(c.Custom) > maxCustom {
		out.Add("custom", "too_many", fmt.Sprintf("A change may have at most %d fields of your own.", maxCustom))
	}
	for name, value := range c.Custom {
		out.Text("custom", name, "The name of a field", 60)
		out.Longest("custom", value, "The value of a field", 500)
	}
	if len(c.RiskAnswers) > 50 {
		out.Add("risk_answers", "too_many", "The questionnaire has fewer questions.")
	}
	for name, value := range c.RiskAnswers {
		out.Text("risk_answers", name, "A question", 60)
		out.Longest("risk_answers", value, "An answer", 200)
	}
}

// words turns values of a kind of text into texts.
func words[T ~string](in []T) []string {
	out := make([]string, len(in))
	for i, v := range in {
		out[i] = string(v)
	}
	return out
}

// missing names what a submission of the change's type and risk asks for and what is empty.
func (c Change) missing() []lifecycle.Ref {
	var out []lifecycle.Ref
	want := func(field, text string, there bool) {
		if !there {
			out = append(out, lifecycle.Ref{Kind: "field", Key: field, Text: text})
		}
	}
	want("environment", "environment", c.Environment != "")
	want("planned_start", "planned start and end", c.HasWindow())
	want("implementation_plan", "implementation plan", c.ImplementationPlan != "")
	if c.Type != lifecycle.Standard {
		want("backout_plan", "backout plan", c.BackoutPlan != "" || c.Risk == lifecycle.Low)
	}
	if c.Risk.Rank() >= lifecycle.High.Rank() {
		want("assets", "affected assets", len(c.AssetIDs) > 0)
		want("test_plan", "test plan", c.TestPlan != "")
	}
	return out
}

// notEditable refuses fields that the state no longer lets change.
func notEditable(c Change, fields []string) error {
	e := &fault.Error{
		Kind: fault.Conflict, Code: "not_editable",
		Message: "A change that is " + strings.ToLower(c.State.Label()) + " keeps its content. What happened goes into notes, comments and attachments.",
	}
	for _, f := range fields {
		e.Details = append(e.Details, fault.Detail{Code: "not_editable", Field: f, Message: "This can no longer change."})
	}
	return e
}

// editable says which of the changed fields a state lets change, by their audit names.
func editable(s State, field string) bool {
	switch s {
	case lifecycle.Draft, lifecycle.Review, lifecycle.Approved, lifecycle.Scheduled:
		return field != "actual_start" && field != "actual_end"
	case lifecycle.InProgress, lifecycle.Failed:
		return slices.Contains([]string{"title", "description", "tags", "outcome_notes", "actual_start", "custom", "owner", "parent"}, field)
	case lifecycle.Completed, lifecycle.RolledBack, lifecycle.Cancelled:
		return slices.Contains([]string{"tags", "outcome_notes"}, field)
	}
	return false
}

// ChangePayload is the body of the events of a change.
type ChangePayload struct {
	ChangeID     uuid.UUID     `json:"change_id"`
	Key          string        `json:"key"`
	Title        string        `json:"title"`
	Type         Type          `json:"type"`
	State        State         `json:"state"`
	Risk         Level         `json:"risk"`
	Environment  string        `json:"environment"`
	Revision     int64         `json:"revision"`
	PlannedStart *time.Time    `json:"planned_start"`
	PlannedEnd   *time.Time    `json:"planned_end"`
	Owner        uuid.NullUUID `json:"owner"`
	AssetIDs     []uuid.UUID   `json:"asset_ids"`
	Reason       string        `json:"reason,omitempty"`
	Outcome      string        `json:"outcome,omitempty"`
}

func (c Change) payload() ChangePayload {
	ids := c.AssetIDs
	if ids == nil {
		ids = []uuid.UUID{}
	}
	return ChangePayload{
		ChangeID: c.ID, Key: c.Key, Title: c.Title, Type: c.Type, State: c.State, Risk: c.Risk, Environment: c.Environment,
		Revision: c.Revision, PlannedStart: utc(c.Start), PlannedEnd: utc(c.End), Owner: c.Owner, AssetIDs: ids, Reason: c.StateReason, Outcome: c.Outcome,
	}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// jsonText encodes a value for a jsonb column.
func jsonText(v any) (string, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode json: %w", err)
	}
	return string(raw), nil
}
