package ui

// ListTools are the controls of a list beside its filter: which columns it shows, and the
// views that a person named.
type ListTools struct {
	ColumnsAction string
	Columns       []Choice

	SaveAction string
	Name       Field
	// UpdateAction saves the present filter in the view that is open, whose name is Open;
	// empty when there is nothing to save.
	UpdateAction string
	Open         string
	ViewsHref    string

	// Query is the present filter and order, and Saved what the address says about a view.
	Query string
	Saved string
}

// ViewsPage lists the views of a person.
type ViewsPage struct {
	Title    string
	Lede     string
	ListHref string
	// New is a view that could not be saved yet.
	New   *ViewForm
	Views []ViewForm
	Empty *Empty
}

// ViewForm renames a view, makes it the default, or deletes it.
type ViewForm struct {
	Title   string
	Href    string
	Form    Form
	Name    Field
	Default Choice
}

const (
	columnsPanel = "list-columns"
	viewsPanel   = "list-views"
)
