package db

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
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

var argPattern = regexp.MustCompile(`@([a-z_][a-z0-9_]*)`)

// ArgNames returns the named arguments of an SQL text, each once, in order.
func ArgNames(sql string) []string {
	var names []string
	for _, m := range argPattern.FindAllStringSubmatch(sql, -1) {
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	return names
}

// Statement is a named SQL text whose rows are T: a struct scanned by column name with
// none missing and none left over, or a single scalar.
type Statement[T any] struct {
	name  string
	sql   string
	what  string
	names []string
	scan  pgx.RowToFunc[T]
}

// Define declares a statement that runs inside a workspace, as the role vigilo_app.
func Define[T any](name, sql string) Statement[T] { return define[T](name, sql, AppRole) }

// DefineSystem declares a statement that runs across workspaces, as vigilo_system.
func DefineSystem[T any](name, sql string) Statement[T] { return define[T](name, sql, SystemRole) }

func define[T any](name, sql string, role Role) Statement[T] {
	declare(Declared{Name: name, SQL: sql, Role: role, Row: reflect.TypeFor[T]()})
	return Statement[T]{name: name, sql: sql, what: "record", names: ArgNames(sql), scan: scanner[T]()}
}

// Called names what a row is in the product's words, for the message when there is none.
func (s Statement[T]) Called(what string) Statement[T] {
	s.what = what
	return s
}

func scanner[T any]() pgx.RowToFunc[T] {
	t := reflect.TypeFor[T]()
	if t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]() && t != reflect.TypeFor[uuid.NullUUID]() {
		return pgx.RowToStructByName[T]
	}
	return pgx.RowTo[T]
}

// All returns every row. A statement that may return many has a LIMIT of its own.
func (s Statement[T]) All(ctx context.Context, q Session, args Args) ([]T, error) {
	rows, err := q.Query(ctx, s.sql, args.with(q.auto(), s.names))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	out, err := pgx.CollectRows(rows, s.scan)
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
	rows, err := q.Query(ctx, s.sql, args.with(q.auto(), s.names))
	if err != nil {
		return zero, false, fmt.Errorf("%s: %w", s.name, err)
	}
	row, err := pgx.CollectExactlyOneRow(rows, s.scan)
	if errors.Is(err, pgx.ErrNoRows) {
		return zero, false, nil
	}
	if err != nil {
		return zero, false, fmt.Errorf("%s: %w", s.name, err)
	}
	return row, true, nil
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
	b.b.Queue(s.sql, args.with(b.auto, s.names)).Query(func(rows pgx.Rows) error {
		var err error
		if out.Rows, err = pgx.CollectRows(rows, s.scan); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		return nil
	})
	return out
}

// Command is a named SQL text that returns no rows.
type Command struct {
	name  string
	sql   string
	names []string
}

// DefineCommand declares a command that runs inside a workspace, as vigilo_app.
func DefineCommand(name, sql string) Command { return defineCommand(name, sql, AppRole) }

// DefineSystemCommand declares a command that runs across workspaces, as vigilo_system.
func DefineSystemCommand(name, sql string) Command { return defineCommand(name, sql, SystemRole) }

func defineCommand(name, sql string, role Role) Command {
	declare(Declared{Name: name, SQL: sql, Role: role})
	return Command{name: name, sql: sql, names: ArgNames(sql)}
}

// Run executes the command and returns how many rows it touched.
func (c Command) Run(ctx context.Context, q Session, args Args) (int64, error) {
	tag, err := q.Exec(ctx, c.sql, args.with(q.auto(), c.names))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", c.name, err)
	}
	return tag.RowsAffected(), nil
}
