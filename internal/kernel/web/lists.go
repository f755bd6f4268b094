package web

import (
	"net/url"

	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/templates/ui"
)

// FormErrors turns an error into the summary above a form; labels name fields by input.
func FormErrors(err error, labels map[string]string) []ui.FormError {
	e := fault.Find(err)
	if e == nil {
		return nil
	}
	if len(e.Details) == 0 || e.Kind != fault.Invalid {
		return []ui.FormError{{Text: e.Message}}
	}
	out := make([]ui.FormError, 0, len(e.Details))
	for _, d := range e.Details {
		fe := ui.FormError{Text: d.Message}
		if label, ok := labels[d.Field]; ok {
			fe.Field, fe.Label = d.Field, label
		}
		out = append(out, fe)
	}
	return out
}

// WithError puts the message of a field beside it.
func WithError(f ui.Field, err error) ui.Field {
	f.Error = form.Messages(err)[f.Name]
	return f
}

// Address changes one parameter of a list's address and goes to its first page.
func Address(path string, q url.Values, name, value string) string {
	out := url.Values{}
	for k, v := range q {
		if k != "cursor" && k != name && k != "format" && len(v) > 0 && v[0] != "" {
			out[k] = v
		}
	}
	if value != "" {
		out.Set(name, value)
	}
	if len(out) == 0 {
		return path
	}
	return path + "?" + out.Encode()
}

// ChangedQuery returns the query of a list's address with a change made, back on the first
// page. Only the named parameters are kept.
func ChangedQuery(q url.Values, kept []string, change func(url.Values)) string {
	out := url.Values{}
	for _, name := range kept {
		if text := q.Get(name); text != "" {
			out.Set(name, text)
		}
	}
	change(out)
	if len(out) == 0 {
		return ""
	}
	return "?" + out.Encode()
}

// SortColumn is a column of a list with the name of its order, empty for none.
type SortColumn struct {
	Name   string
	Column ui.Column
}

// Headings makes each heading sort by its column, and the other way when it does already.
func Headings(path string, q url.Values, sort string, cols []SortColumn) []ui.Column {
	out := make([]ui.Column, len(cols))
	for i, c := range cols {
		out[i] = c.Column
		if c.Name == "" {
			continue
		}
		next := c.Name
		switch sort {
		case c.Name:
			next, out[i].Sort = "-"+c.Name, ui.Ascending
		case "-" + c.Name:
			out[i].Sort = ui.Descending
		}
		out[i].Href = Address(path, q, "sort", next)
	}
	return out
}
