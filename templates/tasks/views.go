// Package tasks draws the pages of tasks: list, detail and forms.
package tasks

import "github.com/vigilo/vigilo/templates/ui"

// List is the list of tasks.
type List struct {
	Lede    string
	Tabs    ui.Tabs
	Filters ui.Filters
	// Fields are those of "Add filter".
	Fields []ui.Field

	Caption string
	Columns []ui.Column
	Rows    []Row
	Pager   ui.Pager
	// Bulk moves the selected tasks; its other fields repeat the filter.
	BulkAction string
	Bulk       ui.Bulk
	Filtered   []ui.Hidden
	Empty      *ui.Empty

	ExportHref, AddHref string
	MayChange           bool
	// Self is the address of this page, which asks for itself when a task changes.
	Self string
}

// Row is one task of the list.
type Row struct {
	ID       string
	Link     ui.RowLink
	State    ui.Badge
	Assignee *ui.Person
	// Due is nil without a date; DueTone marks one that has passed or is near.
	Due     *ui.Time
	DueTone ui.Tone
	For     *ui.Link
	Updated ui.Time
}

// Header is the head that all pages of a task share.
type Header struct {
	Head ui.PageHead
	Tabs ui.Tabs
	Menu ui.Menu
	// Actions move the task by sending MoveTo.
	Actions   []ui.Button
	MoveTo    ui.Form
	MayChange bool
}

// Detail is the page of a task.
type Detail struct {
	Header
	Notice *ui.Notice
	// Description is plain text; each of its lines stands alone.
	Description   []string
	Before, After Neighbours
	AddAction     ui.Form
	Other, Lag    ui.Field
	Facts         []ui.Fact
}

// ActivityPage shows what was done with a task.
type ActivityPage struct {
	Header
	Entries []ui.Entry
	Empty   *ui.Empty
}

// Neighbours are tasks that stand before a task, or wait for it.
type Neighbours struct {
	ID, Title, Empty string
	Rows             []Neighbour
}

// Neighbour is one of them. RemoveAction takes the dependency away.
type Neighbour struct {
	Key, Title, Href, Sub string
	Badge                 ui.Badge
	RemoveHref            string
	RemoveText            string
}

// Form adds or changes a task.
type Form struct {
	Title, Lede, Submit, CancelHref string
	Form                            ui.Form
	Name, Description               ui.Field
	Assignee, Due, Estimate         ui.Field
	// For names the record that the task is for; empty for none.
	For          []ui.Fact
	Gate         *ui.Field
	Verification *ui.Choice
}

// MovePage asks why a task is skipped or cancelled.
type MovePage struct {
	Title, Lede, Submit, CancelHref string
	Form                            ui.Form
	Reason                          ui.Field
}

// Confirmation asks before a loss.
type Confirmation struct {
	Title   string
	Confirm ui.ConfirmForm
}

func dueClass(t ui.Tone) string {
	if t == "" {
		return "nowrap"
	}
	return "nowrap ink " + string(t)
}
