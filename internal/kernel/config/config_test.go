package config_test

import (
	"encoding/base64"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vigilo/vigilo/internal/kernel/config"
	"github.com/vigilo/vigilo/internal/kernel/secret"
)

var update = flag.Bool("update", false, "write the table into docs/operations/configuration.md")

func load(values map[string]string) (config.Config, []config.Problem) {
	return config.Load(func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	})
}

func lines(problems []config.Problem) []string {
	var out []string
	for _, p := range problems {
		out = append(out, p.String())
	}
	return out
}

var key = "k1:" + base64.StdEncoding.EncodeToString(make([]byte, 32))

func TestEmptyEnvironmentGivesSafeDefaults(t *testing.T) {
	t.Parallel()
	got, problems := load(nil)
	if len(problems) > 0 {
		t.Fatal(lines(problems))
	}
	want := config.Config{
		Addr: "127.0.0.1:8080", BaseURL: &url.URL{Scheme: "http", Host: "127.0.0.1:8080"}, DataDir: ".data",
		Auth:    config.AuthOIDC,
		OIDC:    config.OIDC{Scopes: []string{"openid", "profile", "email"}, GroupsClaim: "groups", Name: "single sign-on"},
		SMTP:    config.SMTP{Port: 587, TLS: config.SMTPStartTLS},
		Session: config.Session{Idle: 12 * time.Hour, Absolute: 7 * 24 * time.Hour},
		Network: config.Network{Mode: config.NetworkSelfHosted}, LogLevel: slog.LevelInfo, LogFormat: config.LogJSON,
		ScanConcurrency: 256, Scan: config.ScanLimits{StartsPerWorkspace: 50, Starts: 2000, PerNetwork: 10},
		Rate: config.Rate{SignIn: 10, Invitation: 60, Token: 10, WebhookTest: 10, API: 600},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(config.Config{})); diff != "" {
		t.Error(diff)
	}
}

func TestEveryVariableReachesItsField(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	got, problems := load(map[string]string{
		"VIGILO_ADDR": ":9000", "VIGILO_BASE_URL": "https://Vigilo.Example.com/", "VIGILO_DATA_DIR": "/srv/vigilo",
		"VIGILO_DATABASE_URL":            "postgres://vigilo_app:a@db/vigilo",
		"VIGILO_SYSTEM_DATABASE_URL":     "postgresql://vigilo_system:s@/vigilo?host=/run/pg",
		"VIGILO_OWNER_DATABASE_URL_FILE": write("owner", "postgres://vigilo_owner:o@db/vigilo\n"),
		"VIGILO_AUTH":                    "oidc", "VIGILO_DEV_ALLOW_REMOTE": "yes",
		"VIGILO_OIDC_ISSUER": "https://id.example.com/realms/main", "VIGILO_OIDC_CLIENT_ID": "vigilo",
		"VIGILO_OIDC_CLIENT_SECRET_FILE": write("oidc", " hunter2 \n"), "VIGILO_OIDC_SCOPES": "openid, email groups",
		"VIGILO_OIDC_GROUPS_CLAIM": "realm_access.roles", "VIGILO_OIDC_NAME": "Example ID",
		"VIGILO_PLATFORM_ADMINS": "Ada@example.com, bob@example.com", "VIGILO_SECRET_KEYS": key,
		"VIGILO_SMTP_HOST": "mail.example.com", "VIGILO_SMTP_PORT": "465", "VIGILO_SMTP_USERNAME": "vigilo",
		"VIGILO_SMTP_PASSWORD": "hunter3", "VIGILO_SMTP_FROM": "Vigilo <vigilo@example.com>", "VIGILO_SMTP_TLS": "implicit",
		"VIGILO_SESSION_IDLE": "30m", "VIGILO_SESSION_ABSOLUTE": "8h",
		"VIGILO_NETWORK_MODE": "hosted", "VIGILO_NETWORK_ALLOW": "10.0.0.0/8 fd00::/8", "VIGILO_NETWORK_DENY": "192.0.2.1",
		"VIGILO_ALLOW_LOOPBACK": "true", "VIGILO_TRUSTED_PROXIES": "127.0.0.1,::1",
		"VIGILO_LOG_LEVEL": "DEBUG", "VIGILO_LOG_FORMAT": "text", "VIGILO_METRICS_TOKEN": "0123456789abcdef",
		"VIGILO_WORKER_QUEUES": "default,scans", "VIGILO_SCAN_CONCURRENCY": "16",
		"VIGILO_SCAN_STARTS_PER_WORKSPACE": "7", "VIGILO_SCAN_STARTS": "8", "VIGILO_SCAN_PER_NETWORK": "9",
		"VIGILO_RATE_SIGN_IN": "1", "VIGILO_RATE_INVITATION": "2", "VIGILO_RATE_TOKEN": "3",
		"VIGILO_RATE_WEBHOOK_TEST": "4", "VIGILO_RATE_API": "5", "VIGILO_PG_BIN": "/opt/pg/bin",
		"VIGILO_PLAN_LIMITS": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318/otlp",
		"OTEL_EXPORTER_OTLP_HEADERS_FILE": write("headers", "authorization=Basic%20dTpw, x-team = core\n"),
	})
	if len(problems) > 0 {
		t.Fatal(lines(problems))
	}
	prefix := netip.MustParsePrefix
	want := config.Config{
		Addr: ":9000", BaseURL: &url.URL{Scheme: "https", Host: "vigilo.example.com"}, DataDir: "/srv/vigilo",
		Database: config.Database{
			App: "postgres://vigilo_app:a@db/vigilo", System: "postgresql://vigilo_system:s@/vigilo?host=/run/pg",
			Owner: "postgres://vigilo_owner:o@db/vigilo",
		},
		Auth: config.AuthOIDC, DevAllowRemote: true,
		OIDC: config.OIDC{
			Issuer: "https://id.example.com/realms/main", ClientID: "vigilo", ClientSecret: "hunter2",
			Scopes: []string{"openid", "email", "groups"}, GroupsClaim: "realm_access.roles", Name: "Example ID",
		},
		PlatformAdmins: []string{"ada@example.com", "bob@example.com"}, SecretKeys: secret.Text(key),
		SMTP: config.SMTP{
			Host: "mail.example.com", Port: 465, Username: "vigilo", Password: "hunter3",
			From: "Vigilo <vigilo@example.com>", TLS: config.SMTPImplicit,
		},
		Session: config.Session{Idle: 30 * time.Minute, Absolute: 8 * time.Hour},
		Network: config.Network{
			Mode: config.NetworkHosted, Allow: []netip.Prefix{prefix("10.0.0.0/8"), prefix("fd00::/8")},
			Deny: []netip.Prefix{prefix("192.0.2.1/32")}, AllowLoopback: true,
		},
		TrustedProxies: []netip.Prefix{prefix("127.0.0.1/32"), prefix("::1/128")},
		LogLevel:       slog.LevelDebug, LogFormat: config.LogText, MetricsToken: "0123456789abcdef",
		WorkerQueues: []string{"default", "scans"}, ScanConcurrency: 16,
		Trace: config.Trace{
			Endpoint: &url.URL{Scheme: "http", Host: "127.0.0.1:4318", Path: "/otlp/v1/traces"}, Headers: "authorization=Basic%20dTpw, x-team = core",
		},
		PlanLimits: true,
		Scan:       config.ScanLimits{StartsPerWorkspace: 7, Starts: 8, PerNetwork: 9},
		Rate:       config.Rate{SignIn: 1, Invitation: 2, Token: 3, WebhookTest: 4, API: 5}, PGBin: "/opt/pg/bin",
	}
	opts := []cmp.Option{
		cmpopts.IgnoreUnexported(config.Config{}),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	}
	if diff := cmp.Diff(want, got, opts...); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"authorization": "Basic dTpw", "x-team": "core"}, got.Trace.HeaderList()); diff != "" {
		t.Error(diff)
	}
}

func TestFullAddressOfTheTraceReceiverWins(t *testing.T) {
	t.Parallel()
	got, problems := load(map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://t.example.com/in",
	})
	if len(problems) > 0 || got.Trace.Endpoint.String() != "https://t.example.com/in" {
		t.Errorf("%v, %v", got.Trace.Endpoint, problems)
	}
}

func TestAProblemNamesTheVariableAndWhatItShouldBe(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	for _, tt := range []struct{ variable, value, want string }{
		{"VIGILO_ADDR", "8080", `must be host:port such as 127.0.0.1:8080 or :8080, got "8080"`},
		{"VIGILO_ADDR", "localhost:http", `must end in a port from 0 to 65535, got "localhost:http"`},
		{"VIGILO_BASE_URL", "vigilo.example.com", `must be a URL that starts with https:// and a host, got "vigilo.example.com"`},
		{"VIGILO_BASE_URL", "https://example.com/vigilo", `must have no path: Vigilo needs a host name of its own, got "https://example.com/vigilo"`},
		{"VIGILO_BASE_URL", "https://a:b@example.com", `must be a URL without user name, query and fragment, got "https://a:b@example.com"`},
		{"VIGILO_DATABASE_URL", "host=db password=hunter2", "must be a URL of the form postgres://role:password@host:5432/database"},
		{"VIGILO_DATABASE_URL", "postgres://db/vigilo", "must name the role: postgres://role:password@host:5432/database"},
		{"VIGILO_DATABASE_URL", "postgres://vigilo_app:hunter2@db", "must name the database: postgres://role:password@host:5432/database"},
		{"VIGILO_DATABASE_URL", "postgres://a:hunter2%zz@db/x", "must be a URL of the form postgres://role:password@host:5432/database"},
		{"VIGILO_AUTH", "saml", `must be oidc or dev, got "saml"`},
		{"VIGILO_DEV_ALLOW_REMOTE", "maybe", `must be true or false, got "maybe"`},
		{"VIGILO_OIDC_ISSUER", "http://localhost.example.com", `must start with https:// unless its host is loopback or ends in .localhost, got "http://localhost.example.com"`},
		{"VIGILO_OIDC_ISSUER", "http://id.example.com", `must start with https:// unless its host is loopback or ends in .localhost, got "http://id.example.com"`},
		{"VIGILO_OIDC_SCOPES", "email", `must contain the scope openid, got "email"`},
		{"VIGILO_OIDC_GROUPS_CLAIM", "a..b", `must be the name of a claim, or a path such as realm_access.roles, got "a..b"`},
		{"VIGILO_PLATFORM_ADMINS", "ada", `must be e-mail addresses without names, separated by commas, got "ada"`},
		{"VIGILO_SECRET_KEYS", "k1:aHVudGVyMg==", "must be keys of the form id:base64: key 1: the key k1 has 7 bytes, want 32"},
		{"VIGILO_SMTP_PORT", "0", `must be a whole number from 1 to 65535, got "0"`},
		{"VIGILO_SMTP_FROM", "vigilo", `must be an e-mail address such as vigilo@example.com or Vigilo <vigilo@example.com>, got "vigilo"`},
		{"VIGILO_SMTP_TLS", "ssl", `must be starttls, implicit or none, got "ssl"`},
		{"VIGILO_SESSION_IDLE", "1d", `must be a duration from 1m to 2160h, such as 90m or 12h (no days), got "1d"`},
		{"VIGILO_NETWORK_ALLOW", "10.0.0.0/8,intranet", `must be CIDR ranges such as 10.0.0.0/8 or fd00::/8, separated by commas (intranet is none), got "10.0.0.0/8,intranet"`},
		{"VIGILO_TRUSTED_PROXIES", "10.1.2.3/8", `must be CIDR ranges without host bits (write 10.0.0.0/8 instead of 10.1.2.3/8), got "10.1.2.3/8"`},
		{"VIGILO_TRUSTED_ROOTS_FILE", missing, fmt.Sprintf("must be a readable file: open %s: no such file or directory, got %q", missing, missing)},
		{"VIGILO_LOG_LEVEL", "loud", `must be debug, info, warn or error, got "loud"`},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", `must be a URL such as http://127.0.0.1:4318, without user name and query, got "localhost:4318"`},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a b=c", "must be name=value, several separated by commas, with percent-encoded values"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=%0d%0ahunter2", "must be name=value, several separated by commas, with percent-encoded values"},
		{"VIGILO_METRICS_TOKEN", "hunter2", "must have at least 16 characters (`openssl rand -hex 32` makes one)"},
		{"VIGILO_WORKER_QUEUES", "default,Scans!", `must be names of queues (lower-case letters, digits, hyphens), separated by commas, got "default,Scans!"`},
		{"VIGILO_SCAN_CONCURRENCY", "many", `must be a whole number from 1 to 10000, got "many"`},
		{"VIGILO_DATA_DIR", "  ", `must not be blank, got "  "`},
		{"VIGILO_SMTP_PASSWORD_FILE", missing, fmt.Sprintf("must be a readable file: open %s: no such file or directory", missing)},
	} {
		t.Run(tt.variable+"="+tt.value, func(t *testing.T) {
			t.Parallel()
			_, problems := load(map[string]string{tt.variable: tt.value})
			if diff := cmp.Diff([]string{tt.variable + ": " + tt.want}, lines(problems)); diff != "" {
				t.Error(diff)
			}
			if tt.variable != "VIGILO_METRICS_TOKEN" && strings.Contains(strings.Join(lines(problems), ""), "hunter2") {
				t.Error("the problem quotes a secret")
			}
		})
	}
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	_, problems := load(map[string]string{"VIGILO_ADDR": "x", "VIGILO_LOG_FORMAT": "xml", "VIGILO_RATE_API": "-1"})
	var names []string
	for _, p := range problems {
		names = append(names, p.Variable)
	}
	if diff := cmp.Diff([]string{"VIGILO_ADDR", "VIGILO_LOG_FORMAT", "VIGILO_RATE_API"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestSettingsThatExcludeEachOtherAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		values   map[string]string
		variable string // of the one problem; empty for none
	}{
		{"dev login on loopback", map[string]string{"VIGILO_AUTH": "dev"}, ""},
		{"dev login on IPv6 loopback", map[string]string{"VIGILO_AUTH": "dev", "VIGILO_ADDR": "[::1]:80"}, ""},
		{"dev login on localhost", map[string]string{"VIGILO_AUTH": "dev", "VIGILO_ADDR": "localhost:80"}, ""},
		{"dev login on every interface", map[string]string{"VIGILO_AUTH": "dev", "VIGILO_ADDR": ":8080"}, "VIGILO_AUTH"},
		{"dev login on 0.0.0.0", map[string]string{"VIGILO_AUTH": "dev", "VIGILO_ADDR": "0.0.0.0:8080"}, "VIGILO_AUTH"},
		{"dev login on a name", map[string]string{"VIGILO_AUTH": "dev", "VIGILO_ADDR": "vigilo.example.com:80"}, "VIGILO_AUTH"},
		{"dev login on every interface, allowed", map[string]string{"VIGILO_AUTH": "dev", "VIGILO_ADDR": ":8080", "VIGILO_DEV_ALLOW_REMOTE": "true"}, ""},
		{"dev login on every interface, not allowed", map[string]string{"VIGILO_AUTH": "dev", "VIGILO_ADDR": ":8080", "VIGILO_DEV_ALLOW_REMOTE": "false"}, "VIGILO_AUTH"},
		{"dev login beside an issuer", map[string]string{"VIGILO_AUTH": "dev", "VIGILO_OIDC_ISSUER": "https://id.example.com"}, "VIGILO_AUTH"},
		{"dev login beside a client", map[string]string{"VIGILO_AUTH": "dev", "VIGILO_OIDC_CLIENT_ID": "vigilo"}, "VIGILO_AUTH"},
		{"plain http", map[string]string{"VIGILO_BASE_URL": "http://vigilo.example.com"}, "VIGILO_BASE_URL"},
		{"plain http on loopback", map[string]string{"VIGILO_BASE_URL": "http://localhost:8080"}, ""},
		{"mail without sender", map[string]string{"VIGILO_SMTP_HOST": "mail"}, "VIGILO_SMTP_FROM"},
		{"password without account", map[string]string{"VIGILO_SMTP_PASSWORD": "x"}, "VIGILO_SMTP_USERNAME"},
		{"password in clear", map[string]string{"VIGILO_SMTP_HOST": "mail", "VIGILO_SMTP_FROM": "a@b.example", "VIGILO_SMTP_USERNAME": "u", "VIGILO_SMTP_TLS": "none"}, "VIGILO_SMTP_TLS"},
		{"password in clear on loopback", map[string]string{"VIGILO_SMTP_HOST": "127.0.0.1", "VIGILO_SMTP_FROM": "a@b.example", "VIGILO_SMTP_USERNAME": "u", "VIGILO_SMTP_TLS": "none"}, ""},
		{"idle longer than absolute", map[string]string{"VIGILO_SESSION_IDLE": "9h", "VIGILO_SESSION_ABSOLUTE": "8h"}, "VIGILO_SESSION_IDLE"},
		{"keys twice", map[string]string{"VIGILO_SECRET_KEYS": key, "VIGILO_SECRET_KEY_FILE": "keys"}, "VIGILO_SECRET_KEYS"},
		{"value and file", map[string]string{"VIGILO_SMTP_PASSWORD": "x", "VIGILO_SMTP_PASSWORD_FILE": "y"}, "VIGILO_SMTP_PASSWORD_FILE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, problems := load(tt.values)
			got := ""
			for _, p := range problems {
				got += p.Variable
			}
			if got != tt.variable {
				t.Errorf("problems are %q, want one of %q", lines(problems), tt.variable)
			}
		})
	}
}

func TestEachCommandSaysWhatItMisses(t *testing.T) {
	t.Parallel()
	production := map[string]string{"VIGILO_ADDR": ":8080"}
	for _, tt := range []struct {
		name   string
		cmd    config.Command
		values map[string]string
		want   []string
	}{
		{"serve", config.Serve, production, []string{
			"VIGILO_BASE_URL", "VIGILO_DATABASE_URL", "VIGILO_SYSTEM_DATABASE_URL", "VIGILO_SECRET_KEY_FILE",
			"VIGILO_OIDC_ISSUER", "VIGILO_OIDC_CLIENT_ID",
		}},
		{"worker", config.Worker, production, []string{
			"VIGILO_BASE_URL", "VIGILO_DATABASE_URL", "VIGILO_SYSTEM_DATABASE_URL", "VIGILO_SECRET_KEY_FILE",
		}},
		{"migrate", config.Migrate, production, []string{"VIGILO_OWNER_DATABASE_URL"}},
		{"serve with the dev login", config.Serve, map[string]string{"VIGILO_AUTH": "dev"}, []string{
			"VIGILO_DATABASE_URL", "VIGILO_SYSTEM_DATABASE_URL",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, problems := load(tt.values)
			if len(problems) > 0 {
				t.Fatal(lines(problems))
			}
			var got []string
			for _, p := range c.Missing(tt.cmd) {
				got = append(got, p.Variable)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReferenceSaysWhichCommandNeedsAVariable(t *testing.T) {
	t.Parallel()
	c, problems := load(map[string]string{"VIGILO_ADDR": ":8080"})
	if len(problems) > 0 {
		t.Fatal(lines(problems))
	}
	for _, cmd := range []config.Command{config.Serve, config.Worker, config.Migrate} {
		missing := map[string]bool{}
		for _, p := range c.Missing(cmd) {
			missing[p.Variable] = true
		}
		for row := range strings.Lines(config.Table()) {
			cells := strings.Split(row, "|")
			name, _, _ := strings.Cut(strings.Trim(cells[1], " `"), "`")
			if needed := strings.Contains(cells[4], string(cmd)); needed != missing[name] {
				t.Errorf("%s: the reference says needed by %s: %t, the command says %t", name, cmd, needed, missing[name])
			}
		}
	}
}

func TestUnknownVariablesAreReportedWithTheNearestName(t *testing.T) {
	t.Parallel()
	_, problems := config.FromEnvironment([]string{
		"HOME=/root", "VIGILO_ADR=:1", "VIGILO_OIDC_CLIENTID=x", "VIGILO_SMTP_PASSWORD_FIL=x", "VIGILO_OTLP_ENDPOINT=x",
		"VIGILO_SECRET_KEYS_FILE=x",
		"VIGILO_LOG_LEVEL=info",
		// Kubernetes adds these beside a service that is called vigilo.
		"VIGILO_SERVICE_HOST=10.0.0.1", "VIGILO_SERVICE_PORT=80", "VIGILO_SERVICE_PORT_HTTP=80", "VIGILO_PORT=tcp://10.0.0.1:80",
		"VIGILO_PORT_80_TCP_ADDR=10.0.0.1",
		// The client of the API reads these.
		"VIGILO_API_URL=https://vigilo.example.com", "VIGILO_API_TOKEN=x",
	})
	want := []string{
		"VIGILO_ADR: is not a setting of Vigilo; did you mean VIGILO_ADDR?",
		"VIGILO_OIDC_CLIENTID: is not a setting of Vigilo; did you mean VIGILO_OIDC_CLIENT_ID?",
		"VIGILO_OTLP_ENDPOINT: is not a setting of Vigilo; remove it",
		"VIGILO_SECRET_KEYS_FILE: is not a setting of Vigilo; did you mean VIGILO_SECRET_KEY_FILE?",
		"VIGILO_SMTP_PASSWORD_FIL: is not a setting of Vigilo; did you mean VIGILO_SMTP_PASSWORD_FILE?",
	}
	if diff := cmp.Diff(want, lines(problems)); diff != "" {
		t.Error(diff)
	}
}

func TestStartLogShowsSettingsWithoutSecretsAndPeople(t *testing.T) {
	t.Parallel()
	c, problems := load(map[string]string{
		"VIGILO_DATABASE_URL": "postgres://vigilo_app:hunter2@db/vigilo", "VIGILO_PLATFORM_ADMINS": "ada@example.com",
		"VIGILO_SECRET_KEYS": key, "VIGILO_SMTP_USERNAME": "ada", "VIGILO_LOG_LEVEL": "debug",
	})
	if len(problems) > 0 {
		t.Fatal(lines(problems))
	}
	got := map[string]string{}
	for _, a := range c.Redacted() {
		got[a.Key] = a.Value.String()
	}
	for name, want := range map[string]string{
		"VIGILO_DATABASE_URL": "[redacted]", "VIGILO_SECRET_KEYS": "[redacted]", "VIGILO_PLATFORM_ADMINS": "[set]",
		"VIGILO_SMTP_USERNAME": "[set]", "VIGILO_LOG_LEVEL": "debug", "VIGILO_ADDR": "127.0.0.1:8080", "VIGILO_SMTP_PASSWORD": "",
	} {
		if got[name] != want {
			t.Errorf("%s is shown as %q, want %q", name, got[name], want)
		}
	}
	all := fmt.Sprintf("%+v %v", c, got)
	for _, leak := range []string{"hunter2", key} {
		if strings.Contains(all, leak) {
			t.Errorf("%q is shown", leak)
		}
	}
}

func TestKeyringComesFromTheEnvironmentOrAFileAndIsMadeForDevOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, tt := range []struct {
		name   string
		values map[string]string
		keyID  string // empty for an error, "*" for any
	}{
		{"value", map[string]string{"VIGILO_SECRET_KEYS": key}, "k1"},
		{"nothing", nil, ""},
		{"missing file", map[string]string{"VIGILO_SECRET_KEY_FILE": filepath.Join(dir, "a")}, ""},
		{"missing file, dev", map[string]string{"VIGILO_SECRET_KEY_FILE": filepath.Join(dir, "b"), "VIGILO_AUTH": "dev"}, "*"},
		{"nothing, dev", map[string]string{"VIGILO_AUTH": "dev", "VIGILO_DATA_DIR": filepath.Join(dir, "data")}, "*"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, problems := load(tt.values)
			if len(problems) > 0 {
				t.Fatal(lines(problems))
			}
			k, err := c.Keyring()
			switch {
			case tt.keyID == "" && err == nil:
				t.Error("want an error")
			case tt.keyID != "" && err != nil:
				t.Error(err)
			case tt.keyID == "k1" && k.CurrentKeyID() != "k1":
				t.Errorf("current key is %s", k.CurrentKeyID())
			}
		})
	}
}

func TestReferenceInTheDocsIsTheTableOfTheCode(t *testing.T) {
	t.Parallel()
	const path, begin, end = "../../../docs/operations/configuration.md", "<!-- begin table -->\n", "<!-- end table -->"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(raw), begin)
	_, foot, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has lost the marks around its table", path)
	}
	want := head + begin + config.Table() + end + foot
	if want == string(raw) {
		return
	}
	if !*update {
		t.Fatalf("%s is stale: run go test ./internal/kernel/config -update\n%s", path, cmp.Diff(string(raw), want))
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
