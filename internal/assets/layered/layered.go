// Package layered draws directed graphs in layers: an edge leads from a layer to one
// further on, nodes of a layer stand below each other, and few edges cross. It is the
// method of Sugiyama, Tagawa and Toda (1981): break circles, layer by the longest way,
// put stand-ins on long edges, order by barycentres, then place. The same graph is
// always drawn the same way.
package layered

import (
	"cmp"
	"slices"
)

// Node is a box to place. Sizes are in pixels.
type Node struct{ Width, Height float64 }

// Edge leads from one node to another, by their indexes. Edges of a node to itself are
// left out of the drawing.
type Edge struct{ From, To int }

// Options are the free spaces in pixels: between layers, and between nodes of a layer.
type Options struct{ LayerGap, NodeGap float64 }

// Point is a place in pixels from the upper left corner.
type Point struct{ X, Y float64 }

// Drawing is where everything stands. Nodes holds the upper left corner of each node, in
// the order given; Routes the points of each edge from the border of its start to that of
// its end, nil for an edge that is left out.
type Drawing struct {
	Nodes         []Point
	Routes        [][]Point
	Width, Height float64
}

// Draw places nodes and routes edges. Parts that are not connected stand below each other,
// the largest first; nodes without any edge fill rows at the end.
func Draw(nodes []Node, edges []Edge, o Options) Drawing {
	d := Drawing{Nodes: make([]Point, len(nodes)), Routes: make([][]Point, len(edges))}
	parts, single := components(len(nodes), edges)
	top := 0.0
	for _, members := range parts {
		p := newPart(nodes, edges, members, o)
		p.draw()
		for local, global := range members {
			c := p.corner(local)
			d.Nodes[global] = Point{c.X, c.Y + top}
		}
		for i, route := range p.routes() {
			for _, at := range route {
				d.Routes[i] = append(d.Routes[i], Point{at.X, at.Y + top})
			}
		}
		d.Width = max(d.Width, p.width)
		top += p.height + o.NodeGap*2
	}
	top = rows(&d, nodes, single, o, top)
	d.Height = max(0, top-o.NodeGap*2)
	return d
}

// rows places nodes without edges side by side, about as wide as the rest.
func rows(d *Drawing, nodes []Node, single []int, o Options, top float64) float64 {
	if len(single) == 0 {
		return top
	}
	const leastWidth = 900
	limit := max(d.Width, leastWidth)
	x, high := 0.0, 0.0
	for _, i := range single {
		if x > 0 && x+nodes[i].Width > limit {
			x, top, high = 0, top+high+o.NodeGap, 0
		}
		d.Nodes[i] = Point{x, top}
		x += nodes[i].Width
		d.Width, high = max(d.Width, x), max(high, nodes[i].Height)
		x += o.NodeGap
	}
	return top + high + o.NodeGap*2
}

// components returns the connected parts, the largest first, and the nodes without edges.
func components(n int, edges []Edge) (parts [][]int, single []int) {
	near := make([][]int, n)
	for _, e := range edges {
		if e.From != e.To {
			near[e.From], near[e.To] = append(near[e.From], e.To), append(near[e.To], e.From)
		}
	}
	seen := make([]bool, n)
	for start := range n {
		switch {
		case seen[start]:
		case len(near[start]) == 0:
			single = append(single, start)
		default:
			part, queue := []int{}, []int{start}
			seen[start] = true
			for len(queue) > 0 {
				at := queue[0]
				queue = queue[1:]
				part = append(part, at)
				for _, next := range near[at] {
					if !seen[next] {
						seen[next] = true
						queue = append(queue, next)
					}
				}
			}
			slices.Sort(part)
			parts = append(parts, part)
		}
	}
	slices.SortStableFunc(parts, func(a, b []int) int { return cmp.Compare(len(b), len(a)) })
	return parts, single
}

// part is one connected graph. Vertices are its nodes, then the stand-ins on long edges.
type part struct {
	o             Options
	size          []Node  // by vertex; stand-ins have no width and little height
	next, prev    [][]int // neighbours one layer on and one back, once stand-ins exist
	layer         []int
	layers        [][]int // vertices of each layer in order
	place         []int   // of a vertex within its layer
	x, y          []float64
	width, height float64
	edges         []chain
	nodes         int
}

// chain is an edge of the whole graph with the vertices it passes, start first.
type chain struct {
	index    int
	way      []int
	reversed bool
}

func newPart(nodes []Node, edges []Edge, members []int, o Options) *part {
	local := make(map[int]int, len(members))
	p := &part{o: o, nodes: len(members)}
	for i, global := range members {
		local[global] = i
		p.size = append(p.size, nodes[global])
	}
	for i, e := range edges {
		from, ok := local[e.From]
		if ok && e.From != e.To {
			p.edges = append(p.edges, chain{index: i, way: []int{from, local[e.To]}})
		}
	}
	return p
}

func (p *part) draw() {
	p.breakCircles()
	p.assignLayers()
	p.addStandIns()
	p.order()
	p.position()
}

// breakCircles turns edges around that lead back to where a walk came from.
func (p *part) breakCircles() {
	out := make([][]int, p.nodes) // indexes of edges
	in := make([]int, p.nodes)
	for i, e := range p.edges {
		out[e.way[0]] = append(out[e.way[0]], i)
		in[e.way[1]]++
	}
	const fresh, open, closed = 0, 1, 2
	state := make([]int, p.nodes)
	var visit func(v int)
	visit = func(v int) {
		state[v] = open
		for _, i := range out[v] {
			to := p.edges[i].way[1]
			switch state[to] {
			case open:
				e := &p.edges[i]
				e.way[0], e.way[1], e.reversed = e.way[1], e.way[0], true
			case fresh:
				visit(to)
			}
		}
		state[v] = closed
	}
	// Beginning where nothing leads to turns the fewest edges around.
	for _, roots := range []bool{true, false} {
		for v := range p.nodes {
			if state[v] == fresh && (!roots || in[v] == 0) {
				visit(v)
			}
		}
	}
}

// assignLayers puts each node as far on as the longest way to it, then draws nodes that
// have room on their way on nearer to what they lead to, so that edges stay short.
func (p *part) assignLayers() {
	out, in := make([][]int, p.nodes), make([]int, p.nodes)
	for _, e := range p.edges {
		out[e.way[0]] = append(out[e.way[0]], e.way[1])
		in[e.way[1]]++
	}
	p.layer = make([]int, p.nodes)
	var sorted []int
	for v := range p.nodes {
		if in[v] == 0 {
			sorted = append(sorted, v)
		}
	}
	for i := 0; i < len(sorted); i++ {
		for _, to := range out[sorted[i]] {
			p.layer[to] = max(p.layer[to], p.layer[sorted[i]]+1)
			if in[to]--; in[to] == 0 {
				sorted = append(sorted, to)
			}
		}
	}
	first := make([]bool, p.nodes)
	for _, e := range p.edges {
		first[e.way[1]] = true
	}
	for _, v := range slices.Backward(sorted) {
		if first[v] || len(out[v]) == 0 {
			continue
		}
		nearest := p.layer[out[v][0]]
		for _, to := range out[v] {
			nearest = min(nearest, p.layer[to])
		}
		p.layer[v] = nearest - 1
	}
	p.layers = make([][]int, slices.Max(p.layer)+1)
}

// standInHeight keeps a little room for an edge that passes a layer.
const standInHeight = 6

// addStandIns puts a vertex on each layer that an edge passes.
func (p *part) addStandIns() {
	for i := range p.edges {
		e := &p.edges[i]
		from, to := e.way[0], e.way[1]
		way := []int{from}
		for l := p.layer[from] + 1; l < p.layer[to]; l++ {
			way = append(way, len(p.size))
			p.size, p.layer = append(p.size, Node{Height: standInHeight}), append(p.layer, l)
		}
		e.way = append(way, to)
	}
	p.next, p.prev = make([][]int, len(p.size)), make([][]int, len(p.size))
	for _, e := range p.edges {
		for i := range len(e.way) - 1 {
			a, b := e.way[i], e.way[i+1]
			p.next[a], p.prev[b] = append(p.next[a], b), append(p.prev[b], a)
		}
	}
	for v, l := range p.layer {
		p.layers[l] = append(p.layers[l], v)
	}
	p.place = make([]int, len(p.size))
	p.number()
}

func (p *part) number() {
	for _, layer := range p.layers {
		for i, v := range layer {
			p.place[v] = i
		}
	}
}

// sweeps is how often the order is improved in each direction; more changes little.
const sweeps = 8

// order sorts each layer by the middle of its neighbours, back and forth, and keeps the
// order with the fewest crossings.
func (p *part) order() {
	best, fewest := p.snapshot(), p.crossings()
	for range sweeps {
		for l := 1; l < len(p.layers); l++ {
			p.sortLayer(l, p.prev)
		}
		for l := len(p.layers) - 2; l >= 0; l-- {
			p.sortLayer(l, p.next)
		}
		if n := p.crossings(); n < fewest {
			best, fewest = p.snapshot(), n
		}
		if fewest == 0 {
			break
		}
	}
	p.layers = best
	p.number()
}

func (p *part) snapshot() [][]int {
	out := make([][]int, len(p.layers))
	for i, layer := range p.layers {
		out[i] = slices.Clone(layer)
	}
	return out
}

func (p *part) sortLayer(l int, near [][]int) {
	middle := make(map[int]float64, len(p.layers[l]))
	for _, v := range p.layers[l] {
		middle[v] = float64(p.place[v])
		if len(near[v]) > 0 {
			sum := 0
			for _, w := range near[v] {
				sum += p.place[w]
			}
			middle[v] = float64(sum) / float64(len(near[v]))
		}
	}
	slices.SortStableFunc(p.layers[l], func(a, b int) int { return cmp.Compare(middle[a], middle[b]) })
	for i, v := range p.layers[l] {
		p.place[v] = i
	}
}

// crossings counts pairs of edges that cross between neighbouring layers: inversions among
// the ends of edges sorted by their starts, counted by a tree of sums.
func (p *part) crossings() int {
	total := 0
	for l := range len(p.layers) - 1 {
		var ends []int
		for _, v := range p.layers[l] {
			to := make([]int, len(p.next[v]))
			for i, w := range p.next[v] {
				to[i] = p.place[w]
			}
			slices.Sort(to)
			ends = append(ends, to...)
		}
		tree := make([]int, len(p.layers[l+1])+1)
		for seen, e := range ends {
			before := 0
			for i := e + 1; i > 0; i -= i & -i {
				before += tree[i]
			}
			total += seen - before
			for i := e + 1; i < len(tree); i += i & -i {
				tree[i]++
			}
		}
	}
	return total
}

// position gives layers their distance along, and vertices their height: first packed,
// then drawn towards the middle of their neighbours as far as the order lets them.
func (p *part) position() {
	p.x, p.y = make([]float64, len(p.size)), make([]float64, len(p.size))
	for _, layer := range p.layers {
		wide, at := 0.0, 0.0
		for _, v := range layer {
			wide = max(wide, p.size[v].Width)
			p.x[v], p.y[v] = p.width, at+p.size[v].Height/2
			at += p.size[v].Height + p.gap(v)
		}
		for _, v := range layer {
			p.x[v] += (wide - p.size[v].Width) / 2
			if v >= p.nodes {
				p.x[v] = p.width + wide/2
			}
		}
		p.width += wide + p.o.LayerGap
	}
	p.width -= p.o.LayerGap
	for range sweeps {
		for l := 1; l < len(p.layers); l++ {
			p.align(p.layers[l], p.prev)
		}
		for l := len(p.layers) - 2; l >= 0; l-- {
			p.align(p.layers[l], p.next)
		}
	}
	low, high := p.y[0], p.y[0]
	for v, y := range p.y {
		low, high = min(low, y-p.size[v].Height/2), max(high, y+p.size[v].Height/2)
	}
	for v := range p.y {
		p.y[v] -= low
	}
	p.height = high - low
}

func (p *part) gap(v int) float64 {
	if v >= p.nodes {
		return p.o.NodeGap / 2
	}
	return p.o.NodeGap
}

// align moves the vertices of a layer to the middle of their neighbours. Those that want
// the same room form a block, which stands where its members want to be on average
// (the pool-adjacent-violators method for a least-squares fit under an order).
func (p *part) align(layer []int, near [][]int) {
	type block struct {
		first, count int
		sum          float64 // of wishes, less the offset of each member within the block
	}
	offset := make([]float64, len(layer)) // of a vertex from the first of the layer, when packed
	for i := 1; i < len(layer); i++ {
		a, b := layer[i-1], layer[i]
		offset[i] = offset[i-1] + p.size[a].Height/2 + p.gap(a) + p.size[b].Height/2
	}
	var blocks []block
	for i, v := range layer {
		wish := p.y[v]
		if len(near[v]) > 0 {
			wish = 0
			for _, w := range near[v] {
				wish += p.y[w]
			}
			wish /= float64(len(near[v]))
		}
		blocks = append(blocks, block{first: i, count: 1, sum: wish - offset[i]})
		for len(blocks) > 1 {
			a, b := &blocks[len(blocks)-2], blocks[len(blocks)-1]
			if a.sum/float64(a.count) <= b.sum/float64(b.count) {
				break
			}
			a.count, a.sum = a.count+b.count, a.sum+b.sum
			blocks = blocks[:len(blocks)-1]
		}
	}
	for _, b := range blocks {
		at := b.sum / float64(b.count)
		for i := b.first; i < b.first+b.count; i++ {
			p.y[layer[i]] = at + offset[i]
		}
	}
}

func (p *part) corner(v int) Point { return Point{p.x[v], p.y[v] - p.size[v].Height/2} }

// routes returns the points of each edge by its index in the whole graph. An edge that was
// turned around is drawn from its own start again.
func (p *part) routes() map[int][]Point {
	out := make(map[int][]Point, len(p.edges))
	for _, e := range p.edges {
		first, last := e.way[0], e.way[len(e.way)-1]
		points := []Point{{p.x[first] + p.size[first].Width, p.y[first]}}
		for _, v := range e.way[1 : len(e.way)-1] {
			points = append(points, Point{p.x[v], p.y[v]})
		}
		points = append(points, Point{p.x[last], p.y[last]})
		if e.reversed {
			slices.Reverse(points)
		}
		out[e.index] = points
	}
	return out
}
