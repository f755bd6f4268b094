// Package apidocs draws the page about the HTTP API of a workspace: every endpoint with
// the permission that it needs, its parameters and the fields of its body.
package apidocs

import "github.com/vigilo/vigilo/templates/ui"

// Reference is the whole page. Example is a call that a reader can try at once.
type Reference struct {
	Base         string // address of the API of this workspace
	Example      string
	DocumentHref string // the OpenAPI document
	TokensHref   string // where the reader makes a token
	HelpHref     string
	Groups       []Group
}

// Group holds the endpoints of one kind. ID is unique on the page, Count in words.
type Group struct {
	ID         string
	Name       string
	Count      string
	Operations []Operation
}

// Operation is one endpoint. Needs goes on after the permission: who has it, and what the
// answer is. Refused says that the reader may not use it, empty when they may.
type Operation struct {
	Method     ui.Badge
	Path       string
	Summary    string
	Permission string
	Needs      string
	Refused    string
	Inputs     []Inputs
}

// Inputs are fields of one place, such as the query.
type Inputs struct {
	Title  string
	Fields []Field
}

// Field is a parameter or a field of a body. Kind describes its values in words.
type Field struct {
	Name     string
	Kind     string
	Text     string
	Required bool
}
