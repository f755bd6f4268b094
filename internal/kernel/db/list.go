package db

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// SortBy is one order that a list offers. Expr is an SQL expression that is never null;
// Cast is its PostgreSQL type; Of returns its value in a row as text that Cast accepts.
type SortBy[T any] struct {
	Expr string
	Cast string
	Of   func(T) string
	// Bound repeats the place of a page as a plain bound on Expr. A list whose table is
	// partitioned by Expr needs it: the comparison of rows alone prunes no partition.
	Bound bool
}

// ListSpec declares a list: its columns and tables, the conditions that a caller may
// add, and the orders it offers. User text never becomes SQL: filters and sorts are
// looked up by name.
type ListSpec[T any] struct {
	Name    string
	Columns string
	From    string
	// Where always holds; it names workspace_id = @ws.
	Where string
	// Filters are conditions by name, with their arguments as @names.
	Filters map[string]string
	// Narrow names a second way to the rows of some filters, for tables that grow. The
	// condition of such a filter is best one that no index serves: it is asked of rows that
	// were found by their ids, or by walking.
	Narrow map[string]Narrow
	// Size is a query for how many rows the whole list has; lists with Narrow need it.
	Size  string
	Sorts map[string]SortBy[T]
	// Default is a sort name, with "-" in front for descending.
	Default string
	// IDExpr and ID break ties, so that the order is total.
	IDExpr string
	ID     func(T) uuid.UUID
}

// List is a declared list.
type List[T any] struct {
	spec ListSpec[T]
	rows rowReader[T]
}

// DefineList declares a list that runs inside a workspace. Each sort and each filter is
// declared as a statement too, so that the statement test prepares them all.
func DefineList[T any](spec ListSpec[T]) List[T] {
	base := "SELECT " + spec.Columns + "\nFROM " + spec.From + "\nWHERE " + spec.Where
	row := reflect.TypeFor[T]()
	for name, s := range spec.Sorts {
		sql := base + fmt.Sprintf(" AND (%s, %s) > (@cursor_value::%s, @cursor_id::uuid)\nORDER BY %s, %s\nLIMIT @limit",
			s.Expr, spec.IDExpr, s.Cast, s.Expr, spec.IDExpr)
		if s.Bound {
			sql = strings.Replace(sql, "\nORDER", fmt.Sprintf(" AND %s >= @cursor_value::%s\nORDER", s.Expr, s.Cast), 1)
		}
		declare(Declared{Name: spec.Name + ".sort." + name, SQL: sql, Role: AppRole, Row: row})
	}
	for name, cond := range spec.Filters {
		declare(Declared{Name: spec.Name + ".filter." + name, SQL: base + " AND " + cond, Role: AppRole, Row: row})
	}
	l := List[T]{spec: spec, rows: newRowReader[T]()}
	for name := range spec.Narrow {
		q := l.Query().Filter(name, nil)
		sql, _ := q.build()
		declare(Declared{Name: spec.Name + ".narrow." + name, SQL: sql, Role: AppRole, Row: row})
		declare(Declared{Name: spec.Name + ".count." + name, SQL: q.count(CountCap), Role: AppRole, Row: reflect.TypeFor[int64]()})
	}
	return l
}

// SortNames returns the names of the orders, sorted.
func (l List[T]) SortNames() []string { return slices.Sorted(maps.Keys(l.spec.Sorts)) }

// Query starts a query of the list in its default order.
func (l List[T]) Query() *ListQuery[T] {
	return &ListQuery[T]{list: l, args: Args{}, limit: 50, sort: l.spec.Default}
}

// ListQuery is one use of a list: the conditions in use, the order and the place.
type ListQuery[T any] struct {
	list    List[T]
	filters []string
	conds   []string
	args    Args
	sort    string
	cursor  *cursor
	limit   int
}

// cursor is a place between two rows: the sort it belongs to, the row's sort value and
// id, and whether the page lies before it.
type cursor struct {
	Sort   string `json:"s"`
	Value  string `json:"v"`
	ID     string `json:"i"`
	Before bool   `json:"b,omitempty"`
}

// Filter adds the named condition with its arguments. An unknown name is our bug.
func (q *ListQuery[T]) Filter(name string, args Args) *ListQuery[T] {
	cond, ok := q.list.spec.Filters[name]
	if !ok {
		panic("db: list " + q.list.spec.Name + " has no filter " + name)
	}
	q.filters, q.conds = append(q.filters, name), append(q.conds, cond)
	maps.Copy(q.args, args)
	return q
}

// Sort chooses an order by name, "-" in front for descending. An empty or unknown name
// keeps the default; HasSort tells API callers beforehand.
func (q *ListQuery[T]) Sort(name string) *ListQuery[T] {
	if q.list.HasSort(name) {
		q.sort = name
	}
	return q
}

// HasSort reports whether the list offers the order.
func (l List[T]) HasSort(name string) bool {
	_, ok := l.spec.Sorts[strings.TrimPrefix(name, "-")]
	return ok
}

// SortInUse returns the order in use, "-" in front for descending.
func (q *ListQuery[T]) SortInUse() string { return q.sort }

// Limit sets how many rows a page has; values outside 1 to 200 mean 50, and exports use
// their own paging.
func (q *ListQuery[T]) Limit(n int) *ListQuery[T] {
	if n >= 1 && n <= 200 {
		q.limit = n
	}
	return q
}

// Chunk makes pages of 1,000 rows, for an export that reads page by page and holds no
// transaction while it writes.
func (q *ListQuery[T]) Chunk() *ListQuery[T] {
	q.limit = 1000
	return q
}

// After goes to the place that a former page's Next or Prev named. A cursor that is
// damaged, or belongs to another order, is fault.Invalid.
func (q *ListQuery[T]) After(text string) (*ListQuery[T], error) {
	if text == "" {
		return q, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return q, fault.InvalidField("cursor", "invalid_cursor", "This page link is damaged. Start again from the first page.")
	}
	var c cursor
	if err := json.Unmarshal(raw, &c); err != nil || c.Sort != q.sort || strings.ContainsRune(c.Value, 0) {
		return q, fault.InvalidField("cursor", "invalid_cursor", "This page link belongs to another order. Start again from the first page.")
	}
	if _, err := uuid.Parse(c.ID); err != nil {
		return q, fault.InvalidField("cursor", "invalid_cursor", "This page link is damaged. Start again from the first page.")
	}
	q.cursor = &c
	return q, nil
}

// Page is one page of a list. Next and Prev are empty at the ends.
type Page[T any] struct {
	Items []T
	Next  string
	Prev  string
}

// Window is the part of a list that a query asks for: at most Limit rows behind the place
// between two rows that Value and ID name, or before it. Without an ID the list begins.
type Window struct {
	Value  string // of the sort
	ID     uuid.UUID
	Before bool
	Limit  int
}

// Window returns what After and Limit asked for.
func (q *ListQuery[T]) Window() Window {
	w := Window{Limit: q.limit}
	if q.cursor != nil {
		w.Value, w.ID, w.Before = q.cursor.Value, uuid.MustParse(q.cursor.ID), q.cursor.Before
	}
	return w
}

func (q *ListQuery[T]) order() (sort SortBy[T], desc, before bool) {
	name := strings.TrimPrefix(q.sort, "-")
	desc = strings.HasPrefix(q.sort, "-")
	before = q.cursor != nil && q.cursor.Before
	return q.list.spec.Sorts[name], desc, before
}

func (q *ListQuery[T]) build() (string, Args) {
	spec := q.list.spec
	sort, desc, before := q.order()
	args := maps.Clone(q.args)
	var where strings.Builder
	where.WriteString(q.where())
	back := desc != before
	if q.cursor != nil {
		op := ">"
		if back {
			op = "<"
		}
		fmt.Fprintf(&where, "\n AND (%s, %s) %s (@cursor_value::%s, @cursor_id::uuid)", sort.Expr, spec.IDExpr, op, sort.Cast)
		if sort.Bound {
			fmt.Fprintf(&where, "\n AND %s %s= @cursor_value::%s", sort.Expr, op, sort.Cast)
		}
		args["cursor_value"], args["cursor_id"] = q.cursor.Value, q.cursor.ID
	}
	dir := ""
	if back {
		dir = " DESC"
	}
	// A number, since a plan for any number at all reads the whole workspace and sorts it.
	order := fmt.Sprintf("\nORDER BY %s%s, %s%s\nLIMIT %d", sort.Expr, dir, spec.IDExpr, dir, q.limit+1)
	if ways := q.narrows(); len(ways) > 0 {
		return q.adaptive(ways, where.String(), order, dir), args
	}
	return "SELECT " + spec.Columns + "\nFROM " + spec.From + "\nWHERE " + where.String() + order, args
}

// where returns the conditions, without the place.
func (q *ListQuery[T]) where() string {
	var b strings.Builder
	b.WriteString(q.list.spec.Where)
	for _, c := range q.conds {
		b.WriteString("\n AND " + c)
	}
	return b.String()
}

// count returns a statement that counts the rows that match, up to a limit.
func (q *ListQuery[T]) count(limit int) string {
	if ways := q.narrows(); len(ways) > 0 {
		return q.adaptiveCount(ways, q.where(), limit)
	}
	return fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM %s\nWHERE %s\nLIMIT %d) AS capped", q.list.spec.From, q.where(), limit)
}

// page cuts the extra row that told whether there is more, and names both neighbours.
func (q *ListQuery[T]) page(rows []T) Page[T] {
	_, _, before := q.order()
	more := len(rows) > q.limit
	if more {
		rows = rows[:q.limit]
	}
	if before {
		slices.Reverse(rows)
	}
	p := Page[T]{Items: rows}
	if len(rows) == 0 {
		return p
	}
	if more || before {
		p.Next = q.place(rows[len(rows)-1], false)
	}
	if (q.cursor != nil && !before) || (before && more) {
		p.Prev = q.place(rows[0], true)
	}
	return p
}

func (q *ListQuery[T]) place(row T, before bool) string {
	sort, _, _ := q.order()
	raw, err := json.Marshal(cursor{Sort: q.sort, Value: sort.Of(row), ID: q.list.spec.ID(row).String(), Before: before})
	if err != nil {
		panic(fmt.Sprintf("db: a cursor of strings cannot fail to encode: %v", err))
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Page reads the page.
func (q *ListQuery[T]) Page(ctx context.Context, s Session) (Page[T], error) {
	sql, args := q.build()
	compiled := compile(sql)
	bound, err := compiled.bind(args, s.auto())
	if err != nil {
		return Page[T]{}, fmt.Errorf("%s: %w", q.list.spec.Name, err)
	}
	rows, err := s.Query(ctx, compiled.sql, bound...)
	if err != nil {
		return Page[T]{}, fmt.Errorf("%s: %w", q.list.spec.Name, err)
	}
	items, err := q.list.rows.all(rows, q.limit+1)
	if err != nil {
		return Page[T]{}, fmt.Errorf("%s: %w", q.list.spec.Name, err)
	}
	return q.page(items), nil
}

// PageResult holds a queued page, once ReadBatch has run.
type PageResult[T any] struct{ Page Page[T] }

// Queue adds the page to a batch of reads.
func (q *ListQuery[T]) Queue(b *Batch) *PageResult[T] {
	out := &PageResult[T]{}
	sql, args := q.build()
	b.queue(q.list.spec.Name, compile(sql), args, func(rows pgx.Rows) error {
		items, err := q.list.rows.all(rows, q.limit+1)
		if err == nil {
			out.Page = q.page(items)
		}
		return err
	})
	return out
}

// CountCap is where counting stops: pages then say "10,000+".
const CountCap = 10_000

// QueueCount adds a count of the rows that match, capped at CountCap + 1, to a batch.
func (q *ListQuery[T]) QueueCount(b *Batch) *Result[int64] { return q.QueueCountTo(b, CountCap+1) }

// QueueCountTo is QueueCount with another cap, for exports.
func (q *ListQuery[T]) QueueCountTo(b *Batch, limit int) *Result[int64] {
	out := &Result[int64]{}
	b.queue(q.list.spec.Name, compile(q.count(limit)), q.args, func(rows pgx.Rows) error {
		var err error
		out.Rows, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	return out
}

// Each calls fn for every matching row in order, page by page inside one transaction,
// for exports. It stops at the first error.
func (q *ListQuery[T]) Each(ctx context.Context, s Session, fn func(T) error) error {
	q.Chunk()
	for {
		p, err := q.Page(ctx, s)
		if err != nil {
			return err
		}
		for _, item := range p.Items {
			if err := fn(item); err != nil {
				return err
			}
		}
		if p.Next == "" {
			return nil
		}
		if q, err = q.After(p.Next); err != nil {
			return err
		}
	}
}
