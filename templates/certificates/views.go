// Package certificates draws the pages of monitored hosts and of the certificates that
// they show.
package certificates

import "github.com/vigilo/vigilo/templates/ui"

// List is the list of hosts.
type List struct {
	Lede  string
	Stats []ui.Stat
	Chart ui.BarChart
	Tabs  ui.Tabs

	Filters ui.Filters
	// The fields of "Add filter".
	Status, Issuer, Tag, Owner, State ui.Field

	Caption string
	Columns []ui.Column
	// KeepColumns is set when somebody chose the columns.
	KeepColumns bool
	Rows        []Row
	Pager       ui.Pager
	// Self is the address of this page, which asks for itself when a host changes.
	Self       string
	BulkAction string
	Bulk       ui.Bulk
	Filtered   []ui.Hidden
	// Empty replaces the table: no host at all, or none that matches.
	Empty *ui.Empty

	ExportHref, AddHref, ImportHref, CalendarHref, StoredHref string
	// RulesHref leads to the rules that alert about certificates.
	RulesHref                             string
	MayAdd, MayScan, MayUpdate, MayDelete bool
}

// Row is one host of the list.
type Row struct {
	ID     string
	Link   ui.RowLink
	Status ui.Badge
	// Expiry is nil while no certificate is known; then NoExpiry says why.
	Expiry   *ui.Expiry
	NoExpiry string
	Issuer   string
	Key      string
	// Tags are those that fit; MoreTags says how many do not.
	Tags     []string
	MoreTags string
	Owner    *ui.Person
	Scanned  *ui.Time
	Days     string
	Port     string
	Created  *ui.Time
}

// The columns of the list of hosts.
const (
	ColumnHost    = "host"
	ColumnStatus  = "status"
	ColumnExpires = "expires"
	ColumnDays    = "days"
	ColumnIssuer  = "issuer"
	ColumnKey     = "key"
	ColumnOwner   = "owner"
	ColumnTags    = "tags"
	ColumnScanned = "scanned"
	ColumnPort    = "port"
	ColumnCreated = "created"
)

// Header is the head that all pages of one host share.
type Header struct {
	Head ui.PageHead
	Tabs ui.Tabs
	// Live are the topics on which the page asks for itself again, at Self.
	Live, Self string
	ScanAction string
	Menu       ui.Menu
	MayScan    bool
	MayChange  bool
	// Progress is a scan that was asked for and is not finished.
	Progress *ui.Progress
	Notice   *ui.Notice
}

// Overview is the first page of a host.
type Overview struct {
	Header
	ScannedAside string
	Findings     []ui.Finding
	Waiting      *ui.Empty
	Connection   []ui.Fact
	Chain        []ui.ChainLink
	ChainHref    string

	Validity  *ui.Meter
	Period    []ui.Fact
	Identity  []ui.Fact
	Ownership []ui.Fact
	Scanning  []ui.Fact
	Tags      []string
}

// ChainPage shows every certificate of a chain.
type ChainPage struct {
	Header
	Aside  string
	Links  []ui.ChainLink
	Issues []ui.Finding
	Certs  []CertFacts
	Empty  *ui.Empty
}

// CertFacts is one certificate with its facts.
type CertFacts struct {
	ID    string
	Title string
	Aside string
	Href  string
	Facts []ui.Fact
}

// NamesPage lists the names in a certificate.
type NamesPage struct {
	Header
	Aside string
	Rows  []NameRow
	Empty *ui.Empty
}

// NameRow is one name and whether it stands for the host.
type NameRow struct {
	Name  string
	Kind  string
	Badge *ui.Badge
}

// HistoryPage shows how a host fared and what changed.
type HistoryPage struct {
	Header
	Strip   *ui.Uptime
	Legend  []ui.Badge
	Numbers []ui.Fact
	Entries []ui.Entry
	Older   string
	Empty   *ui.Empty
}

// ActivityPage shows what people and Vigilo did with a host.
type ActivityPage struct {
	Header
	Entries []ui.Entry
	Empty   *ui.Empty
}

// HostForm adds or changes a host.
type HostForm struct {
	Title, Lede string
	Form        ui.Form
	Hostname    ui.Field
	Port        ui.Field
	ServerName  ui.Field
	STARTTLS    ui.Field
	Family      ui.Field
	Interval    ui.Field
	Tags        ui.Field
	Owner       ui.Field
	Warn        ui.Field
	Critical    ui.Field
	Submit      string
	CancelHref  string
	// Existing leads to the host that is there already.
	Existing *ui.Notice
}

// ImportForm takes many hosts.
type ImportForm struct {
	Form     ui.Form
	Text     ui.Field
	File     ui.Field
	Interval ui.Field
	Tags     ui.Field
	Owner    ui.Field
	Cancel   string
}

// ImportPreview shows what an import would do.
type ImportPreview struct {
	Lede    string
	Stats   []ui.Stat
	Notice  *ui.Notice
	Caption string
	Rows    []ImportRow
	Foot    string
	// Confirm sends the same list again; its hidden fields hold it.
	Confirm    ui.Form
	Submit     string
	MayConfirm bool
	Back       ui.Form
}

// ImportRow is one row of the preview.
type ImportRow struct {
	Line  string
	Text  string
	Badge ui.Badge
	Note  string
	Href  string
}

// Delete asks before hosts are removed.
type Delete struct {
	Title   string
	Confirm ui.ConfirmForm
}

// Calendar shows what ends in a month.
type Calendar struct {
	Title    string
	Lede     string
	Month    ui.MonthCalendar
	PrevHref string
	PrevText string
	NextHref string
	NextText string
	Today    string
	Rows     []ui.Row
	Empty    *ui.Empty
}

// Stored is the list of certificates that were seen or uploaded.
type Stored struct {
	Lede       string
	Filters    ui.Filters
	Source     ui.Field
	Kind       ui.Field
	Caption    string
	Columns    []ui.Column
	Rows       []StoredRow
	Pager      ui.Pager
	Empty      *ui.Empty
	UploadHref string
	MayUpload  bool
}

// StoredRow is one certificate of the list.
type StoredRow struct {
	Link   ui.RowLink
	Expiry *ui.Expiry
	Issuer string
	Key    string
	Source string
	Seen   ui.Time
}

// StoredCert is the page of one certificate.
type StoredCert struct {
	Head     ui.PageHead
	PEMHref  string
	Validity *ui.Meter
	Period   []ui.Fact
	Identity []ui.Fact
	Names    []NameRow
	Hosts    []ui.Row
	NoHosts  *ui.Empty
}

// Upload takes certificates in PEM form.
type Upload struct {
	Form   ui.Form
	PEM    ui.Field
	File   ui.Field
	Cancel string
}
