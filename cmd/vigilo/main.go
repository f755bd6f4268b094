// Command vigilo is the whole product: web server, worker, migrations, the development
// set-up, the checks an operator runs, and the client of the API.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/vigilo/vigilo/internal/app"
	"github.com/vigilo/vigilo/internal/cli"
	"github.com/vigilo/vigilo/internal/dev"
	"github.com/vigilo/vigilo/internal/kernel/config"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/migrations"
)

// command is one subcommand of the program itself; those of the client are in internal/cli.
type command struct {
	name    string
	summary string
	run     func(ctx context.Context, args []string) error
}

func commands() []command {
	return []command{
		{"serve", "serve pages and the API, and work jobs in the same process", serve},
		{"worker", "work jobs and scans only", worker},
		{"migrate", "bring the database schema up to date", migrate},
		{"dev", "start with a private database, the development login and demo data", runDev},
		{"doctor", "check settings, database, mail and identity provider", doctor},
		{"secrets", "seal stored secrets with the newest key", secrets},
		{"version", "print the version", version},
	}
}

// errUsage means that the command line is wrong; the message has been printed.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second Ctrl-C ends a process that is slow to stop.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run returns the exit code: 0 for success, 1 for a failure, 2 for a wrong command line.
func run(ctx context.Context, args []string) int {
	if len(args) > 0 && cli.Has(args[0]) {
		return cli.Run(ctx, args, os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	}
	err := dispatch(ctx, args)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp) || errors.Is(err, context.Canceled):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	fmt.Fprintln(os.Stderr, "vigilo:", err)
	return 1
}

func dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		usage(os.Stdout)
		return nil
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, args[1:])
		}
	}
	fmt.Fprintf(os.Stderr, "vigilo: there is no command %q\n\n", args[0])
	usage(os.Stderr)
	return errUsage
}

func usage(w io.Writer) {
	fmt.Fprint(w, "Usage: vigilo <command> [flags]\n\nCommands of the program:\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-13s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\nCommands that call the API of a running Vigilo:\n")
	for _, g := range cli.Groups() {
		fmt.Fprintf(w, "  %-13s %s\n", g.Name, g.Summary)
	}
	fmt.Fprintf(w, "\nThe program reads its settings from variables VIGILO_*; docs/operations/configuration.md lists them.\n"+
		"The client reads %s, %s and %s.\n"+
		"vigilo <command> --help shows the flags of a command.\n", cli.EnvURL, cli.EnvWorkspace, cli.EnvToken)
}

// flags returns the flag set of a command, with its summary in the help.
func flags(name, summary string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprintf(fs.Output(), "Usage: vigilo %s [flags]\n\n%s\n", name, summary)
		fs.PrintDefaults()
	}
	return fs
}

// settings reads the settings and prints every problem on a line of its own.
func settings(cmd config.Command) (config.Config, error) {
	cfg, problems := config.FromEnvironment(os.Environ())
	if len(problems) == 0 {
		problems = cfg.Missing(cmd)
	}
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, p)
	}
	if len(problems) > 0 {
		return cfg, fmt.Errorf("%d settings need to be corrected", len(problems))
	}
	return cfg, nil
}

func serve(ctx context.Context, args []string) error {
	fs := flags("serve", "Serves pages and the API. Jobs run in the same process unless --no-worker is given.")
	noWorker := fs.Bool("no-worker", false, "do not work jobs in this process")
	if err := fs.Parse(args); err != nil {
		return err
	}
	cfg, err := settings(config.Serve)
	if err != nil {
		return err
	}
	log := app.NewLogger(os.Stderr, cfg)
	a, err := app.New(ctx, cfg, log, app.Options{})
	if err != nil {
		return err
	}
	defer a.Close()
	l, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; choose another address with VIGILO_ADDR", cfg.Addr, err)
	}
	return a.Run(ctx, app.RunOptions{Listener: l, Work: !*noWorker, Queues: cfg.WorkerQueues, Ready: func() {
		log.LogAttrs(ctx, slog.LevelInfo, "serving", append(cfg.Redacted(), slog.String("version", app.Version))...)
	}})
}

func worker(ctx context.Context, args []string) error {
	fs := flags("worker", "Works jobs and scans without serving pages. Several workers share one database.")
	queues := fs.String("queues", "", "comma-separated queues to work; all when empty")
	if err := fs.Parse(args); err != nil {
		return err
	}
	cfg, err := settings(config.Worker)
	if err != nil {
		return err
	}
	names := cfg.WorkerQueues
	if *queues != "" {
		names = slices.DeleteFunc(strings.Split(*queues, ","), func(s string) bool { return strings.TrimSpace(s) == "" })
	}
	log := app.NewLogger(os.Stderr, cfg)
	a, err := app.New(ctx, cfg, log, app.Options{})
	if err != nil {
		return err
	}
	defer a.Close()
	return a.Run(ctx, app.RunOptions{Work: true, Queues: names, Ready: func() {
		log.LogAttrs(ctx, slog.LevelInfo, "working", append(cfg.Redacted(), slog.String("version", app.Version))...)
	}})
}

func migrate(ctx context.Context, args []string) error {
	fs := flags("migrate", "Brings the schema up to date as the role vigilo_owner. Safe to run again and from several machines at once.")
	roles := fs.Bool("print-roles", false, "print the SQL that creates the database roles, for a superuser to run once")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *roles {
		fmt.Print(db.RolesSQL)
		return nil
	}
	cfg, err := settings(config.Migrate)
	if err != nil {
		return err
	}
	v, err := db.Migrate(ctx, cfg.Database.Owner.Reveal(), migrations.FS, app.NewLogger(os.Stderr, cfg))
	if err != nil {
		return err
	}
	fmt.Printf("schema version %d\n", v)
	return nil
}

func runDev(ctx context.Context, args []string) error {
	fs := flags("dev", "Starts Vigilo with a private PostgreSQL, the development login, demo data and TLS servers to watch, all on loopback.")
	if err := fs.Parse(args); err != nil {
		return err
	}
	return dev.Run(ctx, os.Environ(), os.Stdout, os.Stderr)
}

func doctor(ctx context.Context, args []string) error {
	fs := flags("doctor", "Checks the settings, the database roles and guards, mail and the identity provider.")
	if err := fs.Parse(args); err != nil {
		return err
	}
	cfg, err := settings(config.Serve)
	if err != nil {
		return err
	}
	return app.Doctor(ctx, cfg, os.Stdout)
}

func secrets(ctx context.Context, args []string) error {
	const about = "rotate seals every stored secret with the newest key of VIGILO_SECRET_KEY_FILE. It may be stopped and run\n" +
		"again, also while Vigilo serves. Once doctor counts no secret under a former key, that key may be removed."
	if len(args) == 0 || args[0] != "rotate" {
		fs := flags("secrets rotate", about)
		fs.Usage()
		if len(args) > 0 && (args[0] == "-h" || args[0] == "--help") {
			return nil
		}
		return errUsage
	}
	fs := flags("secrets rotate", about)
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	cfg, err := settings(config.Worker)
	if err != nil {
		return err
	}
	return app.RotateSecrets(ctx, cfg, os.Stdout)
}

func version(context.Context, []string) error {
	fmt.Println(app.Version)
	return nil
}
