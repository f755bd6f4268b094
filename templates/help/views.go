// Package help draws the help centre: its index with search, an article as a page, and
// the article as the fragment that the panel beside a page loads.
package help

import "github.com/vigilo/vigilo/templates/ui"

// Index is the start of the help centre, or the answer to a search.
type Index struct {
	Query    string
	Hits     []Hit
	Sections []Section
}

// Section is a group of articles.
type Section struct {
	ID       string // unique on the page
	Name     string
	Articles []Hit
}

// Hit is a link to an article with a line about it.
type Hit struct {
	Title string
	Href  string
	Text  string
}

// Article is an article. Text has been sanitised and starts with headings of level 2.
type Article struct {
	Title   string
	Summary string
	Section string
	Href    string // its address as a page
	Text    ui.HTML
	Related []ui.Link
}
