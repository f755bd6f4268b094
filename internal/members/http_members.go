package members

import (
	"encoding/csv"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/export"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/members"
	"github.com/vigilo/vigilo/templates/ui"
)

// filterText takes a search text from an address; what PostgreSQL refuses is dropped.
func filterText(q url.Values) string {
	text := strings.ToValidUTF8(strings.ReplaceAll(strings.TrimSpace(q.Get("q")), "\x00", ""), "")
	if len(text) > 200 {
		return strings.ToValidUTF8(text[:200], "")
	}
	return text
}

// filterOf reads the filters of the list. Unknown values are left out, so that an old
// bookmark still shows something.
func filterOf(q url.Values) Filter {
	f := Filter{Text: filterText(q)}
	if role := access.Role(q.Get("role")); role.Valid() {
		f.Role = role
	}
	if st := State(q.Get("state")); st == Active || st == Suspended {
		f.State = st
	}
	return f
}

func (s *Service) showMembers(r *web.Request) error {
	q := r.URL.Query()
	f := filterOf(q)
	if q.Get("format") == "csv" {
		return s.sendMembers(r, f)
	}
	list, err := f.query()
	if err != nil {
		return err
	}
	list = list.Sort(q.Get("sort"))
	if list, err = list.After(q.Get("cursor")); err != nil {
		return err
	}
	var page *db.PageResult[Member]
	var count *db.Result[int64]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		page, count = list.Queue(b), list.QueueCount(b)
	}); err != nil {
		return err
	}
	total, _ := count.First()
	return r.Page(web.Page{Title: "Members", Crumbs: []web.Crumb{{Text: "Admin"}, {Text: "Members"}}},
		views.MemberListPage(memberListView(r, f, list.SortInUse(), page.Page, total)))
}

func memberListView(r *web.Request, f Filter, sort string, page db.Page[Member], total int64) views.MemberList {
	path, q := r.Path("/members"), r.URL.Query()
	v := views.MemberList{
		Lede: "Who may open this workspace, and what they may do in it.", Tabs: tabs(r, "Members"),
		Filters: ui.Filters{
			Action: path, Results: "results", Search: ui.Search{Name: "q", Value: f.Text, Label: "Filter members", Placeholder: "Filter by name or e-mail"},
		},
		Role:    ui.Field{Name: "role", Label: "Role", Required: true, Options: []ui.Option{{Text: "Any"}}},
		State:   ui.Field{Name: "state", Label: "State", Required: true, Options: []ui.Option{{Text: "Any"}}},
		Pager:   ui.Pager{Label: countLabel(total, "member")},
		Actions: []ui.LinkButton{{Text: "Export CSV", Href: web.Address(path, q, "format", "csv"), Icon: "download"}},
	}
	if r.Can(ManageMembers) {
		v.Actions = append(v.Actions, ui.LinkButton{Text: "Invite somebody", Href: r.Path("/members/invitations/new"), Icon: "user-plus", Kind: ui.Primary})
	}
	if sort != "name" {
		v.Filters.Hidden = []ui.Hidden{{Name: "sort", Value: sort}}
	}
	for _, role := range access.Roles() {
		v.Role.Options = append(v.Role.Options, ui.Option{Value: string(role), Text: role.Label(), Selected: role == f.Role})
	}
	for _, st := range States() {
		v.State.Options = append(v.State.Options, ui.Option{Value: string(st), Text: st.Label(), Selected: st == f.State})
	}
	if f.Role != "" {
		v.Filters.Chips = append(v.Filters.Chips, ui.Chip{Field: "Role", Operator: "is", Value: f.Role.Label(), RemoveHref: web.Address(path, q, "role", "")})
	}
	if f.State != "" {
		v.Filters.Chips = append(v.Filters.Chips, ui.Chip{Field: "State", Operator: "is", Value: f.State.Label(), RemoveHref: web.Address(path, q, "state", "")})
	}
	v.Columns = web.Headings(path, q, sort, []web.SortColumn{
		{Name: "name", Column: ui.Column{Text: "Name"}},
		{Name: "email", Column: ui.Column{Text: "E-mail", Leaves: ui.LeavesThird}},
		{Name: "role", Column: ui.Column{Text: "Role"}},
		{Name: "", Column: ui.Column{Text: "State"}},
		{Name: "last_seen", Column: ui.Column{Text: "Last seen", Leaves: ui.LeavesThird}},
		{Name: "joined", Column: ui.Column{Text: "Joined", Leaves: ui.LeavesFirst}},
	})
	for _, m := range page.Items {
		row := views.MemberRow{
			Link:   ui.RowLink{Text: m.Name, Sub: m.Email, Href: path + "/" + m.ID.String()},
			Person: person(m.UserID, m.Name), Email: m.Email, Role: m.Role.Label(), State: stateBadge(m.State),
			Joined: r.Moment(m.JoinedAt), JoinedBy: m.JoinedVia.Label(),
		}
		if m.UserID == r.Actor.UserID {
			row.Link.Dim = "(you)"
		}
		if m.LastSeenAt != nil {
			seen := r.Moment(*m.LastSeenAt)
			row.Seen = &seen
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
		v.Empty = noMatch("member", path, f.Text, v.Filters.Chips)
	}
	return v
}

// noMatch names what to remove so that something is found again.
func noMatch(unit, path, text string, chips []ui.Chip) *ui.Empty {
	var names []string
	if text != "" {
		names = append(names, "the text “"+text+"”")
	}
	for _, c := range chips {
		names = append(names, "the filter "+c.Field+" "+c.Operator+" "+c.Value)
	}
	return &ui.Empty{
		Icon: "filter", Title: "No " + unit + " matches", Text: "Remove " + strings.Join(names, " or ") + " to see more.",
		Actions: []ui.LinkButton{{Text: "Clear all", Href: path}},
	}
}

// sendMembers writes the filtered list as CSV. Rows are read before the first byte, so
// that a failure is still an error page.
func (s *Service) sendMembers(r *web.Request, f Filter) error {
	var b strings.Builder
	w := csv.NewWriter(&b)
	if err := w.Write([]string{"name", "email", "role", "state", "joined_via", "joined_at", "last_seen_at"}); err != nil {
		return fmt.Errorf("write csv: %w", err)
	}
	err := s.ExportMembers(r.Context(), r.Actor, f, func(m Member) error {
		seen := ""
		if m.LastSeenAt != nil {
			seen = m.LastSeenAt.UTC().Format(time.RFC3339)
		}
		return w.Write([]string{
			export.Cell(m.Name), export.Cell(m.Email), string(m.Role), string(m.State), string(m.JoinedVia), m.JoinedAt.UTC().Format(time.RFC3339), seen,
		})
	})
	if err != nil {
		return err
	}
	w.Flush()
	if _, err := r.Download("members.csv", "text/csv; charset=utf-8").Write([]byte(b.String())); err != nil {
		return fmt.Errorf("send csv: %w", err)
	}
	return nil
}

func (s *Service) showMember(r *web.Request) error {
	id, err := r.UUID("id", "member")
	if err != nil {
		return err
	}
	m, err := s.Member(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	return r.Page(memberPage(r, m), views.MemberPage(memberView(r, m, m.Role, nil)))
}

func memberPage(r *web.Request, m Member) web.Page {
	return web.Page{Title: m.Name, Crumbs: crumbs(r, web.Crumb{Text: m.Name})}
}

func memberView(r *web.Request, m Member, role access.Role, err error) views.Member {
	path := r.Path("/members/" + m.ID.String())
	badge := stateBadge(m.State)
	who := person(m.UserID, m.Name)
	joined := r.Moment(m.JoinedAt)
	v := views.Member{
		Head: ui.PageHead{Title: m.Name, Lede: m.Email, Badge: &badge}, Person: who,
		Facts: []ui.Fact{
			{Label: "Role", Text: m.Role.Label(), Sub: roleHint(m.Role)},
			{Label: "Joined by", Text: m.JoinedVia.Label()},
			{Label: "Joined", Time: &joined},
			{Label: "Last seen", Text: "Never"},
		},
	}
	if m.LastSeenAt != nil {
		seen := r.Moment(*m.LastSeenAt)
		v.Facts[3] = ui.Fact{Label: "Last seen", Time: &seen}
	}
	self := m.UserID == r.Actor.UserID
	if !r.Can(ManageMembers) || (m.Role == access.Owner && !r.Can(OwnWorkspace)) {
		return v
	}
	if m.JoinedVia == Group {
		v.Note = &ui.Notice{
			Tone: ui.Info, Title: "This role follows a group of the identity provider.",
			Text: "A change here lasts until the person signs in next. Change the rule or the group instead.",
		}
	}
	version := ui.Hidden{Name: "version", Value: strconv.FormatInt(m.Version, 10)}
	v.Form = &ui.Form{Action: path, Hidden: []ui.Hidden{version}, Errors: errorList(err, map[string]string{"role": "Role"})}
	v.Role = web.WithError(ui.Field{Name: "role", Label: "What " + m.Name + " may do", Required: true, Options: roleOptions(r, role)}, err)
	if !self {
		v.Toggle = &views.Toggle{
			Action: path + "/suspend", Title: "Suspend", Text: "A suspended member keeps their place but opens nothing until somebody resumes them.",
			Button: ui.Button{Text: "Suspend", Icon: "circle-pause"},
		}
		if m.State == Suspended {
			v.Toggle = &views.Toggle{
				Action: path + "/resume", Title: "Resume", Text: "The person may open the workspace again with the role above.",
				Button: ui.Button{Text: "Resume", Icon: "circle-play"},
			}
		}
	}
	text := "Remove " + m.Name
	if self {
		text = "Leave the workspace"
	}
	v.Remove = &ui.LinkButton{Text: text, Href: path + "/remove", Icon: "user-minus", Kind: ui.Danger}
	return v
}

func (s *Service) changeRole(r *web.Request) error {
	id, err := r.UUID("id", "member")
	if err != nil {
		return err
	}
	var f roleForm
	if err = r.Form(&f); err == nil {
		role := access.Role(f.Role)
		var m Member
		if m, err = s.ChangeMember(r.Context(), r.Actor, id, Change{Role: &role, Version: &f.Version}); err == nil {
			r.Flash(m.Name + " is now " + strings.ToLower(m.Role.Label()))
			return r.SeeOther(r.Path("/members/" + id.String()))
		}
	}
	return s.memberAgain(r, id, access.Role(f.Role), err)
}

// memberAgain shows the page of a member with what went wrong.
func (s *Service) memberAgain(r *web.Request, id uuid.UUID, role access.Role, err error) error {
	if !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.Conflict) {
		return err
	}
	m, loadErr := s.Member(r.Context(), r.Actor, id)
	if loadErr != nil {
		return loadErr
	}
	if !role.Valid() {
		role = m.Role
	}
	return r.InvalidPage(err, memberPage(r, m), views.MemberPage(memberView(r, m, role, err)))
}

func (s *Service) changeState(st State) web.Handler {
	return func(r *web.Request) error {
		id, err := r.UUID("id", "member")
		if err != nil {
			return err
		}
		m, err := s.ChangeMember(r.Context(), r.Actor, id, Change{State: &st})
		if err != nil {
			return s.memberAgain(r, id, "", err)
		}
		r.Flash(m.Name + " is " + strings.ToLower(st.Label()))
		return r.SeeOther(r.Path("/members/" + id.String()))
	}
}

func (s *Service) showRemove(r *web.Request) error {
	m, err := s.memberOf(r)
	if err != nil {
		return err
	}
	return r.Page(memberPage(r, m), views.ConfirmPage(removeView(r, m, nil)))
}

func (s *Service) memberOf(r *web.Request) (Member, error) {
	id, err := r.UUID("id", "member")
	if err != nil {
		return Member{}, err
	}
	return s.Member(r.Context(), r.Actor, id)
}

func removeView(r *web.Request, m Member, err error) views.Confirm {
	path := r.Path("/members/" + m.ID.String())
	v := views.Confirm{
		Head: ui.PageHead{Title: "Remove " + m.Name},
		Form: ui.ConfirmForm{
			Action: path + "/remove", Title: "Remove " + m.Name + " from " + r.Workspace.Name + "?", Danger: true, Confirm: "Remove",
			Points:     []string{m.Name + " loses access at once.", "They leave every group of people here, and their API tokens for this workspace are revoked.", "What they did stays in the records."},
			CancelHref: path, Errors: errorList(err, nil),
		},
	}
	if m.JoinedVia == Group {
		v.Form.Points = append(v.Form.Points, "They came by a group of the identity provider and come back at their next sign-in while the rule holds.")
	}
	if m.UserID == r.Actor.UserID {
		v.Head.Title, v.Form.Title, v.Form.Confirm = "Leave the workspace", "Leave "+r.Workspace.Name+"?", "Leave"
	}
	return v
}

func (s *Service) removeMember(r *web.Request) error {
	m, err := s.memberOf(r)
	if err != nil {
		return err
	}
	if err := s.RemoveMember(r.Context(), r.Actor, m.ID); err != nil {
		return r.InvalidPage(err, memberPage(r, m), views.ConfirmPage(removeView(r, m, err)))
	}
	if m.UserID == r.Actor.UserID {
		r.Flash("You left " + r.Workspace.Name)
		return r.SeeOther("/workspaces")
	}
	r.Flash(m.Name + " was removed")
	return r.SeeOther(r.Path("/members"))
}
