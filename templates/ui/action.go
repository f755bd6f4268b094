package ui

import "github.com/a-h/templ"

// Kind is the weight of a button. A page has at most one primary button.
type Kind string

// The kinds; the zero value is the default button.
const (
	Primary Kind = "is-primary"
	Quiet   Kind = "is-quiet"
	Danger  Kind = "is-danger"
)

// Button is a button element. Without Type it submits its form. With IconOnly the
// text is for screen readers only. Opens names a dialog on the page.
type Button struct {
	Text     string
	Icon     string
	Kind     Kind
	Small    bool
	IconOnly bool
	Type     string // submit (default), button or reset
	Name     string
	Value    string
	Form     string // id of a form elsewhere on the page
	Action   string // another address than the form's
	Opens    string
	Closes   string
	Attrs    templ.Attributes
}

// LinkButton is a link that looks like a button.
type LinkButton struct {
	Text     string
	Href     string
	Icon     string
	Kind     Kind
	Small    bool
	IconOnly bool
	Attrs    templ.Attributes
}

// CopyButton copies Value. Label says what is copied, such as "Copy fingerprint".
type CopyButton struct {
	Value string
	Label string
}

// Menu is a button with a popover. IconOnly hides its label. Start aligns the menu
// with the start of the button instead of its end.
type Menu struct {
	ID       string
	Label    string
	Icon     string
	Heading  string
	IconOnly bool
	Start    bool
	Small    bool
	Items    []MenuItem
}

// MenuItem is a link, or with Post a form with one button that sends Name and Value.
type MenuItem struct {
	Text    string
	Href    string
	Icon    string
	Danger  bool
	Current bool
	Post    bool
	Name    string
	Value   string
	Opens   string // id of a dialog that Href also leads to as a page
}

func buttonClass(kind Kind, small, iconOnly bool) string {
	return class("btn", string(kind), when(small, "is-sm"), when(iconOnly, "is-icon"))
}

func buttonType(t string) string {
	if t == "" {
		return "submit"
	}
	return t
}

func (b Button) attrs() templ.Attributes {
	a := templ.Attributes{}
	for k, v := range b.Attrs {
		a[k] = v
	}
	set := func(name, value string) {
		if value != "" {
			a[name] = value
		}
	}
	set("name", b.Name)
	set("value", b.Value)
	set("form", b.Form)
	if b.Action != "" {
		a["formaction"] = string(templ.URL(b.Action))
	}
	if b.Opens != "" {
		a["command"], a["commandfor"], a["data-open"] = "show-modal", b.Opens, b.Opens
	}
	if b.Closes != "" {
		a["command"], a["commandfor"], a["data-close"] = "close", b.Closes, b.Closes
	}
	return a
}

// kind of the element's type: one that opens or closes a dialog must not submit.
func (b Button) elementType() string {
	if b.Type == "" && (b.Opens != "" || b.Closes != "") {
		return "button"
	}
	return buttonType(b.Type)
}

func (i MenuItem) class() string { return when(i.Danger, "is-danger") }

func (i MenuItem) attrs() templ.Attributes {
	a := templ.Attributes{}
	if i.Opens != "" {
		a["data-open"], a["aria-haspopup"] = i.Opens, "dialog"
	}
	if i.Current {
		a["aria-current"] = "true"
	}
	if c := i.class(); c != "" {
		a["class"] = c
	}
	return a
}
