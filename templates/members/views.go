// Package members draws the pages of workspaces and their members.
package members

import "github.com/vigilo/vigilo/templates/ui"

// NewWorkspace is the form that creates a workspace. Proposed is the address that the
// name gave, so that one that was typed is not replaced.
type NewWorkspace struct {
	Form     ui.Form
	Name     ui.Field
	Slug     ui.Field
	TimeZone ui.Field
	Proposed string
	Cancel   string // address, empty for people without a workspace
}

// Mine lists the workspaces of a person.
type Mine struct {
	Rows []ui.Row
}

// Settings is the page with the settings of a workspace. Conflict shows both versions
// after somebody else saved first.
type Settings struct {
	Form     ui.Form
	Name     ui.Field
	Slug     ui.Field
	TimeZone ui.Field
	Conflict *ui.Diff
	Sessions SessionLimits
	Plan     *Plan // nil where plans have no limits
	Links    []ui.Row
}

// SessionLimits is the form that says how long sessions last.
type SessionLimits struct {
	Form     ui.Form
	Idle     ui.Field
	Absolute ui.Field
}

// Plan shows what a workspace uses of its plan. Form is nil for whoever may not choose it.
type Plan struct {
	Name   string
	Uses   []PlanUse
	Facts  []ui.Fact
	Form   *ui.Form
	Choice ui.Field
}

// PlanUse is one thing that a plan bounds.
type PlanUse struct {
	Label string
	Text  string
	Note  string
	Meter *ui.Meter // nil without a limit
}

// Home is what needs somebody now.
type Home struct {
	Title    string
	Lede     string
	Start    *ui.Notice
	Sections []HomeSection
	Calm     *ui.Empty
}

// HomeSection is one part of the home page.
type HomeSection struct {
	Card  ui.Card
	Rows  []ui.Row
	Empty string
}

// GettingStarted lists the first steps.
type GettingStarted struct {
	Lede     string
	Steps    []Step
	HomeHref string
	AllDone  bool
}

// Step is a first step.
type Step struct {
	Label  string
	Text   string
	Done   bool
	Action ui.LinkButton
}

// MemberList is the list of members.
type MemberList struct {
	Lede    string
	Tabs    ui.Tabs
	Filters ui.Filters
	Role    ui.Field
	State   ui.Field
	Columns []ui.Column
	Rows    []MemberRow
	Empty   *ui.Empty
	Pager   ui.Pager
	Actions []ui.LinkButton
}

// MemberRow is one member in the list.
type MemberRow struct {
	Link     ui.RowLink
	Person   ui.Person
	Email    string
	Role     string
	State    ui.Badge
	Joined   ui.Time
	JoinedBy string
	Seen     *ui.Time // nil: never
}

// Member is the page of one member. RoleForm is nil for readers.
type Member struct {
	Head    ui.PageHead
	Person  ui.Person
	Facts   []ui.Fact
	Form    *ui.Form
	Role    ui.Field
	Toggle  *Toggle
	Remove  *ui.LinkButton
	Note    *ui.Notice
	History *ui.Link
}

// Toggle is a form of one button.
type Toggle struct {
	Action string
	Text   string
	Title  string
	Button ui.Button
}

// InvitationList is the list of invitations.
type InvitationList struct {
	Lede    string
	Tabs    ui.Tabs
	Views   ui.Tabs
	Filters ui.Filters
	State   ui.Field
	Rows    []InvitationRow
	Empty   *ui.Empty
	Pager   ui.Pager
	Actions []ui.LinkButton
}

// InvitationRow is one invitation in the list.
type InvitationRow struct {
	Email      string
	Role       string
	State      ui.Badge
	Inviter    string
	Sent       ui.Time
	Expires    ui.Time
	ResendHref string // empty when it cannot be sent again
	RevokeHref string
}

// Invite is the form for one invitation.
type Invite struct {
	Form  ui.Form
	Email ui.Field
	Role  ui.Field
	Note  *ui.Notice
	Back  string
	CSV   string
}

// Import is the form for many invitations.
type Import struct {
	Form ui.Form
	Rows ui.Field
	File ui.Field
	Back string
}

// Issued shows links once.
type Issued struct {
	Title string
	Lede  string
	Note  ui.Notice
	Link  *ui.CopyButton // of one invitation
	Lines *ui.Field      // of several, as email,link
	Back  string
	More  string
}

// Offer is the page behind the link of an invitation.
type Offer struct {
	Workspace string
	Text      string
	Facts     []ui.Fact
	Notice    *ui.Notice
	Accept    string // address of the form, empty when it cannot be accepted now
	SignIn    string // address, empty when signed in
}

// Mappings lists the rules for groups of the identity provider.
type Mappings struct {
	Tabs  ui.Tabs
	Rows  []MappingRow
	Empty *ui.Empty
	Form  ui.Form
	Claim ui.Field
	Role  ui.Field
}

// MappingRow is one rule.
type MappingRow struct {
	Claim  string
	Role   string
	Added  ui.Time
	Delete string
}

// GroupList lists groups of people.
type GroupList struct {
	Tabs    ui.Tabs
	Rows    []ui.Row
	Empty   *ui.Empty
	Actions []ui.LinkButton
}

// Group is the page of one group. Rename and Add are nil for readers.
type Group struct {
	Head   ui.PageHead
	Rename *ui.Form
	Name   ui.Field
	Add    *ui.Form
	Person ui.Field
	People []GroupPerson
	Empty  *ui.Empty
	Delete *ui.LinkButton
}

// GroupPerson is a member of a group. Remove is the address of the form that takes them
// out, empty for readers.
type GroupPerson struct {
	Person ui.Person
	ID     string
	Email  string
	State  *ui.Badge
	Remove string
}

// NewGroup is the form that creates a group.
type NewGroup struct {
	Form ui.Form
	Name ui.Field
	Back string
}

// Confirm is a question on a page of its own.
type Confirm struct {
	Head ui.PageHead
	Form ui.ConfirmForm
}

// Search is the search page.
type Search struct {
	Action  string
	Field   ui.Search
	Lede    string
	Groups  []SearchGroup
	Nothing *ui.Empty
}

// SearchGroup is one kind of result.
type SearchGroup struct {
	Card ui.Card
	Rows []ui.Row
}

// InvitationMail is the mail with the link of an invitation.
type InvitationMail struct {
	Inviter   string
	Workspace string
	Role      string
	Email     string
	Link      string
	Expires   string
}
