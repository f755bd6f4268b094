package db

import (
	"fmt"
	"strings"
)

// Narrow tells a list a second way to the rows of a filter. Where they are few, a page is
// gathered: read by their ids and sorted. Where they are many, it is found by walking the
// list in its order. PostgreSQL cannot know which: it plans once for all values, and plans
// for the average one.
//
// A page of 50 of k rows among n costs k rows to gather, and 50 n / k rows to walk past. So
// k rows are few while k² is at most 50 n, and neither ever costs more than √(50 n).
type Narrow struct {
	// Size is a query for one number, how many rows the filter lets through. It may stop
	// counting at CountCap: more are never few where counting matters.
	Size string
	// IDs is a query for their ids.
	IDs string
}

// narrows returns the ways of the filters in use.
func (q *ListQuery[T]) narrows() []Narrow {
	var out []Narrow
	for _, name := range q.filters {
		if n, ok := q.list.spec.Narrow[name]; ok {
			out = append(out, n)
		}
	}
	return out
}

// sizes is the beginning of a statement that knows which ways have few rows, as few0 and on.
func (q *ListQuery[T]) sizes(ways []Narrow) string {
	var b strings.Builder
	b.WriteString("WITH size AS MATERIALIZED (SELECT ")
	for i := range ways {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "n%d * n%d <= 50 * total AS few%d", i, i, i)
	}
	b.WriteString(" FROM (SELECT (" + q.list.spec.Size + ") AS total")
	for i, w := range ways {
		fmt.Fprintf(&b, ", (%s) AS n%d", w.Size, i)
	}
	b.WriteString(") AS n)\n")
	return b.String()
}

// choose returns the condition under which the way of a number is taken: the first that has
// few rows. The number of ways stands for the walk.
func choose(i, ways int) string {
	var b strings.Builder
	for j := range min(i, ways) {
		fmt.Fprintf(&b, " AND NOT (SELECT few%d FROM size)", j)
	}
	if i < ways {
		fmt.Fprintf(&b, " AND (SELECT few%d FROM size)", i)
	}
	return b.String()
}

func (q *ListQuery[T]) gathered(w Narrow) string {
	return fmt.Sprintf("\n AND %s = ANY(ARRAY(%s))", q.list.spec.IDExpr, w.IDs)
}

// adaptive returns the page by whichever way suits. where holds the conditions and the
// place, order the sort with its limit.
func (q *ListQuery[T]) adaptive(ways []Narrow, where, order, dir string) string {
	spec := q.list.spec
	sort, _, _ := q.order()
	var b strings.Builder
	b.WriteString(q.sizes(ways))
	fmt.Fprintf(&b, "SELECT %s\nFROM (", spec.Columns)
	for i := range len(ways) + 1 {
		if i > 0 {
			b.WriteString("\nUNION ALL ")
		}
		fmt.Fprintf(&b, "(SELECT %s AS id, %s AS place FROM %s\nWHERE %s%s", spec.IDExpr, sort.Expr, spec.From, where, choose(i, len(ways)))
		if i < len(ways) {
			b.WriteString(q.gathered(ways[i]))
		}
		b.WriteString(order + ")")
	}
	fmt.Fprintf(&b, ") AS found, %s\nWHERE %s AND %s = found.id\nORDER BY found.place%s, found.id%s", spec.From, spec.Where, spec.IDExpr, dir, dir)
	return b.String()
}

// adaptiveCount counts the rows that match up to a limit, by whichever way suits.
func (q *ListQuery[T]) adaptiveCount(ways []Narrow, where string, limit int) string {
	var b strings.Builder
	b.WriteString(q.sizes(ways) + "SELECT CASE")
	for i := range len(ways) + 1 {
		if i < len(ways) {
			fmt.Fprintf(&b, " WHEN few%d THEN", i)
		} else {
			b.WriteString(" ELSE")
		}
		fmt.Fprintf(&b, " (SELECT count(*) FROM (SELECT 1 FROM %s\nWHERE %s", q.list.spec.From, where)
		if i < len(ways) {
			b.WriteString(q.gathered(ways[i]))
		}
		fmt.Fprintf(&b, "\nLIMIT %d) AS capped)", limit)
	}
	b.WriteString(" END FROM size")
	return b.String()
}
