package layered

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

var options = Options{LayerGap: 80, NodeGap: 20}

func boxes(n int) []Node {
	out := make([]Node, n)
	for i := range out {
		out[i] = Node{Width: 180, Height: 50}
	}
	return out
}

// random is a graph of n nodes in which each has a few edges, circles among them.
func random(n int, seed uint64) []Edge {
	r := rand.New(rand.NewPCG(seed, 1))
	var out []Edge
	for i := range n {
		for range r.IntN(3) {
			out = append(out, Edge{From: i, To: r.IntN(n)})
		}
	}
	return out
}

func TestNodesNeverOverlapAndEdgesLeadOn(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		n := 5 + int(seed)*3
		nodes, edges := boxes(n), random(n, seed)
		d := Draw(nodes, edges, options)
		for i := range n {
			for j := range i {
				a, b := d.Nodes[i], d.Nodes[j]
				if a.X < b.X+180 && b.X < a.X+180 && a.Y < b.Y+50-0.01 && b.Y < a.Y+50-0.01 {
					t.Fatalf("seed %d: nodes %d at %v and %d at %v overlap", seed, i, a, j, b)
				}
			}
			if at := d.Nodes[i]; at.X < 0 || at.Y < -0.01 || at.X+180 > d.Width+0.01 || at.Y+50 > d.Height+0.01 {
				t.Fatalf("seed %d: node %d at %v leaves the drawing of %v by %v", seed, i, at, d.Width, d.Height)
			}
		}
		backward := 0
		for i, e := range edges {
			route := d.Routes[i]
			if e.From == e.To {
				if route != nil {
					t.Fatalf("seed %d: an edge to itself is drawn", seed)
				}
				continue
			}
			first, last := route[0], route[len(route)-1]
			if first.X > last.X {
				backward++
			}
			for _, end := range []struct {
				at Point
				of int
			}{{first, e.From}, {last, e.To}} {
				c := d.Nodes[end.of]
				if end.at.Y != c.Y+25 || (end.at.X != c.X && end.at.X != c.X+180) {
					t.Fatalf("seed %d: edge %v ends at %v, not at the border of node %d at %v", seed, e, end.at, end.of, c)
				}
			}
		}
		if backward > len(edges)/2 {
			t.Errorf("seed %d: %d of %d edges lead back", seed, backward, len(edges))
		}
	}
}

func TestAGraphWithoutCirclesLeadsOnlyOn(t *testing.T) {
	t.Parallel()
	edges := []Edge{{0, 1}, {1, 2}, {0, 2}, {3, 2}, {0, 4}, {4, 5}, {5, 2}}
	d := Draw(boxes(6), edges, options)
	for i, e := range edges {
		if d.Nodes[e.From].X >= d.Nodes[e.To].X {
			t.Errorf("edge %v leads back", e)
		}
		for j := 1; j < len(d.Routes[i]); j++ {
			if d.Routes[i][j].X <= d.Routes[i][j-1].X {
				t.Errorf("the route of %v turns back: %v", e, d.Routes[i])
			}
		}
	}
	// 3 leads to 2 only, which stands on the last layer: it is drawn beside it.
	if d.Nodes[3].X != d.Nodes[5].X {
		t.Errorf("a node with one edge stands far from its end: %v", d.Nodes)
	}
}

func TestATreeIsDrawnWithoutCrossings(t *testing.T) {
	t.Parallel()
	// Children are named so that the order of the indexes crosses.
	edges := []Edge{{0, 1}, {0, 2}, {1, 6}, {2, 3}, {1, 5}, {2, 4}, {0, 7}, {7, 8}}
	p := newPart(boxes(9), edges, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}, options)
	p.draw()
	if n := p.crossings(); n != 0 {
		t.Errorf("%d crossings", n)
	}
}

func TestTheSameGraphIsDrawnTheSameWay(t *testing.T) {
	t.Parallel()
	edges := random(60, 7)
	if a, b := Draw(boxes(60), edges, options), Draw(boxes(60), edges, options); !reflect.DeepEqual(a, b) {
		t.Error("two drawings differ")
	}
}

func TestNothingAndLonelyNodesAreDrawn(t *testing.T) {
	t.Parallel()
	if d := Draw(nil, nil, options); d.Width != 0 || d.Height != 0 {
		t.Errorf("%+v", d)
	}
	d := Draw(boxes(7), nil, options)
	if d.Height <= 50 || d.Nodes[0].Y != d.Nodes[1].Y || d.Nodes[6].Y == d.Nodes[0].Y {
		t.Errorf("seven nodes do not fill two rows: %+v", d)
	}
}

func BenchmarkDraw(b *testing.B) {
	nodes, edges := boxes(60), random(60, 3)
	for b.Loop() {
		Draw(nodes, edges, options)
	}
}
