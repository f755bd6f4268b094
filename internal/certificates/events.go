package certificates

import (
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/event"
)

// Names of events that others subscribe to.
const (
	EventHostAdded         = "host.added"
	EventHostUpdated       = "host.updated"
	EventHostPaused        = "host.paused"
	EventHostResumed       = "host.resumed"
	EventHostRemoved       = "host.removed"
	EventScanRequested     = "host.scan_requested"
	EventStatusChanged     = "host.status_changed"
	EventScanFailed        = "host.scan_failed"
	EventScanRecovered     = "host.scan_recovered"
	EventCertObserved      = "cert.observed"
	EventCertChanged       = "cert.changed"
	EventCertIssuerChanged = "cert.issuer_changed"
	EventCertUploaded      = "cert.uploaded"
)

// HostPayload names an endpoint. It begins the payload of every event of this module.
type HostPayload struct {
	HostID     uuid.UUID `json:"host_id"`
	Hostname   string    `json:"hostname"`
	Port       int32     `json:"port"`
	ServerName string    `json:"server_name,omitempty"`
	STARTTLS   string    `json:"starttls,omitempty"`
	Tags       []string  `json:"tags"`
}

// StatusChangedPayload is the body of host.status_changed. DaysLeft and NotAfter are
// absent while no certificate is known.
type StatusChangedPayload struct {
	HostPayload
	From     Status     `json:"from"`
	To       Status     `json:"to"`
	Detail   string     `json:"detail,omitempty"`
	NotAfter *time.Time `json:"not_after,omitempty"`
	DaysLeft *int       `json:"days_left,omitempty"`
}

// ScanFailedPayload is the body of host.scan_failed: the second failure in a row.
type ScanFailedPayload struct {
	HostPayload
	Status     Status     `json:"status"`
	ErrorClass string     `json:"error_class"`
	Error      string     `json:"error"`
	Failures   int32      `json:"consecutive_failures"`
	LastOKAt   *time.Time `json:"last_ok_at"`
}

// ScanRecoveredPayload is the body of host.scan_recovered: the first success after
// host.scan_failed.
type ScanRecoveredPayload struct {
	HostPayload
	Status   Status `json:"status"`
	Failures int32  `json:"failures"`
}

// CertPayload is the body of cert.observed: the first certificate of a host.
type CertPayload struct {
	HostPayload
	CertificateID uuid.NullUUID `json:"certificate_id"`
	SnapshotID    uuid.UUID     `json:"snapshot_id"`
	Fingerprint   string        `json:"fingerprint_sha256"`
	Subject       string        `json:"subject"`
	Issuer        string        `json:"issuer"`
	NotBefore     string        `json:"not_before"`
	NotAfter      string        `json:"not_after"`
	Status        Status        `json:"status"`
}

// FactChange is one fact that differs between two scans.
type FactChange struct {
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
}

// CertChangedPayload is the body of cert.changed and cert.issuer_changed.
type CertChangedPayload struct {
	CertPayload
	OldFingerprint string       `json:"old_fingerprint_sha256"`
	OldIssuer      string       `json:"old_issuer"`
	OldNotAfter    string       `json:"old_not_after"`
	Changes        []FactChange `json:"changes"`
}

// CertUploadedPayload is the body of cert.uploaded.
type CertUploadedPayload struct {
	CertificateID uuid.UUID `json:"certificate_id"`
	Fingerprint   string    `json:"fingerprint_sha256"`
	Subject       string    `json:"subject"`
	NotAfter      time.Time `json:"not_after"`
}

// ScanRequestedPayload is kept with host.scan_requested.
type ScanRequestedPayload struct {
	HostPayload
	ScanID uuid.UUID `json:"scan_id"`
}

func (h Host) payload() HostPayload {
	tags := h.Tags
	if tags == nil {
		tags = []string{}
	}
	return HostPayload{HostID: h.ID, Hostname: h.Hostname, Port: h.Port, ServerName: h.ServerName, STARTTLS: h.STARTTLS, Tags: tags}
}

func (h Host) subject() event.Subject {
	return event.Subject{Type: "host", ID: h.ID, Title: h.Title()}
}

// eventTypes declares what this module records.
func eventTypes() []event.Type {
	const group = "Certificates"
	host := HostPayload{Hostname: "shop.example.com", Port: 443, Tags: []string{"production"}}
	days, end := 6, time.Date(2026, time.November, 17, 12, 0, 0, 0, time.UTC)
	cert := CertPayload{
		HostPayload: host, Fingerprint: "9c42e0185bd7…", Subject: "CN=shop.example.com", Issuer: "CN=Example CA 1,O=Example",
		NotBefore: "2026-08-19T12:00:00Z", NotAfter: "2026-11-17T12:00:00Z", Status: "valid",
	}
	changed := CertChangedPayload{
		CertPayload: cert, OldFingerprint: "41b0aa927c3e…", OldIssuer: "CN=Other CA,O=Other", OldNotAfter: "2026-08-20T12:00:00Z",
		Changes: []FactChange{{Field: "serial", From: "4f21", To: "77c0"}},
	}
	// By default nobody is notified of these: the alert rules that every workspace starts
	// with tell people, and telling them twice would teach them to look away.
	activity := func(name, label string, s event.Severity, example any) event.Type {
		return event.Type{Name: name, Label: label, Group: group, Severity: s, Category: event.CategoryActivity, Example: example}
	}
	requested := activity(EventScanRequested, "A scan was asked for", event.Info, ScanRequestedPayload{HostPayload: host})
	requested.AuditOnly = true
	return []event.Type{
		activity(EventHostAdded, "Host added", event.Info, host),
		activity(EventHostUpdated, "Host changed", event.Info, host),
		activity(EventHostPaused, "Scans of a host paused", event.Low, host),
		activity(EventHostResumed, "Scans of a host resumed", event.Info, host),
		activity(EventHostRemoved, "Host removed", event.Low, host),
		requested,
		activity(EventStatusChanged, "Status of a host changed", event.Info, StatusChangedPayload{
			HostPayload: host, From: "expiring", To: "critical", NotAfter: &end, DaysLeft: &days,
		}),
		activity(EventScanFailed, "A host cannot be scanned", event.High, ScanFailedPayload{
			HostPayload: host, Status: StatusUnreachable, ErrorClass: "refused",
			Error: "The connection was refused: nothing listens on this port.", Failures: 2, LastOKAt: &end,
		}),
		activity(EventScanRecovered, "A host can be scanned again", event.Info, ScanRecoveredPayload{HostPayload: host, Status: "valid", Failures: 4}),
		activity(EventCertObserved, "First certificate of a host seen", event.Info, cert),
		activity(EventCertChanged, "Certificate of a host changed", event.Low, changed),
		activity(EventCertIssuerChanged, "Issuer of a host's certificate changed", event.High, changed),
		activity(EventCertUploaded, "Certificate uploaded", event.Info, CertUploadedPayload{
			Fingerprint: "9c42e0185bd7…", Subject: "CN=shop.example.com", NotAfter: end,
		}),
	}
}
