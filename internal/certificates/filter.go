package certificates

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/certificates/x509lint"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/export"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// The saved views that every workspace has; the empty one shows all hosts.
const (
	viewAttention     = "attention"
	viewExpiring      = "expiring"
	viewFailing       = "failing"
	viewMisconfigured = "misconfigured"
	viewHealthy       = "healthy"
	viewExpired       = "expired"
	viewPaused        = "paused"
)

func viewNames() []string {
	return []string{viewAttention, viewExpiring, viewFailing, viewMisconfigured, viewHealthy, viewExpired, viewPaused}
}

// hostFilter narrows the list of hosts. Zero fields do not.
type hostFilter struct {
	// Text is words that begin a part of the name, a tag, the issuer, the serial number or
	// the fingerprint; all must be found.
	Text string
	// Status is one or more statuses, separated by commas.
	Status   string
	State    string
	Hostname string
	Tag      string
	Issuer   string
	// Owner is a membership, or "none".
	Owner  string
	Before time.Time
	View   string
}

// empty reports whether the filter lets everything through.
func (f hostFilter) empty() bool { return f == hostFilter{} }

// query turns the filter into a query. What it does not understand is fault.Invalid.
func (f hostFilter) query(now time.Time) (*db.ListQuery[HostItem], error) {
	return queryOf(hostList, f, now)
}

// queryOf is query for a list of hosts with other columns.
func queryOf[T any](list db.List[T], f hostFilter, now time.Time) (*db.ListQuery[T], error) {
	q := list.Query()
	for i, w := range searchWords(f.Text) {
		name := "word" + strconv.Itoa(i+1)
		from, upto := db.PrefixRange(w)
		q.Filter(name, db.Args{name + "_from": from, name + "_upto": upto})
	}
	statuses, err := f.statuses()
	if err != nil {
		return nil, err
	}
	if len(statuses) > 0 {
		q.Filter("status", db.Args{"statuses": texts(statuses)})
	}
	if err := f.narrow(func(name string, args db.Args) { q.Filter(name, args) }, now); err != nil {
		return nil, err
	}
	switch f.State {
	case "":
	case string(Active):
		q.Filter("active", nil)
	case string(Paused):
		q.Filter("paused", nil)
	default:
		return nil, fault.InvalidField("state", "not_allowed", "State must be active or paused.")
	}
	return q, nil
}

// statuses returns what the status filter and the view ask for together.
func (f hostFilter) statuses() ([]Status, error) {
	var out []Status
	for _, text := range splitList(f.Status) {
		if !slices.Contains(Statuses(), Status(text)) {
			return nil, fault.InvalidField("status", "not_allowed", fmt.Sprintf("There is no status %q.", clip(text, 40)))
		}
		out = append(out, Status(text))
	}
	var view []Status
	switch f.View {
	case viewAttention:
		view = attention()
	case viewFailing:
		view = failingStatuses()
	case viewMisconfigured:
		view = misconfigured()
	case viewHealthy:
		view = []Status{Status(x509lint.StatusValid)}
	case viewExpired:
		view = []Status{Status(x509lint.StatusExpired)}
	case "", viewExpiring, viewPaused:
	default:
		return nil, fault.InvalidField("view", "not_allowed", "View must be one of: "+strings.Join(viewNames(), ", ")+".")
	}
	if len(out) == 0 || len(view) == 0 {
		return slices.Concat(out, view), nil
	}
	both := slices.DeleteFunc(out, func(s Status) bool { return !slices.Contains(view, s) })
	if len(both) == 0 {
		// Nothing has both; a status that no host has says so to the database.
		both = []Status{"none"}
	}
	return both, nil
}

func (f hostFilter) narrow(filter func(name string, args db.Args), now time.Time) error {
	switch f.View {
	case viewExpiring:
		filter("active", nil)
		filter("in_time", nil)
		filter("from", db.Args{"expires_from": startOfDay(now)})
		if f.Before.IsZero() {
			filter("before", db.Args{"expires_before": startOfDay(now).AddDate(0, 0, soonDays+1)})
		}
	case viewPaused:
		filter("paused", nil)
	case "":
	default:
		filter("active", nil)
	}
	if !f.Before.IsZero() {
		filter("before", db.Args{"expires_before": f.Before})
	}
	if f.Hostname != "" {
		a, err := ParseAddress(f.Hostname)
		if err != nil {
			return err
		}
		filter("hostname", db.Args{"hostname": a.Host})
	}
	if f.Tag != "" {
		filter("tag", db.Args{"tag": strings.ToLower(storable(f.Tag))})
	}
	if f.Issuer != "" {
		filter("issuer", db.Args{"issuer": storable(f.Issuer)})
	}
	switch f.Owner {
	case "":
	case "none":
		filter("no_owner", nil)
	default:
		id, err := uuid.Parse(f.Owner)
		if err != nil {
			return fault.InvalidField("owner", "not_allowed", "Owner must be a membership, or none.")
		}
		filter("owner", db.Args{"owner": id})
	}
	return nil
}

// csvHeader are the columns of an export; those that can be set are read by an import.
func csvHeader() []string {
	return []string{
		"id", "hostname", "port", "server_name", "starttls", "family", "scan_interval", "active", "tags", "owner", "status",
		"status_detail", "not_before", "not_after", "days_left", "issuer", "subject", "key", "last_scan_at", "last_error",
	}
}

// writeCSV writes every host that matches. Cells that a spreadsheet would compute are
// defused with an apostrophe.
func (s *Service) writeCSV(ctx context.Context, a db.Actor, q *db.ListQuery[HostItem], w io.Writer, now time.Time) error {
	out := csv.NewWriter(w)
	if err := out.Write(csvHeader()); err != nil {
		return fmt.Errorf("write export: %w", err)
	}
	emails, err := s.ownerEmails(ctx, a)
	if err != nil {
		return err
	}
	err = s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		return q.Each(ctx, tx, func(h HostItem) error {
			if err := out.Write(csvRow(h, emails[h.OwnerID.UUID], now)); err != nil {
				return fmt.Errorf("write export: %w", err)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// ownerEmails returns the addresses by which an import finds owners again.
func (s *Service) ownerEmails(ctx context.Context, a db.Actor) (map[uuid.UUID]string, error) {
	out := map[uuid.UUID]string{}
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		people, err := s.people(ctx, tx)
		for _, p := range people {
			out[p.ID] = p.Email
		}
		return err
	})
	return out, err
}

func csvRow(h HostItem, owner string, now time.Time) []string {
	begin, end, days, scanned := "", "", "", ""
	if h.HasCertificate() {
		begin, end = h.NotBefore.UTC().Format(time.RFC3339), h.NotAfter.UTC().Format(time.RFC3339)
		days = strconv.Itoa(h.daysLeft(now))
	}
	if h.LastScanAt != nil {
		scanned = h.LastScanAt.UTC().Format(time.RFC3339)
	}
	return []string{
		h.ID.String(), export.Cell(h.Hostname), portText(h.Port), export.Cell(h.ServerName), h.STARTTLS, h.Family, string(h.Interval),
		strconv.FormatBool(h.State == Active), export.Cell(strings.Join(h.Tags, ", ")), export.Cell(owner), string(h.Status),
		export.Cell(h.StatusDetail), begin, end, days, export.Cell(h.Issuer), export.Cell(h.Subject), h.Key, scanned, export.Cell(h.LastError),
	}
}
