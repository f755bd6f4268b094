package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/riverqueue/river"
	"golang.org/x/sync/errgroup"

	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/config"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/module"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// App is the whole program, built and not yet running.
type App struct {
	k          *kernel
	Services   *Services
	Modules    []module.Module
	dispatcher *event.Dispatcher
	handler    http.Handler
}

// Options are what tests and the dev command change.
type Options struct {
	Clock clock.Clock // nil means the clock of the machine
}

// New builds the program. It asks nothing of the database yet, so it succeeds while
// PostgreSQL is away; pages then answer 503.
func New(ctx context.Context, cfg config.Config, log *slog.Logger, o Options) (*App, error) {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	k, err := newKernel(ctx, cfg, log, o.Clock)
	if err != nil {
		return nil, err
	}
	if err := k.startTracing(ctx); err != nil {
		return nil, err
	}
	a := &App{k: k}
	if a.Services, a.Modules, err = newModules(k); err != nil {
		return nil, err
	}
	var subs []event.Subscription
	nav := []web.NavEntry{apiNav}
	for _, m := range a.Modules {
		if err := k.policy.Add(m.Permissions...); err != nil {
			return nil, fmt.Errorf("module %s: %w", m.Name, err)
		}
		if err := k.add(m); err != nil {
			return nil, err
		}
		subs = append(subs, m.On...)
		nav = append(nav, m.Nav...)
	}
	if a.dispatcher, err = event.NewDispatcher(k.db, k.jobs, subs); err != nil {
		return nil, err
	}
	k.newWeb()
	k.web.SetNav(nav)
	a.Services.Members.SetNav(nav)
	a.wireWeb()
	for _, m := range a.Modules {
		if m.Routes != nil {
			m.Routes(k.web.Module(m.Name))
		}
		if m.API != nil {
			m.API(k.api.Module(m.Name))
		}
	}
	a.kernelRoutes()
	a.handler = a.operations(k.web.Handler())
	return a, nil
}

// Handler returns the HTTP side of the program.
func (a *App) Handler() http.Handler { return a.handler }

// Web returns the server, for tests that walk its routes.
func (a *App) Web() *web.Server { return a.k.web }

// API returns the JSON API, for tests and the docs.
func (a *App) API() *api.API { return a.k.api }

// Catalogue returns the declared events.
func (a *App) Catalogue() *event.Catalogue { return a.k.catalogue }

// DB returns the database.
func (a *App) DB() *db.DB { return a.k.db }

// Jobs returns the job engine.
func (a *App) Jobs() *job.Engine { return a.k.jobs }

// Close ends connections and sends the last spans. Call it after Run has returned.
func (a *App) Close() {
	a.k.db.Close()
	a.k.tracing.StopSoon(a.k.log)
}

// RunOptions say which parts of the program run in this process.
type RunOptions struct {
	// Listener serves HTTP; nil means no web server.
	Listener net.Listener
	// Work runs jobs and scans.
	Work bool
	// Queues to work; nil means all.
	Queues []string
	// Ready is called once everything runs.
	Ready func()
}

// drain is how long a stopping process may take to finish what it began.
const drain = 20 * time.Second

// Run serves and works until ctx ends, then drains requests and jobs.
func (a *App) Run(ctx context.Context, o RunOptions) error {
	if err := a.selfCheck(ctx); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	if o.Work {
		if err := a.startWork(gctx, g, o.Queues); err != nil {
			return err
		}
	}
	if o.Listener != nil {
		a.startWeb(gctx, g, o.Listener)
	}
	if o.Ready != nil {
		o.Ready()
	}
	return g.Wait()
}

// selfCheck refuses to serve with a database role that could see other workspaces or
// with a damaged audit guard. A database that is away is waited for. The audit log gets its
// partitions first: the job that makes them never ran while an installation stood still for
// months, or in a backup that old, and without them nothing would start.
func (a *App) selfCheck(ctx context.Context) error {
	for {
		err := a.Services.AuditLog.EnsurePartitions(ctx)
		var problems []string
		if err == nil {
			problems, err = a.k.db.CheckRoles(ctx)
		}
		if err == nil {
			var all []error
			for _, p := range problems {
				all = append(all, errors.New(p))
			}
			return errors.Join(all...)
		}
		a.k.log.WarnContext(ctx, "waiting for the database", slog.String("error", err.Error()))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Second):
		}
	}
}

func (a *App) startWeb(ctx context.Context, g *errgroup.Group, l net.Listener) {
	srv := &http.Server{
		Handler: a.handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(a.k.log.Handler(), slog.LevelDebug),
	}
	live, stopLive := context.WithCancel(ctx)
	srv.RegisterOnShutdown(stopLive)
	srv.BaseContext = func(net.Listener) context.Context { return context.WithoutCancel(ctx) }
	g.Go(func() error {
		a.k.web.RunLive(live)
		return nil
	})
	g.Go(func() error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve http: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		a.k.web.Hub().Close()
		if err := srv.Shutdown(stop); err != nil {
			return fmt.Errorf("drain requests: %w", err)
		}
		return nil
	})
}

func (a *App) startWork(ctx context.Context, g *errgroup.Group, names []string) error {
	workers := river.NewWorkers()
	a.dispatcher.Register(workers)
	river.AddWorker(workers, &api.ExpireWorker{DB: a.k.db})
	schedules := []job.Schedule{{Every: time.Hour, Job: func() river.JobArgs { return api.ExpireArgs{} }}}
	for _, m := range a.Modules {
		if m.Workers != nil {
			m.Workers(workers)
		}
		schedules = append(schedules, m.Schedules...)
	}
	var queues map[string]int
	if len(names) > 0 {
		all := job.DefaultQueues()
		queues = map[string]int{}
		for _, n := range names {
			if _, ok := all[n]; !ok {
				return fmt.Errorf("there is no queue named %s", n)
			}
			queues[n] = all[n]
		}
	}
	o := job.StartOptions{Workers: workers, Schedules: schedules, Queues: queues, Observer: a.k.observeJob}
	if a.k.tracing != nil {
		o.Trace = a.k.tracing
	}
	if err := a.k.jobs.Start(context.WithoutCancel(ctx), o); err != nil {
		return err
	}
	g.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		if err := a.k.jobs.Stop(stop); err != nil {
			return fmt.Errorf("drain jobs: %w", err)
		}
		return nil
	})
	if queues == nil || queues[job.QueueScan] > 0 {
		for _, run := range a.Services.background() {
			g.Go(func() error { return run(ctx) })
		}
	}
	return nil
}

// Config returns the settings in use.
func (a *App) Config() config.Config { return a.k.cfg }

// HelpFor returns the slug of the article that serves a route.
func (a *App) HelpFor(pattern string) (string, bool) {
	art, ok := a.k.help.ForRoute(pattern)
	return art.Slug, ok
}
