// Package assets draws the pages of assets: list, detail, impact, map, forms and import.
package assets

import (
	"github.com/a-h/templ"

	"github.com/vigilo/vigilo/templates/ui"
)

// List is the list of assets.
type List struct {
	Lede    string
	Stats   []ui.Stat
	Tabs    ui.Tabs
	Filters ui.Filters
	// Fields are those of "Add filter".
	Fields []ui.Field

	Caption    string
	Columns    []ui.Column
	Rows       []Row
	Pager      ui.Pager
	BulkAction string
	Bulk       ui.Bulk
	Filtered   []ui.Hidden
	// Empty replaces the table: no asset at all, or none that matches.
	Empty *ui.Empty

	ExportHref, AddHref, ImportHref, MapHref string
	MayAdd, MayImport, MayUpdate, MayRetire  bool
}

// MayPick reports whether the reader can do anything with several rows.
func (v List) MayPick() bool { return v.MayUpdate || v.MayRetire }

// Row is one asset of the list.
type Row struct {
	ID          string
	Link        ui.RowLink
	Type        string
	Icon        string
	Criticality ui.Badge
	// State is set only for assets that are not in use.
	State       *ui.Badge
	Environment string
	Owner       *ui.Person
	Team        string
	Tags        []string
	MoreTags    string
	Updated     ui.Time
}

// Header is the head that all pages of one asset share.
type Header struct {
	Head      ui.PageHead
	Tabs      ui.Tabs
	Menu      ui.Menu
	MayChange bool
	MapHref   string
}

// Detail is the first page of an asset.
type Detail struct {
	Header
	Notice *ui.Notice
	// Description is plain text; each of its lines stands alone.
	Description []string
	// Below is what the asset depends on, Above what depends on it.
	Below, Above Edges
	AddHref      string
	MayRelate    bool
	Panels       []PanelCard
	Facts        []ui.Fact
	Planning     []ui.Fact
	Custom       []ui.Fact
	Tags         []string
}

// Edges is one direction of an asset's relationships.
type Edges struct {
	ID, Title, Empty string
	Rows             []EdgeRow
	// More leads to the rest when it does not fit here.
	More *ui.Link
}

// EdgeRow is one relationship.
type EdgeRow struct {
	Icon, Name, Href string
	// Sub says how: the type of the relationship, protocol and port, the note.
	Sub        string
	Badge      ui.Badge
	RemoveHref string
	RemoveText string
}

// PanelCard is what another module shows of the asset.
type PanelCard struct {
	Card  ui.Card
	Rows  []ui.Row
	Empty string
}

// Impact is what a failure or a change would reach.
type Impact struct {
	Header
	Depths []ui.Tab
	Stats  []ui.Stat
	Notice *ui.Notice
	// Down is what depends on the asset, Up what it depends on.
	Down, Up []Ring
}

// Ring is everything at one distance.
type Ring struct {
	ID, Title, Aside string
	Rows             []ui.Row
	// Rest says how many are not listed; Empty that there is nothing at all.
	Rest, Empty string
}

// ActivityPage shows what was done with an asset.
type ActivityPage struct {
	Header
	Entries []ui.Entry
	Empty   *ui.Empty
}

// Form adds or changes an asset.
type Form struct {
	Title, Lede, Submit, CancelHref string
	Form                            ui.Form
	Existing                        *ui.Notice
	Name, Type, Hostname            ui.Field
	Environment, Criticality        ui.Field
	Lifecycle                       ui.Field
	Owner, Team, Tags               ui.Field
	Description                     ui.Field
	Lead, Trail                     ui.Field
	OneChange                       ui.Choice
	Provider, ExternalID            ui.Field
	Custom                          ui.Field
}

// RelationForm draws a relationship.
type RelationForm struct {
	Title, Lede, CancelHref string
	Form                    ui.Form
	Direction               ui.Field
	Other                   ui.Field
	// Choices are assets that fit what was typed; nil until that is not clear.
	Choices        *ui.Field
	Protocol, Port ui.Field
	Exclusive      ui.Choice
	Note           ui.Field
}

// BulkForm changes several assets at once.
type BulkForm struct {
	Title, Lede, CancelHref string
	Form                    ui.Form
	Names                   []string
	Owner, Criticality      ui.Field
	Environment, Team       ui.Field
	AddTags, RemoveTags     ui.Field
}

// Confirmation asks before a loss.
type Confirmation struct {
	Title   string
	Confirm ui.ConfirmForm
	// Refused says why it cannot be done at all.
	Refused *ui.Notice
}

// ImportForm takes a list of assets.
type ImportForm struct {
	Form                    ui.Form
	Text, File              ui.Field
	Type, Environment, Tags ui.Field
	Cancel                  string
}

// ImportPreview says what an import would do.
type ImportPreview struct {
	Lede       string
	Stats      []ui.Stat
	Notice     *ui.Notice
	Rows       []ImportRow
	Foot       string
	MayConfirm bool
	Submit     string
	Confirm    ui.Form
	Back       ui.Form
}

// ImportRow is one row of an import.
type ImportRow struct {
	Line, Text, Href, Note string
	Badge                  ui.Badge
}

// Map shows assets and their relationships as a drawing and as a list.
type Map struct {
	Lede       string
	Filters    ui.Filters
	Fields     []ui.Field
	Depths     *ui.Tabs
	Notice     *ui.Notice
	Empty      *ui.Empty
	Drawing    Drawing
	ExportHref string
	Tree       []TreeNode
	TreeAside  string
	AllHref    string
}

// Drawing is the picture. Sizes and places are numbers as SVG writes them.
type Drawing struct {
	Label         string
	Width, Height string
	ViewBox       string
	Edges         []MapEdge
	Nodes         []MapNode
}

// MapEdge is a line from what depends to what it depends on.
type MapEdge struct {
	Path  string
	Title string
	Line  Line
}

// Line tells the types of edges apart.
type Line string

// The lines.
const (
	Solid  Line = "graph-edge"
	Dashed Line = "graph-edge is-hosts"
	Dotted Line = "graph-edge is-connects"
)

// Border says how critical an asset is: the heavier, the more.
type Border string

// The borders; the zero value is that of a medium one.
const (
	Critical Border = " is-critical"
	High     Border = " is-high"
	Low      Border = " is-low"
)

func (n MapNode) class() string {
	class := "graph-node" + string(n.Border)
	if n.Planned {
		class += " is-planned"
	}
	if n.Focus {
		class += " is-focus"
	}
	return class
}

// MapNode is an asset in the picture: its shape says the type, its border the criticality.
type MapNode struct {
	Title, Name, Sub, Href string
	Transform              string
	Shape                  string
	// Detail is a second line of the shape, such as the lid of a drum; empty for none.
	Detail string
	Border Border
	// Planned draws a broken border; Focus marks the asset in the middle.
	Planned, Focus bool
	// NameX, NameY and SubY place the texts within the shape.
	NameX, NameY, SubY string
	// ExpandHref shows more of its neighbours; empty when all are here.
	ExpandHref, ExpandText, ExpandTitle string
	ExpandX, ExpandY                    string
}

// TreeNode is an asset in the list with what it depends on below it.
type TreeNode struct {
	Name, Href, Sub string
	Badge           *ui.Badge
	// Again says that its own branches stand elsewhere in the list.
	Again    string
	Children []TreeNode
}

func zoom(how string) templ.Attributes { return templ.Attributes{"data-zoom": how} }
