// Package freezes draws the pages of freezes, maintenance windows and overrides.
package freezes

import "github.com/vigilo/vigilo/templates/ui"

// List lists freezes and maintenance windows.
type List struct {
	Lede    string
	Actions []ui.LinkButton
	Tabs    ui.Tabs
	Filters ui.Filters
	Kind    ui.Field
	Caption string
	Columns []ui.Column
	Rows    []Row
	Empty   *ui.Empty
	Pager   ui.Pager
	// Waiting are requests that the reader may decide; the card is left out without any.
	Waiting []ui.Row
}

// Row is one window in the list. Next is nil when nothing is to come.
type Row struct {
	Link  ui.RowLink
	Kind  ui.Badge
	State ui.Badge
	Scope string
	Next  *Moment
	Note  string // instead of Next
}

// Moment is a time in the reader's zone with the same in UTC, and what it is, such as
// "Begins" or "Runs until".
type Moment struct {
	Word string
	Time ui.Time
	UTC  string
}

// Span is an occurrence. Note says what is unusual about it.
type Span struct {
	Date  string
	Start Moment
	End   *Moment // nil while it is open
	Lasts string
	Note  string
}

// Next is the card of coming occurrences. Problem stands there while the form is not
// complete; Ask is the address that a form asks without script.
type Next struct {
	Title   string
	Spans   []Span
	Problem string
	Text    string // the schedule in one sentence
	Ask     string
}

// Form is the form of a freeze or a maintenance window.
type Form struct {
	Title       string
	Lede        string
	Notice      *ui.Notice
	Form        ui.Form
	Name        ui.Field
	Kind        *ui.Field // nil for maintenance windows
	Outside     *ui.Field
	Reason      ui.Field
	Owner       ui.Field
	Once        ui.Field // radio: once or again and again
	StartsAt    ui.Field
	EndsAt      ui.Field
	Zone        ui.Field
	FirstDate   ui.Field
	LocalStart  ui.Field
	LocalEnd    ui.Field
	EndDays     ui.Field
	Repeats     ui.Field
	RRule       ui.Field
	ExDates     ui.Field
	RDates      ui.Field
	Envs        []ui.Choice
	Types       []ui.Choice
	Tags        ui.Field
	Assets      ui.Field
	Services    ui.Field
	ChangeTypes []ui.Choice
	MinRisk     *ui.Field
	Downstream  *ui.Choice
	Preapproves *ui.Choice
	Preview     string // address that answers with the next occurrences
	Next        Next
	Submit      string
	Back        string
}

// Detail is the overview of one window.
type Detail struct {
	Head      Header
	Notices   []ui.Notice
	Reason    []string // lines
	Next      Next
	Scope     []ui.Fact
	Overrides []ui.Row
	// NoOverrides says why there are none, empty where overrides make no sense.
	NoOverrides string
	Ask         *ui.LinkButton
	Facts       []ui.Fact
}

// Header is what the pages of one window share.
type Header struct {
	Page    ui.PageHead
	Actions []ui.LinkButton
	Tabs    ui.Tabs
}

// Impact is what a freeze does to changes and certificates.
type Impact struct {
	Held         []ui.Row // changes that are held, or will be
	Listed       []ui.Row // changes that are only listed
	Certificates []ui.Finding
	HeldTitle    string
	Nothing      *ui.Empty
}

// Inside is the page that shows what a freeze meets.
type Inside struct {
	Head   Header
	Impact Impact
}

// Activity is the page of versions and of what was recorded.
type Activity struct {
	Head     Header
	Versions []Version
	Entries  []ui.Entry
}

// Version is one version of a window and how it differs from the one before.
type Version struct {
	Title   string
	Time    ui.Time
	By      string
	Widened bool
	Changes []ui.Change
}

// Decide is the page that previews and confirms: activating, lifting, a change of an active
// freeze.
type Decide struct {
	Head    ui.PageHead
	Notices []ui.Notice
	Next    *Next
	Impact  Impact
	Form    ui.ConfirmForm
	Reason  *ui.Field
}

// AskForm asks for an override.
type AskForm struct {
	Head   ui.PageHead
	Form   ui.Form
	Change ui.Field
	Reason ui.Field
	Back   string
}

// Override is the page of one override.
type Override struct {
	Head    ui.PageHead
	Notices []ui.Notice
	Facts   []ui.Fact
	Reason  []string // lines
	Note    []string
	Rail    []ui.Fact
	Decide  *DecideForm
	Actions []ui.LinkButton
}

// DecideForm grants or refuses; Refuse is the address of the second button.
type DecideForm struct {
	Form   ui.Form
	Note   ui.Field
	Refuse string
}
