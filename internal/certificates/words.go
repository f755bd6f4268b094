package certificates

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vigilo/vigilo/internal/certificates/x509lint"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/templates/ui"
)

// statusLabel is a status as pages say it.
func statusLabel(s Status) string {
	switch s {
	case Status(x509lint.StatusRevoked):
		return "Revoked"
	case Status(x509lint.StatusExpired):
		return "Expired"
	case Status(x509lint.StatusNotYetValid):
		return "Not yet valid"
	case Status(x509lint.StatusNameMismatch):
		return "Wrong name"
	case Status(x509lint.StatusSelfSigned):
		return "Self-signed"
	case Status(x509lint.StatusUntrusted):
		return "Not trusted"
	case Status(x509lint.StatusIncompleteChain):
		return "Incomplete chain"
	case Status(x509lint.StatusCritical):
		return "Expires very soon"
	case Status(x509lint.StatusExpiring):
		return "Expires soon"
	case Status(x509lint.StatusWeak):
		return "Weak"
	case Status(x509lint.StatusPolicyViolation):
		return "Breaks the rules"
	case Status(x509lint.StatusValid):
		return "Valid"
	case StatusUnreachable:
		return "Unreachable"
	case StatusHandshakeFailed:
		return "Handshake failed"
	case StatusNoTLS:
		return "No TLS"
	case StatusBlocked:
		return "Blocked by policy"
	}
	return "Not scanned yet"
}

func statusTone(s Status) ui.Tone {
	switch s {
	case Status(x509lint.StatusRevoked), Status(x509lint.StatusExpired), Status(x509lint.StatusCritical),
		Status(x509lint.StatusNameMismatch), Status(x509lint.StatusSelfSigned), Status(x509lint.StatusUntrusted),
		StatusUnreachable, StatusHandshakeFailed, StatusNoTLS:
		return ui.Crit
	case Status(x509lint.StatusNotYetValid), Status(x509lint.StatusIncompleteChain), Status(x509lint.StatusExpiring),
		Status(x509lint.StatusWeak), Status(x509lint.StatusPolicyViolation), StatusBlocked:
		return ui.Warn
	case Status(x509lint.StatusValid):
		return ui.OK
	}
	return ui.Mute
}

func statusIcon(s Status) string {
	switch {
	case s == Status(x509lint.StatusValid):
		return "circle-check"
	case s == StatusUnknown:
		return "circle-dashed"
	case s == Status(x509lint.StatusExpiring), s == Status(x509lint.StatusCritical), s == Status(x509lint.StatusNotYetValid):
		return "clock"
	case s == StatusBlocked:
		return "ban"
	case s.Failing():
		return "wifi-off"
	case statusTone(s) == ui.Warn:
		return "triangle-alert"
	}
	return "circle-x"
}

// statusBadge is the state of a host in words, with the days where they matter most.
func statusBadge(h Host, now time.Time) ui.Badge {
	if h.State == Paused {
		return ui.Badge{Text: "Paused", Tone: ui.Mute, Icon: "circle-pause"}
	}
	b := ui.Badge{Text: statusLabel(h.Status), Tone: statusTone(h.Status), Icon: statusIcon(h.Status)}
	switch x509lint.Status(h.Status) {
	case x509lint.StatusExpired:
		b.Text = "Expired " + inDays(h.NotAfter, now)
	case x509lint.StatusCritical, x509lint.StatusExpiring:
		b.Text = "Expires " + inDays(h.NotAfter, now)
	default:
	}
	return b
}

// inDays says when a certificate ends, such as "in 6 days", "today" or "3 days ago".
// notAfter is inclusive.
func inDays(notAfter, now time.Time) string {
	left := x509lint.Remaining(notAfter, now)
	switch days := x509lint.DaysLeft(notAfter, now); {
	case left <= 0 && days >= -1:
		return "less than a day ago"
	case left <= 0:
		return count(-days-1, "day") + " ago"
	case days == 0:
		hours := int(left / time.Hour)
		if hours == 0 {
			return "within the hour"
		}
		return "in " + count(hours, "hour")
	case days < 730:
		return "in " + count(days, "day")
	default:
		return "in " + count(days/365, "year")
	}
}

// count writes a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return group(int64(n)) + " " + noun + "s"
}

// group writes a number with a comma at each thousand.
func group(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// cappedCount writes a number that counting stopped at.
func cappedCount(n int64) string {
	if n > db.CountCap {
		return group(db.CountCap) + "+"
	}
	return group(n)
}

func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if len(s) > n && strings.ToUpper(s[:2]) == s[:2] {
		return s // an abbreviation
	}
	return string(unicode.ToLower(r)) + s[n:]
}

// lifetimeUsed is how much of a validity period has passed, in percent.
func lifetimeUsed(notBefore, notAfter, now time.Time) int {
	life := x509lint.Lifetime(notBefore, notAfter)
	if life <= 0 {
		return 100
	}
	return max(0, min(100, int(100*(1-float64(x509lint.Remaining(notAfter, now))/float64(life)))))
}

// expiryTone colours how near an end is.
func expiryTone(h Host, now time.Time) ui.Tone {
	if !h.HasCertificate() {
		return ""
	}
	return periodTone(*h.NotBefore, h.NotAfter, h.Policy(), now)
}

func periodTone(notBefore, notAfter time.Time, p x509lint.ExpiryPolicy, now time.Time) ui.Tone {
	if x509lint.Period(notBefore, notAfter, now) == x509lint.TimeExpired {
		return ui.Crit
	}
	switch p.Urgency(notBefore, notAfter, now) {
	case x509lint.UrgencyCritical:
		return ui.Crit
	case x509lint.UrgencyExpiring:
		return ui.Warn
	default:
		return ""
	}
}

func intervalLabel(i Interval) string {
	switch i {
	case "5m":
		return "every 5 minutes"
	case "15m":
		return "every 15 minutes"
	case "1h":
		return "every hour"
	case "6h":
		return "every 6 hours"
	}
	return "every day"
}

func starttlsLabel(kind string) string {
	switch kind {
	case "":
		return "TLS from the start"
	case "postgres":
		return "PostgreSQL"
	case "mysql":
		return "MySQL"
	case "sieve":
		return "ManageSieve"
	}
	return strings.ToUpper(kind)
}

func familyLabel(f string) string {
	switch f {
	case "ip4":
		return "IPv4 only"
	case "ip6":
		return "IPv6 only"
	}
	return "IPv4 or IPv6"
}

// spacedHex writes a fingerprint or serial number in pairs, as other tools show it.
func spacedHex(hex string) string {
	hex = strings.ToUpper(hex)
	if len(hex)%2 == 1 {
		hex = "0" + hex
	}
	var b strings.Builder
	for i := 0; i < len(hex); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(hex[i : i+2])
	}
	return b.String()
}

// factLabel names a field of tlsscan.Facts.
func factLabel(field string) string {
	switch field {
	case "tls_version":
		return "TLS version"
	case "cipher_suite":
		return "Cipher suite"
	case "group":
		return "Key exchange"
	case "alpn":
		return "ALPN"
	case "fingerprint":
		return "SHA-256 fingerprint"
	case "issuer_organization":
		return "Issuer organisation"
	case "key_hash":
		return "Public key hash"
	case "not_before":
		return "Valid from"
	case "not_after":
		return "Valid until"
	case "names":
		return "Names"
	case "intermediates":
		return "Intermediates"
	case "chain_not_after":
		return "Chain valid until"
	case "missing_from":
		return "Missing piece from"
	case "starttls":
		return "STARTTLS"
	case "error_class":
		return "Error"
	}
	text := strings.ReplaceAll(field, "_", " ")
	return strings.ToUpper(text[:1]) + text[1:]
}
