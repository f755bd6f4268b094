package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/secret"
)

// variable declares one environment variable.
type variable struct {
	name string
	kind string // for the reference
	def  string // in the form of the variable; empty for none
	need string // the commands that do not start without it; empty for none
	// about is one sentence for the reference.
	about string
	// secret values are never printed, and NAME_FILE may name a file that holds the value,
	// unless noFile says that another variable does that.
	secret bool
	noFile bool
	// personal values, such as addresses of people, are not logged.
	personal bool
	set      func(c *Config, text string) error
}

// variables is the table of every setting, in the order of the reference.
func variables() []variable {
	return []variable{
		{
			name: "VIGILO_ADDR", kind: "host:port", def: "127.0.0.1:8080",
			about: "Where the web server listens. `:8080` listens on every interface.",
			set:   into(func(c *Config) *string { return &c.Addr }, parseAddr),
		},
		{
			name: "VIGILO_BASE_URL", kind: "URL", need: "serve, worker",
			about: "Where people reach this installation; used in links, sign-in and cookies. Follows from `VIGILO_ADDR` when that is loopback.",
			set:   setBaseURL,
		},
		{
			name: "VIGILO_DATA_DIR", kind: "folder", def: ".data",
			about: "Holds uploaded files and, for `vigilo dev`, the private database.",
			set:   into(func(c *Config) *string { return &c.DataDir }, parseText),
		},
		{
			name: "VIGILO_DATABASE_URL", kind: "PostgreSQL URL", need: "serve, worker", secret: true,
			about: "The database for the role `vigilo_app`, which row-level security confines to one workspace at a time.",
			set:   into(func(c *Config) *secret.Text { return &c.Database.App }, parseDatabaseURL),
		},
		{
			name: "VIGILO_SYSTEM_DATABASE_URL", kind: "PostgreSQL URL", need: "serve, worker", secret: true,
			about: "The database for the role `vigilo_system`, which runs sweeps and jobs.",
			set:   into(func(c *Config) *secret.Text { return &c.Database.System }, parseDatabaseURL),
		},
		{
			name: "VIGILO_OWNER_DATABASE_URL", kind: "PostgreSQL URL", need: "migrate", secret: true,
			about: "The database for the role `vigilo_owner`. Set it for `vigilo migrate` only.",
			set:   into(func(c *Config) *secret.Text { return &c.Database.Owner }, parseDatabaseURL),
		},
		{
			name: "VIGILO_AUTH", kind: "oidc, dev", def: "oidc",
			about: "How people sign in. `dev` lists demo people and lets anyone in as any of them.",
			set:   into(func(c *Config) *AuthMode { return &c.Auth }, oneOf(AuthOIDC, AuthDev)),
		},
		{
			name: "VIGILO_DEV_ALLOW_REMOTE", kind: "true, false", def: "false",
			about: "Lets the dev login listen on an address that is not loopback.",
			set:   into(func(c *Config) *bool { return &c.DevAllowRemote }, parseBool),
		},
		{
			name: "VIGILO_OIDC_ISSUER", kind: "URL", need: "serve",
			about: "The issuer of the identity provider, exactly as its discovery document names it.",
			set:   into(func(c *Config) *string { return &c.OIDC.Issuer }, parseIssuer),
		},
		{
			name: "VIGILO_OIDC_CLIENT_ID", kind: "text", need: "serve",
			about: "The client id that the identity provider gave to Vigilo.",
			set:   into(func(c *Config) *string { return &c.OIDC.ClientID }, parseText),
		},
		{
			name: "VIGILO_OIDC_CLIENT_SECRET", kind: "text", secret: true,
			about: "The client secret. Empty for a public client, which relies on PKCE alone.",
			set:   into(func(c *Config) *secret.Text { return &c.OIDC.ClientSecret }, parseSecret),
		},
		{
			name: "VIGILO_OIDC_SCOPES", kind: "list", def: "openid profile email",
			about: "The scopes to ask for, separated by spaces or commas; `openid` must be one of them.",
			set:   into(func(c *Config) *[]string { return &c.OIDC.Scopes }, parseScopes),
		},
		{
			name: "VIGILO_OIDC_GROUPS_CLAIM", kind: "claim", def: "groups",
			about: "The claim that lists a person's groups; a dotted path such as `realm_access.roles` reaches into objects.",
			set:   into(func(c *Config) *string { return &c.OIDC.GroupsClaim }, parseClaimPath),
		},
		{
			name: "VIGILO_OIDC_NAME", kind: "text", def: "single sign-on",
			about: "The name of the identity provider on the sign-in button.",
			set:   into(func(c *Config) *string { return &c.OIDC.Name }, parseText),
		},
		{
			name: "VIGILO_PLATFORM_ADMINS", kind: "list of e-mail addresses", personal: true,
			about: "Who runs the installation and may open the platform pages, once the provider has verified the address.",
			set:   into(func(c *Config) *[]string { return &c.PlatformAdmins }, parseEmails),
		},
		{
			name: "VIGILO_SECRET_KEY_FILE", kind: "file", need: "serve, worker",
			about: "The keys that seal stored secrets: one `id:base64` a line, 32 bytes each, the current one first. Or set `VIGILO_SECRET_KEYS`.",
			set:   into(func(c *Config) *string { return &c.SecretKeyFile }, parseText),
		},
		{
			name: "VIGILO_SECRET_KEYS", kind: "list of keys", secret: true, noFile: true,
			about: "The same keys as a value, separated by commas.",
			set:   into(func(c *Config) *secret.Text { return &c.SecretKeys }, parseKeys),
		},
		{
			name: "VIGILO_SMTP_HOST", kind: "host name",
			about: "The mail server. Without it no mail is sent.",
			set:   into(func(c *Config) *string { return &c.SMTP.Host }, parseText),
		},
		{
			name: "VIGILO_SMTP_PORT", kind: "port", def: "587",
			about: "The port of the mail server: usually 587 for `starttls`, 465 for `implicit`.",
			set:   into(func(c *Config) *int { return &c.SMTP.Port }, between(1, 65535)),
		},
		{
			name: "VIGILO_SMTP_USERNAME", kind: "text", personal: true,
			about: "The account at the mail server, if it asks for one.",
			set:   into(func(c *Config) *string { return &c.SMTP.Username }, parseText),
		},
		{
			name: "VIGILO_SMTP_PASSWORD", kind: "text", secret: true,
			about: "The password of that account.",
			set:   into(func(c *Config) *secret.Text { return &c.SMTP.Password }, parseSecret),
		},
		{
			name: "VIGILO_SMTP_FROM", kind: "e-mail address", personal: true,
			about: "The sender of every mail, such as `Vigilo <vigilo@example.com>`. Needed with `VIGILO_SMTP_HOST`.",
			set:   into(func(c *Config) *string { return &c.SMTP.From }, parseSender),
		},
		{
			name: "VIGILO_SMTP_TLS", kind: "starttls, implicit, none", def: "starttls",
			about: "How the connection to the mail server is encrypted. `starttls` refuses a server that does not offer it.",
			set:   into(func(c *Config) *SMTPSecurity { return &c.SMTP.TLS }, oneOf(SMTPStartTLS, SMTPImplicit, SMTPNone)),
		},
		{
			name: "VIGILO_SESSION_IDLE", kind: "duration", def: "12h",
			about: "A session ends when it was not used for this long. A workspace can shorten it.",
			set:   into(func(c *Config) *time.Duration { return &c.Session.Idle }, duration(time.Minute, 90*24*time.Hour)),
		},
		{
			name: "VIGILO_SESSION_ABSOLUTE", kind: "duration", def: "168h",
			about: "A session ends this long after sign-in in any case. A workspace can shorten it.",
			set:   into(func(c *Config) *time.Duration { return &c.Session.Absolute }, duration(time.Minute, 365*24*time.Hour)),
		},
		{
			name: "VIGILO_NETWORK_MODE", kind: "hosted, self_hosted", def: "self_hosted",
			about: "Where scans, checks and webhooks may connect to: `hosted` refuses every address that is not public, `self_hosted` allows private ranges.",
			set:   into(func(c *Config) *NetworkMode { return &c.Network.Mode }, oneOf(NetworkHosted, NetworkSelfHosted)),
		},
		{
			name: "VIGILO_NETWORK_ALLOW", kind: "list of CIDR ranges",
			about: "Ranges that outbound connections may use although the mode refuses them.",
			set:   into(func(c *Config) *[]netip.Prefix { return &c.Network.Allow }, parsePrefixes),
		},
		{
			name: "VIGILO_NETWORK_DENY", kind: "list of CIDR ranges",
			about: "Ranges that outbound connections may never use.",
			set:   into(func(c *Config) *[]netip.Prefix { return &c.Network.Deny }, parsePrefixes),
		},
		{
			name: "VIGILO_ALLOW_LOOPBACK", kind: "true, false", def: "false",
			about: "Lets outbound connections reach this machine itself.",
			set:   into(func(c *Config) *bool { return &c.Network.AllowLoopback }, parseBool),
		},
		{
			name: "VIGILO_TRUSTED_PROXIES", kind: "list of CIDR ranges",
			about: "The reverse proxies whose `X-Forwarded-*` headers are believed. Without it the headers are ignored.",
			set:   into(func(c *Config) *[]netip.Prefix { return &c.TrustedProxies }, parsePrefixes),
		},
		{
			name: "VIGILO_TRUSTED_ROOTS_FILE", kind: "file",
			about: "Root certificates in PEM form to trust beside the system's, for example of a company CA.",
			set:   into(func(c *Config) *string { return &c.TrustedRootsFile }, parseRoots),
		},
		{
			name: "VIGILO_LOG_LEVEL", kind: "debug, info, warn, error", def: "info",
			about: "The lowest level that is logged.",
			set:   setLogLevel,
		},
		{
			name: "VIGILO_LOG_FORMAT", kind: "json, text", def: "json",
			about: "How log lines are written.",
			set:   into(func(c *Config) *LogFormat { return &c.LogFormat }, oneOf(LogJSON, LogText)),
		},
		{
			name: "VIGILO_METRICS_TOKEN", kind: "text of at least 16 characters", secret: true,
			about: "Opens `/metrics` to other machines that send it as a bearer token. Without it only loopback may read them.",
			set:   into(func(c *Config) *secret.Text { return &c.MetricsToken }, parseMetricsToken),
		},
		{
			name: "OTEL_EXPORTER_OTLP_ENDPOINT", kind: "URL",
			about: "Where traces go, as OTLP over HTTP with protobuf; `/v1/traces` is added. Without it no trace is made. See tracing.md.",
			set:   setTraceBase,
		},
		{
			name: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", kind: "URL",
			about: "The same as a full address, in place of the one before.",
			set:   into(func(c *Config) **url.URL { return &c.Trace.Endpoint }, parseTraceURL),
		},
		{
			name: "OTEL_EXPORTER_OTLP_HEADERS", kind: "list of name=value", secret: true,
			about: "Headers for the receiver of traces, such as `authorization=Bearer%20…`; values are percent-encoded.",
			set:   into(func(c *Config) *secret.Text { return &c.Trace.Headers }, parseHeaders),
		},
		{
			name: "VIGILO_WORKER_QUEUES", kind: "list",
			about: "The job queues that this process works. Without it every queue.",
			set:   into(func(c *Config) *[]string { return &c.WorkerQueues }, parseQueues),
		},
		{
			name: "VIGILO_SCAN_CONCURRENCY", kind: "number", def: "256",
			about: "How many TLS scans and checks run at the same time in a process.",
			set:   into(func(c *Config) *int { return &c.ScanConcurrency }, between(1, 10000)),
		},
		{
			name: "VIGILO_SCAN_STARTS_PER_WORKSPACE", kind: "number a second", def: "50",
			about: "Scheduled scans of one workspace that a process begins in a second.",
			set:   into(func(c *Config) *int { return &c.Scan.StartsPerWorkspace }, between(1, 100_000)),
		},
		{
			name: "VIGILO_SCAN_STARTS", kind: "number a second", def: "2000",
			about: "Scheduled scans of all workspaces together that a process begins in a second.",
			set:   into(func(c *Config) *int { return &c.Scan.Starts }, between(1, 100_000)),
		},
		{
			name: "VIGILO_SCAN_PER_NETWORK", kind: "number", def: "10",
			about: "Connections of scans that a process holds open to one network at a time: a /24 of IPv4, a /56 of IPv6. To one address it holds two.",
			set:   into(func(c *Config) *int { return &c.Scan.PerNetwork }, between(1, 10_000)),
		},
		rate("SIGN_IN", 10, "Sign-in attempts a minute for one client address.", func(r *Rate) *int { return &r.SignIn }),
		rate("INVITATION", 60, "Invitations a minute that one person may send.", func(r *Rate) *int { return &r.Invitation }),
		rate("TOKEN", 10, "API tokens a minute that one person may create.", func(r *Rate) *int { return &r.Token }),
		rate("WEBHOOK_TEST", 10, "Webhook tests a minute that one person may send.", func(r *Rate) *int { return &r.WebhookTest }),
		rate("API", 600, "API calls a minute for one token.", func(r *Rate) *int { return &r.API }),
		{
			name: "VIGILO_PLAN_LIMITS", kind: "true, false", def: "false",
			about: "Makes the plan of a workspace bound its members, hosts, scan interval and history. For installations that serve workspaces of others.",
			set:   into(func(c *Config) *bool { return &c.PlanLimits }, parseBool),
		},
		{
			name: "VIGILO_PG_BIN", kind: "folder",
			about: "PostgreSQL's server binaries for `vigilo dev` and the tests, where they are neither in `PATH` nor in Debian's folder.",
			set:   into(func(c *Config) *string { return &c.PGBin }, parseText),
		},
	}
}

func rate(name string, def int, about string, field func(*Rate) *int) variable {
	return variable{
		name: "VIGILO_RATE_" + name, kind: "number a minute", def: strconv.Itoa(def), about: about,
		set: into(func(c *Config) *int { return field(&c.Rate) }, between(1, 1_000_000)),
	}
}

// read returns the text of the variable, empty when it is not set, and the name of the
// variable that it came from.
func (v variable) read(env func(string) (string, bool)) (text, source string, err error) {
	text, _ = env(v.name)
	if !v.hasFile() {
		return text, v.name, nil
	}
	path, _ := env(v.fileName())
	switch {
	case path == "":
		return text, v.name, nil
	case text != "":
		return "", v.fileName(), fmt.Errorf("must not be set beside %s: choose one", v.name)
	}
	text, err = readFile(path)
	return text, v.fileName(), err
}

func (v variable) hasFile() bool { return v.secret && !v.noFile }

func (v variable) fileName() string { return v.name + "_FILE" }

// explain returns what the variable should be and, unless it is secret, what it is.
func (v variable) explain(err error, text string) string {
	if v.secret {
		return err.Error()
	}
	return fmt.Sprintf("%s, got %q", err, text)
}

// show returns the value for the log.
func (v variable) show(text string) string {
	switch {
	case text == "":
		return v.def
	case v.secret:
		return secret.Text(text).String()
	case v.personal:
		return "[set]"
	default:
		return text
	}
}
