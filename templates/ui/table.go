package ui

// Table is a table in its scroll region. Caption names it for screen readers. With
// KeepColumns no column leaves as the sheet narrows, except on phones: somebody chose them.
type Table struct {
	ID          string
	Caption     string
	KeepColumns bool
}

// SortState says how a column is sorted now.
type SortState string

// The states; the zero value is unsorted.
const (
	Ascending  SortState = "ascending"
	Descending SortState = "descending"
)

// Column is a header cell. Href sorts by it; empty means that it does not sort.
// Leaves is when the column goes as the sheet narrows: 0 never, then "lo-0" (phones
// only) to "lo-3" (first to leave). Cells of the column carry the same class.
type Column struct {
	// Name tells a row which cell the column is, where the columns can be chosen.
	Name   string
	Text   string
	Href   string
	Sort   SortState
	Leaves Leaves
	End    bool // numbers align at the end
	Hidden bool // the text is for screen readers only, for a column of actions
}

// Leaves is the class that lets a column go by importance.
type Leaves string

// The classes, last to leave first.
const (
	LeavesLast  Leaves = "lo-0"
	LeavesThird Leaves = "lo-1"
	LeavesNext  Leaves = "lo-2"
	LeavesFirst Leaves = "lo-3"
)

// Search is the search field of a list.
type Search struct {
	Name        string
	Value       string
	Label       string
	Placeholder string
}

// Filters is the form above a list: a search, chips, and the fields of Panel in a
// popover. It is a GET form; with script the results refresh as people type.
type Filters struct {
	Action string
	Search Search
	Hidden []Hidden // other parts of the address to keep, such as the sort
	Chips  []Chip
	// Results is the id of the element on this page that the answer replaces.
	Results string
	// ClearHref is the list without a filter, Action when empty.
	ClearHref string
	// Tools adds the choice of columns and of views; ListPanels goes into Results.
	Tools *ListTools
}

// Chip is a filter in force: Field, an operator in words, and a value.
type Chip struct {
	Field      string
	Operator   string
	Value      string
	RemoveHref string
}

// Hidden is a hidden input.
type Hidden struct {
	Name  string
	Value string
}

// Pager leads through a list by keyset: an empty address means there is nothing.
type Pager struct {
	Label string // such as "50 of 147", or "more than 1,000"
	Prev  string
	Next  string
}

// Bulk is the bar for selected rows. Label names it; Matching, when set, offers to
// act on all rows that match the filter, such as "Select all 147 that match".
type Bulk struct {
	Label    string
	Matching string
}

// RowLink is the main cell of a row: where Enter leads. Dim is a quiet suffix, Sub
// the second line that phones show in place of columns.
type RowLink struct {
	Text string
	Dim  string
	Sub  string
	Href string
	Key  string
}

// Expiry is the cell of a date that runs out.
type Expiry struct {
	Text    string // "in 6 days"
	Time    Time
	Tone    Tone
	Percent int // of the lifetime that has passed
}

func (f Filters) clearHref() string {
	if f.ClearHref != "" {
		return f.ClearHref
	}
	return f.Action
}

func (c Column) class() string { return class(string(c.Leaves), when(c.End, "end")) }

func (f Filters) chipsID() string { return f.Search.Name + "-chips" }

func (f Filters) panelID() string { return f.Search.Name + "-filters" }

func (c Chip) words() string { return c.Field + " " + c.Operator + " " + c.Value }

func sortIcon(s SortState) string {
	if s == Descending {
		return "arrow-down"
	}
	return "arrow-up"
}
