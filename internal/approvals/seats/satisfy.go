package seats

import (
	"slices"

	"github.com/google/uuid"
)

// Requirement is a block whose seats somebody must be able to fill. Humans holds, for each
// seat, everybody who could ever fill it: its principals and their delegates, and whoever
// it would be escalated to.
type Requirement struct {
	Need   int
	Humans [][]uuid.UUID
	// Board blocks need no human of ours.
	Board bool
}

// StageNeeds are the requirements of one stage.
type StageNeeds struct {
	Blocks   []Requirement
	Distinct bool // refuses people who decided in an earlier stage
}

// Fillable returns the indexes of stages for which there are too few different people, by
// any choice of who decides what; empty means that everything can be approved. It never
// refuses what could succeed.
func Fillable(stages []StageNeeds) []int {
	var bad []int
	for i, st := range stages {
		if !enough(st.Blocks) {
			bad = append(bad, i)
			continue
		}
		if !st.Distinct {
			continue
		}
		// Whoever decided before may not decide here, so each earlier stage needs people of
		// its own; all distinct ones together do too.
		together := slices.Clone(st.Blocks)
		for j, before := range stages[:i] {
			if slices.Contains(bad, j) {
				continue
			}
			if !enough(append(slices.Clone(st.Blocks), before.Blocks...)) {
				bad = append(bad, i)
				break
			}
			if before.Distinct {
				together = append(together, before.Blocks...)
			}
		}
		if !slices.Contains(bad, i) && !enough(together) {
			bad = append(bad, i)
		}
	}
	return bad
}

// enough reports whether each block gets its approvals from different seats and different
// people: whether as much flows from blocks through seats to people as the blocks need.
func enough(blocks []Requirement) bool {
	g := newFlow()
	needed := 0
	for _, r := range blocks {
		if r.Board {
			continue
		}
		need := max(1, r.Need)
		needed += need
		block := g.node()
		g.edge(source, block, need)
		for _, humans := range r.Humans {
			seat := g.node()
			g.edge(block, seat, 1)
			for _, h := range humans {
				g.edge(seat, g.person(h), 1)
			}
		}
	}
	for range needed {
		if !g.push(source, map[int]bool{}) {
			return false
		}
	}
	return true
}

const (
	source = 0
	sink   = 1
)

// flow is a network with whole capacities; edges[i^1] is the way back of edges[i].
type flow struct {
	edges  []edge
	out    [][]int
	people map[uuid.UUID]int
}

type edge struct{ to, free int }

func newFlow() *flow { return &flow{out: make([][]int, 2), people: map[uuid.UUID]int{}} }

func (g *flow) node() int {
	g.out = append(g.out, nil)
	return len(g.out) - 1
}

func (g *flow) edge(from, to, capacity int) {
	g.out[from] = append(g.out[from], len(g.edges))
	g.out[to] = append(g.out[to], len(g.edges)+1)
	g.edges = append(g.edges, edge{to, capacity}, edge{from, 0})
}

func (g *flow) person(id uuid.UUID) int {
	n, ok := g.people[id]
	if !ok {
		n = g.node()
		g.people[id] = n
		g.edge(n, sink, 1)
	}
	return n
}

// push sends one unit on from a node, and reports whether there was a way.
func (g *flow) push(at int, seen map[int]bool) bool {
	if at == sink {
		return true
	}
	seen[at] = true
	for _, i := range g.out[at] {
		e := &g.edges[i]
		if e.free > 0 && !seen[e.to] && g.push(e.to, seen) {
			g.edges[i].free--
			g.edges[i^1].free++
			return true
		}
	}
	return false
}
