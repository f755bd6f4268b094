// Package app puts the program together: it builds the kernel from the settings, lists
// the modules, and starts and stops what runs. Everything is wired by hand, in order.
package app

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/vigilo/vigilo/docs"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/config"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/help"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/module"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
	"github.com/vigilo/vigilo/internal/kernel/ratelimit"
	"github.com/vigilo/vigilo/internal/kernel/reseal"
	"github.com/vigilo/vigilo/internal/kernel/search"
	"github.com/vigilo/vigilo/internal/kernel/secret"
	"github.com/vigilo/vigilo/internal/kernel/telemetry"
	"github.com/vigilo/vigilo/internal/kernel/web"
	assets "github.com/vigilo/vigilo/web"
)

// Version is the version of the program; the build sets it.
var Version = "dev"

// kernel holds the shared pieces that modules are built from.
type kernel struct {
	cfg       config.Config
	log       *slog.Logger
	clock     clock.Clock
	db        *db.DB
	jobs      *job.Engine
	catalogue *event.Catalogue
	policy    *access.Policy
	ledger    *ledger.Ledger
	keys      *secret.Keyring
	dialer    *outbound.Dialer
	roots     *x509.CertPool // extra trusted roots of the installation, nil for none
	trusted   *x509.CertPool // the machine's roots and the extra ones; nil, for the machine's, without extra ones
	index     *search.Index
	help      *help.Library
	metrics   *telemetry.Metrics
	tracing   *telemetry.Tracing // nil is off
	web       *web.Server
	api       *api.API
}

// kernelEvents are what the kernel itself records.
var kernelEvents = []event.Type{{
	Name: "access.denied", Label: "An action was refused", Group: "Access", Severity: event.Low,
	Category: event.CategoryAccess, AuditOnly: true,
}, {
	Name: reseal.EventResealed, Label: "A stored secret was sealed with another key", Group: "Access", Severity: event.Low,
	Category: event.CategoryAdmin, AuditOnly: true,
}}

func newKernel(ctx context.Context, cfg config.Config, log *slog.Logger, clk clock.Clock) (*kernel, error) {
	k := &kernel{cfg: cfg, log: log, clock: clk, metrics: telemetry.NewMetrics(Version), index: search.NewIndex(nil, nil)}
	var err error
	if k.keys, err = cfg.Keyring(); err != nil {
		return nil, fmt.Errorf("read keys of stored secrets: %w", err)
	}
	if k.roots, err = trustedRoots(cfg.TrustedRootsFile, x509.NewCertPool()); err != nil {
		return nil, err
	}
	if k.roots != nil {
		machine, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("read the machine's trusted roots: %w", err)
		}
		if k.trusted, err = trustedRoots(cfg.TrustedRootsFile, machine); err != nil {
			return nil, err
		}
	}
	if k.help, err = help.Load(docs.Help()); err != nil {
		return nil, fmt.Errorf("load help: %w", err)
	}
	if k.policy, err = access.NewPolicy(); err != nil {
		return nil, err
	}
	if k.catalogue, err = event.NewCatalogue(kernelEvents...); err != nil {
		return nil, err
	}
	k.db, err = db.Open(ctx, db.Config{AppURL: cfg.Database.App.Reveal(), SystemURL: cfg.Database.System.Reveal()}, clk)
	if err != nil {
		return nil, err
	}
	if k.jobs, err = job.New(k.db, log); err != nil {
		return nil, err
	}
	k.ledger = ledger.New(k.catalogue, k.jobs, k.keys)
	k.dialer = outbound.NewDialer(networkPolicy(cfg))
	return k, nil
}

// startTracing makes traces from now on, when the settings name a receiver.
func (k *kernel) startTracing(ctx context.Context) error {
	if k.cfg.Trace.Endpoint == nil {
		return nil
	}
	var err error
	k.tracing, err = telemetry.NewTracing(ctx, telemetry.TraceOptions{
		Endpoint: k.cfg.Trace.Endpoint.String(), Headers: k.cfg.Trace.HeaderList(), Version: Version,
		Client: k.operatorClient(), Clock: k.clock, Log: k.log,
	})
	return err
}

// newWeb makes the server once the permissions of all modules are known.
func (k *kernel) newWeb() {
	base := k.cfg.BaseURL
	if base == nil {
		base = &url.URL{Scheme: "http", Host: k.cfg.Addr}
	}
	k.web = web.New(web.Options{
		DB: k.db, Policy: k.policy, Clock: k.clock, Log: k.log, BaseURL: base, Secure: base.Scheme == "https",
		DevLogin: k.cfg.Auth == config.AuthDev, TrustedProxies: k.cfg.TrustedProxies,
		HelpFor: func(pattern string) (string, bool) {
			a, ok := k.help.ForRoute(pattern)
			return a.Slug, ok
		},
		APILimit: ratelimit.New(float64(k.cfg.Rate.API)/60, k.cfg.Rate.API, k.clock),
		OnDenied: k.recordDenied, Static: assets.Handler(),
	})
	k.api = api.New(k.web, k.db, k.keys, Version)
}

// observeJob counts an attempt at a job.
func (k *kernel) observeJob(kind string, outcome job.Outcome, waited, took time.Duration) {
	k.metrics.ObserveJob(kind, telemetry.JobOutcome(outcome), waited, took)
}

// recordDenied puts a refused action into the audit log, in a transaction of its own:
// the action itself wrote nothing.
func (k *kernel) recordDenied(ctx context.Context, a db.Actor, route web.Route) {
	err := k.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		_, err := k.ledger.Record(ctx, tx, ledger.Entry{
			Action: "access.denied", Outcome: ledger.Denied,
			Subject: event.Subject{Type: "workspace", ID: a.WorkspaceID},
			Detail:  map[string]any{"method": route.Method, "route": route.Pattern, "permission": string(route.Permission), "role": a.Role},
		})
		return err
	})
	if err != nil {
		k.log.ErrorContext(ctx, "refusal not recorded", slog.String("error", err.Error()), slog.String("request_id", a.RequestID.String()))
	}
}

// networkPolicy turns the settings into the rules of the one guarded dialer.
func networkPolicy(cfg config.Config) outbound.Policy {
	mode := outbound.SelfHosted
	if cfg.Network.Mode == config.NetworkHosted {
		mode = outbound.Hosted
	}
	p := outbound.Policy{
		Mode: mode, AllowLoopback: cfg.Network.AllowLoopback,
		OperatorAllow: cfg.Network.Allow, OperatorDeny: cfg.Network.Deny,
	}
	if own, err := netip.ParseAddrPort(cfg.Addr); err == nil {
		p.OwnAddrs = append(p.OwnAddrs, own)
	}
	return p
}

// trustedRoots adds the certificates of a file to the pool; without a file it returns nil.
func trustedRoots(path string, pool *x509.CertPool) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read trusted roots: %w", err)
	}
	if !pool.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("read trusted roots: %s holds no certificate", path)
	}
	return pool, nil
}

// add takes over what a module declares.
func (k *kernel) add(m module.Module) error {
	if err := k.catalogue.Add(m.Events...); err != nil {
		return fmt.Errorf("module %s: %w", m.Name, err)
	}
	k.index.Add(m.Search, m.Refs)
	return nil
}

// NewLogger returns the logger that the settings ask for.
func NewLogger(w io.Writer, cfg config.Config) *slog.Logger {
	return telemetry.NewLogger(w, telemetry.LogOptions{Level: cfg.LogLevel, Text: cfg.LogFormat == config.LogText})
}
