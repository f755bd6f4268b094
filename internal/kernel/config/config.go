// Package config reads the settings of an installation from environment variables. They
// are declared in one table (variables.go), which is also the source of the reference in
// docs/operations/configuration.md. A command reads them once at its start; what is
// absent has a safe default.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/secret"
)

// Config is every setting of an installation. Fields that come from a variable without a
// default are zero when it is not set.
type Config struct {
	// Addr is the host:port on which the web server listens.
	Addr string
	// BaseURL is where people reach this installation: scheme and host, no path.
	BaseURL *url.URL
	// DataDir holds uploads and, for `vigilo dev`, the private database.
	DataDir string

	Database Database

	// Auth is how people sign in.
	Auth AuthMode
	// DevAllowRemote lets the dev login listen beyond loopback.
	DevAllowRemote bool
	OIDC           OIDC
	// PlatformAdmins are the e-mail addresses, in lower case, of who runs the installation.
	PlatformAdmins []string

	// SecretKeyFile or SecretKeys hold the keys of stored secrets; see Keyring.
	SecretKeyFile string
	SecretKeys    secret.Text

	SMTP    SMTP
	Session Session
	Network Network
	// TrustedProxies are the addresses whose X-Forwarded-* headers are believed.
	TrustedProxies []netip.Prefix
	// TrustedRootsFile is a PEM file of root certificates to trust beside the system's.
	TrustedRootsFile string

	LogLevel  slog.Level
	LogFormat LogFormat
	// MetricsToken opens /metrics to other machines; empty means loopback only.
	MetricsToken secret.Text

	Trace Trace

	// WorkerQueues are the queues that this process works; empty means all.
	WorkerQueues []string
	// ScanConcurrency is how many TLS scans and checks run at the same time in a process.
	ScanConcurrency int
	Scan            ScanLimits
	Rate            Rate
	// PlanLimits makes the plan of a workspace bound what it holds.
	PlanLimits bool
	// PGBin is the folder of PostgreSQL's server binaries for `vigilo dev` and the tests.
	PGBin string

	shown []slog.Attr
}

// Database holds one connection URL for each database role.
type Database struct {
	App    secret.Text // role vigilo_app: under row-level security
	System secret.Text // role vigilo_system: sweeps over all workspaces
	Owner  secret.Text // role vigilo_owner: migrations only
}

// AuthMode is how people sign in.
type AuthMode string

// The ways to sign in.
const (
	AuthOIDC AuthMode = "oidc"
	AuthDev  AuthMode = "dev"
)

// OIDC is the identity provider.
type OIDC struct {
	Issuer       string
	ClientID     string
	ClientSecret secret.Text
	Scopes       []string
	// GroupsClaim is the name, or the dotted path, of the claim that lists groups.
	GroupsClaim string
	// Name is written on the sign-in button.
	Name string
}

// SMTP is the mail server. An empty Host means that no mail is sent.
type SMTP struct {
	Host     string
	Port     int
	Username string
	Password secret.Text
	// From is an address as RFC 5322 writes it, with or without a name.
	From string
	TLS  SMTPSecurity
}

// SMTPSecurity is how the connection to the mail server is protected.
type SMTPSecurity string

// The ways to protect mail.
const (
	SMTPStartTLS SMTPSecurity = "starttls"
	SMTPImplicit SMTPSecurity = "implicit"
	SMTPNone     SMTPSecurity = "none"
)

// Session bounds how long a person stays signed in.
type Session struct {
	Idle     time.Duration
	Absolute time.Duration
}

// Network says where scans, checks and webhooks may connect to.
type Network struct {
	Mode          NetworkMode
	Allow         []netip.Prefix
	Deny          []netip.Prefix
	AllowLoopback bool
}

// NetworkMode is the starting point of the rules for outbound connections.
type NetworkMode string

// The network modes: hosted refuses every address that is not public, self-hosted allows
// private ranges.
const (
	NetworkHosted     NetworkMode = "hosted"
	NetworkSelfHosted NetworkMode = "self_hosted"
)

// LogFormat is how log lines are written.
type LogFormat string

// The log formats.
const (
	LogJSON LogFormat = "json"
	LogText LogFormat = "text"
)

// Trace says where traces go, in the variables of the OpenTelemetry specification.
type Trace struct {
	// Endpoint takes OTLP over HTTP; nil means that no trace is made.
	Endpoint *url.URL
	// Headers are sent along, in the form name=value, separated by commas.
	Headers secret.Text
}

// HeaderList returns the headers by name.
func (t Trace) HeaderList() map[string]string {
	headers, _ := parseHeaderList(t.Headers.Reveal()) // the parser has accepted it
	return headers
}

// Rate holds limits in requests a minute.
type Rate struct {
	SignIn      int // per client address
	Invitation  int // per person
	Token       int // per person: creation of tokens
	WebhookTest int // per person
	API         int // per token
}

// ScanLimits bound what the scans of a process ask of the network.
type ScanLimits struct {
	StartsPerWorkspace int // a second
	Starts             int // a second, all workspaces together
	PerNetwork         int // open connections to one /24 or /56
}

// Command is a command of the program that reads the settings.
type Command string

// The commands that cannot run without some of the settings.
const (
	Serve   Command = "serve"
	Worker  Command = "worker"
	Migrate Command = "migrate"
)

// Problem is one thing to fix before the program can start.
type Problem struct {
	Variable string
	Message  string
}

// String returns one line that names the variable and what it should be.
func (p Problem) String() string { return p.Variable + ": " + p.Message }

// Load reads the settings through env, which is os.LookupEnv outside tests. Empty
// variables count as not set, because compose files pass them on like that. It returns
// every problem at once, in the order of the table; the Config is usable only when there
// is none.
func Load(env func(string) (string, bool)) (Config, []Problem) {
	var c Config
	var problems []Problem
	for _, v := range variables() {
		text, source, err := v.read(env)
		if err != nil {
			problems = append(problems, Problem{source, err.Error()})
			continue
		}
		value := text
		if value == "" {
			value = v.def
		}
		if value != "" {
			if err := v.set(&c, value); err != nil {
				problems = append(problems, Problem{source, v.explain(err, text)})
			}
		}
		c.shown = append(c.shown, slog.String(v.name, v.show(text)))
	}
	// A rule about two variables is only worth a line when both were understood.
	if len(problems) == 0 {
		problems = c.checkRules()
	}
	return c, problems
}

// FromEnvironment reads the settings from lines of the form NAME=value, as os.Environ
// returns them, and reports VIGILO_ variables that do not exist, too.
func FromEnvironment(environ []string) (Config, []Problem) {
	values := map[string]string{}
	for _, line := range environ {
		if name, value, ok := strings.Cut(line, "="); ok {
			values[name] = value
		}
	}
	c, problems := Load(func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	})
	return c, append(problems, unknown(values)...)
}

// Redacted returns every variable with its value or default, for the log line at start:
// secrets, e-mail addresses and account names are replaced.
func (c Config) Redacted() []slog.Attr { return slices.Clone(c.shown) }

// Missing returns a problem for each setting that the command needs and that is not set.
func (c Config) Missing(cmd Command) []Problem {
	var out []Problem
	need := func(absent bool, variable, message string) {
		if absent {
			out = append(out, Problem{variable, message})
		}
	}
	if cmd == Migrate {
		need(c.Database.Owner == "", "VIGILO_OWNER_DATABASE_URL", "must be the URL of the database for the role vigilo_owner")
		return out
	}
	need(c.BaseURL == nil, "VIGILO_BASE_URL", "must be the URL at which people reach this installation, such as https://vigilo.example.com")
	need(c.Database.App == "", "VIGILO_DATABASE_URL", "must be the URL of the database for the role vigilo_app")
	need(c.Database.System == "", "VIGILO_SYSTEM_DATABASE_URL", "must be the URL of the database for the role vigilo_system")
	if c.Auth != AuthDev {
		need(c.SecretKeyFile == "" && c.SecretKeys == "", "VIGILO_SECRET_KEY_FILE",
			"must be a file with keys for stored secrets (one line: id, colon, output of `openssl rand -base64 32`)")
		if cmd == Serve {
			need(c.OIDC.Issuer == "", "VIGILO_OIDC_ISSUER", "must be the issuer URL of the identity provider")
			need(c.OIDC.ClientID == "", "VIGILO_OIDC_CLIENT_ID", "must be the client id that the identity provider gave to Vigilo")
		}
	}
	return out
}

// Keyring returns the keys of stored secrets. With the dev login it creates a key in the
// data folder when none is configured; otherwise a missing key is an error.
func (c Config) Keyring() (*secret.Keyring, error) {
	switch {
	case c.SecretKeys != "":
		return secret.ParseKeyring(c.SecretKeys.Reveal())
	case c.SecretKeyFile != "" && c.Auth == AuthDev:
		return secret.LoadOrCreateKeyring(c.SecretKeyFile)
	case c.SecretKeyFile != "":
		return secret.LoadKeyring(c.SecretKeyFile)
	case c.Auth == AuthDev:
		return secret.LoadOrCreateKeyring(filepath.Join(c.DataDir, "secret.keys"))
	default:
		return nil, errors.New("no keys for stored secrets are configured: set VIGILO_SECRET_KEY_FILE")
	}
}

// checkRules reports settings that are right alone and wrong together, and derives the
// base URL of a server on loopback.
func (c *Config) checkRules() []Problem {
	var out []Problem
	refuse := func(wrong bool, variable, format string, args ...any) {
		if wrong {
			out = append(out, Problem{variable, fmt.Sprintf(format, args...)})
		}
	}
	host, _, _ := net.SplitHostPort(c.Addr) // the parser has accepted it
	local := isLoopback(host)
	if c.BaseURL == nil && local {
		c.BaseURL = &url.URL{Scheme: "http", Host: c.Addr}
	}
	dev := c.Auth == AuthDev
	refuse(dev && !local && !c.DevAllowRemote, "VIGILO_AUTH",
		"must be oidc when VIGILO_ADDR (%s) is not a loopback address: the dev login lets anyone in; "+
			"set VIGILO_DEV_ALLOW_REMOTE=true if every machine that can connect may do that", c.Addr)
	refuse(dev && (c.OIDC.Issuer != "" || c.OIDC.ClientID != "" || c.OIDC.ClientSecret != ""), "VIGILO_AUTH",
		"must be oidc when VIGILO_OIDC_* is set: the dev login is never offered beside an identity provider")
	refuse(c.BaseURL != nil && c.BaseURL.Scheme == "http" && !isLoopback(c.BaseURL.Hostname()) && !(dev && c.DevAllowRemote),
		"VIGILO_BASE_URL", "must start with https:// unless its host is loopback: the session cookie is for secure connections")
	refuse(c.SecretKeyFile != "" && c.SecretKeys != "", "VIGILO_SECRET_KEYS", "must not be set beside VIGILO_SECRET_KEY_FILE: choose one")
	refuse(c.SMTP.Host != "" && c.SMTP.From == "", "VIGILO_SMTP_FROM", "must be the sender's address when VIGILO_SMTP_HOST is set")
	refuse(c.SMTP.Password != "" && c.SMTP.Username == "", "VIGILO_SMTP_USERNAME", "must be set when VIGILO_SMTP_PASSWORD is")
	refuse(c.SMTP.Username != "" && c.SMTP.TLS == SMTPNone && !isLoopback(c.SMTP.Host), "VIGILO_SMTP_TLS",
		"must be starttls or implicit when VIGILO_SMTP_USERNAME is set: the password would be readable on the way")
	refuse(c.Session.Idle > c.Session.Absolute, "VIGILO_SESSION_IDLE",
		"must not be longer than VIGILO_SESSION_ABSOLUTE (%s)", c.Session.Absolute)
	return out
}

// isLoopback reports whether a host is this machine only. An empty host means every
// interface, and other names may resolve to anything.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// readFile returns the text of a file that holds one secret, without the line end that
// editors add.
func readFile(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("must be a readable file: %w", err)
	}
	text := strings.TrimSpace(string(raw))
	if text == "" {
		return "", fmt.Errorf("must be a file that holds the secret: %s is empty", path)
	}
	return text, nil
}
