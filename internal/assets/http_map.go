package assets

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/assets"
	"github.com/vigilo/vigilo/templates/ui"
)

// Depths of the map around one asset.
const (
	mapDepth    = 2
	maxMapDepth = 3
)

// maxOpened is how many assets may be opened beyond what the map began with.
const maxOpened = 20

// mapAsk is what the map is asked for.
type mapAsk struct {
	filter filter
	// focus is the asset in the middle; zero for a map of what the filter lets through.
	focus uuid.UUID
	depth int
	open  []uuid.UUID
}

func mapAskFrom(q url.Values) (mapAsk, error) {
	a := mapAsk{filter: filterFrom(q), depth: mapDepth, open: parseIDs(q["open"])}
	a.filter.View = ""
	if len(a.open) > maxOpened {
		return a, fault.InvalidField("open", "too_many", "Too many assets are opened. Begin at one of them instead.")
	}
	if text := q.Get("focus"); text != "" {
		id, err := uuid.Parse(text)
		if err != nil {
			return a, fault.NewNotFound("asset")
		}
		a.focus = id
	}
	if text := q.Get("depth"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxMapDepth {
			return a, fault.InvalidField("depth", "out_of_range", "The map shows 1 to 3 steps around an asset.")
		}
		a.depth = n
	}
	return a, nil
}

// mapPage is what the map reads in one round trip.
type mapPage struct {
	around *db.Result[mapNode]
	list   *db.PageResult[mapNode]
	near   *db.Result[mapNode]
	tags   *db.Result[nameCount]
	teams  *db.Result[nameCount]
	owners *db.Result[ownerCount]
}

func (s *Service) showMap(r *web.Request) error {
	ask, err := mapAskFrom(r.URL.Query())
	if err != nil {
		return err
	}
	q := mapQuery{mapList.Query().Limit(MaxOnMap + 1)}
	if err := ask.filter.narrow(q); err != nil {
		return err
	}
	var p mapPage
	err = s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		if ask.focus != uuid.Nil {
			p.around = mapAround.Queue(b, db.Args{"focus": ask.focus, "depth": ask.depth})
		} else {
			p.list = q.Queue(b)
		}
		if len(ask.open) > 0 {
			p.near = mapNear.Queue(b, db.Args{"open": ask.open})
		}
		p.tags, p.teams, p.owners = tagCounts.Queue(b, nil), teamCounts.Queue(b, nil), ownerCounts.Queue(b, nil)
	})
	if err != nil {
		return err
	}
	rows, focus, err := p.rows(ask)
	if err != nil {
		return err
	}
	pic := newPicture(rows)
	if r.URL.Query().Get("format") == "svg" {
		w := r.Download("assets.svg", "image/svg+xml")
		if r.Method == http.MethodHead {
			return nil
		}
		_, err := w.Write([]byte(pic.svg("Assets of " + r.Workspace.Name)))
		return err
	}
	v := newMapView(r, ask, focus, p, pic)
	at := []web.Crumb{{Text: "Map"}}
	title := "Asset map"
	if focus != nil {
		at = []web.Crumb{{Text: "Map", Href: r.Path("/assets/map")}, {Text: focus.Name}}
		title = "Map around " + focus.Name
	}
	return r.Page(web.Page{Title: title, Crumbs: crumbs(r, at...)}, views.MapPage(v))
}

// rows returns the assets of the map by importance: the one in the middle, what was opened,
// then the rest.
func (p mapPage) rows(ask mapAsk) (rows []mapNode, focus *mapNode, err error) {
	if p.near != nil {
		// What somebody opened comes before what only fills the map.
		rows = p.near.Rows
	}
	if p.list != nil {
		return slices.Concat(rows, p.list.Page.Items), nil, nil
	}
	if len(p.around.Rows) == 0 {
		return nil, nil, fault.NewNotFound("asset")
	}
	first := p.around.Rows[0]
	return slices.Concat(p.around.Rows[:1], rows, p.around.Rows[1:]), &first, nil
}

func newMapView(r *web.Request, ask mapAsk, focus *mapNode, p mapPage, pic picture) views.Map {
	base := r.Path("/assets/map")
	link := func(change func(url.Values)) string {
		q := r.URL.Query()
		q.Del("format")
		change(q)
		if len(q) == 0 {
			return base
		}
		return base + "?" + q.Encode()
	}
	v := views.Map{Lede: "What depends on what: an arrow leads to what is depended on.", AllHref: r.Path("/assets")}
	fields := listPage{tags: p.tags, teams: p.teams, owners: p.owners}
	v.Filters, v.Fields = filterBar(r, ask.filter, fields, base, func(change func(url.Values)) string {
		return base + changedQuery(r.URL.Query(), change)
	})
	if focus != nil {
		v.Lede = "What " + focus.Name + " depends on, to the right, and what depends on it, to the left."
		v.Depths = &ui.Tabs{Label: "Steps around it"}
		for d := 1; d <= maxMapDepth; d++ {
			v.Depths.Items = append(v.Depths.Items, ui.Tab{
				Text: counted(int64(d), "step", "steps"), Current: d == ask.depth,
				Href: link(func(q url.Values) { q.Set("depth", strconv.Itoa(d)) }),
			})
		}
		v.Filters.Chips = append(v.Filters.Chips, ui.Chip{Field: "Around", Operator: "", Value: focus.Name, RemoveHref: base})
	}
	if pic.cut {
		v.Notice = &ui.Notice{
			Title: "Only " + group(MaxOnMap) + " assets fit on one map.",
			Text:  "The nearest and most critical are shown. Narrow the filter, or open an asset and show the map around it.",
		}
	}
	if len(pic.nodes) == 0 {
		v.Empty = emptyMap(r, ask)
		return v
	}
	v.ExportHref = link(func(q url.Values) { q.Set("format", "svg") })
	v.Drawing = newDrawing(r, ask, pic, link)
	v.Tree, v.TreeAside = newTree(r, pic), counted(int64(len(pic.nodes)), "asset", "assets")+", "+counted(int64(len(pic.edges)), "relationship", "relationships")
	return v
}

func emptyMap(r *web.Request, ask mapAsk) *ui.Empty {
	if ask.filter == (filter{}) {
		e := &ui.Empty{Icon: "network", Title: "Nothing to draw yet", Text: "Add assets, and say on their pages what depends on what."}
		if r.Can(CanCreate) {
			e.Actions = []ui.LinkButton{{Text: "Add asset", Href: r.Path("/assets/new"), Icon: "plus", Kind: ui.Primary}}
		}
		return e
	}
	return &ui.Empty{
		Icon: "search", Title: "No asset matches", Text: "Nothing in use fits this filter.",
		Actions: []ui.LinkButton{{Text: "Show the whole map", Href: r.Path("/assets/map")}},
	}
}

func newDrawing(r *web.Request, ask mapAsk, pic picture, link func(func(url.Values)) string) views.Drawing {
	w, h := pic.drawing.Width+2*margin, pic.drawing.Height+2*margin
	d := views.Drawing{
		Label: "Map of " + counted(int64(len(pic.nodes)), "asset", "assets") + "; the same follows as a list",
		Width: num(w), Height: num(h), ViewBox: num(-margin) + " " + num(-margin) + " " + num(w) + " " + num(h),
	}
	for i, e := range pic.edges {
		d.Edges = append(d.Edges, views.MapEdge{Path: edgePath(pic.drawing.Routes[i]), Title: pic.edgeTitle(e), Line: line(e.kind)})
	}
	for i, n := range pic.nodes {
		at := pic.drawing.Nodes[i]
		outline, detail := shape(n.Type)
		node := views.MapNode{
			Title: nodeTitle(n), Name: clipName(n.Name), Sub: nodeSub(n), Href: r.Path(assetPath(n.ID)),
			Transform: "translate(" + num(at.X) + " " + num(at.Y) + ")", Shape: outline, Detail: detail,
			Border: border(n.Criticality), Planned: Lifecycle(n.Lifecycle) == Planned, Focus: n.ID == ask.focus,
			NameX: "20", NameY: "26", SubY: "42",
		}
		if pic.hidden[i] > 0 && !slices.Contains(ask.open, n.ID) && len(ask.open) < maxOpened {
			more := "+" + strconv.Itoa(pic.hidden[i])
			if pic.hidden[i] > 99 {
				more = "99+"
			}
			node.ExpandHref = link(func(q url.Values) { q.Add("open", n.ID.String()) })
			node.ExpandText, node.ExpandTitle = more, more+" neighbours of "+n.Name+" that are not drawn"
			node.ExpandX, node.ExpandY = num(nodeWidth-6), "2"
		}
		d.Nodes = append(d.Nodes, node)
	}
	return d
}

func line(kind string) views.Line {
	switch kind {
	case "hosts", "part_of":
		return views.Dashed
	case "connects_to":
		return views.Dotted
	}
	return views.Solid
}

func border(criticality string) views.Border {
	switch criticality {
	case "critical":
		return views.Critical
	case "high":
		return views.High
	case "low":
		return views.Low
	}
	return ""
}

// treeDepth bounds how deep the list goes; the drawing has no bound.
const treeDepth = 8

// newTree lists the same as the drawing: each asset with what it depends on below it. An
// asset that stands in several places shows its own branches once.
func newTree(r *web.Request, pic picture) []views.TreeNode {
	below, shown := pic.below(), make([]bool, len(pic.nodes))
	var grow func(i, depth int, kind string) views.TreeNode
	grow = func(i, depth int, kind string) views.TreeNode {
		n := pic.nodes[i]
		badge := criticalityBadge(n.Criticality)
		t := views.TreeNode{Name: n.Name, Href: r.Path(assetPath(n.ID)), Sub: strings.ToLower(typeTitle(n.Type)), Badge: &badge}
		if kind != "" {
			forward, _ := verbs(kind)
			t.Sub += ", " + backWord(forward)
		}
		if shown[i] && len(below[i]) > 0 {
			t.Again = "(its branches stand above)"
			return t
		}
		shown[i] = true
		if depth == treeDepth {
			return t
		}
		for _, e := range below[i] {
			t.Children = append(t.Children, grow(pic.edges[e].to, depth+1, pic.edges[e].kind))
		}
		return t
	}
	var out []views.TreeNode
	for _, i := range pic.roots() {
		out = append(out, grow(i, 1, ""))
	}
	return out
}

// backWord says in the list how the asset above it is related to it.
func backWord(forward string) string {
	switch forward {
	case "depends on":
		return "depended on"
	case "runs on":
		return "hosts it"
	case "connects to":
		return "connected to"
	case "is managed by":
		return "manages it"
	}
	return "contains it"
}
