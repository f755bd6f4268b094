package certificates

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/net/idna"

	"github.com/vigilo/vigilo/internal/certificates/tlsscan"
	"github.com/vigilo/vigilo/internal/certificates/x509lint"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

// State says whether a host is scanned by itself.
type State string

// The states of a host.
const (
	Active State = "active"
	Paused State = "paused"
)

// Interval is how often a host is scanned.
type Interval string

// DefaultInterval is used when none is given.
const DefaultInterval Interval = "24h"

// Intervals lists the intervals, shortest first.
func Intervals() []Interval { return []Interval{"5m", "15m", "1h", "6h", "24h"} }

// Duration returns the length of the interval, 0 for an unknown one.
func (i Interval) Duration() time.Duration {
	if !slices.Contains(Intervals(), i) {
		return 0
	}
	d, err := time.ParseDuration(string(i))
	if err != nil {
		return 0
	}
	return d
}

// Host is a monitored host: one endpoint and what its last scan showed.
type Host struct {
	ID uuid.UUID `db:"id"`
	// Hostname is a name in A-labels or an address in canonical form.
	Hostname string `db:"hostname" audit:"hostname"`
	// DisplayName is Hostname as people write it, in U-labels.
	DisplayName string `db:"display_name"`
	Port        int32  `db:"port" audit:"port"`
	// ServerName replaces Hostname in the handshake and in the comparison of names, empty for none.
	ServerName string `db:"server_name" audit:"server_name"`
	// STARTTLS is empty for plain TLS, or one of tlsscan.STARTTLSKinds.
	STARTTLS string `db:"starttls" audit:"starttls"`
	// Family is empty for any, "ip4" or "ip6".
	Family   string        `db:"family" audit:"family"`
	Interval Interval      `db:"scan_interval" audit:"scan_interval"`
	State    State         `db:"state" audit:"state"`
	OwnerID  uuid.NullUUID `db:"owner_member_id" audit:"owner"`
	// WarnDays and CriticalDays replace the thresholds of x509lint.ExpiryPolicy; nil keeps them.
	WarnDays     *int32   `db:"warn_days" audit:"warn_days"`
	CriticalDays *int32   `db:"critical_days" audit:"critical_days"`
	Tags         []string `db:"tags" audit:"tags"`

	Version   int64     `db:"version"`
	CreatedAt time.Time `db:"created_at"`
	UpdatedAt time.Time `db:"updated_at"`

	Status       Status `db:"status"`
	StatusDetail string `db:"status_detail"`
	// NotBefore is nil and NotAfter is noExpiry while no certificate was seen.
	NotBefore     *time.Time    `db:"leaf_not_before"`
	NotAfter      time.Time     `db:"leaf_not_after"`
	Issuer        string        `db:"issuer"`
	Subject       string        `db:"subject"`
	Key           string        `db:"key_description"`
	SnapshotID    uuid.NullUUID `db:"snapshot_id"`
	CertificateID uuid.NullUUID `db:"certificate_id"`
	LastScanAt    *time.Time    `db:"last_scan_at"`
	LastOKAt      *time.Time    `db:"last_ok_at"`
	// LastErrorClass and LastError say why the last scan brought no certificate; both are
	// empty when it did.
	LastErrorClass string `db:"last_error_class"`
	LastError      string `db:"last_error"`
	Failures       int32  `db:"consecutive_failures"`
}

// noExpiry stands in sort columns for "no certificate": after every real date.
var noExpiry = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)

// Title is the name of the host on pages: name and port, an IPv6 address in brackets. A
// host that is watched by its address is known to people by the name that it is asked for.
func (h Host) Title() string {
	if _, err := netip.ParseAddr(h.Hostname); err == nil && h.ServerName != "" {
		return h.ServerName + " (" + h.Address() + ")"
	}
	return h.Address()
}

// Address is where the host is reached: name and port, an IPv6 address in brackets.
func (h Host) Address() string { return net.JoinHostPort(h.DisplayName, strconv.Itoa(int(h.Port))) }

// Path is the page of the host below its workspace.
func (h Host) Path() string { return hostPath(h.ID) }

func hostPath(id uuid.UUID) string { return "/certificates/" + id.String() }

// HasCertificate reports whether a readable certificate was ever seen here.
func (h Host) HasCertificate() bool { return h.NotBefore != nil }

// Policy returns when to warn about the host's certificate.
func (h Host) Policy() x509lint.ExpiryPolicy { return expiryPolicy(h.WarnDays, h.CriticalDays) }

func expiryPolicy(warn, critical *int32) x509lint.ExpiryPolicy {
	var p x509lint.ExpiryPolicy
	if warn != nil {
		p.Warn.Days = int(*warn)
	}
	if critical != nil {
		p.Critical.Days = int(*critical)
	}
	return p
}

// endpoint is what makes two hosts the same.
type endpoint struct {
	hostname, starttls, serverName, family string
	port                                   int32
}

func (h Host) endpoint() endpoint {
	return endpoint{h.Hostname, h.STARTTLS, h.ServerName, h.Family, h.Port}
}

// NewHost is what a person says about a host. The zero value of a field is its default.
type NewHost struct {
	// Hostname is a name or an address, with a port, or a whole URL.
	Hostname string
	// Port is 0 when Hostname or STARTTLS says it.
	Port       int
	ServerName string
	STARTTLS   string
	Family     string
	Interval   Interval
	Paused     bool
	Tags       []string
	// OwnerID is a membership. Owner, if not empty, is looked up instead: a membership, a
	// user or an e-mail address.
	OwnerID uuid.NullUUID
	Owner   string
	// WarnDays and CriticalDays are 0 for the default.
	WarnDays, CriticalDays int
}

const (
	maxTags      = 20
	maxTagLength = 40
)

// host checks n and makes a host of it. Every problem is reported, by field.
func (n NewHost) host(id uuid.UUID, now time.Time) (Host, error) {
	var c form.Check
	h := Host{
		ID: id, STARTTLS: strings.ToLower(strings.TrimSpace(n.STARTTLS)), Family: strings.TrimSpace(n.Family),
		Interval: cmp.Or(n.Interval, DefaultInterval), State: Active, OwnerID: n.OwnerID, Version: 1, CreatedAt: now, UpdatedAt: now,
		Status: StatusUnknown, NotAfter: noExpiry,
	}
	if n.Paused {
		h.State = Paused
	}
	a, err := ParseAddress(n.Hostname)
	if err != nil {
		if err := c.Merge(err); err != nil {
			return Host{}, err
		}
	}
	h.Hostname, h.DisplayName = a.Host, a.Display
	if h.STARTTLS == "" && (n.Port == 0 || n.Port == a.Port) {
		h.STARTTLS = a.STARTTLS
	}
	c.OneOf("starttls", h.STARTTLS, "STARTTLS", append([]string{""}, tlsscan.STARTTLSKinds()...)...)
	switch {
	case n.Port != 0 && a.Port != 0 && n.Port != a.Port && a.PortGiven:
		c.Add("port", "port_twice", fmt.Sprintf("The address names port %d and this field %d. Keep one of them.", a.Port, n.Port))
	case n.Port != 0:
		c.Range("port", n.Port, 1, 65535, "Port")
		h.Port = int32(min(max(n.Port, 0), 65536)) //nolint:gosec // bounded in the same line
	default:
		h.Port = int32(cmp.Or(a.Port, defaultPort(h.STARTTLS))) //nolint:gosec // a parsed port
	}
	h.ServerName = serverName(&c, n.ServerName, h.Hostname)
	c.OneOf("family", h.Family, "Address family", "", "ip4", "ip6")
	if addr, err := netip.ParseAddr(h.Hostname); err == nil && (h.Family == "ip4" && !addr.Is4() || h.Family == "ip6" && addr.Is4()) {
		c.Add("family", "wrong_family", "The address is of the other family.")
	}
	if h.Interval.Duration() == 0 {
		c.Add("scan_interval", "not_allowed", "Scan interval must be one of: 5m, 15m, 1h, 6h, 24h.")
	}
	h.WarnDays, h.CriticalDays = thresholds(&c, n.WarnDays, n.CriticalDays)
	h.Tags = cleanTags(&c, n.Tags)
	return h, c.Err()
}

// serverName checks the name that replaces the host name in the handshake. A name equal
// to the host's is the same as none.
func serverName(c *form.Check, name, hostname string) string {
	if name = strings.TrimSpace(name); name == "" {
		return ""
	}
	ascii, err := x509lint.NormalizeHost(name)
	if err != nil || len(ascii) > maxHostname {
		c.Add("server_name", "invalid_hostname", "Use a host name without a port, such as www.example.com.")
		return ""
	}
	if ascii == hostname {
		return ""
	}
	return ascii
}

func thresholds(c *form.Check, warn, critical int) (w, k *int32) {
	set := func(field string, n int, label string) *int32 {
		if n == 0 {
			return nil
		}
		c.Range(field, n, 1, 3650, label)
		v := int32(min(max(n, 1), 3650)) //nolint:gosec // bounded in the same line
		return &v
	}
	w, k = set("warn_days", warn, "Warn days"), set("critical_days", critical, "Critical days")
	if w != nil && k != nil && *k > *w {
		c.Add("critical_days", "out_of_order", "Critical must come after the warning: at most as many days.")
	}
	return w, k
}

// cleanTags returns tags in lower case, each once, sorted.
func cleanTags(c *form.Check, tags []string) []string {
	out := make([]string, 0, len(tags))
	for _, t := range tags {
		if t = strings.ToLower(strings.Join(strings.Fields(t), " ")); t == "" {
			continue
		}
		if utf8.RuneCountInString(t) > maxTagLength {
			c.Add("tags", "too_long", fmt.Sprintf("A tag has at most %d characters.", maxTagLength))
			return out
		}
		if strings.ContainsFunc(t, func(r rune) bool { return r == ',' || !unicode.IsPrint(r) }) || !utf8.ValidString(t) {
			c.Add("tags", "invalid_text", "A tag holds no commas and no control characters.")
			return out
		}
		out = append(out, t)
	}
	slices.Sort(out)
	out = slices.Compact(out)
	if len(out) > maxTags {
		c.Add("tags", "too_many", fmt.Sprintf("A host has at most %d tags.", maxTags))
	}
	return out
}

// SplitTags cuts a list of tags as people type it, separated by commas.
func SplitTags(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ';' || r == '\n' })
}

// maxHostname is the longest name in DNS, in A-labels (RFC 1035, 2.3.4, as text).
const maxHostname = 253

// Address is an endpoint as people write it, taken apart.
type Address struct {
	// Host is normalised as in Host.Hostname, Display as in Host.DisplayName.
	Host, Display string
	// Port is 0 when neither the text nor its scheme says one.
	Port int
	// PortGiven is whether the text itself names the port.
	PortGiven bool
	// STARTTLS follows from the scheme of a URL, such as smtp.
	STARTTLS string
}

// scheme is what the scheme of a URL says about an endpoint.
type scheme struct {
	port     int
	starttls string
}

func schemes() map[string]scheme {
	return map[string]scheme{
		"https": {443, ""}, "http": {443, ""}, "wss": {443, ""}, "ws": {443, ""}, "tls": {443, ""}, "ssl": {443, ""},
		"smtps": {465, ""}, "smtp": {25, "smtp"}, "imaps": {993, ""}, "imap": {143, "imap"}, "pop3s": {995, ""}, "pop3": {110, "pop3"},
		"ldaps": {636, ""}, "ldap": {389, "ldap"}, "ftps": {990, ""}, "ftp": {21, "ftp"},
		"postgres": {5432, "postgres"}, "postgresql": {5432, "postgres"}, "mysql": {3306, "mysql"},
		"xmpp": {5222, "xmpp"}, "amqps": {5671, ""}, "mqtts": {8883, ""}, "rdp": {3389, "rdp"}, "sieve": {4190, "sieve"},
		"nntp": {119, "nntp"}, "nntps": {563, ""},
	}
}

// defaultPort returns the usual port of a STARTTLS kind, 443 for plain TLS.
func defaultPort(starttls string) int {
	switch starttls {
	case "lmtp":
		return 24
	case "":
		return 443
	}
	return cmp.Or(schemes()[starttls].port, 443)
}

func invalidHostname(message string) error {
	return fault.InvalidField("hostname", "invalid_hostname", message)
}

// ParseAddress takes apart a name, an address, either with a port, or a URL. What it
// refuses is fault.Invalid of the field hostname.
func ParseAddress(text string) (Address, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Address{}, fault.InvalidField("hostname", "required", "Host name is needed.")
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
		return Address{}, invalidHostname("A host name holds no blanks and no control characters.")
	}
	var a Address
	if name, rest, ok := strings.Cut(text, "://"); ok {
		s, known := schemes()[strings.ToLower(name)]
		if !known {
			return Address{}, invalidHostname("This kind of address is not known. Write only the host name and the port.")
		}
		a.Port, a.STARTTLS = s.port, s.starttls
		text = rest
	}
	if i := strings.IndexAny(text, "/?#"); i >= 0 {
		text = text[:i]
	}
	if strings.Contains(text, "@") {
		return Address{}, invalidHostname("The address holds a user name. Write only the host name and the port.")
	}
	host, port, err := splitPort(text)
	if err != nil {
		return Address{}, err
	}
	if port != 0 {
		a.Port, a.PortGiven = port, true
	}
	a.Host, a.Display, err = normalize(host)
	return a, err
}

// splitPort cuts the port off. An IPv6 address needs brackets only when a port follows.
func splitPort(text string) (host string, port int, err error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Is6() {
		return text, 0, nil
	}
	host = text
	if end := strings.LastIndexByte(text, ']'); strings.HasPrefix(text, "[") && end > 0 {
		host = text[1:end]
		if addr, err := netip.ParseAddr(host); err != nil || !addr.Is6() {
			return "", 0, invalidHostname("Only an IPv6 address stands in brackets, such as [2001:db8::1]:443.")
		}
		text = text[end+1:]
		if text == "" {
			return host, 0, nil
		}
		if text[0] != ':' {
			return "", 0, invalidHostname("After the bracket only a port may follow, such as [2001:db8::1]:443.")
		}
		return withPort(host, text[1:])
	}
	switch strings.Count(text, ":") {
	case 0:
		return host, 0, nil
	case 1:
		host, digits, _ := strings.Cut(text, ":")
		return withPort(host, digits)
	}
	return "", 0, invalidHostname("Write an IPv6 address with a port in brackets, such as [2001:db8::1]:443.")
}

func withPort(host, digits string) (string, int, error) {
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || port == 0 {
		return "", 0, fault.InvalidField("port", "out_of_range", "Port must be between 1 and 65535.")
	}
	return host, int(port), nil
}

// normalize returns a host in A-labels and as people read it. U-labels are shown only
// where they lead back to the same name.
func normalize(host string) (ascii, display string, err error) {
	if strings.Contains(host, "%") {
		return "", "", invalidHostname("An address with a zone means something on one machine only. Write it without the zone.")
	}
	if u, err := url.PathUnescape(host); err != nil || u != host {
		return "", "", invalidHostname("Use a full name, such as www.example.com.")
	}
	ascii, err = x509lint.NormalizeHost(host)
	if err != nil {
		return "", "", invalidHostname("Use a full name, such as www.example.com, or an address.")
	}
	if len(ascii) > maxHostname {
		return "", "", invalidHostname(fmt.Sprintf("A host name has at most %d characters.", maxHostname))
	}
	for _, label := range strings.Split(ascii, ".") {
		if strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return "", "", invalidHostname("No part of a host name begins or ends with a hyphen.")
		}
	}
	if strings.Contains(ascii, "xn--") {
		if _, err := idna.Punycode.ToUnicode(ascii); err != nil {
			return "", "", invalidHostname("A part that begins with xn-- is not properly encoded.")
		}
		if u, err := idna.Display.ToUnicode(ascii); err == nil {
			if back, err := x509lint.NormalizeHost(u); err == nil && back == ascii && utf8.RuneCountInString(u) <= maxHostname {
				return ascii, u, nil
			}
		}
	}
	return ascii, ascii, nil
}
