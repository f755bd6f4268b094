// Package dbtest gives each test a PostgreSQL database of its own: a clone of a migrated
// template, reached under the roles of the running program, so that row-level security is
// what tests see too.
package dbtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/pgserver"
	"github.com/vigilo/vigilo/internal/kernel/secret"
	"github.com/vigilo/vigilo/migrations"
)

// EnvServer names a running test server by a superuser connection string. make test sets
// it, so that all packages share one server; without it a package starts its own.
const EnvServer = "VIGILO_TEST_SERVER"

// DB is a database of one test.
type DB struct {
	*db.DB
	Name  string
	Clock clock.Clock
	dsn   func(role string) string
	admin *pgxpool.Pool
}

// New returns a migrated, empty database with the clock of the machine.
func New(t testing.TB) *DB { return NewAt(t, clock.System()) }

// NewAt is New with a given clock.
func NewAt(t testing.TB, clk clock.Clock) *DB {
	t.Helper()
	d, drop, err := Create(context.Background(), clk)
	if err != nil {
		t.Fatalf("test database: %v", err)
	}
	t.Cleanup(func() {
		if err := drop(context.Background()); err != nil {
			t.Errorf("drop test database: %v", err)
		}
	})
	return d
}

// Create is NewAt for programs that are no tests, such as internal/bench. The database
// goes away with drop.
func Create(ctx context.Context, clk clock.Clock) (d *DB, drop func(context.Context) error, err error) {
	srv, err := sharedServer()
	if err != nil {
		return nil, nil, err
	}
	name := "t_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	if err := srv.clone(ctx, name); err != nil {
		return nil, nil, err
	}
	remove := func(ctx context.Context) error { return srv.exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") }
	d = &DB{Name: name, Clock: clk, dsn: func(role string) string { return srv.dsn(role, name) }}
	d.DB, err = db.Open(ctx, db.Config{
		AppURL: d.URL("vigilo_app"), SystemURL: d.URL("vigilo_system"), AppConns: 8, SystemConns: 8,
	}, clk)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open test database: %w", err), remove(ctx))
	}
	return d, func(ctx context.Context) error {
		d.Close()
		if d.admin != nil {
			d.admin.Close()
		}
		return remove(ctx)
	}, nil
}

// URL returns the connection string of a role: vigilo_app, vigilo_system, vigilo_owner, or
// postgres for the superuser.
func (d *DB) URL(role string) string { return d.dsn(role) }

// Admin returns a pool of the superuser, for looking at what the roles cannot see and for
// playing the attacker. It is not subject to row-level security.
func (d *DB) Admin(t testing.TB) *pgxpool.Pool {
	t.Helper()
	if d.admin == nil {
		pool, err := pgxpool.New(context.Background(), d.URL("postgres"))
		if err != nil {
			t.Fatalf("open superuser pool: %v", err)
		}
		d.admin = pool
	}
	return d.admin
}

// Workspace adds a workspace and returns its id.
func (d *DB) Workspace(t testing.TB, slug string) uuid.UUID {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	_, err := d.Admin(t).Exec(context.Background(), `INSERT INTO workspaces (id, slug, name, created_at, updated_at)
		VALUES ($1, $2, $2, now(), now())`, id, slug)
	if err != nil {
		t.Fatalf("add workspace %s: %v", slug, err)
	}
	return id
}

// Member adds a person with a role in the workspace and returns them as an actor.
func (d *DB) Member(t testing.TB, workspace uuid.UUID, name, role string) db.Actor {
	t.Helper()
	ctx := context.Background()
	user := uuid.Must(uuid.NewV7())
	email := strings.ToLower(strings.ReplaceAll(name, " ", ".")) + "@example.test"
	err := pgx.BeginFunc(ctx, d.Admin(t), func(tx pgx.Tx) error {
		// The completeness guard is the product's; a fixture is no state change.
		if _, err := tx.Exec(ctx, `SET LOCAL session_replication_role = replica`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO users (id, email, email_verified, name, time_zone, created_at, updated_at)
			VALUES ($1, $2, true, $3, 'UTC', now(), now())`, user, email, name); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO members (workspace_id, id, user_id, role, joined_via, joined_at)
			VALUES ($1, $2, $3, $4, 'seed', now())`, workspace, uuid.Must(uuid.NewV7()), user, role)
		return err
	})
	if err != nil {
		t.Fatalf("add member %s: %v", name, err)
	}
	return db.Actor{
		WorkspaceID: workspace, Kind: db.ActorUser, ID: user, UserID: user, Name: name, Email: email, Role: role,
		AuthMethod: "dev", RequestID: uuid.Must(uuid.NewV7()),
	}
}

type server struct {
	dsn      func(role, database string) string
	admin    *pgxpool.Pool
	template string
}

// sharedServer starts or finds the server once per process and makes the template.
var sharedServer = sync.OnceValues(func() (*server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s := &server{}
	if base := os.Getenv(EnvServer); base != "" {
		s.dsn = func(role, database string) string { return rewrite(base, role, database) }
	} else {
		dir, err := freshDir()
		if err != nil {
			return nil, err
		}
		pg, err := pgserver.Start(ctx, pgserver.Options{DataDir: dir, Test: true})
		if err != nil {
			return nil, err
		}
		s.dsn = func(role, database string) string { return pg.DSN(role, "", database) }
	}
	var err error
	if s.admin, err = pgxpool.New(ctx, s.dsn("postgres", "postgres")); err != nil {
		return nil, fmt.Errorf("connect to test server: %w", err)
	}
	if err := s.prepare(ctx); err != nil {
		return nil, fmt.Errorf("prepare template: %w", err)
	}
	return s, nil
})

func rewrite(base, role, database string) string {
	u, err := url.Parse(base)
	if err != nil {
		return base
	}
	u.User = url.User(role)
	u.Path = "/" + database
	return u.String()
}

// freshDir returns a data folder named by our process id and sweeps those whose process
// is gone: the server dies with the process, but its files stay.
func freshDir() (string, error) {
	root := filepath.Join(os.TempDir(), fmt.Sprintf("vigilo-test-%d", os.Getuid()))
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", fmt.Errorf("make folder for test servers: %w", err)
	}
	old, err := os.ReadDir(root)
	if err != nil {
		return "", fmt.Errorf("list test servers: %w", err)
	}
	for _, e := range old {
		if pid, err := strconv.Atoi(e.Name()); err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			if err := os.RemoveAll(filepath.Join(root, e.Name())); err != nil {
				return "", fmt.Errorf("sweep test server: %w", err)
			}
		}
	}
	return filepath.Join(root, strconv.Itoa(os.Getpid())), nil
}

func (s *server) exec(ctx context.Context, sql string) error {
	_, err := s.admin.Exec(ctx, sql)
	return err
}

// prepare makes the template database of the present migrations. The first process does
// the work, the others wait for it on an advisory lock.
func (s *server) prepare(ctx context.Context) error {
	sum, err := migrationsHash()
	if err != nil {
		return err
	}
	s.template = "vigilo_template_" + sum
	conn, err := s.admin.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock(76106)`); err != nil {
		return err
	}
	defer conn.Exec(ctx, `SELECT pg_advisory_unlock(76106)`)
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)`, s.template).Scan(&exists); err != nil {
		return err
	}
	if exists {
		return nil
	}
	if _, err := conn.Exec(ctx, db.RolesSQL); err != nil {
		return fmt.Errorf("create roles: %w", err)
	}
	building := s.template + "_building"
	for _, sql := range []string{
		"DROP DATABASE IF EXISTS " + building + " WITH (FORCE)",
		"CREATE DATABASE " + building + " OWNER vigilo_owner",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	log := slog.New(slog.DiscardHandler)
	if _, err := db.Migrate(ctx, s.dsn("vigilo_owner", building), migrations.FS, log); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "ALTER DATABASE "+building+" RENAME TO "+s.template)
	return err
}

func migrationsHash() (string, error) {
	h := sha256.New()
	h.Write([]byte(db.RolesSQL))
	err := fs.WalkDir(migrations.FS, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := fs.ReadFile(migrations.FS, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s %d\n", path, len(raw))
		h.Write(raw)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("hash migrations: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// clone copies the template. Two clones at once are refused while PostgreSQL copies, so
// the refusal is waited out.
func (s *server) clone(ctx context.Context, name string) error {
	for {
		err := s.exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+s.template+" OWNER vigilo_owner")
		if err == nil || !strings.Contains(err.Error(), "is being accessed by other users") {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Keyring returns a fresh ring with one key, for sealing in tests.
func Keyring(t testing.TB) *secret.Keyring {
	t.Helper()
	ring, err := secret.ParseKeyring(secret.NewKey())
	if err != nil {
		t.Fatalf("make keyring: %v", err)
	}
	return ring
}
