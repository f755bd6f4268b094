package members

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/export"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/members"
	"github.com/vigilo/vigilo/templates/ui"
)

// invitationQuery reads the filters of the list. Without one it shows what is open.
func invitationQuery(q url.Values) (list *db.ListQuery[InvitationRow], text string, st InvitationState) {
	list = invitationList.Query()
	st = InvitationState(q.Get("state"))
	switch {
	case slices.Contains(InvitationStates(), st):
		list.Filter(string(st), nil)
	case st == "all":
	default:
		st = ""
		list.Filter("open", nil)
	}
	if text = filterText(q); text != "" {
		list.Filter("text", db.Args{"text": text})
	}
	return list, text, st
}

func (s *Service) showInvitations(r *web.Request) error {
	q := r.URL.Query()
	list, text, st := invitationQuery(q)
	list, err := list.After(q.Get("cursor"))
	if err != nil {
		return err
	}
	var page *db.PageResult[InvitationRow]
	var count *db.Result[int64]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		page, count = list.Queue(b), list.QueueCount(b)
	}); err != nil {
		return err
	}
	total, _ := count.First()
	return r.Page(web.Page{Title: "Invitations", Crumbs: crumbs(r, web.Crumb{Text: "Invitations"})},
		views.InvitationListPage(invitationsView(r, text, st, page.Page, total)))
}

func invitationsView(r *web.Request, text string, st InvitationState, page db.Page[InvitationRow], total int64) views.InvitationList {
	path, q := r.Path("/members/invitations"), r.URL.Query()
	v := views.InvitationList{
		Lede: "Links that wait for an answer. Each works once, for 7 days.", Tabs: tabs(r, "Invitations"),
		Filters: ui.Filters{
			Action: path, Results: "results", Search: ui.Search{Name: "q", Value: text, Label: "Filter invitations", Placeholder: "Filter by e-mail"},
		},
		State: ui.Field{Name: "state", Label: "State", Required: true, Options: []ui.Option{{Text: "Open"}, {Value: "all", Text: "All", Selected: st == "all"}}},
		Pager: ui.Pager{Label: countLabel(total, "invitation")},
		Actions: []ui.LinkButton{
			{Text: "Invite many by CSV", Href: path + "/import", Icon: "upload"},
			{Text: "Invite somebody", Href: path + "/new", Icon: "user-plus", Kind: ui.Primary},
		},
	}
	for _, o := range InvitationStates() {
		v.State.Options = append(v.State.Options, ui.Option{Value: string(o), Text: o.Label(), Selected: o == st})
	}
	if st != "" && st != "all" {
		v.Filters.Chips = []ui.Chip{{Field: "State", Operator: "is", Value: st.Label(), RemoveHref: web.Address(path, q, "state", "")}}
	}
	for _, i := range page.Items {
		row := views.InvitationRow{
			Email: i.Email, Role: i.Role.Label(), State: invitationBadge(i.State(r.Now())), Inviter: i.Inviter,
			Sent: r.Moment(i.SentAt), Expires: r.Moment(i.ExpiresAt),
		}
		if state := i.State(r.Now()); state == Pending || state == Expired {
			row.ResendHref, row.RevokeHref = path+"/"+i.ID.String()+"/resend", path+"/"+i.ID.String()+"/revoke"
		}
		v.Rows = append(v.Rows, row)
	}
	if page.Next != "" {
		v.Pager.Next = web.Address(path, q, "cursor", page.Next)
	}
	if page.Prev != "" {
		v.Pager.Prev = web.Address(path, q, "cursor", page.Prev)
	}
	if len(v.Rows) == 0 {
		v.Empty = noMatch("invitation", path, text, v.Filters.Chips)
		if text == "" && len(v.Filters.Chips) == 0 {
			v.Empty = &ui.Empty{
				Icon: "mail", Title: "No invitation is open", Text: "Invite a colleague: they get a link and join with the role you choose.",
				Actions: []ui.LinkButton{{Text: "Invite somebody", Href: path + "/new", Icon: "user-plus"}},
			}
		}
	}
	return v
}

func invitePage(r *web.Request, title string) web.Page {
	return web.Page{Title: title, Crumbs: crumbs(r, web.Crumb{Text: "Invitations", Href: r.Path("/members/invitations")}, web.Crumb{Text: title})}
}

func (s *Service) inviteView(r *web.Request, f inviteForm, err error) views.Invite {
	path := r.Path("/members/invitations")
	role := access.Role(f.Role)
	if !role.Valid() {
		role = access.Member
	}
	v := views.Invite{
		Form: ui.Form{Action: path + "/new", Guard: true, Errors: errorList(err, map[string]string{"email": "E-mail", "role": "Role"})},
		Email: web.WithError(ui.Field{
			Name: "email", Label: "E-mail", Type: "email", Value: f.Email, Required: true, Autofocus: true, Autocomplete: "off", MaxLength: 254,
			Hint: "The address that the person signs in with.",
		}, err),
		Role: web.WithError(ui.Field{Name: "role", Label: "Role", Required: true, Options: roleOptions(r, role)}, err),
		Back: path, CSV: path + "/import",
	}
	if !s.MailsInvitations() {
		v.Note = &ui.Notice{Tone: ui.Info, Title: "No mail is sent.", Text: "You get the link on the next page and hand it over yourself."}
	}
	return v
}

func (s *Service) showInvite(r *web.Request) error {
	return r.Page(invitePage(r, "Invite somebody"), views.InvitePage(s.inviteView(r, inviteForm{}, nil)))
}

// mayInvite bounds how often a person sends invitations.
func (s *Service) mayInvite(r *web.Request) error {
	if s.inviteLimit == nil {
		return nil
	}
	if ok, retry, _ := s.inviteLimit.Allow(r.Principal.ID.String()); !ok {
		return web.TooMany(retry)
	}
	return nil
}

func (s *Service) createInvitation(r *web.Request) error {
	if err := s.mayInvite(r); err != nil {
		return err
	}
	var f inviteForm
	err := r.Form(&f)
	var issued Issued
	if err == nil {
		issued, err = s.Invite(r.Context(), r.Actor, NewInvitation{Email: f.Email, Role: access.Role(f.Role)})
	}
	if err != nil {
		return r.InvalidPage(err, invitePage(r, "Invite somebody"), views.InvitePage(s.inviteView(r, f, err)))
	}
	return s.showIssued(r, []Issued{issued})
}

// showIssued answers the POST itself: a redirect would have to carry the links, which
// exist nowhere else.
func (s *Service) showIssued(r *web.Request, issued []Issued) error {
	path := r.Path("/members/invitations")
	v := views.Issued{
		Title: countLabel(int64(len(issued)), "invitation") + " ready", Back: path, More: path + "/new",
		Note: ui.Notice{
			Tone: ui.Warn, Icon: "key-round", Title: "Copy what you need now: links are shown only once.",
			Text: "Whoever has a link still has to sign in with the invited address. “Send again” makes a new link.",
		},
		Lede: "No mail is sent by this installation, so hand the links over yourself.",
	}
	if s.MailsInvitations() {
		v.Lede = "The mail is on its way. You can hand the link over yourself as well."
	}
	if len(issued) == 1 {
		v.Title = "Invitation for " + issued[0].Email
		v.Link = &ui.CopyButton{Value: issued[0].Link, Label: "Copy the link"}
	} else {
		var b strings.Builder
		w := csv.NewWriter(&b)
		for _, i := range issued {
			if err := w.Write([]string{export.Cell(i.Email), i.Link}); err != nil {
				return fmt.Errorf("write links: %w", err)
			}
		}
		w.Flush()
		v.Lines = &ui.Field{Name: "links", Label: "One line for each person: e-mail, link", Value: b.String(), Rows: 12, Code: true, ReadOnly: true}
	}
	r.W.Header().Set("Cache-Control", "no-store")
	return r.Page(invitePage(r, v.Title), views.IssuedPage(v))
}

func importView(r *web.Request, rows string, err error) views.Import {
	path := r.Path("/members/invitations")
	return views.Import{
		Form: ui.Form{Action: path + "/import", Upload: true, Guard: true, Errors: errorList(err, map[string]string{"rows": "Lines"})},
		Rows: web.WithError(ui.Field{
			Name: "rows", Label: "Lines", Value: rows, Rows: 10, Code: true, Placeholder: "mara@example.com,member",
			Hint: "At most 5,000. Roles: viewer, member, approver, admin, owner. Without a role a person becomes member.",
		}, err),
		File: ui.Field{Name: "file", Label: "Or a CSV file", Type: "file", Hint: "In UTF-8, with the same two columns.", Attrs: map[string]any{"accept": ".csv,text/csv"}},
		Back: path,
	}
}

func (s *Service) showImport(r *web.Request) error {
	return r.Page(invitePage(r, "Invite many"), views.ImportPage(importView(r, "", nil)))
}

// maxImport bounds the text of an import: 5,000 lines of the longest address and role.
const maxImport = 2 << 20

// importText returns the lines of the form: the file when one was chosen, else the text.
func importText(r *web.Request) (string, error) {
	var f importForm
	if err := r.Form(&f); err != nil {
		return "", err
	}
	file, _, err := r.FormFile("file")
	if errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) {
		return f.Rows, nil
	}
	if err != nil {
		return "", fmt.Errorf("open upload: %w", err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxImport+1))
	if err != nil {
		return "", fmt.Errorf("read upload: %w", err)
	}
	if len(raw) > maxImport {
		return "", fault.InvalidField("rows", "too_large", "This file is larger than 2 MiB. Split it and send the parts.")
	}
	if len(raw) == 0 {
		return f.Rows, nil
	}
	return string(raw), nil
}

func (s *Service) importInvitations(r *web.Request) error {
	if err := s.mayInvite(r); err != nil {
		return err
	}
	text, err := importText(r)
	var rows []NewInvitation
	if err == nil {
		rows, err = ParseInvitations(text)
	}
	var issued []Issued
	if err == nil {
		issued, err = s.InviteMany(r.Context(), r.Actor, rows)
	}
	if err != nil {
		return r.InvalidPage(err, invitePage(r, "Invite many"), views.ImportPage(importView(r, strings.ToValidUTF8(text, "�"), err)))
	}
	return s.showIssued(r, issued)
}

func (s *Service) resendInvitation(r *web.Request) error {
	if err := s.mayInvite(r); err != nil {
		return err
	}
	id, err := r.UUID("id", "invitation")
	if err != nil {
		return err
	}
	issued, err := s.ResendInvitation(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	return s.showIssued(r, []Issued{issued})
}

func (s *Service) showRevoke(r *web.Request) error {
	id, err := r.UUID("id", "invitation")
	if err != nil {
		return err
	}
	inv, err := s.Invitation(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	path := r.Path("/members/invitations")
	return r.Page(invitePage(r, "Revoke the invitation"), views.ConfirmPage(views.Confirm{
		Head: ui.PageHead{Title: "Revoke the invitation"},
		Form: ui.ConfirmForm{
			Action: path + "/" + id.String() + "/revoke", Title: "Revoke the invitation of " + inv.Email + "?", Text: "The link stops working at once.",
			Confirm: "Revoke", Danger: true, CancelHref: path,
		},
	}))
}

func (s *Service) revokeInvitation(r *web.Request) error {
	id, err := r.UUID("id", "invitation")
	if err != nil {
		return err
	}
	if err := s.RevokeInvitation(r.Context(), r.Actor, id); err != nil {
		return err
	}
	r.Flash("Invitation revoked")
	return r.SeeOther(r.Path("/members/invitations"))
}

// mayLook bounds how often an address tries links.
func (s *Service) mayLook(r *web.Request) error {
	if s.linkLimit == nil {
		return nil
	}
	if ok, retry, _ := s.linkLimit.Allow(r.Actor.IP.String()); !ok {
		return web.TooMany(retry)
	}
	return nil
}

func (s *Service) showOffer(r *web.Request) error {
	if err := s.mayLook(r); err != nil {
		return err
	}
	o, err := s.FindOffer(r.Context(), r.Param("token"))
	if err != nil {
		return err
	}
	err = o.usable(r.Now())
	if err == nil && r.SignedIn() {
		// Whether the address is confirmed is asked when they accept.
		err = o.fits(r.User().Email, true)
	}
	return offerPage(r, o, err)
}

// offerPage shows an invitation, and why it cannot be accepted if so.
func offerPage(r *web.Request, o Offer, problem error) error {
	p := web.Page{Title: "Join " + o.WorkspaceName, Narrow: true}
	expires := r.Moment(o.ExpiresAt)
	v := views.Offer{
		Workspace: o.WorkspaceName, Text: "You are invited to a workspace on Vigilo.",
		Facts: []ui.Fact{
			{Label: "Invited", Text: o.Email}, {Label: "Role", Text: o.Role.Label(), Sub: roleHint(o.Role)}, {Label: "Expires", Time: &expires},
		},
	}
	if o.Inviter != "" {
		v.Text = o.Inviter + " invites you to a workspace on Vigilo."
	}
	path := "/invitations/" + url.PathEscape(r.Param("token"))
	if problem != nil {
		e := fault.Find(problem)
		if e == nil || e.Kind == fault.Internal || e.Kind == fault.Unavailable {
			return problem
		}
		r.LogFailure(problem)
		v.Notice = &ui.Notice{Tone: ui.Warn, Title: e.Message, Alert: true}
		p.Status, _ = web.DescribeError(problem, r.ID)
		return r.Bare(p, views.OfferPage(v))
	}
	if r.SignedIn() {
		v.Accept = path
	} else {
		v.SignIn = "/login?return_to=" + url.QueryEscape(path)
	}
	return r.Bare(p, views.OfferPage(v))
}

func (s *Service) acceptOffer(r *web.Request) error {
	if err := s.mayLook(r); err != nil {
		return err
	}
	o, err := s.AcceptOffer(r.Context(), r.Actor, r.Param("token"))
	if err != nil {
		if o.Slug == "" {
			return err
		}
		return offerPage(r, o, err)
	}
	r.Flash("Welcome to " + o.WorkspaceName)
	return r.SeeOther("/ws/" + o.Slug)
}
