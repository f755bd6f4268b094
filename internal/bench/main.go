// Command bench measures Vigilo against what the same machine can do at best, in one run:
// each target has a floor, a bare loop that does only the part that cannot be left out, and
// the product's figure beside it. Floor and product take turns for several rounds and
// medians are compared, because the machine may be shared: ratios count, absolute figures
// do not. It needs the test server of internal/kernel/dbtest (make bench starts it), touches
// loopback only and writes docs/benchmarks.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// part is a group of measurements that share a database and a set-up.
type part struct {
	name  string
	about string
	run   func(ctx context.Context, b *bench) error
}

func parts() []part {
	return []part{
		{"pages", "Pages over HTTP", measurePages},
		{"growth", "Pages and claims as tables grow", measureGrowth},
		{"events", "Events and webhooks", measureEvents},
		{"changes", "Audited changes", measureChanges},
		{"scans", "TLS scans", measureScans},
		{"program", "The whole program", measureProgram},
	}
}

// bench is one run of a part.
type bench struct {
	quick bool
	log   io.Writer
	clock clock.Clock
	// db is a migrated database of this part alone, and admin its superuser.
	db      *dbtest.DB
	admin   *pgxpool.Pool
	results []result
	notes   []string
}

// pick returns the full value, or the small one in a quick run.
func pick[T any](b *bench, full, quick T) T {
	if b.quick {
		return quick
	}
	return full
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.log, "  "+format+"\n", args...) }

func (b *bench) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
	b.say(format, args...)
}

func (b *bench) add(r result) {
	b.results = append(b.results, r)
	b.say("%s", r)
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("run", "", "parts to run, separated by commas; the document is written only when all run")
	quick := flags.Bool("quick", false, "fewer rounds and smaller tables; nothing is written")
	profile := flags.String("cpuprofile", "", "file for a profile of this process, which holds product, floor and clients")
	path := flags.String("out", "docs/benchmarks.md", "document to write")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	if os.Getenv(dbtest.EnvServer) == "" {
		return errors.New("start it through make bench, which brings a database server")
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return fmt.Errorf("make profile: %w", err)
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return fmt.Errorf("start profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	doc := document{machine: readMachine(), began: clock.System().Now(), quick: *quick}
	took := clock.Stopwatch()
	for _, p := range chosen {
		fmt.Fprintf(out, "%s\n", p.name)
		lap := clock.Stopwatch()
		b := &bench{quick: *quick, log: out, clock: clock.System()}
		if err := b.runPart(ctx, p, &doc.machine); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		doc.parts = append(doc.parts, measured{part: p, results: b.results, notes: b.notes, took: lap()})
	}
	doc.took = took()
	fmt.Fprintf(out, "took %s\n", doc.took.Round(time.Second))
	if *quick || *only != "" {
		return nil
	}
	if err := os.WriteFile(*path, []byte(doc.markdown()), 0o644); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	fmt.Fprintf(out, "wrote %s\n", *path)
	return nil
}

func choose(names string) ([]part, error) {
	all := parts()
	if names == "" {
		return all, nil
	}
	var out []part
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(p part) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no part named %s", name)
		}
		out = append(out, all[i])
	}
	return out, nil
}

// runPart gives the part a fresh database and takes it away again.
func (b *bench) runPart(ctx context.Context, p part, m *machine) (err error) {
	d, drop, err := dbtest.Create(ctx, b.clock)
	if err != nil {
		return fmt.Errorf("make database: %w", err)
	}
	defer func() { err = errors.Join(err, drop(context.WithoutCancel(ctx))) }()
	b.db = d
	if b.admin, err = pgxpool.New(ctx, d.URL("postgres")); err != nil {
		return fmt.Errorf("open superuser pool: %w", err)
	}
	defer b.admin.Close()
	if err := b.admin.QueryRow(ctx, `SELECT current_setting('server_version'), current_setting('fsync')`).Scan(&m.postgres, &m.fsync); err != nil {
		return fmt.Errorf("ask for the version: %w", err)
	}
	return p.run(ctx, b)
}
