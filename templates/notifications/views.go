// Package notifications draws the inbox, the preferences, the mail settings and the mail
// itself.
package notifications

import "github.com/vigilo/vigilo/templates/ui"

// InboxPage is the list of a member's notifications.
type InboxPage struct {
	Tabs            ui.Tabs
	Rows            []InboxRow
	Pager           ui.Pager
	Empty           *ui.Empty
	Self            string // address of this page, for live updates
	ReadHref        string // POST marks ids, or all
	PreferencesHref string
	HasUnread       bool
}

// InboxRow is one notification. MuteHref is empty when it is about no single thing.
type InboxRow struct {
	ID       string
	Icon     string
	Tone     ui.Tone
	Link     ui.RowLink
	Body     string
	Unread   bool
	Severity ui.Badge
	Time     ui.Time
	MuteHref string
}

// PreferencesPage is everything that a member may choose.
type PreferencesPage struct {
	Form       ui.Form
	Floor      ui.Field
	Mail       ui.Choice
	Digest     ui.Field
	DigestAt   ui.Field
	Quiet      ui.Choice
	QuietFrom  ui.Field
	QuietTo    ui.Field
	Bypass     ui.Choice
	Zone       string
	Groups     []EventGroup
	NoMail     *ui.Notice // set when no mail can be sent at all
	Mutes      []MutedThing
	UnmuteHref string
	CancelHref string
}

// EventGroup is the events of one heading.
type EventGroup struct {
	Name   string
	Events []EventRow
}

// EventRow is one line of the matrix.
type EventRow struct {
	Name     string
	Label    string
	Severity ui.Badge
	InApp    bool
	Mail     bool
}

// MutedThing is a line on the list of muted things.
type MutedThing struct {
	Type  string
	ID    string
	Title string
	Href  string // empty when it has no page
	Since ui.Time
}

// MailPage is the mail server of a workspace.
type MailPage struct {
	State    ui.Notice
	Answer   *ui.Notice // of a test mail
	Form     ui.Form
	Host     ui.Field
	Port     ui.Field
	TLS      ui.Field
	Username ui.Field
	Password ui.Field
	From     ui.Field
	// TestHref is empty when there is no server to test.
	TestHref string
	// RemoveHref is empty when the workspace has no server of its own.
	RemoveHref string
	// Problems are mails that were not delivered, or not yet.
	Problems []ui.Entry
}

// UnsubscribePage asks before, or says after, mail was turned off.
type UnsubscribePage struct {
	// Event is the label of what the mail was about, empty for all mail.
	Event  string
	Action string // empty when it is done
}

// Mail is a mail of ours. All addresses are absolute.
type Mail struct {
	Lang      string
	Subject   string
	Workspace string
	Lede      string
	Items     []MailItem
	More      string // what did not fit
	Button    *ui.Link
	Because   string
	Settings  *ui.Link
	Leave     *ui.Link
}

// MailItem is one notification in a mail. Mark is the class of its severity.
type MailItem struct {
	Title    string
	Href     string
	Body     string
	Severity string
	Mark     string
	Time     string
}
