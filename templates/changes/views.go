// Package changes draws the pages of changes, from the list to the proof, and of the templates
// of standard changes.
package changes

import (
	"github.com/vigilo/vigilo/templates/ui"
)

// List is the list of changes.
type List struct {
	Lede    string
	Stats   []ui.Stat
	Tabs    ui.Tabs
	Filters ui.Filters
	Fields  []ui.Field // the fields of "Add filter"
	Dates   []ui.Field

	Caption    string
	Columns    []ui.Column
	Rows       []Row
	Pager      ui.Pager
	Self       string // this page, which asks for itself when a change moves
	BulkAction string
	Bulk       ui.Bulk
	Filtered   []ui.Hidden
	Empty      *ui.Empty // replaces the table

	ExportHref, AddHref, TemplatesHref string
	MayAdd, MayUpdate                  bool
}

// Row is one change of the list.
type Row struct {
	ID    string
	Link  ui.RowLink
	State ui.Badge
	// Marks are what is special: on hold, emergency, review due.
	Marks  []ui.Badge
	Risk   ui.Badge
	Window *ui.Time // nil while none is planned
	When   string   // the window in words
	Owner  *ui.Person
	Where  string
	Tags   []string
}

// Choose is the page on which a new change begins.
type Choose struct {
	Kinds     []ui.Row
	Templates []ui.Row
	More      *ui.Link
}

// ChangeForm files or edits a change. Empty fields are not drawn.
type ChangeForm struct {
	Title, Lede, Submit, CancelHref string
	Form                            ui.Form
	Notice                          *ui.Notice
	Facts                           []ui.Fact // what a template fixes
	Parameters                      []ui.Field
	Name                            *ui.Field
	Type, Category, Environment     *ui.Field
	Start, End                      *ui.Field
	Zone                            string
	Description                     *ui.Field
	Plans                           []ui.Field
	Implementers, Owner, Assets     *ui.Field
	MoreAssets                      *ui.Field
	Priority, Risk, RiskReason      *ui.Field
	Vendor, Tags, Parent            *ui.Field
	LeadReason, Links               *ui.Field
	Boxes                           []ui.Choice
	PlansOpen, PeopleOpen, MoreOpen bool
	PreviewAction                   string
	Preview                         Preview
}

// Preview says who will have to say yes to what is being written, and what it would meet.
type Preview struct {
	Lede     string
	Stages   []PreviewStage
	Problems []ui.Finding
	Warnings []ui.Finding
	Empty    string
}

// PreviewStage is one round of approval.
type PreviewStage struct {
	Name   string
	Rule   string
	People []ui.PersonState
}

// Header is what all pages of one change share.
type Header struct {
	Head       ui.PageHead
	Steps      []ui.Step
	Tabs       ui.Tabs
	Live, Self string
	Menu       ui.Menu
	// Primary is the action that comes next; nil when there is none for this reader.
	Primary *Act
	// Approve and Reject lead to the reader's own seat.
	Approve, Reject *ui.LinkButton
	Decide          *Decide
	Notices         []ui.Notice
}

// Act is an action as a button or, with Href only, as a link to a page that asks for more.
type Act struct {
	Text    string
	Icon    string
	Action  string // where it posts
	Href    string // the page that asks, when something must be supplied
	Danger  bool
	Allowed bool
	Version string
	// Reasons say what stands in the way and what would turn it on.
	Reasons []Reason
}

// Reason is one condition that fails.
type Reason struct {
	Code string
	Text string
}

// Decide is the dialog of the reader's own seat.
type Decide struct {
	Action, Seat, Revision string
	Title                  string
	As                     string // "as service owner", "for Mara Lind"
}

// Overview is the first page of a change.
type Overview struct {
	Header
	What     []Prose
	WhatMore string
	Edited   string
	EditHref string
	Steps    []StepRow
	StepsFoot,
	StepsHref string
	Checks      []ui.Check
	ChecksTitle string
	ChecksAside string
	Activity    []ui.Entry
	Zone        string
	ActivityRef string
	Comment     *CommentForm

	Acts      []Act
	Approvals []ui.PersonState
	ApprAside string
	ApprHref  string
	Schedule  []ui.Fact
	People    []ui.PersonState
	Risk      []ui.Fact
	Assets    []ui.Row
	AssetsAll *ui.Link
	Links     []LinkRow
	LinksHref string
	Outcome   []ui.Fact
	Evidence  []ui.Row
	EvHref    string
	Children  []ui.Row
	Tags      []string
}

// Prose is a text of the change with its heading; without one it stands alone.
type Prose struct {
	Title string
	HTML  ui.HTML
}

// StepRow is one step of the order of work.
type StepRow struct {
	Number  string
	Title   string
	Meta    string // owner, minutes
	HTML    ui.HTML
	Check   string // verification
	Back    string // rollback note
	Badge   *ui.Badge
	Note    string
	Action  string // where checking it off posts, empty when it cannot be
	Skip    string // page that asks why it is skipped
	Undo    bool
	Current bool
}

// LinkRow is something that the change is about.
type LinkRow struct {
	Icon, Kind, Title, Href string
	RemoveAction            string
	External                bool
}

// CommentForm writes a comment.
type CommentForm struct {
	Action string
	Body   ui.Field
	Errors []ui.FormError
}

// Approvals is the tab of approvals.
type Approvals struct {
	Header
	Lede     string
	Facts    []ui.Fact
	Stages   []Stage
	Problems []ui.Finding
	Empty    *ui.Empty
}

// Stage is a round of approval with its seats.
type Stage struct {
	ID, Title, Aside string
	Badge            ui.Badge
	Rule             string
	Seats            []Seat
}

// Seat is one required decision.
type Seat struct {
	Person ui.Person
	Sub    string
	Badge  ui.Badge
	Note   string
	// Comment is what they wrote.
	Comment ui.HTML
	When    *ui.Time
}

// Tasks is the tab of tasks.
type Tasks struct {
	Header
	Rows    []TaskRow
	AddHref string
	Empty   *ui.Empty
}

// TaskRow is a task of the change.
type TaskRow struct {
	Key, Title, Href string
	Gate             string
	Verification     bool
	State            ui.Badge
	Assignee         string
	Due              *ui.Time
}

// Comments is the tab of comments.
type Comments struct {
	Header
	List  []CommentRow
	Form  *CommentForm
	Empty *ui.Empty
}

// CommentRow is one comment.
type CommentRow struct {
	ID           string
	Person       ui.Person
	HTML         ui.HTML
	Time         ui.Time
	Deleted      bool
	DeleteAction string
}

// Attachments is the tab of files.
type Attachments struct {
	Header
	Rows   []FileRow
	Form   *ui.Form
	File   ui.Field
	Empty  *ui.Empty
	MayDel bool
}

// FileRow is one file.
type FileRow struct {
	Name, Href, Kind, Size, By string
	Time                       ui.Time
	SHA256                     string
	RemoveHref                 string
}

// Activity is the tab of the audit log.
type Activity struct {
	Header
	Entries []ui.Entry
	Empty   *ui.Empty
}

// StepsPage edits the order of work.
type StepsPage struct {
	Header
	Lede  string
	Steps []EditStep
	Add   StepForm
	Back  string
	Empty bool
}

// EditStep is a step with what can be done to it.
type EditStep struct {
	Row        StepRow
	Form       StepForm
	MoveAction string
	First      bool
	Last       bool
	Open       bool
}

// StepForm adds or changes a step.
type StepForm struct {
	Form                       ui.Form
	Name, Minutes, Owner       ui.Field
	Description, Verify, Going ui.Field
	Destructive                ui.Choice
	Submit                     string
}

// Ask is a page that asks before something is done: a reason, an outcome, a summary.
type Ask struct {
	Title, Lede string
	Notice      *ui.Notice
	Form        ui.Form
	Points      []string
	Selects     []ui.Field
	Radios      []ui.Field
	Inputs      []ui.Field
	Areas       []ui.Field
	Submit      string
	Danger      bool
	CancelHref  string
}

// ProofPage shows who agreed to what.
type ProofPage struct {
	Head      ui.PageHead
	Notice    ui.Notice
	Facts     []ui.Fact
	Decisions []Decision
	PreAuth   string
	Overrides []ui.Row
	Evidence  []ui.Row
	Files     []FileRow
	Canonical string
	JSONHref  string
	PackHref  string
	BackHref  string
}

// Decision is one record of the chain.
type Decision struct {
	ID, Title string
	Badge     ui.Badge
	Facts     []ui.Fact
	Comment   ui.HTML
	Shown     string
}

// TemplateList lists templates of standard changes.
type TemplateList struct {
	Lede    string
	Rows    []TemplateRow
	AddHref string
	MayAdd  bool
	Empty   *ui.Empty
}

// TemplateRow is one template.
type TemplateRow struct {
	Link    ui.RowLink
	State   ui.Badge
	Version string
	Expires *ui.Time
	UseHref string
}

// TemplatePage shows a template.
type TemplatePage struct {
	Head     ui.PageHead
	Notices  []ui.Notice
	Menu     ui.Menu
	UseHref  string
	MayUse   bool
	MayEdit  bool
	Facts    []ui.Fact
	What     []Prose
	Steps    []StepRow
	Params   []ui.Fact
	Tasks    []ui.Check
	Uses     []ui.Row
	UsesLink *ui.Link
}

// TemplateForm proposes a template or another version.
type TemplateForm struct {
	Title, Lede, Submit, CancelHref  string
	Form                             ui.Form
	Notice                           *ui.Notice
	Name, Pattern                    ui.Field
	Category, Environment, Risk      ui.Field
	Implementation, Backout, Testing ui.Field
	Description                      ui.Field
	Types                            ui.Field
	TagsField, MaxAssets, MaxMinutes ui.Field
	ValidDays                        ui.Field
	Parameters, StepsField, TasksF   ui.Field
	Boxes                            []ui.Choice
}

func decideTitle(verdict string, d Decide) string {
	if verdict == "approve" {
		return "Approve " + d.Title + d.As
	}
	return "Reject " + d.Title + d.As
}

func decideNote(verdict string) ui.Field {
	f := ui.Field{
		ID: verdict + "-comment", Name: "comment", Label: "Note", Rows: 3, MaxLength: 4000,
		Hint: "Recorded with your name and time. It cannot be edited later.",
	}
	if verdict == "reject" {
		f.Label, f.Required, f.Hint = "Reason", true, "Needed. The author is told at once."
	}
	return f
}
