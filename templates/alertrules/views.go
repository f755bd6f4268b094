// Package alertrules draws the pages of alerts and of the rules that make them.
package alertrules

import "github.com/vigilo/vigilo/templates/ui"

// AlertList lists alerts.
type AlertList struct {
	Lede     string
	Actions  []ui.LinkButton
	Silenced *ui.Notice // what is silenced now, nil for nothing
	Stats    []ui.Stat
	Tabs     ui.Tabs
	Filters  ui.Filters
	Rule     ui.Field
	Severity ui.Field
	Handled  ui.Field
	Caption  string
	Columns  []ui.Column
	Rows     []AlertRow
	Empty    *ui.Empty
	Pager    ui.Pager
	// Acknowledge is the address of the bulk form, empty for readers.
	Acknowledge string
	Back        string // address to come back to
}

// AlertRow is one alert in the list.
type AlertRow struct {
	ID       string
	Link     ui.RowLink
	Severity ui.Badge
	State    ui.Badge
	Rule     ui.Link
	Message  string
	Fired    ui.Time
	Ended    *ui.Time
	Who      string // who acknowledged it, empty for nobody
}

// Alert is the page of one alert.
type Alert struct {
	Head     ui.PageHead
	Severity ui.Badge
	Notice   ui.Notice
	Facts    []ui.Fact
	History  []ui.Entry
	Host     ui.LinkButton
	Silence  ui.LinkButton // without an address when there is nothing to silence
	// Acknowledge is the address of the form, empty when there is nothing to acknowledge.
	Acknowledge string
}

// RuleList lists rules.
type RuleList struct {
	Lede    string
	Actions []ui.LinkButton
	Rows    []RuleRow
	Empty   *ui.Empty
	Manage  bool
}

// RuleRow is one rule in the list. Toggle is the address that switches it.
type RuleRow struct {
	Link       ui.RowLink
	Target     string
	Recipients string
	Severity   ui.Badge
	Firing     *ui.Link
	State      ui.Badge
	Toggle     string
	ToggleText string
	ToggleIcon string
	Menu       ui.Menu
}

// Rule is the page of one rule.
type Rule struct {
	Head       ui.PageHead
	Actions    []ui.LinkButton
	Toggle     *Toggle
	Notice     *ui.Notice
	Condition  []ui.Fact
	Recipients []ui.Row
	Nobody     *ui.Empty
	Facts      []ui.Fact
	Delete     *ui.LinkButton
}

// Toggle is a form of one button.
type Toggle struct {
	Action string
	Button ui.Button
}

// RuleForm is the form of a rule.
type RuleForm struct {
	Title     string
	Lede      string
	Form      ui.Form
	Name      ui.Field
	Trigger   ui.Field
	Days      ui.Field
	Severity  ui.Field
	Target    ui.Field
	Hosts     ui.Field
	Tags      ui.Field
	Admins    ui.Choice
	Owner     ui.Choice
	People    ui.Field
	Groups    []ui.Choice
	Webhooks  []ui.Choice
	Cooldown  ui.Field
	Enabled   ui.Choice
	Submit    string
	Back      string
	Notice    *ui.Notice
	GroupNote string
	HookNote  string
}

// Test is the page that sends a test, and says how it went.
type Test struct {
	Head    ui.PageHead
	Action  string
	Back    string
	Will    []ui.Row // who would get it
	Results []ui.Row
	Nobody  *ui.Empty
	Done    bool
}

// Confirm is a question on a page of its own.
type Confirm struct {
	Head ui.PageHead
	Form ui.ConfirmForm
}

// SilenceList lists silences.
type SilenceList struct {
	Lede    string
	Actions []ui.LinkButton
	Tabs    ui.Tabs
	Caption string
	Rows    []SilenceRow
	Empty   *ui.Empty
	Pager   ui.Pager
	Manage  bool
}

// SilenceRow is one silence in the list. Inside counts what fires inside, nil for nothing.
type SilenceRow struct {
	Link   ui.RowLink
	Scope  string
	From   ui.Time
	Until  ui.Time
	Author string
	State  ui.Badge
	Inside *ui.Link
}

// Silence is the page of one silence. Edit and End are there while it can be changed; End
// is the address of a form.
type Silence struct {
	Head  ui.PageHead
	Edit  *ui.LinkButton
	End   string
	Scope []ui.Fact
	Times []ui.Fact
	Facts []ui.Fact
}

// SilenceForm is the form of a silence. StartWhich and EndWhich ask which of two moments is
// meant, when the clock shows the time twice.
type SilenceForm struct {
	Title      string
	Lede       string
	Form       ui.Form
	Comment    ui.Field
	Hosts      ui.Field
	Tags       ui.Field
	Rules      []ui.Choice
	RuleNote   string
	Starts     ui.Field
	StartWhich *ui.Field
	Ends       ui.Field
	EndWhich   *ui.Field
	Submit     string
	Back       string
}
