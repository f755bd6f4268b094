// Package certificates watches TLS endpoints: which hosts a workspace cares about, when
// each is scanned, what certificate it shows, and what changed. The engines tlsscan and
// x509lint know no workspace; this package knows no TLS.
package certificates

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/certificates/tlsscan"
	"github.com/vigilo/vigilo/internal/certificates/x509lint"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/listview"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
	"github.com/vigilo/vigilo/internal/kernel/plan"
	"github.com/vigilo/vigilo/templates/ui"
)

// Permissions of this module.
const (
	canReadHosts  access.Permission = "host.read"
	canCreateHost access.Permission = "host.create"
	canUpdateHost access.Permission = "host.update"
	canDeleteHost access.Permission = "host.delete"
	canScanHost   access.Permission = "host.scan"
	canReadCerts  access.Permission = "cert.read"
	canCreateCert access.Permission = "cert.create"
)

// History reads what happened to a thing, for its activity tab: it queues the read with
// those of the page and returns what turns it into a timeline afterwards.
type History func(b *db.Batch, subjectType string, id uuid.UUID, limit int) func(zone *time.Location, now time.Time) ([]ui.Entry, error)

// Deps is what the module is built from.
type Deps struct {
	DB     *db.DB
	Ledger *ledger.Ledger
	Jobs   *job.Engine
	Policy *access.Policy
	Clock  clock.Clock
	Log    *slog.Logger
	// Dialer opens the connections of scans and of fetches of issuers.
	Dialer *outbound.Dialer
	// Roots are what certificates may chain to: those of the system as public ones, those of
	// the installation as the workspace's.
	Roots x509lint.Roots
	// ScanConcurrency is how many scans run at once in this process; 0 means 256.
	ScanConcurrency int
	// Limits bound what scheduled scans ask of the network.
	Limits Limits
	// Timeouts bound a scan; the zero value holds the defaults of tlsscan.
	Timeouts tlsscan.Timeouts
	// People lists who may own a host; nil means nobody can be named.
	People func(ctx context.Context, tx *db.Tx) ([]Person, error)
	// Activity fills the activity tab; nil leaves the tab out.
	Activity History
	// Plan returns the plan of the workspace of tx; nil means no limits.
	Plan func(ctx context.Context, tx *db.Tx) (plan.Plan, error)
	// Retentions lists workspaces that keep scans for a shorter time; nil means none.
	Retentions func(ctx context.Context) ([]Kept, error)
}

// Service holds the use cases of this module.
type Service struct {
	db       *db.DB
	ledger   *ledger.Ledger
	jobs     *job.Engine
	policy   *access.Policy
	clock    clock.Clock
	log      *slog.Logger
	people   func(ctx context.Context, tx *db.Tx) ([]Person, error)
	activity History
	views    *listview.List
	plan     func(ctx context.Context, tx *db.Tx) (plan.Plan, error)
	kept     func(ctx context.Context) ([]Kept, error)
	scanner  *tlsscan.Scanner
	// hurried is scanner with little patience, for hosts that hardly ever answer.
	hurried *tlsscan.Scanner
	gate    *addressGate
	scans   *scanLoop
}

// New returns the service. Run scans what is due; without it only asked-for scans happen.
func New(d Deps) *Service {
	limits := d.Limits.withDefaults()
	s := &Service{
		db: d.DB, ledger: d.Ledger, jobs: d.Jobs, policy: d.Policy, clock: d.Clock, log: d.Log,
		people: d.People, activity: d.Activity, views: newHostViews(d.DB), plan: d.Plan, kept: d.Retentions, gate: newAddressGate(connectionsPerAddress, limits.PerNetwork),
	}
	if s.people == nil {
		s.people = func(context.Context, *db.Tx) ([]Person, error) { return nil, nil }
	}
	if s.plan == nil {
		s.plan = func(context.Context, *db.Tx) (plan.Plan, error) { return plan.Plan{}, nil }
	}
	if s.kept == nil {
		s.kept = func(context.Context) ([]Kept, error) { return nil, nil }
	}
	client := d.Dialer.HTTPClient(outbound.HTTPOptions{Timeout: 5 * time.Second, MaxRedirects: 2, MaxBodyBytes: maxIssuerBytes})
	s.scanner = &tlsscan.Scanner{
		Dial: d.Dialer.WithGate(s.gate.enter).DialContext, Roots: d.Roots, Clock: d.Clock, Timeouts: d.Timeouts,
		FetchAIA: func(ctx context.Context, url string) ([]byte, error) {
			return outbound.Fetch(ctx, client, url, maxIssuerBytes)
		},
	}
	hurried := *s.scanner
	hurried.Timeouts = tlsscan.Timeouts{
		Connect: hurriedTimeout, Step: hurriedTimeout, Handshake: hurriedTimeout, AIA: hurriedTimeout, Total: hurriedTimeout,
	}
	s.hurried = &hurried
	s.scans = newScanLoop(s, d.ScanConcurrency, limits)
	return s
}

// maxIssuerBytes is the largest certificate that is fetched to complete a chain.
const maxIssuerBytes = 64 << 10

// Host returns one host.
func (s *Service) Host(ctx context.Context, a db.Actor, id uuid.UUID) (Host, error) {
	var h Host
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		h, err = hostByID.One(ctx, tx, db.Args{"id": id})
		return err
	})
	return h, err
}

// AddHost begins to watch a host and starts its first scan, unless it is added paused. It
// returns the host and that scan's id, which is zero for a paused host.
func (s *Service) AddHost(ctx context.Context, a db.Actor, in NewHost) (Host, uuid.UUID, error) {
	var h Host
	var scan uuid.UUID
	if err := s.policy.Check(a, canCreateHost); err != nil {
		return h, scan, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		h, err = in.host(uuid.Must(uuid.NewV7()), tx.Now)
		if h.OwnerID, err = s.withOwner(ctx, tx, in.Owner, h.OwnerID, err); err != nil {
			return err
		}
		if err := refuseTwin(ctx, tx, h); err != nil {
			return err
		}
		if err := s.checkPlan(ctx, tx, []Host{h}, 1); err != nil {
			return err
		}
		if err := addHosts(ctx, tx, []Host{h}, time.Time{}); err != nil {
			return named(err, h)
		}
		j := journal{entries: []ledger.Entry{h.added()}}
		if h.State == Active {
			sc, err := s.requestScan(ctx, tx, h, &j)
			if err != nil {
				return err
			}
			scan = sc.ID
		}
		return s.write(ctx, tx, j)
	})
	return h, scan, err
}

func (h Host) added() ledger.Entry {
	return ledger.Entry{Action: EventHostAdded, Subject: h.subject(), After: h, Payload: h.payload()}
}

// refuseTwin answers with the other host's page when the endpoint is watched already.
func refuseTwin(ctx context.Context, tx *db.Tx, h Host) error {
	id, ok, err := hostOfEndpoint.Maybe(ctx, tx, db.Args{
		"hostname": h.Hostname, "port": h.Port, "starttls": h.STARTTLS, "server_name": h.ServerName, "family": h.Family,
	})
	if err != nil || !ok || id == h.ID {
		return err
	}
	return &fault.Error{
		Kind: fault.Conflict, Code: "host_exists", Message: h.Title() + " is watched already.",
		Details: []fault.Detail{{Code: "host_exists", Field: "hostname", Message: "This endpoint is watched already.", Ref: id.String()}},
	}
}

// named turns what the database refuses into words.
func named(err error, h Host) error {
	switch {
	case db.Violated(err, "monitored_hosts_endpoint_key"):
		return fault.NewConflict("host_exists", h.Title()+" is watched already.")
	case db.Violated(err, "monitored_hosts_owner_fkey"):
		return fault.InvalidField("owner", "unknown_member", "This person is not a member of the workspace.")
	}
	return err
}

// HostEdit changes a host. Nil fields stay as they are.
type HostEdit struct {
	Hostname   *string
	Port       *int
	ServerName *string
	STARTTLS   *string
	Family     *string
	Interval   *Interval
	Paused     *bool
	Tags       *[]string
	// Owner is a membership, a user or an e-mail address; an empty text takes the owner away.
	Owner *string
	// WarnDays and CriticalDays of 0 return to the default.
	WarnDays, CriticalDays *int
	// IfMatch and Version are what the editor saw; both may be absent.
	IfMatch string
	Version *int64
}

// apply returns h as the edit makes it. Every problem is reported, by field.
func (e HostEdit) apply(h Host, now time.Time) (Host, error) {
	n := NewHost{
		Hostname: h.Hostname, Port: int(h.Port), ServerName: h.ServerName, STARTTLS: h.STARTTLS, Family: h.Family,
		Interval: h.Interval, Paused: h.State == Paused, Tags: h.Tags, OwnerID: h.OwnerID,
		WarnDays: number(h.WarnDays), CriticalDays: number(h.CriticalDays),
	}
	put(&n.Hostname, e.Hostname)
	if e.Hostname != nil && e.Port == nil {
		n.Port = 0
		if a, err := ParseAddress(n.Hostname); err == nil && a.Port == 0 {
			n.Port = int(h.Port)
		}
	}
	put(&n.Port, e.Port)
	put(&n.ServerName, e.ServerName)
	put(&n.STARTTLS, e.STARTTLS)
	put(&n.Family, e.Family)
	put(&n.Interval, e.Interval)
	put(&n.Paused, e.Paused)
	put(&n.Tags, e.Tags)
	put(&n.WarnDays, e.WarnDays)
	put(&n.CriticalDays, e.CriticalDays)
	made, err := n.host(h.ID, now)
	if err != nil {
		return h, err
	}
	out := h
	out.Hostname, out.DisplayName, out.Port, out.ServerName = made.Hostname, made.DisplayName, made.Port, made.ServerName
	out.STARTTLS, out.Family, out.Interval, out.State = made.STARTTLS, made.Family, made.Interval, made.State
	out.OwnerID, out.WarnDays, out.CriticalDays, out.Tags = made.OwnerID, made.WarnDays, made.CriticalDays, made.Tags
	return out, nil
}

// edited applies e with its owner looked up.
func (s *Service) edited(ctx context.Context, tx *db.Tx, h Host, e HostEdit) (Host, error) {
	out, err := e.apply(h, tx.Now)
	if e.Owner == nil {
		return out, err
	}
	out.OwnerID, err = s.withOwner(ctx, tx, *e.Owner, uuid.NullUUID{}, err)
	return out, err
}

func put[T any](dst *T, v *T) {
	if v != nil {
		*dst = *v
	}
}

func number(v *int32) int {
	if v == nil {
		return 0
	}
	return int(*v)
}

// UpdateHost changes a host. Another endpoint forgets what was seen and is scanned at
// once; other thresholds judge the known certificate again.
func (s *Service) UpdateHost(ctx context.Context, a db.Actor, id uuid.UUID, e HostEdit) (Host, error) {
	var out Host
	if err := s.policy.Check(a, canUpdateHost); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		before, err := lockHost.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		if err := api.CheckVersion(e.IfMatch, e.Version, before.Version); err != nil {
			return err
		}
		if out, err = s.edited(ctx, tx, before, e); err != nil {
			return err
		}
		changes, err := ledger.Diff(before, out)
		if err != nil || len(changes) == 0 {
			return err
		}
		var j journal
		if err := s.saveEdit(ctx, tx, before, &out, &j); err != nil {
			return err
		}
		return s.write(ctx, tx, j)
	})
	return out, err
}

func (s *Service) saveEdit(ctx context.Context, tx *db.Tx, before Host, after *Host, j *journal) error {
	if before.Interval != after.Interval {
		if err := s.checkPlan(ctx, tx, []Host{*after}, 0); err != nil {
			return err
		}
	}
	moved := before.endpoint() != after.endpoint()
	if moved {
		if err := refuseTwin(ctx, tx, *after); err != nil {
			return err
		}
	}
	after.Version++
	after.UpdatedAt = tx.Now
	if err := saveHost(ctx, tx, *after); err != nil {
		return named(err, *after)
	}
	switch {
	case after.State == Paused:
		if _, err := deleteSchedule.Run(ctx, tx, db.Args{"hosts": []uuid.UUID{after.ID}}); err != nil {
			return err
		}
	case before.Interval != after.Interval || before.State != after.State || moved:
		if err := addSchedule(ctx, tx, []Host{*after}, time.Time{}); err != nil {
			return err
		}
	}
	if err := j.noteEdit(before, *after); err != nil {
		return err
	}
	if moved {
		return s.startOver(ctx, tx, after, j)
	}
	return s.judgeAgain(ctx, tx, after, j)
}

// noteEdit names a mere pause or resumption as such.
func (j *journal) noteEdit(before, after Host) error {
	action := EventHostUpdated
	if before.State != after.State {
		still := after
		still.State = before.State
		rest, err := ledger.Diff(before, still)
		if err != nil {
			return err
		}
		if len(rest) == 0 {
			action = EventHostPaused
			if after.State == Active {
				action = EventHostResumed
			}
		}
	}
	j.entries = append(j.entries, ledger.Entry{
		Action: action, Subject: after.subject(), Before: before, After: after, Payload: after.payload(),
	})
	return nil
}

// startOver forgets what was seen at another endpoint and scans the new one.
func (s *Service) startOver(ctx context.Context, tx *db.Tx, h *Host, j *journal) error {
	if err := leave(ctx, tx, *h); err != nil {
		return err
	}
	h.Status, h.StatusDetail, h.NotBefore, h.NotAfter = StatusUnknown, "", nil, noExpiry
	h.Issuer, h.Subject, h.Key, h.SnapshotID, h.CertificateID = "", "", "", uuid.NullUUID{}, uuid.NullUUID{}
	h.LastScanAt, h.LastOKAt, h.LastErrorClass, h.LastError, h.Failures = nil, nil, "", "", 0
	if err := saveResult(ctx, tx, *h); err != nil {
		return err
	}
	if _, err := deleteTokens.Run(ctx, tx, db.Args{"hosts": []uuid.UUID{h.ID}, "origin": "certificate"}); err != nil {
		return err
	}
	if h.State == Paused {
		return nil
	}
	_, err := s.requestScan(ctx, tx, *h, j)
	return err
}

// judgeAgain applies present thresholds and the present time to the known certificate.
func (s *Service) judgeAgain(ctx context.Context, tx *db.Tx, h *Host, j *journal) error {
	if !h.HasCertificate() || h.Status.Failing() {
		return nil
	}
	snap, ok, err := snapshotOfHost.Maybe(ctx, tx, db.Args{"id": h.ID})
	if err != nil || !ok {
		return err
	}
	facts, err := snap.ReadFacts()
	if err != nil {
		return err
	}
	c := change{before: *h, after: *h, old: facts}
	c.after.Status = judge(facts, h.Policy(), tx.Now)
	c.after.StatusDetail = statusDetail(c.after.Status, facts)
	if h.State == Active {
		var edge *time.Time
		if at, ok := edgeAfter(*h.NotBefore, h.NotAfter, h.Policy(), tx.Now); ok {
			edge = &at
		}
		if err := scheduleEdges(ctx, tx, []uuid.UUID{h.ID}, []*time.Time{edge}, []*time.Time{nil}, true); err != nil {
			return err
		}
	}
	if c.after.Status == h.Status {
		return nil
	}
	if err := saveResult(ctx, tx, c.after); err != nil {
		return err
	}
	*h = c.after
	c.note(j, tx.Now)
	return nil
}

// SetPaused stops or resumes the scans of a host.
func (s *Service) SetPaused(ctx context.Context, a db.Actor, id uuid.UUID, paused bool) (Host, error) {
	return s.UpdateHost(ctx, a, id, HostEdit{Paused: &paused})
}

// MaxBulk is how many hosts one action may take.
const MaxBulk = 200

func checkBulk(ids []uuid.UUID) error {
	switch {
	case len(ids) == 0:
		return fault.InvalidField("id", "required", "Select at least one host.")
	case len(ids) > MaxBulk:
		return fault.InvalidField("id", "too_many", fmt.Sprintf("At most %d hosts fit in one action.", MaxBulk))
	}
	return nil
}

// RemoveHosts stops watching hosts and removes what was observed of them. The
// certificates that they showed stay. It returns how many there were.
func (s *Service) RemoveHosts(ctx context.Context, a db.Actor, ids []uuid.UUID) (int, error) {
	if err := s.policy.Check(a, canDeleteHost); err != nil {
		return 0, err
	}
	if err := checkBulk(ids); err != nil {
		return 0, err
	}
	n := 0
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		hosts, err := lockHosts.All(ctx, tx, db.Args{"ids": ids})
		if err != nil {
			return err
		}
		if len(hosts) == 0 {
			return fault.NewNotFound("host")
		}
		n = len(hosts)
		var j journal
		for _, h := range hosts {
			j.entries = append(j.entries, ledger.Entry{Action: EventHostRemoved, Subject: h.subject(), Before: h, Payload: h.payload()})
		}
		if err := s.write(ctx, tx, j); err != nil {
			return err
		}
		if err := leave(ctx, tx, hosts...); err != nil {
			return err
		}
		if _, err := deleteObservations.Run(ctx, tx, db.Args{"ids": ids}); err != nil {
			return err
		}
		_, err = deleteHosts.Run(ctx, tx, db.Args{"ids": ids})
		return err
	})
	return n, err
}

// EditHosts applies one edit to many hosts and returns how many it changed. addTags are
// added to the tags that each has.
func (s *Service) EditHosts(ctx context.Context, a db.Actor, ids []uuid.UUID, e HostEdit, addTags []string) (int, error) {
	if err := s.policy.Check(a, canUpdateHost); err != nil {
		return 0, err
	}
	if err := checkBulk(ids); err != nil {
		return 0, err
	}
	n := 0
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		hosts, err := lockHosts.All(ctx, tx, db.Args{"ids": ids})
		if err != nil {
			return err
		}
		var j journal
		for _, before := range hosts {
			if len(addTags) > 0 {
				tags := slices.Concat(before.Tags, addTags)
				e.Tags = &tags
			}
			after, err := s.edited(ctx, tx, before, e)
			if err != nil {
				return err
			}
			changes, err := ledger.Diff(before, after)
			if err != nil {
				return err
			}
			if len(changes) == 0 {
				continue
			}
			n++
			if err := s.saveEdit(ctx, tx, before, &after, &j); err != nil {
				return err
			}
		}
		return s.write(ctx, tx, j)
	})
	return n, err
}

// UploadCertificates stores certificates in PEM form that no scan has to have met. It
// returns all of them, also those that were known.
func (s *Service) UploadCertificates(ctx context.Context, a db.Actor, text []byte) ([]Cert, error) {
	if err := s.policy.Check(a, canCreateCert); err != nil {
		return nil, err
	}
	parsed, err := parsePEM(text)
	if err != nil {
		return nil, err
	}
	var out []Cert
	err = s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		keys, err := putCerts(ctx, tx, "manual", parsed)
		if err != nil {
			return err
		}
		var ids []uuid.UUID
		for _, p := range parsed {
			k := keys[p.fingerprint]
			ids = append(ids, k.ID)
			if !k.Added {
				continue
			}
			if err := s.recordUpload(ctx, tx, k.ID, p); err != nil {
				return err
			}
		}
		out, err = certsByID.All(ctx, tx, db.Args{"ids": ids})
		return err
	})
	return out, err
}
