package ui

import (
	"context"
	"io"
	"strings"

	"github.com/a-h/templ"
)

// The components of this file stand in every row of every table, hundreds of times on a
// page, and are written by hand: as templates, with a class that is computed, each would
// cost five times as much.

// leaf is a component without children.
type leaf func(m *markup)

// Render implements templ.Component.
func (f leaf) Render(ctx context.Context, w io.Writer) error {
	m := markup{ctx: ctx, w: w}
	f(&m)
	return m.err
}

// markup writes HTML and remembers the first failure.
type markup struct {
	ctx context.Context
	w   io.Writer
	err error
}

// raw writes markup that is part of the program.
func (m *markup) raw(parts ...string) {
	for _, s := range parts {
		if m.err == nil {
			_, m.err = io.WriteString(m.w, s)
		}
	}
}

// text writes what came from elsewhere, for content and quoted attributes.
func (m *markup) text(s string) {
	if strings.ContainsAny(s, `&<>"'`) {
		s = templ.EscapeString(s)
	}
	m.raw(s)
}

// attr writes an attribute.
func (m *markup) attr(name, value string) {
	m.raw(" ", name, `="`)
	m.text(value)
	m.raw(`"`)
}

// open writes the start of an element with the classes that are not empty.
func (m *markup) open(element string, classes ...string) {
	m.raw("<", element, ` class="`)
	first := true
	for _, c := range classes {
		if c == "" {
			continue
		}
		if !first {
			m.raw(" ")
		}
		m.text(c)
		first = false
	}
	m.raw(`"`)
}

func (m *markup) href(address string) { m.attr("href", string(templ.URL(address))) }

func (m *markup) icon(classes, name string) {
	m.raw(`<svg class="`, classes, `" aria-hidden="true"><use href="`)
	m.text(AssetsFrom(m.ctx).Icons)
	m.raw("#")
	m.text(name)
	m.raw(`"></use></svg>`)
}

// Icon draws a decorative icon of the sprite at 16 px. Give icon-only controls a
// hidden text beside it.
func Icon(name string) templ.Component { return leaf(func(m *markup) { m.icon("i", name) }) }

// SmallIcon draws the icon at 14 px with a heavier line.
func SmallIcon(name string) templ.Component { return leaf(func(m *markup) { m.icon("i i-sm", name) }) }

// optionalIcon draws nothing for the empty name.
func optionalIcon(name string) templ.Component {
	if name == "" {
		return templ.NopComponent
	}
	return Icon(name)
}

// StateBadge draws a state.
func StateBadge(b Badge) templ.Component {
	return leaf(func(m *markup) {
		m.open("span", "badge", string(b.Tone))
		m.raw(">")
		if b.Icon != "" {
			m.icon("i", b.Icon)
		}
		m.text(b.Text)
		m.raw("</span>")
	})
}

// Tag draws a free label, such as an environment.
func Tag(text string) templ.Component {
	return leaf(func(m *markup) {
		m.raw(`<span class="tag">`)
		m.text(text)
		m.raw("</span>")
	})
}

// Avatar draws the initials of a person; the name stands beside it or is hidden text.
func Avatar(p Person, small bool) templ.Component {
	return leaf(func(m *markup) { m.avatar(p, small) })
}

func (m *markup) avatar(p Person, small bool) {
	m.open("span", avatarClass(small, p.Hue))
	m.raw(` aria-hidden="true">`)
	m.text(p.Initials)
	m.raw("</span>")
}

// Who draws a person in one line.
func Who(p Person) templ.Component {
	return leaf(func(m *markup) {
		m.raw(`<span class="who">`)
		m.avatar(p, true)
		if p.Href != "" {
			m.raw("<a")
			m.href(p.Href)
			m.raw(">")
			m.text(p.Name)
			m.raw("</a>")
		} else {
			m.text(p.Name)
		}
		m.raw("</span>")
	})
}

// Moment draws a time.
func Moment(t Time) templ.Component { return leaf(func(m *markup) { m.moment(t) }) }

func (m *markup) moment(t Time) {
	m.raw("<time")
	m.attr("datetime", t.ISO)
	if t.Title != "" {
		m.attr("title", t.Title)
	}
	m.raw(">")
	m.text(t.Text)
	m.raw("</time>")
}

// MeterBar draws a share.
func MeterBar(b Meter) templ.Component { return leaf(func(m *markup) { m.meter(b) }) }

func (m *markup) meter(b Meter) {
	m.open("svg", "meter", string(b.Tone), when(b.Wide, "is-wide"))
	m.raw(` viewBox="0 0 100 5" preserveAspectRatio="none"`)
	if b.Label == "" {
		m.raw(` aria-hidden="true"`)
	} else {
		m.raw(` role="img"`)
		m.attr("aria-label", b.Label)
	}
	m.raw(`><rect class="track" width="100" height="5"></rect><rect class="value" width="`, b.width(), `" height="5"></rect></svg>`)
}

// ExpiryCell draws how long something lasts: bar, words, date.
func ExpiryCell(e Expiry) templ.Component {
	return leaf(func(m *markup) {
		m.open("div", "expiry", string(e.Tone))
		m.raw(">")
		m.meter(Meter{Percent: e.Percent, Tone: e.Tone})
		m.raw("<b>")
		m.text(e.Text)
		m.raw("</b>")
		m.moment(e.Time)
		m.raw("</div>")
	})
}

// PickCell draws the box that selects a row.
func PickCell(value, name string) templ.Component {
	return leaf(func(m *markup) {
		m.raw(`<td class="pick"><input class="check" type="checkbox" name="id"`)
		m.attr("value", value)
		m.attr("aria-label", "Select "+name)
		m.raw("></td>")
	})
}

// MainCell draws the content of a row's first cell.
func MainCell(r RowLink) templ.Component {
	return leaf(func(m *markup) {
		m.raw(`<a class="row-link"`)
		m.href(r.Href)
		m.raw(">")
		if r.Key != "" {
			m.raw(`<span class="key">`)
			m.text(r.Key)
			m.raw("</span>")
		}
		m.text(r.Text)
		m.raw(`<span class="dim">`)
		m.text(r.Dim)
		m.raw("</span></a>")
		if r.Sub != "" {
			m.raw(` <span class="sub-line">`)
			m.text(r.Sub)
			m.raw("</span>")
		}
	})
}
