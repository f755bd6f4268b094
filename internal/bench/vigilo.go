package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/app"
	"github.com/vigilo/vigilo/internal/identity"
	"github.com/vigilo/vigilo/internal/kernel/config"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/secret"
	"github.com/vigilo/vigilo/internal/members"
)

// vigilo is the whole program running in this process on the part's database.
type vigilo struct {
	*app.App
	base string
	stop func() error
}

// vigiloOptions say how it runs.
type vigiloOptions struct {
	// work runs jobs and scans beside the web server.
	work bool
	// appURL and systemURL replace the addresses of the database.
	appURL, systemURL string
	// keys of stored secrets, for a second start on the same data.
	keys     string
	settings []string
}

func (b *bench) start(ctx context.Context, o vigiloOptions) (*vigilo, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	dir, err := os.MkdirTemp("", "vigilo-bench-")
	if err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	if o.appURL == "" {
		o.appURL, o.systemURL = b.db.URL("vigilo_app"), b.db.URL("vigilo_system")
	}
	if o.keys == "" {
		o.keys = secret.NewKey()
	}
	cfg, problems := config.FromEnvironment(append([]string{
		"VIGILO_AUTH=dev", "VIGILO_ADDR=" + l.Addr().String(), "VIGILO_DATA_DIR=" + dir, "VIGILO_SECRET_KEYS=" + o.keys,
		"VIGILO_DATABASE_URL=" + o.appURL, "VIGILO_SYSTEM_DATABASE_URL=" + o.systemURL, "VIGILO_ALLOW_LOOPBACK=true",
	}, o.settings...))
	if len(problems) > 0 {
		return nil, errors.New(problems[0].String())
	}
	a, err := app.New(ctx, cfg, slog.New(slog.DiscardHandler), app.Options{})
	if err != nil {
		return nil, fmt.Errorf("build program: %w", err)
	}
	runCtx, cancel := context.WithCancel(ctx)
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- a.Run(runCtx, app.RunOptions{Listener: l, Work: o.work, Ready: func() { close(ready) }})
	}()
	stop := func() error {
		cancel()
		err := <-done
		a.Close()
		return errors.Join(err, os.RemoveAll(dir))
	}
	select {
	case <-ready:
		return &vigilo{App: a, base: "http://" + l.Addr().String(), stop: stop}, nil
	case err := <-done:
		done <- nil
		return nil, errors.Join(fmt.Errorf("start program: %w", err), stop())
	case <-time.After(time.Minute):
		return nil, errors.Join(errors.New("the program did not start within a minute"), stop())
	}
}

// workspace adds a workspace with an owner.
func (v *vigilo) workspace(ctx context.Context, slug string) (db.Actor, error) {
	u, err := v.Services.Identity.EnsureUser(ctx, identity.SeedUser{Email: "owner@" + slug + ".test", Name: "Olivia Owner", TimeZone: "Europe/Oslo"})
	if err != nil {
		return db.Actor{}, fmt.Errorf("add person: %w", err)
	}
	ws, err := v.Services.Members.SeedWorkspace(ctx, members.NewWorkspace{Name: slug, Slug: slug, TimeZone: "UTC"}, u.ID)
	if err != nil {
		return db.Actor{}, fmt.Errorf("add workspace %s: %w", slug, err)
	}
	return db.Actor{
		WorkspaceID: ws.ID, Kind: db.ActorUser, ID: u.ID, UserID: u.ID, Name: u.Name, Email: u.Email, Role: "owner",
		AuthMethod: "dev", RequestID: uuid.Must(uuid.NewV7()), IP: netip.MustParseAddr("127.0.0.1"),
	}, nil
}

// session signs the actor in and returns the cookie.
func (v *vigilo) session(ctx context.Context, a db.Actor) (string, error) {
	token, err := v.Services.Identity.StartSession(ctx, a.UserID, identity.MethodDev, a.IP, "bench")
	if err != nil {
		return "", fmt.Errorf("sign in: %w", err)
	}
	return token, nil
}
