package certificates

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/certificates/tlsscan"
	"github.com/vigilo/vigilo/internal/certificates/x509lint"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/certificates"
	"github.com/vigilo/vigilo/templates/ui"
)

// hostPage is what every page of one host reads, in the one round trip of the page.
type hostPage struct {
	id      uuid.UUID
	host    HostItem
	facts   tlsscan.Facts
	known   bool // whether facts hold anything
	scan    *Scan
	changes int64

	rows struct {
		host    *db.Result[HostItem]
		snap    *db.Result[Snapshot]
		scan    *db.Result[Scan]
		changes *db.Result[int64]
	}
}

// readHost reads a host with what more adds to the same round trip.
func (s *Service) readHost(r *web.Request, more func(b *db.Batch, id uuid.UUID)) (*hostPage, error) {
	id, err := r.UUID("id", "host")
	if err != nil {
		return nil, err
	}
	p := &hostPage{id: id}
	args := db.Args{"id": id}
	err = s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		p.rows.host, p.rows.snap = hostItem.Queue(b, args), snapshotOfHost.Queue(b, args)
		p.rows.scan, p.rows.changes = lastScanOfHost.Queue(b, args), countChanges.Queue(b, args)
		if more != nil {
			more(b, id)
		}
	})
	if err != nil {
		return nil, err
	}
	host, ok := p.rows.host.First()
	if !ok {
		return nil, fault.NewNotFound("host")
	}
	p.host = host
	if snap, ok := p.rows.snap.First(); ok {
		if p.facts, err = snap.ReadFacts(); err != nil {
			return nil, err
		}
		p.known = true
	}
	if sc, ok := p.rows.scan.First(); ok && sc.Open() && r.Now().Sub(sc.RequestedAt) < scanPatience {
		p.scan = &sc
	}
	p.changes, _ = p.rows.changes.First()
	return p, nil
}

const (
	tabOverview = ""
	tabChain    = "/chain"
	tabNames    = "/names"
	tabHistory  = "/history"
	tabActivity = "/activity"
)

// header makes what all pages of a host share.
func (s *Service) header(r *web.Request, p *hostPage, tab string) views.Header {
	h, now := p.host, r.Now()
	path := r.Path(h.Path())
	badge := statusBadge(h.Host, now)
	v := views.Header{
		Head: ui.PageHead{
			Title: cmp.Or(h.ServerName, h.DisplayName), Badge: &badge, Lede: hostLede(h.Host),
			Printed: fmt.Sprintf("Vigilo, workspace %s. Printed %s by %s. %s, version %d.", r.Workspace.Name,
				timetext.Prose(now, r.Zone()), r.User().Name, h.Title(), h.Version),
		},
		Live: "host/" + h.ID.String(), Self: path + tab, ScanAction: path + "/scan",
		MayScan: r.Can(canScanHost), MayChange: r.Can(canUpdateHost) || r.Can(canDeleteHost),
		Menu: ui.Menu{ID: "host-menu", Label: "Change", Items: hostMenu(r, h.Host)},
	}
	names, chain := "", ""
	if p.known && p.facts.Fingerprint != "" {
		names, chain = strconv.Itoa(len(p.facts.Names)), strconv.Itoa(1+len(p.facts.Intermediate))
	}
	items := []ui.Tab{
		{Text: "Overview", Href: path, Current: tab == tabOverview},
		{Text: "Chain", Href: path + tabChain, Count: chain, Current: tab == tabChain},
		{Text: "Names", Href: path + tabNames, Count: names, Current: tab == tabNames},
		{Text: "History", Href: path + tabHistory, Count: cappedChanges(p.changes), Current: tab == tabHistory},
	}
	if s.activity != nil {
		items = append(items, ui.Tab{Text: "Activity", Href: path + tabActivity, Current: tab == tabActivity})
	}
	v.Tabs = ui.Tabs{Label: "Host", Items: items}
	if p.scan != nil {
		v.Live += " scan/" + p.scan.ID.String()
		v.Progress = &ui.Progress{Title: "Scanning " + h.Title(), Detail: "waiting for a free place", Percent: 15}
		if p.scan.State == ScanRunning {
			v.Progress.Detail, v.Progress.Percent = "shaking hands and reading the chain", 60
		}
	}
	return v
}

func cappedChanges(n int64) string {
	switch {
	case n == 0:
		return ""
	case n >= 1000:
		return "1,000+"
	}
	return group(n)
}

func hostLede(h Host) string {
	how := "TLS"
	if h.STARTTLS != "" {
		how = "STARTTLS for " + starttlsLabel(h.STARTTLS)
	}
	where := fmt.Sprintf("Port %d", h.Port)
	if h.ServerName != "" {
		where = "At " + h.Address()
	}
	if h.State == Paused {
		return where + ", " + how + ". Scans are paused."
	}
	return where + ", " + how + ". Scanned " + intervalLabel(h.Interval) + "."
}

func hostMenu(r *web.Request, h Host) []ui.MenuItem {
	path := r.Path(h.Path())
	var items []ui.MenuItem
	if r.Can(canUpdateHost) {
		items = append(items, ui.MenuItem{Text: "Edit", Href: path + "/edit", Icon: "pencil"})
		if h.State == Paused {
			items = append(items, ui.MenuItem{Text: "Resume scans", Href: path + "/resume", Icon: "play", Post: true})
		} else {
			items = append(items, ui.MenuItem{Text: "Pause scans", Href: path + "/pause", Icon: "pause", Post: true})
		}
	}
	if r.Can(canDeleteHost) {
		items = append(items, ui.MenuItem{Text: "Remove", Href: path + "/remove", Icon: "trash-2", Danger: true})
	}
	return items
}

func (p *hostPage) page(r *web.Request, tab string) web.Page {
	at := []web.Crumb{{Text: p.host.Title()}}
	if tab != "" {
		at = []web.Crumb{{Text: p.host.Title(), Href: r.Path(p.host.Path())}, {Text: tab}}
	}
	title := p.host.Title()
	if tab != "" {
		title = tab + " of " + title
	}
	return web.Page{Title: title, Crumbs: crumbs(r, at...)}
}

func (s *Service) showOverview(r *web.Request) error {
	var chain *db.Result[Cert]
	p, err := s.readHost(r, func(b *db.Batch, id uuid.UUID) { chain = chainOfHost.Queue(b, db.Args{"id": id}) })
	if err != nil {
		return err
	}
	v := views.Overview{Header: s.header(r, p, tabOverview), ChainHref: r.Path(p.host.Path()) + tabChain, Tags: p.host.Tags}
	now, zone := r.Now(), r.Zone()
	h := p.host.Host
	v.Notice = hostNotice(h, now, zone)
	switch {
	case h.LastScanAt == nil:
		v.Waiting = &ui.Empty{Icon: "hourglass", Title: "The first scan is on its way", Text: "This page shows its result as soon as it is there, usually within seconds."}
		if h.State == Paused {
			v.Waiting = &ui.Empty{Icon: "circle-pause", Title: "Not scanned yet", Text: "Scans of this host are paused. Resume them, or scan once now."}
		}
	default:
		v.ScannedAside = "Scanned " + timetext.Relative(*h.LastScanAt, now)
		v.Findings = overviewFindings(h, p.facts, p.known, now)
	}
	if p.known {
		v.Connection = connectionFacts(p.facts)
		v.Chain = chainLinks(r, chain.Rows, p.facts, now)
	}
	if h.HasCertificate() {
		used := lifetimeUsed(*h.NotBefore, h.NotAfter, now)
		v.Validity = &ui.Meter{
			Percent: used, Tone: expiryTone(h, now), Label: fmt.Sprintf("%d percent of the lifetime has passed", used), Wide: true,
		}
		v.Period = periodFacts(*h.NotBefore, h.NotAfter, now, zone)
		v.Identity = identityFacts(p.facts, h)
	}
	v.Ownership = ownershipFacts(p.host)
	v.Scanning = scanFacts(h, now, zone)
	return r.Page(p.page(r, ""), views.OverviewPage(v))
}

// hostNotice is the one thing that needs attention, if there is one.
func hostNotice(h Host, now time.Time, zone *time.Location) *ui.Notice {
	if h.State == Paused || h.Status == StatusUnknown || h.Status == Status(x509lint.StatusValid) {
		return nil
	}
	n := &ui.Notice{Tone: statusTone(h.Status), Title: statusLabel(h.Status) + ".", Text: h.StatusDetail}
	end := ""
	if h.HasCertificate() {
		end = timetext.Prose(h.NotAfter, zone)
	}
	switch x509lint.Status(h.Status) {
	case x509lint.StatusExpired:
		n.Title = "The certificate has expired."
		n.Text = "It ended on " + end + ". Browsers refuse this host until the server sends a new one."
	case x509lint.StatusCritical, x509lint.StatusExpiring:
		n.Title = "The certificate expires " + inDays(h.NotAfter, now) + "."
		n.Text = "It ends on " + end + ". Vigilo notices a new one with the next scan; nothing needs to be told."
	case x509lint.StatusNotYetValid:
		n.Title, n.Text = "The certificate is not valid yet.", "It begins on "+timetext.Prose(*h.NotBefore, zone)+"."
	case x509lint.StatusNameMismatch:
		n.Title = "The certificate is for another name."
	case x509lint.StatusSelfSigned:
		n.Title, n.Text = "The certificate is self-signed.", "No authority vouches for it. For a company's own authority, an operator adds its root to the trusted roots of this installation."
	case x509lint.StatusUntrusted:
		n.Title = "The certificate is not trusted."
	case x509lint.StatusIncompleteChain:
		n.Title = "The chain is incomplete."
		n.Text += " Configure the server to send it."
	case x509lint.StatusWeak:
		n.Title = "The key or signature is weak."
	case x509lint.StatusPolicyViolation:
		n.Title = "The certificate breaks the rules for public ones."
	default:
		if !h.Status.Failing() {
			return nil
		}
		n.Title = "The last scan brought no certificate."
		n.Text = h.LastError
		if h.Failures > 1 {
			n.Text += fmt.Sprintf(" This was failure %d in a row.", h.Failures)
		}
	}
	return n
}

// overviewFindings says in sentences what is right and what is wrong.
func overviewFindings(h Host, f tlsscan.Facts, known bool, now time.Time) []ui.Finding {
	var out []ui.Finding
	add := func(t ui.Tone, title, text string) { out = append(out, ui.Finding{Tone: t, Title: title, Text: text}) }
	if h.Status.Failing() {
		add(statusTone(h.Status), statusLabel(h.Status), h.LastError)
		if known {
			add(ui.Info, "What follows is from the last scan that succeeded", "It may have changed since.")
		}
	}
	if !known {
		return out
	}
	if h.HasCertificate() {
		switch tone := expiryTone(h, now); {
		case x509lint.Period(*h.NotBefore, h.NotAfter, now) == x509lint.TimeNotYetValid:
			add(ui.Warn, "Not valid yet", "The validity period lies in the future.")
		case tone == "":
			add(ui.OK, "Valid for long enough", "It expires "+inDays(h.NotAfter, now)+".")
		case x509lint.Period(*h.NotBefore, h.NotAfter, now) == x509lint.TimeExpired:
			add(ui.Crit, "Expired "+inDays(h.NotAfter, now), "Clients refuse it.")
		default:
			warn, critical := h.Policy().Windows(*h.NotBefore, h.NotAfter)
			add(tone, "Expires "+inDays(h.NotAfter, now), fmt.Sprintf("Vigilo warns %s before the end, and again %s before.", span(warn), span(critical)))
		}
	}
	out = append(out, trustFinding(f), nameFinding(f, h))
	if f.Strength == string(x509lint.StrengthOK) {
		add(ui.OK, "Key and signatures are strong", f.Key+", "+f.Signature+".")
	}
	for _, finding := range findings(f) {
		add(findingTone(finding.Severity), finding.Title, finding.Text)
	}
	rank := []ui.Tone{ui.Crit, ui.Warn, ui.Info, ui.OK}
	slices.SortStableFunc(out, func(a, b ui.Finding) int { return slices.Index(rank, a.Tone) - slices.Index(rank, b.Tone) })
	return out
}

func span(d time.Duration) string {
	if d >= 48*time.Hour {
		return count(int(d/(24*time.Hour)), "day")
	}
	return count(int(d/time.Hour), "hour")
}

func findingTone(s x509lint.Severity) ui.Tone {
	switch s {
	case x509lint.Critical, x509lint.High:
		return ui.Crit
	case x509lint.Medium:
		return ui.Warn
	case x509lint.Info:
	}
	return ui.Info
}

func trustFinding(f tlsscan.Facts) ui.Finding {
	switch x509lint.TrustState(f.Trust) {
	case x509lint.TrustedPublic:
		return ui.Finding{Tone: ui.OK, Title: "The chain leads to a public root", Text: "Every browser with current roots accepts it."}
	case x509lint.TrustedWorkspace:
		return ui.Finding{Tone: ui.OK, Title: "The chain leads to a root of this installation", Text: "Machines that trust the same root accept it."}
	case x509lint.TrustIncomplete:
		text := "Browsers may find the missing certificate themselves; other programs do not."
		if f.MissingFrom != "" {
			text += " It is at " + clip(f.MissingFrom, 120) + "."
		}
		return ui.Finding{Tone: ui.Warn, Title: "The server does not send the whole chain", Text: text}
	case x509lint.TrustSelfSigned:
		return ui.Finding{Tone: ui.Crit, Title: "Signed by its own key", Text: "No authority vouches for it."}
	default:
		return ui.Finding{Tone: ui.Crit, Title: "No trusted chain", Text: untrustedBecause(f.Reason)}
	}
}

func nameFinding(f tlsscan.Facts, h Host) ui.Finding {
	asked := cmp.Or(h.ServerName, h.DisplayName)
	if f.Name == string(x509lint.NameMatch) {
		return ui.Finding{Tone: ui.OK, Title: "The name matches", Text: "The certificate stands for " + asked + "."}
	}
	text := "The certificate names nothing."
	if len(f.Names) > 0 {
		text = "It stands for " + strings.Join(f.Names[:min(len(f.Names), 3)], ", ")
		if n := len(f.Names) - 3; n > 0 {
			text += fmt.Sprintf(" and %d more", n)
		}
		text += ", not for " + asked + "."
	}
	return ui.Finding{Tone: ui.Crit, Title: "The name does not match", Text: text}
}

func connectionFacts(f tlsscan.Facts) []ui.Fact {
	var out []ui.Fact
	add := func(label, text string) {
		if text != "" {
			out = append(out, ui.Fact{Label: label, Text: text})
		}
	}
	add("Protocol", f.TLSVersion)
	add("Cipher suite", f.CipherSuite)
	add("Key exchange", f.Group)
	add("ALPN", f.ALPN)
	add("STARTTLS", f.STARTTLS)
	return out
}

// chainLinks draws what was served, and the root that completes it.
func chainLinks(r *web.Request, chain []Cert, f tlsscan.Facts, now time.Time) []ui.ChainLink {
	var out []ui.ChainLink
	for i, c := range chain {
		link := ui.ChainLink{Icon: "link", Title: c.Label, Sub: "Intermediate, " + c.Key}
		switch {
		case i == 0:
			link.Icon, link.Sub = "globe", c.Key+", "+count(len(f.Names), "name")
		case c.IsCA && c.Subject == c.Issuer:
			link.Icon, link.Sub = "shield-check", "Root, "+c.Key+", need not be sent"
		case !c.IsCA:
			link.Icon, link.Sub = "file-text", "Not an authority, "+c.Key
		}
		if r.Can(canReadCerts) {
			link.Href = r.Path(certPath(c.ID))
		}
		if c.NotBefore != nil {
			tone := cmp.Or(periodTone(*c.NotBefore, c.NotAfter, x509lint.ExpiryPolicy{}, now), ui.Mute)
			link.Badge = &ui.Badge{Text: inDays(c.NotAfter, now), Tone: tone}
		}
		out = append(out, link)
	}
	if n := len(chain); n > 0 && chain[n-1].Subject != chain[n-1].Issuer && f.Anchor != "" {
		if f.Trust == string(x509lint.TrustIncomplete) {
			return append(out, ui.ChainLink{
				Icon: "triangle-alert", Title: chain[n-1].IssuerLabel, Sub: "Intermediate, not sent by the server",
				Badge: &ui.Badge{Text: "Missing", Tone: ui.Warn},
			})
		}
		where := "Root, in the public roots, not sent"
		if f.Anchor == string(x509lint.AnchorWorkspace) {
			where = "Root, in the roots of this installation, not sent"
		}
		out = append(out, ui.ChainLink{Icon: "shield-check", Title: chain[n-1].IssuerLabel, Sub: where})
	}
	return out
}

func periodFacts(notBefore, notAfter, now time.Time, zone *time.Location) []ui.Fact {
	end := ui.Fact{Label: "Until", Text: timetext.Minute(notAfter, zone).Text}
	if zone.String() != time.UTC.String() {
		end.Sub = notAfter.UTC().Format("15:04 UTC")
	}
	life := x509lint.Lifetime(notBefore, notAfter)
	from := timetext.Date(notBefore, zone)
	return []ui.Fact{
		{Label: "From", Time: &from}, end, {Label: "Expires", Text: inDays(notAfter, now)}, {Label: "Lifetime", Text: span(life)},
	}
}

func identityFacts(f tlsscan.Facts, h Host) []ui.Fact {
	var out []ui.Fact
	if len(f.Names) > 0 {
		names := ui.Fact{Label: "Names", Text: f.Names[0]}
		if n := len(f.Names) - 1; n > 0 {
			names.Sub = fmt.Sprintf("and %d more", n)
		}
		out = append(out, names)
	}
	return append(out,
		ui.Fact{Label: "Subject", Text: cmp.Or(clip(h.Subject, 200), "empty")},
		ui.Fact{Label: "Issuer", Text: h.Issuer},
		ui.Fact{Label: "Key", Text: h.Key},
		ui.Fact{Label: "Serial", Text: spacedHex(f.Serial), Copy: "Copy serial number"},
		ui.Fact{Label: "SHA-256", Text: spacedHex(f.Fingerprint), Copy: "Copy fingerprint"},
	)
}

func ownershipFacts(h HostItem) []ui.Fact {
	owner := ui.Fact{Label: "Owner", Text: "Nobody yet"}
	owner.Person = person(h.OwnerID, h.OwnerName)
	return []ui.Fact{owner}
}

func scanFacts(h Host, now time.Time, zone *time.Location) []ui.Fact {
	out := []ui.Fact{{Label: "How often", Text: intervalLabel(h.Interval)}}
	if h.State == Paused {
		out[0].Text = "paused"
	}
	if h.LastScanAt != nil {
		t := timetext.Since(*h.LastScanAt, now, zone)
		out = append(out, ui.Fact{Label: "Last scan", Time: &t})
	}
	if h.Status.Failing() && h.LastOKAt != nil {
		t := timetext.Since(*h.LastOKAt, now, zone)
		out = append(out, ui.Fact{Label: "Last success", Time: &t})
	}
	if h.Family != "" {
		out = append(out, ui.Fact{Label: "Family", Text: familyLabel(h.Family)})
	}
	warns := "30 days, or a third of the lifetime"
	if h.WarnDays != nil {
		warns = count(int(*h.WarnDays), "day") + " before"
	}
	critical := "7 days, or a sixth"
	if h.CriticalDays != nil {
		critical = count(int(*h.CriticalDays), "day") + " before"
	}
	since := timetext.Date(h.CreatedAt, zone)
	return append(out,
		ui.Fact{Label: "Warns", Text: warns}, ui.Fact{Label: "Critical", Text: critical}, ui.Fact{Label: "Watched since", Time: &since})
}
