// Package auditlog draws the pages of the audit log: the list, one entry, and the form
// that saves a filter.
package auditlog

import "github.com/vigilo/vigilo/templates/ui"

// List is the page of the log.
type List struct {
	Head    ui.PageHead
	Exports *ui.Menu // nil for those who may not export
	Tabs    ui.Tabs
	// RemoveHref removes the saved filter in use; empty when none is, or it is not theirs.
	RemoveHref string
	Filters    ui.Filters
	Fields     []Field
	Errors     []ui.FormError
	Notice     *ui.Notice
	News       *News
	Table      ui.Table
	Columns    []ui.Column
	Rows       []Row
	Pager      ui.Pager
	Empty      *ui.Empty
}

// Field is a field of the panel of filters.
type Field struct {
	ui.Field
	Choice bool // drawn as a select
}

// News is where the page asks whether entries arrived after the ones it shows.
type News struct {
	Href   string
	Topics string
}

// Row is one entry. Person is nil when Vigilo itself acted.
type Row struct {
	Time    ui.Time
	Ago     string
	Person  *ui.Person
	Actor   string
	What    ui.RowLink
	Outcome *ui.Badge // nil for success
	Target  Thing
	Changed string
	Address string
}

// Thing is what an entry is about.
type Thing struct {
	Kind string
	Key  string
	Text string
	Href string // empty when it has no page
}

// Entry is the page of one entry.
type Entry struct {
	Head    ui.PageHead
	Actions []ui.LinkButton
	Reason  string
	Changes []ui.Change
	Detail  []ui.Fact
	Facts   []ui.Fact
	Origin  []ui.Fact
}

// Save is the form that saves a filter.
type Save struct {
	Head   ui.PageHead
	Form   ui.Form
	Asks   []ui.Fact // what the filter asks, in words
	Name   ui.Field
	Share  *ui.Choice // nil for those who may not share
	Cancel string
}
