package ui

import (
	"strconv"

	"github.com/a-h/templ"
)

// Form is a POST form. It is never validated by the browser: the server answers 422
// with the same page, the values kept and Errors filled.
type Form struct {
	ID     string
	Action string
	Upload bool // sends files
	Guard  bool // asks before unsaved changes are lost
	Errors []FormError
	Hidden []Hidden
	Attrs  templ.Attributes
}

// FormError is one problem. Field is the id of the input, empty for the whole form.
type FormError struct {
	Field string
	Label string
	Text  string
}

// Field is an input with its label, hint and message. ID defaults to Name.
type Field struct {
	ID           string
	Name         string
	Label        string
	Value        string
	Type         string // text by default; number, email, url, date, datetime-local, time, password, file
	Hint         string
	Error        string
	Placeholder  string
	Autocomplete string
	Required     bool
	Unmarked     bool // leaves out "(optional)", for filters and forms of one field
	Short        bool // the field is as wide as a short answer
	Code         bool // monospace
	ReadOnly     bool
	Autofocus    bool
	Rows         int // of a text area
	Min          string
	Max          string
	Step         string
	MaxLength    int
	Options      []Option // of a select or a radio group
	List         []string // suggestions of a text input
	Attrs        templ.Attributes
}

// Option is one choice. Group heads it in a select; Hint explains it in a radio group.
type Option struct {
	Value    string
	Text     string
	Hint     string
	Group    string
	Selected bool
}

// Choice is a checkbox. Without Value it sends "on".
type Choice struct {
	ID      string
	Name    string
	Value   string
	Label   string
	Hint    string
	Error   string
	Checked bool
	Attrs   templ.Attributes
}

// ConfirmForm asks before an act that cannot be undone. With Type people must write
// that word first. It is a page of its own, or the content of a dialog.
type ConfirmForm struct {
	Action     string
	Title      string
	Text       string
	Points     []string // what will happen
	Confirm    string   // words of the button
	Danger     bool
	CancelHref string
	CancelID   string // the dialog to close instead
	Hidden     []Hidden
	Type       *Field
	Errors     []FormError
}

// Dialog is a modal dialog. Its form also exists as a page at the form's address.
type Dialog struct {
	ID    string
	Title string
	Wide  bool
	Open  bool // opens by itself, after a refused form
}

func (f Field) id() string {
	if f.ID != "" {
		return f.ID
	}
	return f.Name
}

func (f Field) inputType() string {
	if f.Type == "" {
		return "text"
	}
	return f.Type
}

func (f Field) inputClass() string {
	return class("input", when(f.Short, "is-short"), when(f.Code, "is-code"))
}

// described names the texts that belong to an input, the message first.
func described(id, hint, err string) string {
	switch {
	case err != "" && hint != "":
		return id + "-error " + id + "-hint"
	case err != "":
		return id + "-error"
	case hint != "":
		return id + "-hint"
	}
	return ""
}

// attrs are the attributes that inputs, selects and text areas share.
func (f Field) attrs() templ.Attributes {
	a := templ.Attributes{}
	for k, v := range f.Attrs {
		a[k] = v
	}
	set := func(name, value string) {
		if value != "" {
			a[name] = value
		}
	}
	set("placeholder", f.Placeholder)
	set("autocomplete", f.Autocomplete)
	set("min", f.Min)
	set("max", f.Max)
	set("step", f.Step)
	set("aria-describedby", described(f.id(), f.Hint, f.Error))
	if f.MaxLength > 0 {
		a["maxlength"] = strconv.Itoa(f.MaxLength)
	}
	if f.Error != "" {
		a["aria-invalid"] = "true"
	}
	if f.Required {
		a["required"] = true
	}
	if f.ReadOnly {
		a["readonly"] = true
	}
	if f.Autofocus {
		a["autofocus"] = true
	}
	if len(f.List) > 0 {
		a["list"] = f.id() + "-list"
	}
	return a
}

func (f Field) rows() string {
	if f.Rows == 0 {
		return "4"
	}
	return strconv.Itoa(f.Rows)
}

type optionGroup struct {
	name    string
	options []Option
}

// groups keeps the order of the options; neighbours of one group share a heading.
func groups(options []Option) []optionGroup {
	var out []optionGroup
	for _, o := range options {
		if len(out) == 0 || out[len(out)-1].name != o.Group {
			out = append(out, optionGroup{name: o.Group})
		}
		last := &out[len(out)-1]
		last.options = append(last.options, o)
	}
	return out
}

func (c Choice) id() string {
	if c.ID != "" {
		return c.ID
	}
	return c.Name
}

func (c Choice) attrs() templ.Attributes {
	a := templ.Attributes{}
	for k, v := range c.Attrs {
		a[k] = v
	}
	if d := described(c.id(), c.Hint, c.Error); d != "" {
		a["aria-describedby"] = d
	}
	if c.Error != "" {
		a["aria-invalid"] = "true"
	}
	if c.Value != "" {
		a["value"] = c.Value
	}
	return a
}

func (f Form) attrs() templ.Attributes {
	a := templ.Attributes{}
	for k, v := range f.Attrs {
		a[k] = v
	}
	if f.ID != "" {
		a["id"] = f.ID
	}
	if f.Upload {
		a["enctype"] = "multipart/form-data"
	}
	if f.Guard {
		a["data-guard"] = true
	}
	return a
}

func attention(n int) string {
	if n == 1 {
		return "One thing needs your attention."
	}
	return strconv.Itoa(n) + " things need your attention."
}

func (d Dialog) class() string { return class("dialog", when(d.Wide, "is-wide")) }

func radioID(f Field, i int) string {
	if i == 0 {
		return f.id()
	}
	return f.id() + "-" + strconv.Itoa(i)
}
