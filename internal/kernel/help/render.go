package help

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"

	"github.com/vigilo/vigilo/templates/ui"
)

type rendered struct {
	html  ui.HTML
	text  string   // without markup
	links []string // slugs of articles
}

// markdown renders tables without inline styles, which the content policy would block,
// and leaves out raw HTML.
var markdown = goldmark.New(
	goldmark.WithExtensions(
		extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignNone)),
		extension.Strikethrough,
		extension.Linkify,
	),
	goldmark.WithParserOptions(parser.WithAutoHeadingID()),
)

// policy is narrower than what Markdown can produce: no images, since an article must
// read the same in the panel and offline.
var policy = newPolicy()

func newPolicy() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "hr", "em", "strong", "del", "code", "pre", "blockquote",
		"ul", "ol", "li", "h2", "h3", "h4", "table", "thead", "tbody", "tr", "th", "td")
	p.AllowAttrs("id").Matching(regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)).OnElements("h2", "h3", "h4")
	p.AllowAttrs("start").Matching(bluemonday.Integer).OnElements("ol")
	p.AllowAttrs("href").OnElements("a")
	p.AllowURLSchemes("https", "http", "mailto")
	p.AllowRelativeURLs(true)
	p.RequireParseableURLs(true)
	return p
}

func render(body []byte) (rendered, error) {
	root := markdown.Parser().Parse(text.NewReader(body))

	var words strings.Builder
	var links []string
	err := ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			if n.Type() == ast.TypeBlock {
				words.WriteByte(' ')
			}
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			if n.Level == 1 {
				return ast.WalkStop, fmt.Errorf("the text has a heading of level 1; the title is in the front matter")
			}
		case *ast.Link:
			if slug, ok := articleLink(string(n.Destination)); ok {
				links = append(links, slug)
			}
		case *ast.Text:
			words.Write(n.Segment.Value(body))
			if n.SoftLineBreak() || n.HardLineBreak() {
				words.WriteByte(' ')
			}
		case *ast.CodeBlock, *ast.FencedCodeBlock:
			lines := n.Lines()
			for i := range lines.Len() {
				line := lines.At(i)
				words.Write(line.Value(body))
			}
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return rendered{}, err
	}

	var out bytes.Buffer
	if err := markdown.Renderer().Render(&out, body, root); err != nil {
		return rendered{}, fmt.Errorf("render: %w", err)
	}
	return rendered{
		html:  ui.HTML(policy.SanitizeBytes(out.Bytes())),
		text:  strings.Join(strings.Fields(words.String()), " "),
		links: links,
	}, nil
}

// articleLink returns the slug of a link to another article.
func articleLink(destination string) (string, bool) {
	slug, ok := strings.CutPrefix(destination, "/help/")
	if !ok {
		return "", false
	}
	slug, _, _ = strings.Cut(slug, "#")
	return slug, slug != ""
}
