// Package identity draws the pages of signing in, of the account, and of API tokens.
package identity

import "github.com/vigilo/vigilo/templates/ui"

// Login is the sign-in page. With Dev the people of the development login are listed
// instead of the provider's button; without both, nobody can sign in.
type Login struct {
	Provider  string
	StartHref string
	Notice    *ui.Notice
	Dev       *DevLogin
}

// DevLogin lists demo people; one click signs in.
type DevLogin struct {
	Action   string
	ReturnTo string
	Groups   []DevGroup
}

// DevGroup holds the people of one workspace, highest role first.
type DevGroup struct {
	ID     string
	Title  string
	People []DevPerson
}

// DevPerson is one of them.
type DevPerson struct {
	Person ui.Person
	Email  string
	Role   string
}

// Goodbye leads a browser on to the provider, to end the session there too.
type Goodbye struct {
	Provider string
	Href     string
}

// Account is the profile page.
type Account struct {
	Tabs      ui.Tabs
	Form      ui.Form
	Facts     []ui.Fact
	TimeZone  ui.Field
	Theme     ui.Field
	Shortcuts ui.Choice
}

// Sessions is the page of a person's sessions.
type Sessions struct {
	Tabs      ui.Tabs
	Items     []Session
	OthersURL string // empty when there is no other session
}

// Session is one of them.
type Session struct {
	Device   string
	Address  string
	LastSeen ui.Time
	Started  ui.Time
	Current  bool
	EndURL   string
	Label    string // of the button, for screen readers
}

// OwnTokens is the page of a person's tokens in all workspaces.
type OwnTokens struct {
	Tabs    ui.Tabs
	Items   []Token
	NewHref string
	Empty   ui.Empty
}

// WorkspaceTokens is the page of all tokens of a workspace.
type WorkspaceTokens struct {
	Filter ui.Tabs
	Items  []Token
	Pager  ui.Pager
	New    ui.LinkButton
	Empty  ui.Empty
}

// Token is a line of a list of tokens. Belongs is the workspace on the account page, and
// the owner or "Service" on the page of a workspace.
type Token struct {
	Name      string
	Prefix    string
	Belongs   string
	Sub       string
	Access    string
	Expires   *ui.Time
	State     *ui.Badge // of expired tokens
	LastUsed  *ui.Time
	RevokeURL string
	Label     string // of the link that revokes it
}

// NewToken is the form that makes a token.
type NewToken struct {
	Tabs   *ui.Tabs // of the account page
	Head   ui.PageHead
	Choose *ChooseWorkspace // nil when there is no choice
	Form   ui.Form
	Name   ui.Field
	Role   *ui.Field
	Expiry ui.Field
	Access ui.Field
	Error  string // about the permissions
	Open   bool   // shows the permissions at once
	Aside  string // which workspace, on the account page
	Groups []ScopeGroup
	Cancel string
	Submit string
}

// ChooseWorkspace lets people pick the workspace first: it decides what they may give.
type ChooseWorkspace struct {
	Action string
	Field  ui.Field
}

// ScopeGroup holds the permissions of one area.
type ScopeGroup struct {
	Title  string
	Scopes []ui.Choice
}

// CreatedToken shows the secret of a token, once.
type CreatedToken struct {
	Tabs     *ui.Tabs
	Name     string
	Token    ui.CopyButton
	Facts    []ui.Fact
	Example  string
	DoneHref string
}

// RevokeToken asks before a token is revoked.
type RevokeToken struct {
	Tabs    *ui.Tabs
	Confirm ui.ConfirmForm
}
