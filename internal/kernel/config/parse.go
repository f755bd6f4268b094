package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/secret"
)

// The parsers return errors that read after the name of a variable: "must be …".

// into stores what parse returns in a field.
func into[T any](field func(*Config) *T, parse func(string) (T, error)) func(*Config, string) error {
	return func(c *Config, text string) error {
		value, err := parse(strings.TrimSpace(text))
		if err != nil {
			return err
		}
		*field(c) = value
		return nil
	}
}

func parseText(text string) (string, error) {
	if text == "" {
		return "", errors.New("must not be blank")
	}
	return text, nil
}

func parseSecret(text string) (secret.Text, error) { return secret.Text(text), nil }

func parseAddr(text string) (string, error) {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", errors.New("must be host:port such as 127.0.0.1:8080 or :8080")
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "", errors.New("must end in a port from 0 to 65535")
	}
	return text, nil
}

// webURL accepts an absolute http or https URL with a host and nothing that a base of
// other URLs must not have.
func webURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "":
		return nil, errors.New("must be a URL that starts with https:// and a host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("must be a URL without user name, query and fragment")
	}
	return u, nil
}

func setBaseURL(c *Config, text string) error {
	u, err := webURL(strings.TrimSpace(text))
	if err != nil {
		return err
	}
	if u.Path != "" && u.Path != "/" {
		return errors.New("must have no path: Vigilo needs a host name of its own")
	}
	c.BaseURL = &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}
	return nil
}

// parseIssuer keeps the text as it is: it is compared with the provider's claim byte by
// byte (OpenID Connect Discovery 1.0, section 4.3).
func parseIssuer(text string) (string, error) {
	u, err := webURL(text)
	if err != nil {
		return "", err
	}
	// Names below .localhost exist in no public zone (RFC 6761, section 6.3): on a machine
	// they mean itself, among containers one that the operator named so.
	local := isLoopback(u.Hostname()) || strings.HasSuffix(strings.ToLower(u.Hostname()), ".localhost")
	if u.Scheme == "http" && !local {
		return "", errors.New("must start with https:// unless its host is loopback or ends in .localhost")
	}
	return text, nil
}

func parseDatabaseURL(text string) (secret.Text, error) {
	u, err := url.Parse(text)
	// The error of url.Parse is left out: it quotes the text with the password.
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return "", errors.New("must be a URL of the form postgres://role:password@host:5432/database")
	}
	if u.User.Username() == "" && u.Query().Get("user") == "" {
		return "", errors.New("must name the role: postgres://role:password@host:5432/database")
	}
	if strings.Trim(u.Path, "/") == "" && u.Query().Get("dbname") == "" {
		return "", errors.New("must name the database: postgres://role:password@host:5432/database")
	}
	return secret.Text(text), nil
}

func parseKeys(text string) (secret.Text, error) {
	if _, err := secret.ParseKeyring(text); err != nil {
		return "", fmt.Errorf("must be keys of the form id:base64: %w", err)
	}
	return secret.Text(text), nil
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "1", "yes", "on":
		return true, nil
	case "false", "0", "no", "off":
		return false, nil
	}
	return false, errors.New("must be true or false")
}

func oneOf[T ~string](allowed ...T) func(string) (T, error) {
	return func(text string) (T, error) {
		if value := T(strings.ToLower(text)); slices.Contains(allowed, value) {
			return value, nil
		}
		names := make([]string, len(allowed))
		for i, a := range allowed {
			names[i] = string(a)
		}
		return "", errors.New("must be " + orList(names))
	}
}

// orList returns "a, b or c".
func orList(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func between(low, high int) func(string) (int, error) {
	return func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < low || n > high {
			return 0, fmt.Errorf("must be a whole number from %d to %d", low, high)
		}
		return n, nil
	}
}

func duration(low, high time.Duration) func(string) (time.Duration, error) {
	return func(text string) (time.Duration, error) {
		d, err := time.ParseDuration(text)
		if err != nil || d < low || d > high {
			return 0, fmt.Errorf("must be a duration from %s to %s, such as 90m or 12h (no days)", short(low), short(high))
		}
		return d, nil
	}
}

// short writes whole hours and minutes without the zeros that time.Duration adds.
func short(d time.Duration) string {
	if d%time.Hour == 0 {
		return strconv.Itoa(int(d/time.Hour)) + "h"
	}
	return strconv.Itoa(int(d/time.Minute)) + "m"
}

// list splits at commas and white space and leaves out what is empty.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })
}

func parsePrefixes(text string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, item := range list(text) {
		p, err := netip.ParsePrefix(item)
		if err != nil {
			addr, addrErr := netip.ParseAddr(item)
			if addrErr != nil || addr.Zone() != "" {
				return nil, fmt.Errorf("must be CIDR ranges such as 10.0.0.0/8 or fd00::/8, separated by commas (%s is none)", item)
			}
			p = netip.PrefixFrom(addr, addr.BitLen())
		}
		if masked := p.Masked(); masked != p {
			return nil, fmt.Errorf("must be CIDR ranges without host bits (write %s instead of %s)", masked, item)
		}
		out = append(out, p)
	}
	return out, nil
}

func parseEmails(text string) ([]string, error) {
	var out []string
	for _, item := range list(text) {
		a, err := mail.ParseAddress(item)
		if err != nil || a.Address != item {
			return nil, errors.New("must be e-mail addresses without names, separated by commas")
		}
		out = append(out, strings.ToLower(item))
	}
	return out, nil
}

func parseSender(text string) (string, error) {
	if _, err := mail.ParseAddress(text); err != nil {
		return "", errors.New("must be an e-mail address such as vigilo@example.com or Vigilo <vigilo@example.com>")
	}
	return text, nil
}

func parseScopes(text string) ([]string, error) {
	scopes := list(text)
	if !slices.Contains(scopes, "openid") {
		return nil, errors.New("must contain the scope openid")
	}
	return scopes, nil
}

func parseClaimPath(text string) (string, error) {
	if slices.Contains(strings.Split(text, "."), "") || strings.ContainsAny(text, " \t") {
		return "", errors.New("must be the name of a claim, or a path such as realm_access.roles")
	}
	return text, nil
}

var queueName = regexp.MustCompile(`^[a-z0-9]+([_-][a-z0-9]+)*$`)

func parseQueues(text string) ([]string, error) {
	names := list(text)
	for _, name := range names {
		if !queueName.MatchString(name) {
			return nil, errors.New("must be names of queues (lower-case letters, digits, hyphens), separated by commas")
		}
	}
	return names, nil
}

func parseMetricsToken(text string) (secret.Text, error) {
	if len(text) < 16 {
		return "", errors.New("must have at least 16 characters (`openssl rand -hex 32` makes one)")
	}
	return secret.Text(text), nil
}

func parseRoots(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("must be a readable file: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(raw) {
		return "", errors.New("must be a file with certificates in PEM form")
	}
	return path, nil
}

func setLogLevel(c *Config, text string) error {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	level, ok := levels[strings.ToLower(strings.TrimSpace(text))]
	if !ok {
		return errors.New("must be debug, info, warn or error")
	}
	c.LogLevel = level
	return nil
}

// setTraceBase takes the base of the receiver's addresses (OpenTelemetry Protocol Exporter,
// "Endpoint URLs for OTLP/HTTP").
func setTraceBase(c *Config, text string) error {
	u, err := parseTraceURL(strings.TrimSpace(text))
	if err != nil {
		return err
	}
	c.Trace.Endpoint = u.JoinPath("v1", "traces")
	return nil
}

func parseTraceURL(text string) (*url.URL, error) {
	u, err := webURL(text)
	if err != nil {
		return nil, errors.New("must be a URL such as http://127.0.0.1:4318, without user name and query")
	}
	return u, nil
}

func parseHeaders(text string) (secret.Text, error) {
	if _, err := parseHeaderList(text); err != nil {
		return "", err
	}
	return secret.Text(text), nil
}

// parseHeaderList reads a list of the form name=value,name=value (W3C Baggage without
// properties). Its errors name no value.
func parseHeaderList(text string) (map[string]string, error) {
	out := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name = strings.TrimSpace(name)
		plain, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil || !headerName.MatchString(name) || strings.ContainsAny(plain, "\r\n\x00") {
			return nil, errors.New("must be name=value, several separated by commas, with percent-encoded values")
		}
		out[name] = plain
	}
	return out, nil
}

// headerName is a token of RFC 9110, 5.6.2, as far as names of headers use it.
var headerName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
