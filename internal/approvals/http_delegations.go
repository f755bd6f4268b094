package approvals

import (
	"strings"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/approvals"
	"github.com/vigilo/vigilo/templates/ui"
)

func (s *Service) showDelegations(r *web.Request) error {
	q := r.URL.Query()
	path := r.Path(delegationsPath)
	view := q.Get("view")
	query := delegationList.Query()
	if view == "over" {
		query.Filter("over", nil)
	} else {
		view = ""
		query.Filter("current", nil)
	}
	text := strings.ToValidUTF8(strings.ReplaceAll(strings.TrimSpace(q.Get("q")), "\x00", ""), "")
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "")
	}
	if text != "" {
		query.Filter("text", db.Args{"text": text})
	}
	scope := ""
	for _, k := range seats.ScopeKinds() {
		if q.Get("scope") == string(k) {
			scope = string(k)
			query.Filter("scope", db.Args{"scope": scope})
		}
	}
	query, err := query.Sort(q.Get("sort")).After(q.Get("cursor"))
	if err != nil {
		return err
	}
	var page *db.PageResult[Delegation]
	var count *db.Result[int64]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { page, count = query.Queue(b), query.QueueCount(b) }); err != nil {
		return err
	}
	total, _ := count.First()
	v := views.Delegations{
		Head:    ui.PageHead{Title: "Delegations", Lede: "Who decides approvals in whose place."},
		Actions: []ui.LinkButton{{Text: "New delegation", Href: path + "/new", Icon: "plus", Kind: ui.Primary}},
		Tabs: ui.Tabs{Label: "State", Items: []ui.Tab{
			{Text: "Running and coming", Href: path, Current: view == ""}, {Text: "Over", Href: path + "?view=over", Current: view == "over"},
		}},
		Filters: ui.Filters{Action: path, Results: "results", Search: ui.Search{Name: "q", Value: text, Label: "Filter by name or key", Placeholder: "Filter by the beginning of a name"}},
		Columns: web.Headings(path, q, query.SortInUse(), []web.SortColumn{
			{Name: "key", Column: ui.Column{Text: "For"}},
			{Name: "", Column: ui.Column{Text: "Who decides"}},
			{Name: "", Column: ui.Column{Text: "Covers", Leaves: ui.LeavesNext}},
			{Name: "", Column: ui.Column{Text: "Starts", Leaves: ui.LeavesThird}},
			{Name: "ends_at", Column: ui.Column{Text: "Ends", Leaves: ui.LeavesLast}},
			{Name: "", Column: ui.Column{Text: "State"}},
			{Name: "", Column: ui.Column{Text: "Actions", Hidden: true, End: true}},
		}),
		Pager: ui.Pager{Label: countLabel(total, "delegation")},
	}
	v.Scope = ui.Field{Name: "scope", Label: "Covers", Required: true, Options: []ui.Option{{Text: "Any"}}}
	for _, k := range seats.ScopeKinds() {
		words := map[seats.ScopeKind]string{
			seats.ScopeAll: "Everything", seats.ScopeChangeType: "A change type", seats.ScopeAssetGroup: "Assets with a tag", seats.ScopePolicy: "A policy",
		}[k]
		v.Scope.Options = append(v.Scope.Options, ui.Option{Value: string(k), Text: words, Selected: string(k) == scope})
		if string(k) == scope {
			v.Filters.Chips = []ui.Chip{{Field: "Covers", Operator: "is", Value: lower(words), RemoveHref: web.Address(path, q, "scope", "")}}
		}
	}
	if view != "" {
		v.Filters.Hidden = []ui.Hidden{{Name: "view", Value: view}}
	}
	for _, d := range page.Page.Items {
		v.Rows = append(v.Rows, delegationRowView(r, d))
	}
	if page.Page.Next != "" {
		v.Pager.Next = web.Address(path, q, "cursor", page.Page.Next)
	}
	if page.Page.Prev != "" {
		v.Pager.Prev = web.Address(path, q, "cursor", page.Page.Prev)
	}
	if len(v.Rows) == 0 {
		v.Empty = &ui.Empty{Icon: "user-check", Title: "No delegation", Text: "Approvals go to the people whom policies name.", Actions: v.Actions}
		var names []string
		if text != "" {
			names = append(names, "the text “"+text+"”")
		}
		for _, c := range v.Filters.Chips {
			names = append(names, "the filter "+c.Field+" "+c.Operator+" "+c.Value)
		}
		if len(names) > 0 {
			v.Empty = &ui.Empty{Icon: "filter", Title: "No delegation matches", Text: "Remove " + strings.Join(names, " or ") + " to see more.", Actions: []ui.LinkButton{{Text: "Clear all", Href: path}}}
		}
	}
	return r.Page(web.Page{Title: "Delegations", Crumbs: []web.Crumb{{Text: "Admin"}, {Text: "Delegations"}}}, views.DelegationsPage(v))
}

func delegationRowView(r *web.Request, d Delegation) views.DelegationRow {
	path := r.Path(delegationsPath + "/" + d.ID.String())
	row := views.DelegationRow{
		Link: ui.RowLink{Key: d.Key, Text: title(nameOr(d.PrincipalName)), Sub: scopeText(d), Href: path}, To: title(nameOr(d.DelegateName)),
		Scope: scopeText(d), From: moment(r, d.Start), Until: moment(r, d.End), State: delegationBadge(d, r.Now()),
	}
	if d.RevokedAt == nil && d.End.After(r.Now()) {
		row.Menu = &ui.Menu{ID: "delegation-" + d.ID.String(), Label: "Actions for " + d.Key, Icon: "ellipsis", IconOnly: true, Small: true, Items: []ui.MenuItem{
			{Text: "Edit", Href: path, Icon: "pencil"}, {Text: "Revoke", Href: path + "/revoke", Icon: "ban", Danger: true},
		}}
	}
	return row
}
