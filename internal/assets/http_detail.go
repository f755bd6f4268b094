package assets

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/assets"
	"github.com/vigilo/vigilo/templates/ui"
)

const (
	tabOverview = ""
	tabImpact   = "/impact"
	tabActivity = "/activity"
)

// readAsset reads the asset that the address names.
func (s *Service) readAsset(r *web.Request, more func(b *db.Batch, id uuid.UUID)) (Item, error) {
	id, err := r.UUID("id", "asset")
	if err != nil {
		return Item{}, err
	}
	return s.itemWith(r.Context(), r.Actor, id, func(b *db.Batch) { more(b, id) })
}

// itemWith reads an asset with what more adds to the same round trip.
func (s *Service) itemWith(ctx context.Context, actor db.Actor, id uuid.UUID, more func(b *db.Batch)) (Item, error) {
	var row *db.Result[Item]
	err := s.db.ReadBatch(ctx, actor, func(b *db.Batch) {
		row = itemByID.Queue(b, db.Args{"id": id})
		more(b)
	})
	if err != nil {
		return Item{}, err
	}
	a, ok := row.First()
	if !ok {
		return a, fault.NewNotFound("asset")
	}
	return a, nil
}

// header makes what all pages of an asset share.
func (s *Service) header(r *web.Request, a Item, tab string) views.Header {
	path, badge := r.Path(a.Path()), criticalityBadge(a.Criticality)
	if a.Criticality != "critical" {
		badge.Text += " criticality"
	}
	if a.Lifecycle != Active {
		badge = lifecycleBadge(a.Lifecycle)
	}
	v := views.Header{
		Head: ui.PageHead{
			Title: a.Name, Badge: &badge, Lede: lede(a.Asset),
			Printed: fmt.Sprintf("Vigilo, workspace %s. Printed %s by %s. %s, version %d.", r.Workspace.Name,
				timetext.Prose(r.Now(), r.Zone()), r.User().Name, a.Name, a.Version),
		},
		MayChange: r.Can(CanUpdate) || r.Can(CanRetire) || r.Can(CanDelete), MapHref: r.Path("/assets/map?focus=" + a.ID.String()),
		Menu: ui.Menu{ID: "asset-menu", Label: "Change", Items: menu(r, a.Asset)},
		Tabs: ui.Tabs{Label: "Asset", Items: []ui.Tab{
			{Text: "Overview", Href: path, Current: tab == tabOverview},
			{Text: "Impact", Href: path + tabImpact, Current: tab == tabImpact},
		}},
	}
	if s.activity != nil {
		v.Tabs.Items = append(v.Tabs.Items, ui.Tab{Text: "Activity", Href: path + tabActivity, Current: tab == tabActivity})
	}
	return v
}

func lede(a Asset) string {
	text := typeTitle(a.Type) + " in " + environmentLabel(a.Environment)
	if a.Environment == "other" {
		text = typeTitle(a.Type)
	}
	if a.Team != "" {
		text += ", looked after by " + a.Team
	}
	return text + "."
}

func menu(r *web.Request, a Asset) []ui.MenuItem {
	path := r.Path(a.Path())
	var items []ui.MenuItem
	if r.Can(CanUpdate) && a.Lifecycle != Retired {
		items = append(items,
			ui.MenuItem{Text: "Edit", Href: path + "/edit", Icon: "pencil"},
			ui.MenuItem{Text: "Add relationship", Href: path + "/relationships", Icon: "git-branch"})
	}
	if r.Can(CanRetire) {
		if a.Lifecycle == Retired {
			items = append(items, ui.MenuItem{Text: "Take back into use", Href: path + "/reinstate", Icon: "undo-2", Post: true})
		} else {
			items = append(items, ui.MenuItem{Text: "Retire", Href: path + "/retire", Icon: "archive"})
		}
	}
	if r.Can(CanDelete) {
		items = append(items, ui.MenuItem{Text: "Delete", Href: path + "/delete", Icon: "trash-2", Danger: true})
	}
	return items
}

func assetPage(r *web.Request, a Item, tab string) web.Page {
	at := []web.Crumb{{Text: a.Name}}
	title := a.Name
	if tab != "" {
		at = []web.Crumb{{Text: a.Name, Href: r.Path(a.Path())}, {Text: tab}}
		title = tab + " of " + title
	}
	return web.Page{Title: title, Crumbs: crumbs(r, at...)}
}

func (s *Service) showDetail(r *web.Request) error {
	var near *db.Result[edgeRow]
	var panels []queuedPanel
	a, err := s.readAsset(r, func(b *db.Batch, id uuid.UUID) {
		near = edgesOf.Queue(b, db.Args{"id": id})
		panels = s.queuePanels(b, r.Actor, id)
	})
	if err != nil {
		return err
	}
	v := views.Detail{
		Header: s.header(r, a, tabOverview), Tags: a.Tags, MayRelate: r.Can(CanUpdate) && a.Lifecycle != Retired,
		AddHref: r.Path(a.Path() + "/relationships?direction="), Facts: facts(r, a), Planning: planning(a.Asset),
	}
	if a.Description != "" {
		v.Description = strings.Split(a.Description, "\n")
	}
	for _, name := range slices.Sorted(maps.Keys(a.Custom)) {
		v.Custom = append(v.Custom, ui.Fact{Label: name, Text: a.Custom[name]})
	}
	if a.Lifecycle == Retired {
		v.Notice = &ui.Notice{
			Tone: ui.Mute, Icon: "archive", Title: "This asset is retired.",
			Text: "It left lists and pickers on " + timetext.Date(*a.RetiredAt, r.Zone()).Text + ". Its history stays.",
		}
	}
	v.Below = edgeCard(r, a, near.Rows, true)
	v.Above = edgeCard(r, a, near.Rows, false)
	for _, p := range panels {
		view, err := p.view(r.Zone(), r.Now())
		if err != nil {
			return fmt.Errorf("panel %s of asset %s: %w", p.ID, a.ID, err)
		}
		v.Panels = append(v.Panels, panelCard(r, p.Panel, view))
	}
	return r.Page(assetPage(r, a, ""), views.DetailPage(v))
}

func panelCard(r *web.Request, p Panel, view PanelView) views.PanelCard {
	out := views.PanelCard{Card: ui.Card{ID: p.ID, Title: p.Title, Flush: true}, Empty: p.Empty}
	if view.MorePath != "" {
		out.Card.Link = &ui.Link{Text: view.MoreText, Href: r.Path(view.MorePath)}
	}
	for _, row := range view.Rows {
		row.Href = r.Path(row.Href)
		out.Rows = append(out.Rows, row)
	}
	return out
}

func facts(r *web.Request, a Item) []ui.Fact {
	life, crit := lifecycleBadge(a.Lifecycle), criticalityBadge(a.Criticality)
	out := []ui.Fact{
		{Label: "Type", Text: typeTitle(a.Type)},
		{Label: "Environment", Text: environmentTitle(a.Environment)},
		{Label: "Criticality", Badge: &crit},
		{Label: "Lifecycle", Badge: &life},
		{Label: "Owner", Text: "Nobody", Person: person(a.OwnerID, a.OwnerName)},
	}
	if a.Team != "" {
		out = append(out, ui.Fact{Label: "Team", Text: a.Team})
	}
	if a.Hostname != "" {
		out = append(out, ui.Fact{Label: "Host", Text: a.Hostname, Copy: "Copy host name"})
	}
	out = append(out, ui.Fact{Label: "Comes from", Text: providerLabel(a.Provider)})
	if a.ExternalID != "" {
		out = append(out, ui.Fact{Label: "External id", Text: a.ExternalID, Copy: "Copy external id"})
	}
	added, changed := timetext.Date(a.CreatedAt, r.Zone()), timetext.Date(a.UpdatedAt, r.Zone())
	return append(out, ui.Fact{Label: "Added", Time: &added}, ui.Fact{Label: "Changed", Time: &changed})
}

func planning(a Asset) []ui.Fact {
	one := "May overlap"
	if a.OneChangeAtATime {
		one = "One at a time"
	}
	return []ui.Fact{
		{Label: "Changes", Text: one}, {Label: "Free before", Text: minutesLabel(a.LeadMinutes)}, {Label: "Free after", Text: minutesLabel(a.TrailMinutes)},
	}
}

// edgesShown is how many relationships of a direction fit on the page of an asset.
const edgesShown = 50

// edgeCard lists one direction: below is what the asset depends on.
func edgeCard(r *web.Request, a Item, rows []edgeRow, below bool) views.Edges {
	e := views.Edges{ID: "below", Title: "What it depends on", Empty: "Nothing is known that it depends on."}
	total := a.Below
	if !below {
		e = views.Edges{ID: "above", Title: "What depends on it", Empty: "Nothing is known that depends on it."}
		total = a.Above
	}
	for _, row := range rows {
		if (row.From == a.ID) != below || len(e.Rows) == edgesShown {
			continue
		}
		forward, back := verbs(row.Type)
		verb := forward
		if !below {
			verb = back
		}
		sub := []string{verb, strings.ToLower(typeTitle(row.OtherType)) + " in " + environmentLabel(row.OtherEnvironment)}
		if how := row.how(); how != "" {
			sub = append(sub, how)
		}
		if row.Exclusive {
			sub = append(sub, "no stand-in")
		}
		if row.Note != "" {
			sub = append(sub, row.Note)
		}
		out := views.EdgeRow{
			Icon: typeIcon(row.OtherType), Name: row.OtherName, Href: r.Path(assetPath(row.OtherID)), Sub: strings.Join(sub, " · "),
			Badge: criticalityBadge(row.OtherCriticality),
		}
		if row.OtherLifecycle == Retired {
			out.Badge = lifecycleBadge(Retired)
		}
		if r.Can(CanUpdate) {
			out.RemoveHref = r.Path("/assets/relationships/" + row.ID.String() + "/remove")
			out.RemoveText = "Remove the relationship with " + row.OtherName
		}
		e.Rows = append(e.Rows, out)
	}
	if total > int64(len(e.Rows)) {
		e.More = &ui.Link{Text: "All " + group(total), Href: r.Path(a.Path()+tabImpact) + "?depth=1"}
	}
	return e
}

func (s *Service) showImpact(r *web.Request) error {
	depth := DefaultDepth
	if text := r.URL.Query().Get("depth"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n == 0 {
			n = -1
		}
		if depth, err = checkDepth(n); err != nil {
			return err
		}
	}
	var down, up *db.Result[reachedRow]
	a, err := s.readAsset(r, func(b *db.Batch, id uuid.UUID) {
		args := walkArgs([]uuid.UUID{id}, depth)
		down, up = walkDown.Queue(b, args), walkUp.Queue(b, args)
	})
	if err != nil {
		return err
	}
	below, moreDown := reached(down.Rows)
	above, moreUp := reached(up.Rows)
	v := views.Impact{
		Header: s.header(r, a, tabImpact),
		Stats:  impactStats(below, moreDown),
		Down:   rings(r, "down", "Depends on it", "Nothing in use is known to depend on it.", below),
		Up:     rings(r, "up", "It depends on", "It is not known to depend on anything in use.", above),
	}
	for d := 1; d <= MaxDepth; d++ {
		v.Depths = append(v.Depths, ui.Tab{
			Text: counted(int64(d), "step", "steps"), Href: r.Path(a.Path()+tabImpact) + "?depth=" + strconv.Itoa(d), Current: d == depth,
		})
	}
	if moreDown || moreUp {
		v.Notice = &ui.Notice{Tone: ui.Warn, Title: "More than " + group(MaxImpact) + " assets are within reach.", Text: "Only the nearest are counted and listed."}
	}
	return r.Page(assetPage(r, a, "Impact"), views.ImpactPage(v))
}

// impactStats sums up the blast radius.
func impactStats(list []Reached, more bool) []ui.Stat {
	services, critical, exclusive := 0, 0, 0
	owners := map[uuid.UUID]bool{}
	for _, x := range list {
		if x.IsService() {
			services++
		}
		if x.Criticality == "critical" {
			critical++
		}
		if x.Exclusive {
			exclusive++
		}
		if x.OwnerUserID.Valid {
			owners[x.OwnerUserID.UUID] = true
		}
	}
	total := group(int64(len(list)))
	if more {
		total += "+"
	}
	tone := func(n int, t ui.Tone) ui.Tone {
		if n == 0 {
			return ui.Mute
		}
		return t
	}
	return []ui.Stat{
		{Label: "Depend on it", Value: total, Detail: counted(int64(len(owners)), "owner", "owners"), Tone: tone(len(list), ui.Info), Icon: "target"},
		{Label: "Services", Value: group(int64(services)), Detail: "and applications", Tone: tone(services, ui.Info), Icon: "layers"},
		{Label: "Critical", Value: group(int64(critical)), Detail: "must not fail", Tone: tone(critical, ui.Crit), Icon: "shield-alert"},
		{Label: "Without stand-in", Value: group(int64(exclusive)), Detail: "fail with it", Tone: tone(exclusive, ui.Warn), Icon: "link"},
	}
}

// ringShown is how many assets of one distance are listed.
const ringShown = 100

// rings puts what a walk found into one card for each distance.
func rings(r *web.Request, id, verb, empty string, list []Reached) []views.Ring {
	if len(list) == 0 {
		return []views.Ring{{ID: id, Title: verb, Empty: empty}}
	}
	var out []views.Ring
	for len(list) > 0 {
		n := slices.IndexFunc(list, func(x Reached) bool { return x.Depth != list[0].Depth })
		if n < 0 {
			n = len(list)
		}
		ring := views.Ring{
			ID: fmt.Sprintf("%s-%d", id, list[0].Depth), Title: verb + ", " + counted(int64(list[0].Depth), "step", "steps") + " away",
			Aside: group(int64(n)),
		}
		if list[0].Depth == 1 {
			ring.Title = verb + " directly"
		}
		for _, x := range list[:min(n, ringShown)] {
			badge := criticalityBadge(x.Criticality)
			sub := typeTitle(x.Type) + " in " + environmentLabel(x.Environment)
			if x.Team != "" {
				sub += ", " + x.Team
			}
			if x.Exclusive {
				sub += " · no stand-in on the way"
			}
			ring.Rows = append(ring.Rows, ui.Row{Icon: typeIcon(x.Type), Title: x.Name, Href: r.Path(x.Path()), Sub: sub, Badge: &badge})
		}
		if n > ringShown {
			ring.Rest = counted(int64(n-ringShown), "more is", "more are") + " not listed here."
		}
		out, list = append(out, ring), list[n:]
	}
	return out
}

// activityShown is how many entries the activity tab shows.
const activityShown = 100

func (s *Service) showActivity(r *web.Request) error {
	var view func() ([]ui.Entry, error)
	a, err := s.readAsset(r, func(b *db.Batch, id uuid.UUID) {
		timeline := s.activity(b, SubjectAsset, id, activityShown)
		view = func() ([]ui.Entry, error) { return timeline(r.Zone(), r.Now()) }
	})
	if err != nil {
		return err
	}
	v := views.ActivityPage{Header: s.header(r, a, tabActivity)}
	if v.Entries, err = view(); err != nil {
		return err
	}
	if len(v.Entries) == 0 {
		v.Empty = &ui.Empty{Icon: "history", Title: "Nothing happened yet", Text: "What people do with this asset appears here."}
	}
	return r.Page(assetPage(r, a, "Activity"), views.ActivityView(v))
}
