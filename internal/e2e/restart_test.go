package e2e

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/vigilo/vigilo/internal/app"
	"github.com/vigilo/vigilo/internal/identity"
	"github.com/vigilo/vigilo/internal/kernel/config"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/pgserver"
	"github.com/vigilo/vigilo/internal/kernel/secret"
	"github.com/vigilo/vigilo/migrations"
)

// ownServer starts a PostgreSQL of the test's own, which it may stop.
func ownServer(t *testing.T, dir string) *pgserver.Server {
	t.Helper()
	srv, err := pgserver.Start(context.Background(), pgserver.Options{DataDir: dir, Test: true})
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

func TestPagesRecoverWhenTheDatabaseRestarts(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	dir := filepath.Join(t.TempDir(), "postgres")
	srv := ownServer(t, dir)
	conn, err := pgx.Connect(ctx, srv.SuperuserDSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{db.RolesSQL, `CREATE DATABASE vigilo OWNER vigilo_owner`} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Migrate(ctx, srv.DSN("vigilo_owner", "", "vigilo"), migrations.FS, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg, problems := config.FromEnvironment([]string{
		"VIGILO_AUTH=dev", "VIGILO_ADDR=" + l.Addr().String(), "VIGILO_DATA_DIR=" + t.TempDir(), "VIGILO_SECRET_KEYS=" + secret.NewKey(),
		"VIGILO_DATABASE_URL=" + srv.DSN("vigilo_app", "", "vigilo"), "VIGILO_SYSTEM_DATABASE_URL=" + srv.DSN("vigilo_system", "", "vigilo"),
	})
	for _, p := range problems {
		t.Fatal(p)
	}
	a, err := app.New(ctx, cfg, slog.New(slog.DiscardHandler), app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, app.RunOptions{Listener: l, Work: true}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("program stopped with: %v", err)
		}
		a.Close()
		if err := srv.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	p := &program{App: a, base: "http://" + l.Addr().String(), sessions: map[string]string{}, people: map[string]identity.User{}, spaces: map[string]uuid.UUID{}}
	p.workspace(t, "acme")
	page := func() int { return p.get(t, "owner@acme.test", "/ws/acme/members").status }
	if got := page(); got != http.StatusOK {
		t.Fatalf("before: status %d", got)
	}

	load, stop := context.WithCancel(ctx)
	bad := make(chan int, 1000)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for load.Err() == nil {
			if s := page(); s != http.StatusOK && s != http.StatusServiceUnavailable {
				bad <- s
			}
		}
	}()
	if err := srv.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, "pages answer 503 while the database is away", func() bool { return page() == http.StatusServiceUnavailable })
	if got := p.get(t, "", "/readyz").status; got != http.StatusServiceUnavailable {
		t.Errorf("ready while the database is away: status %d", got)
	}
	away := p.get(t, "owner@acme.test", "/ws/acme/members")
	if away.header.Get("Retry-After") == "" || !strings.Contains(away.body, "Try again") {
		t.Errorf("the 503 page does not say to try again: %s", clip(away.body))
	}
	srv = ownServer(t, dir)
	eventually(t, "pages recover", func() bool { return page() == http.StatusOK })
	stop()
	<-finished
	close(bad)
	for s := range bad {
		t.Errorf("a page answered %d during the restart; only 200 and 503 are right", s)
	}
	token := p.token(t, "acme", "admin")
	ok(t, p.json(t, token, http.MethodPost, "/ws/acme/api/v1/groups", `{"name":"On call"}`), http.StatusCreated, "create a group")
	eventually(t, "jobs go on", func() bool {
		idle, err := a.Jobs().Idle(ctx)
		return err == nil && idle
	})
}
