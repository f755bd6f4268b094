// Package dev is `vigilo dev`: the whole product on one machine without set-up. It starts
// a private PostgreSQL, TLS servers to watch, a mail catcher and a webhook catcher, all on
// loopback, seeds demo data once, and serves with the development login.
package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/vigilo/vigilo/internal/app"
	"github.com/vigilo/vigilo/internal/demofarm"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/config"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/pgserver"
	"github.com/vigilo/vigilo/internal/mailcatcher"
	"github.com/vigilo/vigilo/migrations"
)

const database = "vigilo"

// Run serves until ctx ends. environ may set VIGILO_ADDR, VIGILO_DATA_DIR and the log;
// everything else is decided here.
func Run(ctx context.Context, environ []string, out, errw io.Writer) error {
	cfg, problems := config.FromEnvironment(append(environ, "VIGILO_AUTH=dev"))
	for _, p := range problems {
		fmt.Fprintln(errw, p)
	}
	if len(problems) > 0 {
		return fmt.Errorf("%d settings need to be corrected", len(problems))
	}
	l, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; choose another address with VIGILO_ADDR", cfg.Addr, err)
	}
	defer l.Close()
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return fmt.Errorf("find data folder: %w", err)
	}
	// The database may run as another user, who must be able to reach its folder.
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	w := &world{dir: dir, out: out, clock: clock.System()}
	defer w.stop()
	if err := w.start(ctx, environ, l.Addr().String()); err != nil {
		return err
	}
	return w.serve(ctx, l)
}

// world is everything that `vigilo dev` runs.
type world struct {
	dir   string
	out   io.Writer
	clock clock.Clock
	cfg   config.Config
	log   *slog.Logger

	pg      *pgserver.Server
	farm    *demofarm.Farm
	mail    *mailcatcher.Catcher
	hooks   *hookCatcher
	servers []*http.Server
	mailURL string
	hookURL string
	app     *app.App
}

func (w *world) start(ctx context.Context, environ []string, addr string) error {
	var err error
	if w.pg, err = pgserver.Start(ctx, pgserver.Options{DataDir: filepath.Join(w.dir, "postgres")}); err != nil {
		return err
	}
	if err := w.prepareDatabase(ctx); err != nil {
		return err
	}
	if w.farm, err = demofarm.Start(ctx, demofarm.Options{Dir: filepath.Join(w.dir, "tls"), Clock: w.clock}); err != nil {
		return fmt.Errorf("start TLS servers: %w", err)
	}
	roots := filepath.Join(w.dir, "demo-root.pem")
	if err := os.WriteFile(roots, w.farm.Roots(), 0o644); err != nil {
		return fmt.Errorf("write root of the TLS servers: %w", err)
	}
	if w.mail, err = mailcatcher.New(mailcatcher.Options{Dir: filepath.Join(w.dir, "mail"), Clock: w.clock}); err != nil {
		return fmt.Errorf("start mail catcher: %w", err)
	}
	if w.mailURL, err = w.listen(w.mail.Handler()); err != nil {
		return err
	}
	w.hooks = &hookCatcher{clock: w.clock}
	if w.hookURL, err = w.listen(w.hooks.handler()); err != nil {
		return err
	}
	mailHost, mailPort, err := net.SplitHostPort(w.mail.Addr())
	if err != nil {
		return fmt.Errorf("read address of the mail catcher: %w", err)
	}
	settings := []string{
		"VIGILO_AUTH=dev", "VIGILO_ADDR=" + addr, "VIGILO_DATA_DIR=" + w.dir, "VIGILO_LOG_FORMAT=text",
		"VIGILO_DATABASE_URL=" + w.pg.DSN("vigilo_app", "", database),
		"VIGILO_SYSTEM_DATABASE_URL=" + w.pg.DSN("vigilo_system", "", database),
		"VIGILO_ALLOW_LOOPBACK=true", "VIGILO_TRUSTED_ROOTS_FILE=" + roots,
		"VIGILO_SMTP_HOST=" + mailHost, "VIGILO_SMTP_PORT=" + mailPort, "VIGILO_SMTP_TLS=none",
		"VIGILO_SMTP_FROM=Vigilo <vigilo@demo.example>", "VIGILO_PLATFORM_ADMINS=" + platformAdmin,
	}
	// What a person set about the log holds; the rest belongs to the demo.
	for _, line := range environ {
		if strings.HasPrefix(line, "VIGILO_LOG_") || strings.HasPrefix(line, "VIGILO_BASE_URL=") ||
			strings.HasPrefix(line, "VIGILO_DEV_ALLOW_REMOTE=") {
			settings = append(settings, line)
		}
	}
	var problems []config.Problem
	if w.cfg, problems = config.FromEnvironment(settings); len(problems) > 0 {
		return errors.New(problems[0].String())
	}
	w.log = app.NewLogger(os.Stderr, w.cfg)
	if w.app, err = app.New(ctx, w.cfg, w.log, app.Options{}); err != nil {
		return err
	}
	demo, err := w.seed(ctx)
	if err != nil {
		return fmt.Errorf("seed demo data: %w", err)
	}
	return w.writeDemo(demo)
}

// prepareDatabase makes the roles and the database at the first start, and migrates.
func (w *world) prepareDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, w.pg.SuperuserDSN("postgres"))
	if err != nil {
		return fmt.Errorf("connect to private PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, db.RolesSQL); err != nil {
		return fmt.Errorf("create roles: %w", err)
	}
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)`, database).Scan(&exists); err != nil {
		return fmt.Errorf("look for the database: %w", err)
	}
	if !exists {
		if _, err := conn.Exec(ctx, `CREATE DATABASE `+database+` OWNER vigilo_owner`); err != nil {
			return fmt.Errorf("create database: %w", err)
		}
	}
	quiet := slog.New(slog.DiscardHandler)
	if _, err := db.Migrate(ctx, w.pg.DSN("vigilo_owner", "", database), migrations.FS, quiet); err != nil {
		return err
	}
	return nil
}

// listen serves a handler on a free port of loopback and returns its address.
func (w *world) listen(h http.Handler) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen on loopback: %w", err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	w.servers = append(w.servers, srv)
	go func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			w.log.Error("helper page stopped", slog.String("error", err.Error()))
		}
	}()
	return "http://" + l.Addr().String() + "/", nil
}

func (w *world) serve(ctx context.Context, l net.Listener) error {
	defer w.app.Close()
	return w.app.Run(ctx, app.RunOptions{Listener: l, Work: true, Ready: func() {
		fmt.Fprintf(w.out, "\nVigilo is ready:  %s\n\n  mail      %s\n  webhooks  %s\n  demo data %s\n\nStop with Ctrl-C.\n",
			w.cfg.BaseURL, w.mailURL, w.hookURL, filepath.Join(w.dir, "demo.json"))
	}})
}

// stop ends what start began, in reverse.
func (w *world) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var errs []error
	for _, s := range w.servers {
		errs = append(errs, s.Close())
	}
	if w.mail != nil {
		errs = append(errs, w.mail.Close())
	}
	if w.farm != nil {
		w.farm.Close()
	}
	if w.pg != nil {
		errs = append(errs, w.pg.Stop(ctx))
	}
	if err := errors.Join(errs...); err != nil && w.log != nil {
		w.log.Warn("not everything stopped cleanly", slog.String("error", err.Error()))
	}
}
