package assets

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/assets/layered"
)

// MaxOnMap is how many assets fit on one map: more cannot be read.
const MaxOnMap = 60

// Sizes on the map in pixels. margin leaves room for borders and the buttons that open
// more, which stand on the edge of a node.
const (
	nodeWidth  = 184.0
	nodeHeight = 52.0
	layerGap   = 84.0
	nodeGap    = 20.0
	margin     = 16.0
	nameRunes  = 22
)

// picture is what the map shows: assets in use, the edges among them, and where they stand.
type picture struct {
	nodes []mapNode
	// edges are among the nodes, by their places in nodes.
	edges []pictureEdge
	// hidden counts the neighbours of each node that are not shown.
	hidden  []int
	drawing layered.Drawing
	// cut says that more belong on the map than fit.
	cut bool
}

type pictureEdge struct {
	from, to int
	kind     string
}

// newPicture lays out nodes, which come by importance. Each is taken once.
func newPicture(rows []mapNode) picture {
	var p picture
	at := map[uuid.UUID]int{}
	for _, n := range rows {
		if _, twice := at[n.ID]; twice {
			continue
		}
		if len(p.nodes) == MaxOnMap {
			p.cut = true
			break
		}
		at[n.ID] = len(p.nodes)
		p.nodes = append(p.nodes, n)
	}
	p.hidden = make([]int, len(p.nodes))
	var edges []layered.Edge
	for i, n := range p.nodes {
		away := map[uuid.UUID]bool{}
		for _, e := range n.Below {
			kind, id := cutEdge(e)
			if to, ok := at[id]; ok {
				p.edges = append(p.edges, pictureEdge{i, to, kind})
				edges = append(edges, layered.Edge{From: i, To: to})
			} else {
				away[id] = true
			}
		}
		for _, e := range n.Above {
			if _, id := cutEdge(e); !has(at, id) {
				away[id] = true
			}
		}
		p.hidden[i] = len(away)
	}
	boxes := make([]layered.Node, len(p.nodes))
	for i := range boxes {
		boxes[i] = layered.Node{Width: nodeWidth, Height: nodeHeight}
	}
	p.drawing = layered.Draw(boxes, edges, layered.Options{LayerGap: layerGap, NodeGap: nodeGap})
	return p
}

func has(at map[uuid.UUID]int, id uuid.UUID) bool {
	_, ok := at[id]
	return ok
}

// cutEdge takes apart an edge as the statement writes it: its type and the other end.
func cutEdge(text string) (kind string, other uuid.UUID) {
	kind, id, _ := strings.Cut(text, " ")
	other, err := uuid.Parse(id)
	if err != nil {
		return kind, uuid.Nil
	}
	return kind, other
}

// edgePath draws an edge through its points as one smooth line: level where it leaves and
// arrives, so that arrows point along.
func edgePath(points []layered.Point) string {
	var b strings.Builder
	fmt.Fprintf(&b, "M%s %s", num(points[0].X), num(points[0].Y))
	for i := 1; i < len(points); i++ {
		from, to := points[i-1], points[i]
		bend := (to.X - from.X) / 2
		fmt.Fprintf(&b, "C%s %s %s %s %s %s", num(from.X+bend), num(from.Y), num(to.X-bend), num(to.Y), num(to.X), num(to.Y))
	}
	return b.String()
}

// num writes a length with at most one decimal.
func num(v float64) string { return strconv.FormatFloat(float64(int64(v*10+0.5))/10, 'f', -1, 64) }

// shape outlines a node by the type of its asset, from its upper left corner; detail is a
// second line in it, empty for most.
func shape(kind string) (outline, detail string) {
	const w, h = nodeWidth, nodeHeight
	box := func(r float64) string {
		return fmt.Sprintf("M%s 0H%sA%[1]s %[1]s 0 0 1 %[3]s %[1]sV%[4]sA%[1]s %[1]s 0 0 1 %[2]s %[5]sH%[1]sA%[1]s %[1]s 0 0 1 0 %[4]sV%[1]sA%[1]s %[1]s 0 0 1 %[1]s 0Z",
			num(r), num(w-r), num(w), num(h-r), num(h))
	}
	switch kind {
	case "service":
		return box(h / 2), ""
	case "application":
		return box(12), fmt.Sprintf("M0.5 12H%s", num(w-0.5))
	case "vm":
		return box(8), fmt.Sprintf("M6 8V%s", num(h-8))
	case "container":
		return fmt.Sprintf("M12 0H%sL%s 12V%sL%s %sH12L0 %sV12Z", num(w-12), num(w), num(h-12), num(w-12), num(h), num(h-12)), ""
	case "database":
		return fmt.Sprintf("M0 8C0 -2.6 %[1]s -2.6 %[1]s 8V%[2]sC%[1]s %[3]s 0 %[3]s 0 %[2]sZ", num(w), num(h-8), num(h+2.6)),
			fmt.Sprintf("M0 8C0 16 %[1]s 16 %[1]s 8", num(w))
	case "domain":
		return fmt.Sprintf("M%[1]s 0H%[2]sQ%[3]s %[4]s %[2]s %[5]sH%[1]sQ%[6]s %[4]s %[1]s 0Z", num(18), num(w-18), num(w+18), num(h/2), num(h), num(-18)), ""
	case "network":
		return fmt.Sprintf("M14 0H%sL%s %sH0Z", num(w), num(w-14), num(h)), ""
	case "other":
		return box(2), ""
	}
	return box(2), fmt.Sprintf("M0.5 7H%s", num(w-0.5))
}

// clipName cuts a name that is wider than a node.
func clipName(name string) string {
	if r := []rune(name); len(r) > nameRunes {
		return string(r[:nameRunes-1]) + "…"
	}
	return name
}

// borderColour is the border of a node in an exported drawing, which knows no theme.
func borderColour(criticality string) string {
	switch criticality {
	case "critical":
		return "#c8372d"
	case "high":
		return "#b86f0a"
	case "medium":
		return "#6d7788"
	}
	return "#a3abb8"
}

func borderWidth(criticality string) string {
	switch criticality {
	case "critical":
		return "3"
	case "high":
		return "2"
	case "medium":
		return "1.5"
	}
	return "1"
}

func dashes(kind string) string {
	switch kind {
	case "connects_to":
		return "2 4"
	case "hosts", "part_of":
		return "7 4"
	}
	return "none"
}

// svg writes the drawing as a file of its own, with every colour in it.
func (p picture) svg(title string) string {
	var b strings.Builder
	w, h := p.drawing.Width+2*margin, p.drawing.Height+2*margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="%s %[3]s %[1]s %[2]s" font-family="Inter, system-ui, sans-serif">`, num(w), num(h), num(-margin))
	fmt.Fprintf(&b, `<title>%s</title><defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path fill="#6d7788" d="M0 0.5 7 4 0 7.5z"/></marker></defs>`, escape(title))
	fmt.Fprintf(&b, `<rect x="%s" y="%[1]s" width="%s" height="%s" fill="#ffffff"/>`, num(-margin), num(w), num(h))
	for i, e := range p.edges {
		fmt.Fprintf(&b, `<path fill="none" stroke="#6d7788" stroke-width="1.25" stroke-dasharray="%s" marker-end="url(#arrow)" d="%s"><title>%s</title></path>`,
			dashes(e.kind), edgePath(p.drawing.Routes[i]), escape(p.edgeTitle(e)))
	}
	for i, n := range p.nodes {
		at := p.drawing.Nodes[i]
		outline, detail := shape(n.Type)
		colour := borderColour(n.Criticality)
		fmt.Fprintf(&b, `<g transform="translate(%s %s)"><title>%s</title><path fill="#ffffff" stroke="%s" stroke-width="%s" d="%s"/>`,
			num(at.X), num(at.Y), escape(nodeTitle(n)), colour, borderWidth(n.Criticality), outline)
		if detail != "" {
			fmt.Fprintf(&b, `<path fill="none" stroke="%s" d="%s"/>`, colour, detail)
		}
		fmt.Fprintf(&b, `<text x="20" y="25" font-size="13" font-weight="600" fill="#1d2330">%s</text><text x="20" y="41" font-size="11" fill="#596273">%s</text></g>`,
			escape(clipName(n.Name)), escape(nodeSub(n)))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func escape(s string) string {
	var b strings.Builder
	// A strings.Builder never fails.
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

func (p picture) edgeTitle(e pictureEdge) string {
	forward, _ := verbs(e.kind)
	return p.nodes[e.from].Name + " " + forward + " " + p.nodes[e.to].Name
}

func nodeTitle(n mapNode) string {
	text := n.Name + ": " + typeLabel(n.Type) + ", " + environmentLabel(n.Environment) + ", " + n.Criticality + " criticality"
	if Lifecycle(n.Lifecycle) != Active {
		text += ", " + n.Lifecycle
	}
	return text
}

// nodeSub is the second line of a node.
func nodeSub(n mapNode) string {
	text := typeTitle(n.Type) + " · " + n.Criticality
	if Lifecycle(n.Lifecycle) != Active {
		text = typeTitle(n.Type) + " · " + n.Lifecycle
	}
	return text
}

// below lists the edges of each node to what it depends on, in the order of their names.
func (p picture) below() [][]int {
	out := make([][]int, len(p.nodes))
	for i, e := range p.edges {
		out[e.from] = append(out[e.from], i)
	}
	for _, list := range out {
		slices.SortStableFunc(list, func(a, b int) int {
			return strings.Compare(p.nodes[p.edges[a].to].Name, p.nodes[p.edges[b].to].Name)
		})
	}
	return out
}

// roots are where the list begins: what nothing shown depends on, and for each circle that
// is reached from none of those, its first node.
func (p picture) roots() []int {
	above := make([]int, len(p.nodes))
	for _, e := range p.edges {
		above[e.to]++
	}
	below, seen := p.below(), make([]bool, len(p.nodes))
	var mark func(i int)
	mark = func(i int) {
		if seen[i] {
			return
		}
		seen[i] = true
		for _, e := range below[i] {
			mark(p.edges[e].to)
		}
	}
	var out []int
	for _, first := range []bool{true, false} {
		for i := range p.nodes {
			if !seen[i] && (!first || above[i] == 0) {
				out = append(out, i)
				mark(i)
			}
		}
	}
	return out
}
