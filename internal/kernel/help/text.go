package help

import (
	"bytes"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer/html"

	"github.com/vigilo/vigilo/templates/ui"
)

// written renders Markdown of people: without ids, which could be those of the page around
// it, and with line breaks where they wrote them.
var written = goldmark.New(
	goldmark.WithExtensions(
		extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignNone)), extension.Strikethrough, extension.Linkify,
	),
	goldmark.WithRendererOptions(html.WithHardWraps()),
)

var writtenPolicy = newWrittenPolicy()

func newWrittenPolicy() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "hr", "em", "strong", "del", "code", "pre", "blockquote",
		"ul", "ol", "li", "h3", "h4", "table", "thead", "tbody", "tr", "th", "td")
	p.AllowAttrs("start").Matching(bluemonday.Integer).OnElements("ol")
	p.AllowAttrs("href").OnElements("a")
	p.AllowURLSchemes("https", "http", "mailto")
	p.AllowRelativeURLs(false)
	p.RequireParseableURLs(true)
	p.RequireNoFollowOnLinks(true)
	return p
}

// Text renders Markdown that a person wrote into sanitised HTML: raw HTML and images are left
// out, links lead to whole addresses only. Text that cannot be rendered is empty.
func Text(markdown string) ui.HTML {
	var out bytes.Buffer
	if err := written.Convert([]byte(markdown), &out); err != nil {
		return ""
	}
	return ui.HTML(writtenPolicy.SanitizeBytes(out.Bytes()))
}
