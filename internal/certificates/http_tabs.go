package certificates

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/certificates/tlsscan"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/certificates"
	"github.com/vigilo/vigilo/templates/ui"
)

// nothingSeen stands where a certificate would be shown.
func nothingSeen(p *hostPage) *ui.Empty {
	return &ui.Empty{
		Icon: "lock-open", Title: "No certificate was seen here yet",
		Text: "It appears with the first scan that reaches the host. " + p.host.LastError,
	}
}

func (s *Service) showChain(r *web.Request) error {
	var chain *db.Result[Cert]
	p, err := s.readHost(r, func(b *db.Batch, id uuid.UUID) { chain = chainOfHost.Queue(b, db.Args{"id": id}) })
	if err != nil {
		return err
	}
	now, zone := r.Now(), r.Zone()
	v := views.ChainPage{Header: s.header(r, p, tabChain), Aside: "As sent by the server, in its order"}
	if !p.known || len(chain.Rows) == 0 {
		v.Empty = nothingSeen(p)
		return r.Page(p.page(r, "Chain"), views.ChainView(v))
	}
	v.Links = chainLinks(r, chain.Rows, p.facts, now)
	v.Issues = append(v.Issues, trustFinding(p.facts))
	for _, f := range findings(p.facts) {
		v.Issues = append(v.Issues, ui.Finding{Tone: findingTone(f.Severity), Title: f.Title, Text: f.Text})
	}
	for i, c := range chain.Rows {
		card := views.CertFacts{ID: fmt.Sprintf("certificate-%d", i+1), Title: c.Label, Facts: certFacts(c, now, zone)}
		if r.Can(canReadCerts) {
			card.Aside, card.Href = "Open", r.Path(certPath(c.ID))
		}
		v.Certs = append(v.Certs, card)
	}
	return r.Page(p.page(r, "Chain"), views.ChainView(v))
}

func certFacts(c Cert, now time.Time, zone *time.Location) []ui.Fact {
	out := []ui.Fact{
		{Label: "Subject", Text: cmp.Or(clip(c.Subject, 300), "empty")}, {Label: "Issuer", Text: clip(c.Issuer, 300)},
	}
	if c.NotBefore != nil {
		out = append(out, periodFacts(*c.NotBefore, c.NotAfter, now, zone)...)
	}
	return append(out,
		ui.Fact{Label: "Key", Text: c.Key}, ui.Fact{Label: "Signature", Text: c.Signature},
		ui.Fact{Label: "Serial", Text: spacedHex(c.Serial), Copy: "Copy serial number"},
		ui.Fact{Label: "SHA-256", Text: spacedHex(c.Hex()), Copy: "Copy fingerprint"},
	)
}

func (s *Service) showNames(r *web.Request) error {
	var names *db.Result[string]
	p, err := s.readHost(r, func(b *db.Batch, id uuid.UUID) { names = namesOfHost.Queue(b, db.Args{"id": id}) })
	if err != nil {
		return err
	}
	v := views.NamesPage{Header: s.header(r, p, tabNames), Aside: "Clients compare only these with the host name"}
	if len(names.Rows) == 0 {
		v.Empty = nothingSeen(p)
		if p.host.HasCertificate() {
			v.Empty = &ui.Empty{Icon: "circle-alert", Title: "The certificate holds no names", Text: "Clients compare only subject alternative names. Without any, none accepts it."}
		}
	}
	asked := cmp.Or(p.host.ServerName, p.host.Hostname)
	for _, n := range names.Rows {
		row := views.NameRow{Name: n, Kind: nameKind(n)}
		if covers(n, asked) {
			row.Badge = &ui.Badge{Text: "Yes", Tone: ui.OK, Icon: "check"}
		}
		v.Rows = append(v.Rows, row)
	}
	return r.Page(p.page(r, "Names"), views.NamesView(v))
}

func nameKind(name string) string {
	if _, err := netip.ParseAddr(name); err == nil {
		return "Address"
	}
	if strings.HasPrefix(name, "*.") {
		return "Wildcard, one label"
	}
	return "Name"
}

// covers reports whether a name of the certificate stands for the host; it marks rows, the
// verdict itself is the scan's.
func covers(name, host string) bool {
	if rest, wild := strings.CutPrefix(name, "*."); wild {
		_, parent, ok := strings.Cut(host, ".")
		return ok && parent == rest
	}
	return name == host
}

// changesShown is how many changes a page of the history holds.
const changesShown = 30

func (s *Service) showHistory(r *web.Request) error {
	now := r.Now()
	before := now.Add(time.Hour)
	if text := r.URL.Query().Get("before"); text != "" {
		var err error
		if before, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return fault.InvalidField("before", "invalid_cursor", "This page link is damaged. Start again from the first page.")
		}
	}
	var changes *db.Result[changeRow]
	var days *db.Result[dayRow]
	from := now.Add(-stripDays * 24 * time.Hour)
	p, err := s.readHost(r, func(b *db.Batch, id uuid.UUID) {
		// One more than shown, since each change is compared with the one before it.
		changes = changesOfHost.Queue(b, db.Args{"id": id, "before": before, "limit": changesShown + 1})
		days = daysOfHost.Queue(b, db.Args{"id": id, "from": from})
	})
	if err != nil {
		return err
	}
	v := views.HistoryPage{Header: s.header(r, p, tabHistory)}
	v.Strip, v.Legend, v.Numbers = historyStrip(p.host.Host, days.Rows, from, now, r.Zone())
	if v.Entries, err = historyEntries(changes.Rows, r.Zone()); err != nil {
		return err
	}
	if len(v.Entries) > changesShown {
		v.Entries = v.Entries[:changesShown]
		q := "?before=" + changes.Rows[changesShown-1].ScannedAt.UTC().Format(time.RFC3339Nano)
		v.Older = r.Path(p.host.Path()) + tabHistory + q
	}
	if len(v.Entries) == 0 {
		v.Empty = &ui.Empty{Icon: "history", Title: "No scan yet", Text: "Every scan that finds something new leaves an entry here, for 400 days."}
	}
	return r.Page(p.page(r, "History"), views.HistoryView(v))
}

// stripDays is how many days the strip of the history shows.
const stripDays = 30

// historyStrip draws the share of scans that failed on each day.
func historyStrip(h Host, days []dayRow, from, now time.Time, zone *time.Location) (*ui.Uptime, []ui.Badge, []ui.Fact) {
	if len(days) == 0 {
		return nil, nil, nil
	}
	badge := statusBadge(h, now)
	u := &ui.Uptime{
		Name: "Scans", Href: hostPathFragment, Badge: badge, Days: stripDays,
		From: timetext.Date(from, zone).Text, To: "Today",
	}
	scans, failed := int64(0), int64(0)
	seen := map[int32]bool{}
	for _, d := range days {
		index := min(d.Day, stripDays-1)
		seen[index] = true
		scans, failed = scans+d.Scans, failed+d.Failed
		if d.Failed == 0 {
			continue
		}
		day := ui.UptimeDay{Index: int(index), Lost: float64(d.Failed) / float64(d.Scans), Tone: ui.Warn}
		if day.Lost > 0.5 {
			day.Tone = ui.Crit
		}
		day.Title = fmt.Sprintf("%s: %d of %s failed", from.AddDate(0, 0, int(index)+1).In(zone).Format("2 Jan"), d.Failed, count(int(d.Scans), "scan"))
		u.Trouble = append(u.Trouble, day)
	}
	troubled := len(u.Trouble)
	for i := range int32(stripDays) {
		if !seen[i] {
			u.Trouble = append(u.Trouble, ui.UptimeDay{
				Index: int(i), Lost: 1, Tone: ui.Mute, Title: from.AddDate(0, 0, int(i)+1).In(zone).Format("2 Jan") + ": no scan",
			})
		}
	}
	u.Percent = fmt.Sprintf("%.2f%% of %s", 100*float64(scans-failed)/float64(scans), count(int(scans), "scan"))
	u.Label = fmt.Sprintf("%s succeeded in the last %d days; %s with failures", u.Percent, stripDays, count(troubled, "day"))
	numbers := []ui.Fact{
		{Label: "Scans", Text: group(scans)},
		{Label: "Succeeded", Text: group(scans - failed)},
		{Label: "Failed", Text: group(failed)},
		{Label: "Days with failures", Text: group(int64(troubled))},
	}
	if h.LastOKAt != nil {
		t := timetext.Since(*h.LastOKAt, now, zone)
		numbers = append(numbers, ui.Fact{Label: "Last success", Time: &t})
	}
	return u, []ui.Badge{{Text: "All scans succeeded", Tone: ui.OK}, {Text: "Some failed", Tone: ui.Warn}, {Text: "Most failed", Tone: ui.Crit}, {Text: "No scan", Tone: ui.Mute}}, numbers
}

// hostPathFragment keeps the strip's link on the page: the changes below explain it.
const hostPathFragment = "#changes"

// historyEntries turns changes, newest first, into a timeline. Each is compared with the
// last facts known before it.
func historyEntries(rows []changeRow, zone *time.Location) ([]ui.Entry, error) {
	facts := make([]*tlsscan.Facts, len(rows))
	for i, row := range rows {
		if row.Facts == nil {
			continue
		}
		facts[i] = &tlsscan.Facts{}
		if err := json.Unmarshal(row.Facts, facts[i]); err != nil {
			return nil, fmt.Errorf("decode facts: %w", err)
		}
	}
	out := make([]ui.Entry, len(rows))
	for i, row := range rows {
		e := ui.Entry{Icon: statusIcon(row.Status), Tone: statusTone(row.Status), Time: timetext.Minute(row.ScannedAt, zone)}
		var old *tlsscan.Facts
		if j := slices.IndexFunc(facts[i+1:], func(f *tlsscan.Facts) bool { return f != nil }); j >= 0 {
			old = facts[i+1+j]
		}
		e.Actor, e.Text = changeWords(row, facts[i], old)
		if facts[i] != nil && old != nil {
			for _, d := range tlsscan.Diff(*old, *facts[i]) {
				e.Changes = append(e.Changes, ui.Change{Field: factLabel(d.Field), From: clip(d.From, 300), To: clip(d.To, 300)})
			}
		}
		out[i] = e
	}
	return out, nil
}

func changeWords(row changeRow, now, old *tlsscan.Facts) (title, text string) {
	switch {
	case now == nil:
		return statusLabel(row.Status), "The scan brought no certificate."
	case old == nil:
		return statusLabel(row.Status), "First certificate seen, issued by " + cmp.Or(now.IssuerOrg, now.Issuer) + "."
	case now.Fingerprint != old.Fingerprint && issuerName(*now) != issuerName(*old):
		return statusLabel(row.Status), "Another certificate, from another issuer."
	case now.Fingerprint != old.Fingerprint && now.KeyHash == old.KeyHash:
		return statusLabel(row.Status), "Another certificate for the same key."
	case now.Fingerprint != old.Fingerprint:
		return statusLabel(row.Status), "Another certificate."
	}
	return statusLabel(row.Status), "The same certificate."
}

// activityShown is how many entries the activity tab holds; the audit log has all.
const activityShown = 50

func (s *Service) showActivity(r *web.Request) error {
	var read func(*time.Location, time.Time) ([]ui.Entry, error)
	p, err := s.readHost(r, func(b *db.Batch, id uuid.UUID) { read = s.activity(b, "host", id, activityShown) })
	if err != nil {
		return err
	}
	v := views.ActivityPage{Header: s.header(r, p, tabActivity)}
	if v.Entries, err = read(r.Zone(), r.Now()); err != nil {
		return err
	}
	if len(v.Entries) == 0 {
		v.Empty = &ui.Empty{Icon: "scroll-text", Title: "Nothing recorded yet", Text: "What people and Vigilo do with this host appears here."}
	}
	return r.Page(p.page(r, "Activity"), views.ActivityView(v))
}
