package db

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// Role is the database role that a statement runs under.
type Role string

// The two roles of the running program. Migrations use a third one.
const (
	AppRole    Role = "vigilo_app"
	SystemRole Role = "vigilo_system"
)

// Declared describes a statement for the test that prepares each of them under its role
// against the migrated schema and compares columns with fields.
type Declared struct {
	Name string
	SQL  string
	Role Role
	// Row is the type that a row is scanned into, nil for statements without rows.
	Row reflect.Type
}

// registry is filled while packages initialise and only read afterwards.
var registry struct {
	sync.Mutex
	all []Declared
}

func declare(d Declared) {
	registry.Lock()
	defer registry.Unlock()
	for _, old := range registry.all {
		if old.Name == d.Name {
			panic("db: two statements are named " + d.Name)
		}
	}
	registry.all = append(registry.all, d)
}

// Statements returns every statement of the program.
func Statements() []Declared {
	registry.Lock()
	defer registry.Unlock()
	return slices.Clone(registry.all)
}

// ArgNames returns the named arguments of an SQL text, each once, in order.
func ArgNames(sql string) []string { return compile(sql).names }

// Statement is a named SQL text whose rows are T: a struct scanned by column name with
// none missing and none left over, or a single scalar.
type Statement[T any] struct {
	name  string
	query query
	what  string
	rows  rowReader[T]
}

// Define declares a statement that runs inside a workspace, as the role vigilo_app.
func Define[T any](name, sql string) Statement[T] { return define[T](name, sql, AppRole) }

// DefineSystem declares a statement that runs across workspaces, as vigilo_system.
func DefineSystem[T any](name, sql string) Statement[T] { return define[T](name, sql, SystemRole) }

func define[T any](name, sql string, role Role) Statement[T] {
	declare(Declared{Name: name, SQL: sql, Role: role, Row: reflect.TypeFor[T]()})
	return Statement[T]{name: name, query: compile(sql), what: "record", rows: newRowReader[T]()}
}

// Called names what a row is in the product's words, for the message when there is none.
func (s Statement[T]) Called(what string) Statement[T] {
	s.what = what
	return s
}

// All returns every row. A statement that may return many has a LIMIT of its own.
func (s Statement[T]) All(ctx context.Context, q Session, args Args) ([]T, error) {
	bound, err := s.query.bind(args, q.auto())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	rows, err := q.Query(ctx, s.query.sql, bound...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	out, err := s.rows.all(rows, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	return out, nil
}

// One returns exactly one row; none is fault.NotFound.
func (s Statement[T]) One(ctx context.Context, q Session, args Args) (T, error) {
	row, ok, err := s.Maybe(ctx, q, args)
	if err == nil && !ok {
		return row, fmt.Errorf("%s: %w", s.name, fault.NewNotFound(s.what))
	}
	return row, err
}

// Maybe returns one row, or false when there is none.
func (s Statement[T]) Maybe(ctx context.Context, q Session, args Args) (T, bool, error) {
	var zero T
	rows, err := s.All(ctx, q, args)
	if err != nil {
		return zero, false, err
	}
	switch len(rows) {
	case 0:
		return zero, false, nil
	case 1:
		return rows[0], true, nil
	}
	return zero, false, fmt.Errorf("%s: %w", s.name, pgx.ErrTooManyRows)
}

// Result holds what a queued statement returned, once ReadBatch has run.
type Result[T any] struct{ Rows []T }

// First returns the first row, or false when there was none.
func (r *Result[T]) First() (T, bool) {
	if len(r.Rows) == 0 {
		var zero T
		return zero, false
	}
	return r.Rows[0], true
}

// Queue adds the statement to a batch of reads.
func (s Statement[T]) Queue(b *Batch, args Args) *Result[T] {
	out := &Result[T]{}
	b.queue(s.name, s.query, args, func(rows pgx.Rows) error {
		var err error
		out.Rows, err = s.rows.all(rows, 0)
		return err
	})
	return out
}

// Command is a named SQL text that returns no rows.
type Command struct {
	name  string
	query query
}

// DefineCommand declares a command that runs inside a workspace, as vigilo_app.
func DefineCommand(name, sql string) Command { return defineCommand(name, sql, AppRole) }

// DefineSystemCommand declares a command that runs across workspaces, as vigilo_system.
func DefineSystemCommand(name, sql string) Command { return defineCommand(name, sql, SystemRole) }

func defineCommand(name, sql string, role Role) Command {
	declare(Declared{Name: name, SQL: sql, Role: role})
	return Command{name: name, query: compile(sql)}
}

// Run executes the command and returns how many rows it touched.
func (c Command) Run(ctx context.Context, q Session, args Args) (int64, error) {
	bound, err := c.query.bind(args, q.auto())
	if err != nil {
		return 0, fmt.Errorf("%s: %w", c.name, err)
	}
	tag, err := q.Exec(ctx, c.query.sql, bound...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", c.name, err)
	}
	return tag.RowsAffected(), nil
}
