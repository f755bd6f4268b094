// Package approvals draws the pages of approvals, their policies, delegations and absences.
package approvals

import "github.com/vigilo/vigilo/templates/ui"

// Queue lists seats that wait for somebody, or that they decided.
type Queue struct {
	Lede    string
	Actions []ui.LinkButton
	Stats   []ui.Stat
	Tabs    ui.Tabs
	Filters ui.Filters
	Risk    ui.Field
	Due     ui.Field
	Kind    ui.Field
	Caption string
	Columns []ui.Column
	Rows    []QueueRow
	Empty   *ui.Empty
	Pager   ui.Pager
	// Decide is the address of the page that decides several; empty where nothing is decided.
	Decide string
	Back   string
	// Decided says that the rows are decisions.
	Decided bool
}

// QueueRow is one seat.
type QueueRow struct {
	ID    string
	Link  ui.RowLink
	Risk  *ui.Badge
	Stage string
	Note  string // for whom, or why it is here
	Due   ui.Badge
	When  ui.Time
	State ui.Badge
	Since ui.Time
}

// Bulk decides several seats at once.
type Bulk struct {
	Head   ui.PageHead
	Form   ui.Form
	Rows   []BulkRow
	Note   ui.Field
	Submit string
	Danger bool
	Back   string
	Empty  *ui.Empty
}

// BulkRow is a seat to decide, with the revision that was read.
type BulkRow struct {
	ID       string
	Revision string
	Row      ui.Row
}

// Seat is the page on which one seat is decided.
type Seat struct {
	Head    ui.PageHead
	Subject *ui.LinkButton
	Notices []ui.Notice
	Shown   string
	// Form is nil for who cannot decide it.
	Form    *ui.Form
	Comment ui.Field
	CanGive bool // a return is possible
	Stages  []Stage
	Facts   []ui.Fact
	Proof   []ui.Fact
	Entries []ui.Entry
}

// Stage is a stage with its requirements.
type Stage struct {
	ID     string
	Title  string
	Badge  ui.Badge
	Line   string // deadline, sign-in, escalation
	Blocks []Block
}

// Block is a requirement with its seats.
type Block struct {
	Title string // how many must agree
	Who   string
	Note  string
	Seats []SeatRow
}

// SeatRow is one seat with who is asked.
type SeatRow struct {
	Label  string
	Href   string
	Badge  ui.Badge
	Routes []ui.PersonState
	Say    string // what was decided
}

// Policies lists approval policies.
type Policies struct {
	Lede    string
	Actions []ui.LinkButton
	Rows    []PolicyRow
	Empty   *ui.Empty
}

// PolicyRow is one policy in the list.
type PolicyRow struct {
	Link   ui.RowLink
	Match  string
	Stages string
	State  ui.Badge
	When   ui.Time
}

// Policy is the page of one policy.
type Policy struct {
	Head     ui.PageHead
	Actions  []ui.LinkButton
	Toggle   *Toggle
	Notice   *ui.Notice
	Match    []ui.Fact
	Stages   []PolicyStage
	Facts    []ui.Fact
	Versions []ui.Row
}

// Toggle is a form of one button.
type Toggle struct {
	Action string
	Button ui.Button
}

// PolicyStage is a stage as a policy says it.
type PolicyStage struct {
	ID    string
	Title string
	Facts []ui.Fact
}

// PolicyForm is the form of a policy.
type PolicyForm struct {
	Head         ui.PageHead
	Form         ui.Form
	Notice       *ui.Notice
	Name         ui.Field
	Priority     ui.Field
	Validity     ui.Field
	Active       ui.Choice
	Kinds        []ui.Choice
	Types        []ui.Choice
	Risks        []ui.Choice
	Priorities   []ui.Choice
	MatchErrors  []string
	Categories   ui.Field
	Environments ui.Field
	Tags         ui.Field
	AssetTypes   ui.Field
	Downtime     ui.Field
	Stages       []StageForm
	CanAdd       bool
	Submit       string
	Back         string
}

// StageForm asks for one stage.
type StageForm struct {
	ID         string
	Title      string
	Order      ui.Field
	Name       ui.Field
	Mode       ui.Field
	Need       ui.Field
	Percent    ui.Field
	Role       ui.Field
	Owners     []ui.Choice
	Critical   ui.Field
	People     ui.Field
	Groups     []ui.Choice
	Each       ui.Choice
	Dynamic    ui.Choice
	Escalation ui.Field
	Deadline   ui.Field
	OnReject   ui.Field
	Reuse      ui.Field
	Reauth     ui.Choice
	Problem    string // with who decides
	Remove     string // value of the button; empty for the only stage
}

// Trial shows what policies make of a sample.
type Trial struct {
	Head     ui.PageHead
	Form     ui.Form
	Fields   []ui.Field
	Downtime ui.Choice
	Problems []ui.Finding
	Policies string
	Stages   []Stage
	Empty    *ui.Empty
	Back     ui.LinkButton
}

// Delegations lists delegations of the workspace.
type Delegations struct {
	Head    ui.PageHead
	Actions []ui.LinkButton
	Tabs    ui.Tabs
	Filters ui.Filters
	Scope   ui.Field
	Columns []ui.Column
	Rows    []DelegationRow
	Empty   *ui.Empty
	Pager   ui.Pager
}

// DelegationRow is one delegation.
type DelegationRow struct {
	Link  ui.RowLink
	To    string
	Scope string
	From  ui.Time
	Until ui.Time
	State ui.Badge
	Menu  *ui.Menu
}

// Away is the page of one's own absences and delegations.
type Away struct {
	Head         ui.PageHead
	Actions      []ui.LinkButton
	Given        []ui.Row
	Received     []ui.Row
	Absences     []AbsenceRow
	AbsenceForm  ui.Form
	Delegates    bool // the person may delegate
	From         ui.Field
	Until        ui.Field
	Reason       ui.Field
	NewHref      string
	NoDelegation string
}

// AbsenceRow is one absence with the address that removes it.
type AbsenceRow struct {
	Text   string
	Sub    string
	Badge  *ui.Badge
	Remove string
	Label  string
}

// DelegationForm asks for a delegation.
type DelegationForm struct {
	Head      ui.PageHead
	Form      ui.Form
	Principal *ui.Field
	Delegate  ui.Field
	Kind      ui.Field
	Scope     ui.Field
	Type      ui.Field
	Tag       ui.Field
	Policy    ui.Field
	From      ui.Field
	Until     ui.Field
	Reason    ui.Field
	Submit    string
	Back      string
	Revoke    *ui.LinkButton
}

// DelegationFacts shows a delegation that cannot be changed.
type DelegationFacts struct {
	Head  ui.PageHead
	Facts []ui.Fact
}

// Confirm is a question on a page of its own.
type Confirm struct {
	Head ui.PageHead
	Form ui.ConfirmForm
}
