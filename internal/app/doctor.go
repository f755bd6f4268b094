package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/vigilo/vigilo/internal/identity/oidcrp"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/config"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
)

// devAuth is the mode with the development login.
const devAuth = config.AuthDev

// check is one thing that doctor looks at. It returns a sentence for a person.
type check struct {
	name string
	run  func(ctx context.Context) (string, error)
}

// Doctor checks what an installation depends on and prints a line for each. It returns an
// error when something is wrong.
func Doctor(ctx context.Context, cfg config.Config, w io.Writer) error {
	k, err := newKernel(ctx, cfg, slog.New(slog.DiscardHandler), clock.System())
	if err != nil {
		return err
	}
	defer k.db.Close()
	bad := 0
	for _, c := range k.checks() {
		limited, cancel := context.WithTimeout(ctx, 15*time.Second)
		text, err := c.run(limited)
		cancel()
		mark := "ok  "
		if err != nil {
			mark, text = "FAIL", err.Error()
			bad++
		}
		if _, err := fmt.Fprintf(w, "%s  %-18s %s\n", mark, c.name, text); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d checks failed", bad)
	}
	return nil
}

func (k *kernel) checks() []check {
	return []check{
		{"database", func(ctx context.Context) (string, error) {
			return "both roles connect", k.db.Ping(ctx)
		}},
		{"roles and guards", k.checkGuards},
		{"keys", k.checkKeys},
		{"identity provider", k.checkProvider},
		{"mail", k.checkMail},
	}
}

func (k *kernel) checkGuards(ctx context.Context) (string, error) {
	problems, err := k.db.CheckRoles(ctx)
	if err != nil {
		return "", err
	}
	for _, p := range problems {
		return "", fmt.Errorf("%s (%d problems in all)", p, len(problems))
	}
	return "row-level security holds and the audit log is guarded", nil
}

func (k *kernel) checkProvider(ctx context.Context) (string, error) {
	p := k.provider()
	if p == nil {
		return "development login, no identity provider", nil
	}
	if _, _, err := p.Start(ctx, "/"); err != nil {
		return "", err
	}
	return k.cfg.OIDC.Issuer + " answers", nil
}

func (k *kernel) checkMail(ctx context.Context) (string, error) {
	if k.cfg.SMTP.Host == "" {
		return "no mail server is set; alerts reach people in the app only", nil
	}
	conn, err := k.mailDialer().DialContext(ctx, "tcp", net.JoinHostPort(k.cfg.SMTP.Host, strconv.Itoa(k.cfg.SMTP.Port)))
	if err != nil {
		return "", fmt.Errorf("connect to the mail server: %w", err)
	}
	if err := conn.Close(); err != nil {
		return "", fmt.Errorf("close connection to the mail server: %w", err)
	}
	return k.cfg.SMTP.Host + " accepts connections", nil
}

// mailDialer reaches the mail server that the operator set, which may stand on this
// machine. Servers that a workspace sets go through the ordinary dialer.
func (k *kernel) mailDialer() *outbound.Dialer {
	p := networkPolicy(k.cfg)
	p.AllowLoopback = true
	return outbound.NewDialer(p)
}

// operatorTimeout bounds one question to a server that the operator named.
const operatorTimeout = 10 * time.Second

// operatorClient reaches servers that the settings name, wherever they stand: the identity
// provider and the receiver of traces.
func (k *kernel) operatorClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: k.trusted, MinVersion: tls.VersionTLS12}
	return &http.Client{Transport: transport, Timeout: operatorTimeout}
}

// provider returns the identity provider, nil with the development login.
func (k *kernel) provider() *oidcrp.Provider {
	o := k.cfg.OIDC
	if k.cfg.Auth == config.AuthDev || o.Issuer == "" {
		return nil
	}
	base := k.cfg.BaseURL.String()
	return oidcrp.New(oidcrp.Config{
		HTTPClient: k.operatorClient(),
		Issuer:     o.Issuer, ClientID: o.ClientID, ClientSecret: o.ClientSecret.Reveal(), Scopes: o.Scopes, GroupsClaim: o.GroupsClaim,
		RedirectURL: base + "/login/callback", PostLogoutURL: base + "/login", Clock: k.clock,
	})
}
