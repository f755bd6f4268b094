package identity

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/identity"
	"github.com/vigilo/vigilo/templates/ui"
)

const settingsPath = "/settings/tokens"

func (s *Service) tokenRoutes(r *web.Router) {
	r.Account(http.MethodGet, "/account/tokens", s.showOwnTokens)
	r.Account(http.MethodGet, "/account/tokens/new", s.showNewOwnToken)
	r.Account(http.MethodPost, "/account/tokens", s.createOwnToken)
	r.Account(http.MethodGet, "/account/tokens/{slug}/{id}/revoke", s.showRevokeOwnToken)
	r.Account(http.MethodPost, "/account/tokens/{slug}/{id}/revoke", s.revokeOwnToken)
	r.Get(settingsPath, CanManageTokens, s.showTokens)
	r.Get(settingsPath+"/new", CanManageTokens, s.showNewServiceToken)
	r.Post(settingsPath, CanManageTokens, s.createServiceToken)
	r.Get(settingsPath+"/{id}/revoke", CanManageTokens, s.showRevokeToken)
	r.Post(settingsPath+"/{id}/revoke", CanManageTokens, s.revokeAnyToken)
}

// actorIn is the person of an account page acting in one of their workspaces.
func (s *Service) actorIn(r *web.Request, slug string) (db.Actor, place, error) {
	p, ok, err := place{}, false, error(nil)
	if printable(slug) {
		p, ok, err = s.place(r.Context(), r.Principal.SessionID, slug)
	}
	if err != nil {
		return db.Actor{}, place{}, err
	}
	if !ok {
		return db.Actor{}, place{}, fault.NewNotFound("workspace")
	}
	a := r.Actor
	a.WorkspaceID, a.Role = p.WorkspaceID, string(p.Role)
	return a, p, nil
}

func (s *Service) showOwnTokens(r *web.Request) error {
	rows, err := s.ownTokens(r.Context(), r.User().ID)
	if err != nil {
		return err
	}
	v := views.OwnTokens{
		Tabs: accountTabs("/account/tokens"), NewHref: "/account/tokens/new",
		Empty: ui.Empty{Icon: "key-round", Title: "You have no API token", Text: "Make one when a script or a program of yours shall use the API.", Actions: []ui.LinkButton{
			{Text: "New token", Href: "/account/tokens/new", Icon: "plus", Kind: ui.Primary},
		}},
	}
	for _, row := range rows {
		t := Token{ID: row.ID, Kind: KindPersonal, Name: row.Name, Prefix: row.Prefix, Scopes: row.Scopes, ExpiresAt: row.ExpiresAt, LastUsedAt: row.LastUsedAt}
		item := tokenView(r, t)
		item.Belongs = row.WorkspaceName
		item.RevokeURL = "/account/tokens/" + row.WorkspaceSlug + "/" + row.ID.String() + "/revoke"
		v.Items = append(v.Items, item)
	}
	return r.Bare(web.Page{Title: "Your API tokens"}, views.OwnTokensPage(v))
}

// tokenView is what both lists show of a token.
func tokenView(r *web.Request, t Token) views.Token {
	v := views.Token{Name: t.Name, Prefix: t.Prefix, Access: accessWords(t), Label: " the token " + t.Name}
	v.Sub = v.Access
	if t.ExpiresAt != nil {
		at := r.Moment(*t.ExpiresAt)
		v.Expires = &at
		if t.State(r.Now()) == "expired" {
			v.State = &ui.Badge{Text: "Expired", Tone: ui.Warn}
		}
	}
	if t.LastUsedAt != nil {
		at := r.Moment(*t.LastUsedAt)
		v.LastUsed = &at
	}
	return v
}

func accessWords(t Token) string {
	switch {
	case t.Scopes == nil && t.Kind == KindService:
		return "Everything a " + strings.ToLower(t.Role.Label()) + " may"
	case t.Scopes == nil:
		return "Everything its owner may"
	case len(t.Scopes) == 1:
		return "1 permission"
	default:
		return fmt.Sprintf("%d permissions", len(t.Scopes))
	}
}

func (s *Service) showNewOwnToken(r *web.Request) error {
	slug := r.URL.Query().Get("workspace")
	if slug == "" {
		slug = r.Principal.LastWorkspace
	}
	if slug == "" && len(r.Principal.Memberships) > 0 {
		slug = r.Principal.Memberships[0].Slug
	}
	if slug == "" {
		return fault.NewNotFound("workspace")
	}
	return s.ownTokenPage(r, tokenForm{Workspace: slug, Expiry: "90", Access: accessAll}, nil)
}

func (s *Service) ownTokenPage(r *web.Request, f tokenForm, err error) error {
	a, p, placeErr := s.actorIn(r, f.Workspace)
	if placeErr != nil {
		return placeErr
	}
	tabs := accountTabs("/account/tokens")
	v := s.newTokenView(a, f, err, "")
	v.Tabs, v.Cancel = &tabs, "/account/tokens"
	v.Form.Action, v.Form.Hidden = "/account/tokens", []ui.Hidden{{Name: "workspace", Value: p.Slug}}
	choose := ui.Field{Name: "workspace", ID: "choose", Label: "Workspace", Required: true, Hint: "A token works in one workspace."}
	listed := false
	for _, m := range r.Principal.Memberships {
		choose.Options = append(choose.Options, ui.Option{Value: m.Slug, Text: m.Name, Selected: m.Slug == p.Slug})
		listed = listed || m.Slug == p.Slug
	}
	if !listed {
		choose.Options = append(choose.Options, ui.Option{Value: p.Slug, Text: p.Name, Selected: true})
	}
	v.Aside = "For " + p.Name
	if len(choose.Options) > 1 {
		v.Choose = &views.ChooseWorkspace{Action: "/account/tokens/new", Field: choose}
	}
	return r.Bare(web.Page{Title: "New API token", Status: statusOf(err)}, views.NewTokenPage(v))
}

func statusOf(err error) int {
	if err != nil {
		return http.StatusUnprocessableEntity
	}
	return http.StatusOK
}

// newTokenView is the form of a new token. With a role, only the permissions of that role
// are offered.
func (s *Service) newTokenView(a db.Actor, f tokenForm, err error, limit access.Role) views.NewToken {
	problems := form.Messages(err)
	v := views.NewToken{
		Name: ui.Field{
			Name: "name", Label: "Name", Value: f.Name, Required: true, MaxLength: 80, Error: problems["name"], Autocomplete: "off",
			Hint: "What uses it, such as \"Deploy pipeline\".",
		},
		Expiry: ui.Field{Name: "expires_at", Label: "Expires", Required: true, Short: true, Error: problems["expires_at"]},
		Access: ui.Field{Name: "access", Label: "It may do", Required: true, Error: problems["access"], Options: []ui.Option{
			{Value: accessAll, Text: "Everything", Hint: "All that its role may, also what is added later.", Selected: f.Access != accessSome},
			{Value: accessSome, Text: "Only the permissions chosen below", Hint: "The safer choice: give it what it needs.", Selected: f.Access == accessSome},
		}},
		Error: problems["scopes"], Open: f.Access == accessSome || problems["scopes"] != "", Submit: "Create token",
	}
	for _, e := range expiries() {
		v.Expiry.Options = append(v.Expiry.Options, ui.Option{Value: e.key, Text: e.text, Selected: e.key == f.Expiry})
	}
	v.Groups = scopeGroups(held(s.Policy, a, limit), f.Scopes)
	if err != nil {
		v.Form.Errors = formErrors(err, map[string]string{
			"name": "Name", "role": "Role", "expires_at": "Expires", "access": "It may do", "scopes": "Permissions",
		})
	}
	return v
}

// scopeGroups lists permissions by their area.
func scopeGroups(grants []access.Grant, chosen []string) []views.ScopeGroup {
	var out []views.ScopeGroup
	for _, g := range grants {
		area, _, _ := strings.Cut(string(g.Permission), ".")
		area = strings.ToUpper(area[:1]) + area[1:]
		if len(out) == 0 || out[len(out)-1].Title != area {
			out = append(out, views.ScopeGroup{Title: area})
		}
		last := &out[len(out)-1]
		last.Scopes = append(last.Scopes, ui.Choice{
			ID: "scope-" + string(g.Permission), Name: "scopes", Value: string(g.Permission), Label: g.Label, Hint: string(g.Permission),
			Checked: slices.Contains(chosen, string(g.Permission)),
		})
	}
	return out
}

func (s *Service) createOwnToken(r *web.Request) error {
	if err := s.attempt("token", r.User().ID.String()); err != nil {
		return err
	}
	var f tokenForm
	err := r.Form(&f)
	a, p, placeErr := s.actorIn(r, f.Workspace)
	if placeErr != nil {
		return placeErr
	}
	var t Token
	var token string
	if err == nil {
		t, token, err = s.createFromForm(r, a, f, KindPersonal)
	}
	if err != nil {
		return bareInvalid(r, err, func(err error) error { return s.ownTokenPage(r, f, err) })
	}
	tabs := accountTabs("/account/tokens")
	v := createdView(r, t, token, p.Slug)
	v.Tabs, v.DoneHref = &tabs, "/account/tokens"
	return r.Bare(web.Page{Title: "API token created", Status: http.StatusCreated}, views.CreatedTokenPage(v))
}

func (s *Service) createFromForm(r *web.Request, a db.Actor, f tokenForm, kind string) (Token, string, error) {
	n, formErr := f.token(kind, r.Now())
	if formErr == nil {
		return s.CreateToken(r.Context(), a, n)
	}
	// All problems at once: also those of the token itself.
	var c form.Check
	if err := errors.Join(c.Merge(formErr), c.Merge(n.check(s.Policy, a, r.Now()))); err != nil {
		return Token{}, "", err
	}
	return Token{}, "", c.Err()
}

// createdView shows the token, the only time that anybody sees it.
func createdView(r *web.Request, t Token, token, slug string) views.CreatedToken {
	v := views.CreatedToken{
		Name: t.Name, Token: ui.CopyButton{Value: token, Label: "Copy token"},
		Facts:   []ui.Fact{{Label: "It may do", Text: accessWords(t)}, {Label: "Expires", Text: "Never"}},
		Example: "curl -H \"Authorization: Bearer " + t.Prefix + "…\" " + r.Server().BaseURL("/ws/"+slug+"/api/v1/me"),
	}
	if t.ExpiresAt != nil {
		at := r.Moment(*t.ExpiresAt)
		v.Facts[1] = ui.Fact{Label: "Expires", Time: &at}
	}
	if t.Role != "" {
		v.Facts = append(v.Facts, ui.Fact{Label: "Role", Text: t.Role.Label()})
	}
	return v
}

func (s *Service) showRevokeOwnToken(r *web.Request) error {
	a, p, err := s.actorIn(r, r.Param("slug"))
	if err != nil {
		return err
	}
	t, err := s.tokenOf(r, a)
	if err != nil {
		return err
	}
	tabs := accountTabs("/account/tokens")
	return r.Bare(web.Page{Title: "Revoke API token"}, views.RevokeTokenPage(views.RevokeToken{
		Tabs: &tabs, Confirm: revokeForm(t, "/account/tokens/"+p.Slug+"/"+t.ID.String()+"/revoke", "/account/tokens"),
	}))
}

// tokenOf reads the token that the path names.
func (s *Service) tokenOf(r *web.Request, a db.Actor) (Token, error) {
	id, err := r.UUID("id", "token")
	if err != nil {
		return Token{}, err
	}
	return s.FindToken(r.Context(), a, id)
}

func revokeForm(t Token, action, cancel string) ui.ConfirmForm {
	return ui.ConfirmForm{
		Action: action, Title: "Revoke “" + t.Name + "”?", Confirm: "Revoke token", Danger: true, CancelHref: cancel,
		Text:   "What uses this token (" + t.Prefix + "…) is refused from the next call on.",
		Points: []string{"A revoked token cannot be used again. Make a new one if you need it back."},
	}
}

func (s *Service) revokeOwnToken(r *web.Request) error {
	a, _, err := s.actorIn(r, r.Param("slug"))
	if err != nil {
		return err
	}
	return s.revokeAndReturn(r, a, "/account/tokens")
}

func (s *Service) revokeAndReturn(r *web.Request, a db.Actor, to string) error {
	id, err := r.UUID("id", "token")
	if err != nil {
		return err
	}
	t, err := s.RevokeToken(r.Context(), a, id)
	if err != nil {
		return err
	}
	r.Flash("The token “" + t.Name + "” is revoked.")
	return r.SeeOther(to)
}

func (s *Service) showTokens(r *web.Request) error {
	query := r.URL.Query()
	q := s.tokenQuery(r.Actor)
	kind := query.Get("kind")
	if kind == KindPersonal || kind == KindService {
		q.Filter("kind", db.Args{"kind": kind})
	} else {
		kind = ""
	}
	q, err := q.After(query.Get("cursor"))
	if err != nil {
		return err
	}
	var page *db.PageResult[Token]
	var count *db.Result[int64]
	if err := s.DB.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { page, count = q.Queue(b), q.QueueCount(b) }); err != nil {
		return err
	}
	n, _ := count.First()
	return r.Page(web.Page{Title: "API tokens", Crumbs: tokenCrumbs(r)}, views.WorkspaceTokensPage(s.tokensView(r, page.Page, n, kind)))
}

func tokenCrumbs(r *web.Request, more ...web.Crumb) []web.Crumb {
	last := web.Crumb{Text: "API tokens"}
	if len(more) > 0 {
		last.Href = r.Path(settingsPath)
	}
	return append([]web.Crumb{{Text: "Settings", Href: r.Path("/settings")}, last}, more...)
}

func (s *Service) tokensView(r *web.Request, page db.Page[Token], n int64, kind string) views.WorkspaceTokens {
	base := r.Path(settingsPath)
	at := func(cursor string) string {
		if cursor == "" {
			return ""
		}
		return base + "?" + url.Values{"kind": {kind}, "cursor": {cursor}}.Encode()
	}
	newToken := ui.LinkButton{Text: "New service token", Href: base + "/new", Icon: "plus", Kind: ui.Primary}
	v := views.WorkspaceTokens{
		Filter: ui.Tabs{Label: "Kind of token", Items: []ui.Tab{
			{Text: "All", Href: base, Current: kind == ""},
			{Text: "Service", Href: base + "?kind=" + KindService, Current: kind == KindService},
			{Text: "Personal", Href: base + "?kind=" + KindPersonal, Current: kind == KindPersonal},
		}},
		Pager: ui.Pager{Label: countWords(n, "token"), Prev: at(page.Prev), Next: at(page.Next)},
		New:   newToken,
		Empty: ui.Empty{Icon: "key-round", Title: "No API tokens", Text: "A service token lets a program, such as a deploy pipeline, use the API with a role of its own.", Actions: []ui.LinkButton{newToken}},
	}
	if kind != "" {
		v.Empty = ui.Empty{Icon: "key-round", Title: "No " + kind + " tokens", Text: "Choose “All” above to see every token.", Actions: []ui.LinkButton{{Text: "Show all", Href: base}}}
	}
	for _, t := range page.Items {
		item := tokenView(r, t)
		item.Belongs = "Service, " + strings.ToLower(t.Role.Label())
		if t.Kind == KindPersonal {
			item.Belongs = t.OwnerName
			if item.Belongs == "" {
				item.Belongs = "A former member"
			}
		}
		item.Sub = item.Access
		item.RevokeURL = base + "/" + t.ID.String() + "/revoke"
		v.Items = append(v.Items, item)
	}
	return v
}

func countWords(n int64, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case n > db.CountCap:
		return "10,000+ " + noun + "s"
	default:
		return fmt.Sprintf("%d %ss", n, noun)
	}
}

func (s *Service) showNewServiceToken(r *web.Request) error {
	return s.serviceTokenPage(r, tokenForm{Role: string(access.Viewer), Expiry: "365", Access: accessAll}, nil)
}

func (s *Service) serviceTokenPage(r *web.Request, f tokenForm, err error) error {
	v := s.newTokenView(r.Actor, f, err, access.Admin)
	v.Head = ui.PageHead{Title: "New service token", Lede: "For a program that acts for itself and not for a person."}
	v.Form.Action, v.Cancel = r.Path(settingsPath), r.Path(settingsPath)
	role := ui.Field{Name: "role", Label: "Role", Required: true, Error: form.Messages(err)["role"]}
	hints := map[access.Role]string{
		access.Viewer: "Reads.", access.Member: "Creates and edits.", access.Approver: "Also decides approvals.", access.Admin: "Also manages members, settings and integrations.",
	}
	for _, ro := range ServiceRoles() {
		role.Options = append(role.Options, ui.Option{Value: string(ro), Text: ro.Label(), Hint: hints[ro], Selected: string(ro) == f.Role})
	}
	v.Role = &role
	page := web.Page{Title: "New service token", Crumbs: tokenCrumbs(r, web.Crumb{Text: "New"})}
	if err != nil {
		return r.InvalidPage(err, page, views.NewTokenPage(v))
	}
	return r.Page(page, views.NewTokenPage(v))
}

func (s *Service) createServiceToken(r *web.Request) error {
	if err := s.attempt("token", r.User().ID.String()); err != nil {
		return err
	}
	var f tokenForm
	err := r.Form(&f)
	var t Token
	var token string
	if err == nil {
		t, token, err = s.createFromForm(r, r.Actor, f, KindService)
	}
	if err != nil {
		return s.serviceTokenPage(r, f, err)
	}
	v := createdView(r, t, token, r.Workspace.Slug)
	v.DoneHref = r.Path(settingsPath)
	return r.Page(web.Page{Title: "API token created", Status: http.StatusCreated, Crumbs: tokenCrumbs(r, web.Crumb{Text: "Created"})}, views.CreatedTokenPage(v))
}

func (s *Service) showRevokeToken(r *web.Request) error {
	t, err := s.tokenOf(r, r.Actor)
	if err != nil {
		return err
	}
	v := views.RevokeToken{Confirm: revokeForm(t, r.Path(settingsPath+"/"+t.ID.String()+"/revoke"), r.Path(settingsPath))}
	return r.Page(web.Page{Title: "Revoke API token", Crumbs: tokenCrumbs(r, web.Crumb{Text: "Revoke"})}, views.RevokeTokenPage(v))
}

func (s *Service) revokeAnyToken(r *web.Request) error {
	return s.revokeAndReturn(r, r.Actor, r.Path(settingsPath))
}
