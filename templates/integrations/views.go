// Package integrations draws the pages of webhooks and of the catalogue of events.
package integrations

import "github.com/vigilo/vigilo/templates/ui"

// WebhookList is the list of endpoints.
type WebhookList struct {
	Tabs    ui.Tabs
	Filters ui.Filters
	State   ui.Field
	Columns []ui.Column
	Rows    []WebhookRow
	Empty   *ui.Empty
	Pager   ui.Pager
	Actions []ui.LinkButton
}

// WebhookRow is one endpoint in the list. Last is nil before its first delivery.
type WebhookRow struct {
	Link     ui.RowLink
	Patterns []string
	More     string // such as "+4"
	State    ui.Badge
	Last     *ui.Badge
	LastAt   ui.Time
}

// EndpointForm is the form of an endpoint. Groups is the picker of events.
type EndpointForm struct {
	Head        ui.PageHead
	Form        ui.Form
	URL         ui.Field
	Description ui.Field
	Problem     string // with the chosen events
	All         ui.Choice
	Groups      []PatternGroup
	Enabled     *ui.Choice
	Conflict    *ui.Diff
	Submit      string
	Cancel      string
	Catalogue   string
}

// PatternGroup is one heading of the picker.
type PatternGroup struct {
	Title   string
	Choices []ui.Choice
	Example Example
}

// Example is a body as receivers get it.
type Example struct {
	Title string
	JSON  string
}

// Secret shows a secret for the only time.
type Secret struct {
	Head   ui.PageHead
	Notice ui.Notice
	Secret ui.CopyButton
	Steps  []string
	Next   ui.LinkButton
}

// Webhook is the page of one endpoint.
type Webhook struct {
	Head       ui.PageHead
	Edit       ui.LinkButton
	Toggle     Action
	Notices    []ui.Notice
	Test       Action
	Result     *TestResult
	Views      ui.Tabs
	Deliveries []DeliveryRow
	Empty      *ui.Empty
	Pager      ui.Pager
	Export     ui.LinkButton
	Facts      []ui.Fact
	Patterns   []string
	Rotate     ui.LinkButton
	Delete     ui.LinkButton
	Replay     *ui.LinkButton
}

// Action is a form of one button.
type Action struct {
	Href   string
	Button ui.Button
}

// TestResult is what came of a test event.
type TestResult struct {
	Notice ui.Notice
	Facts  []ui.Fact
	Answer string
}

// DeliveryRow is one delivery in the list of an endpoint.
type DeliveryRow struct {
	Link     ui.RowLink
	State    ui.Badge
	Answer   string
	Attempts string
	Created  ui.Time
	Next     *ui.Time
}

// Delivery is the page of one delivery.
type Delivery struct {
	Head     ui.PageHead
	Replay   *Action
	Notice   *ui.Notice
	Facts    []ui.Fact
	Headers  []ui.Fact
	Body     string
	Attempts []Attempt
	None     string // instead of attempts
}

// Attempt is one try of a delivery.
type Attempt struct {
	ID     string
	Title  string
	When   ui.Time
	State  ui.Badge
	Facts  []ui.Fact
	Answer string
}

// Networks is the form for private ranges.
type Networks struct {
	Tabs     ui.Tabs
	Form     ui.Form
	Networks ui.Field
	Note     ui.Notice
}

// Catalogue is the page of event types.
type Catalogue struct {
	Tabs     *ui.Tabs
	Filters  ui.Filters
	Envelope Example
	Groups   []CatalogueGroup
	Empty    *ui.Empty
}

// CatalogueGroup is one heading of the catalogue.
type CatalogueGroup struct {
	ID    string
	Title string
	Types []EventType
}

// EventType is one event. Example is nil for those that are never sent.
type EventType struct {
	Name     string
	Label    string
	Severity ui.Badge
	Example  *Example
	Note     string
}

// Confirm asks before something that cannot be undone.
type Confirm struct {
	Head ui.PageHead
	Form ui.ConfirmForm
}

// Replay asks since when dead letters shall be sent again.
type Replay struct {
	Head   ui.PageHead
	Form   ui.Form
	Since  ui.Field
	Cancel string
}
