package certificates

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/certificates/tlsscan"
	"github.com/vigilo/vigilo/internal/certificates/x509lint"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// outcome is one scan with what it is compared to.
type outcome struct {
	target target
	result tlsscan.Result
	facts  tlsscan.Facts
	hash   [32]byte
	status Status
}

func newOutcome(t target, r tlsscan.Result) outcome {
	o := outcome{target: t, result: r}
	if r.State != tlsscan.StateReachable {
		o.status = Status(r.State)
		return o
	}
	o.facts = r.Facts()
	o.hash = o.facts.Hash()
	o.status = judge(o.facts, expiryPolicy(t.WarnDays, t.CriticalDays), r.Started)
	return o
}

func (o outcome) failed() bool { return o.result.State != tlsscan.StateReachable }

// unchanged reports whether the scan found what was known when it began. The database
// checks once more while it writes.
func (o outcome) unchanged() bool {
	t := o.target
	if o.status != t.Status || o.result.ErrorClass != t.LastErrorClass {
		return false
	}
	if o.failed() {
		return t.Failures >= failuresToAlarm
	}
	return t.Failures == 0 && bytes.Equal(t.FactsHash, o.hash[:])
}

// failuresToAlarm is how many failures in a row make host.scan_failed.
const failuresToAlarm = 2

func (o outcome) durationMS() int32 {
	return int32(min(o.result.Duration.Milliseconds(), 1<<30)) //nolint:gosec // bounded in the same line
}

// record stores the outcomes of scans of one workspace in one transaction. It returns
// which snapshot each host has now.
func (s *Service) record(ctx context.Context, tx *db.Tx, outs []outcome) error {
	var same, rest []outcome
	for _, o := range outs {
		if o.unchanged() {
			same = append(same, o)
		} else {
			rest = append(rest, o)
		}
	}
	if len(same) > 0 {
		kept, err := recordUnchanged.All(ctx, tx, observationArgs(same, true))
		if err != nil {
			return err
		}
		if len(kept) < len(same) {
			for _, o := range same {
				if !slices.Contains(kept, o.target.HostID) {
					rest = append(rest, o)
				}
			}
		}
	}
	if len(rest) == 0 {
		return nil
	}
	return s.recordChanged(ctx, tx, rest)
}

func observationArgs(outs []outcome, known bool) db.Args {
	n := len(outs)
	ids, started, addresses, statuses := make([]uuid.UUID, n), make([]time.Time, n), make([]string, n), make([]string, n)
	snapshots, durations, classes, failed := make([]*uuid.UUID, n), make([]int32, n), make([]string, n), make([]bool, n)
	for i, o := range outs {
		ids[i], started[i], addresses[i], statuses[i] = o.target.HostID, o.result.Started, o.result.Address, string(o.status)
		durations[i], classes[i], failed[i] = o.durationMS(), o.result.ErrorClass, o.failed()
		if known && !o.failed() {
			snapshots[i] = orNil(o.target.SnapshotID)
		}
	}
	return db.Args{
		"ids": ids, "started": started, "addresses": addresses, "statuses": statuses, "snapshots": snapshots,
		"durations": durations, "classes": classes, "failed": failed,
	}
}

// recordChanged stores outcomes that differ from what was known, each with its events.
func (s *Service) recordChanged(ctx context.Context, tx *db.Tx, outs []outcome) error {
	outs = latest(outs)
	ids := make([]uuid.UUID, len(outs))
	for i, o := range outs {
		ids[i] = o.target.HostID
	}
	locked, err := lockHosts.All(ctx, tx, db.Args{"ids": ids})
	if err != nil {
		return err
	}
	hosts := make(map[uuid.UUID]Host, len(locked))
	for _, h := range locked {
		hosts[h.ID] = h
	}
	// A host that was removed, changed or scanned later meanwhile makes this outcome moot.
	outs = slices.DeleteFunc(outs, func(o outcome) bool {
		h, ok := hosts[o.target.HostID]
		return !ok || (h.LastScanAt != nil && !h.LastScanAt.Before(o.result.Started)) || h.endpoint() != o.target.endpoint()
	})
	if len(outs) == 0 {
		return nil
	}
	certs, err := putCerts(ctx, tx, "scan", servedCerts(outs))
	if err != nil {
		return err
	}
	snapshots, err := putSnapshots(ctx, tx, outs, certs)
	if err != nil {
		return err
	}
	before, err := factsBefore(ctx, tx, outs, hosts)
	if err != nil {
		return err
	}
	changes, results := make([]change, len(outs)), make([]Host, len(outs))
	for i, o := range outs {
		h := hosts[o.target.HostID]
		changes[i] = newChange(h, before[h.SnapshotID.UUID], o, snapshots, certs)
		results[i] = changes[i].after
	}
	if err := saveResults(ctx, tx, results); err != nil {
		return err
	}
	if err := writeTraces(ctx, tx, changes); err != nil {
		return err
	}
	var j journal
	for _, c := range changes {
		c.note(&j, tx.Now)
	}
	return s.write(ctx, tx, j)
}

func (t target) endpoint() endpoint {
	return endpoint{t.Hostname, t.STARTTLS, t.ServerName, t.Family, t.Port}
}

// latest keeps the newest outcome of each host, in the order of ids.
func latest(outs []outcome) []outcome {
	slices.SortStableFunc(outs, func(a, b outcome) int {
		if d := bytes.Compare(a.target.HostID[:], b.target.HostID[:]); d != 0 {
			return d
		}
		return b.result.Started.Compare(a.result.Started)
	})
	return slices.CompactFunc(outs, func(a, b outcome) bool { return a.target.HostID == b.target.HostID })
}

func servedCerts(outs []outcome) []parsedCert {
	var out []parsedCert
	for _, o := range outs {
		for i, der := range o.result.Certificates {
			var parsed *x509.Certificate
			if i < len(o.result.Parsed) {
				parsed = o.result.Parsed[i]
			}
			out = append(out, newParsedCert(der, parsed))
		}
	}
	return unique(out)
}

// putSnapshots stores what the outcomes found and returns the ids by hash.
func putSnapshots(ctx context.Context, tx *db.Tx, outs []outcome, certs map[[32]byte]certKey) (map[[32]byte]uuid.UUID, error) {
	var hashes [][]byte
	for _, o := range outs {
		if !o.failed() {
			hashes = append(hashes, o.hash[:])
		}
	}
	if len(hashes) == 0 {
		return nil, nil
	}
	out := make(map[[32]byte]uuid.UUID, len(hashes))
	read := func() error {
		keys, err := snapshotsByHash.All(ctx, tx, db.Args{"hashes": hashes})
		for _, k := range keys {
			out[[32]byte(k.Hash)] = k.ID
		}
		return err
	}
	if _, err := reviveSnapshots.Run(ctx, tx, db.Args{"hashes": hashes}); err != nil {
		return nil, err
	}
	if err := read(); err != nil {
		return nil, err
	}
	var fresh []Snapshot
	var freshHashes [][]byte
	for _, o := range outs {
		if _, ok := out[o.hash]; ok || o.failed() {
			continue
		}
		facts, err := json.Marshal(o.facts)
		if err != nil {
			return nil, fmt.Errorf("encode facts: %w", err)
		}
		snap := Snapshot{ID: uuid.Must(uuid.NewV7()), Facts: facts}
		for _, c := range o.chain() {
			snap.Chain = append(snap.Chain, certs[c].ID)
		}
		if len(snap.Chain) > 0 {
			snap.LeafID = db.NullID(snap.Chain[0])
		}
		fresh, freshHashes = append(fresh, snap), append(freshHashes, o.hash[:])
		out[o.hash] = snap.ID
	}
	clash, err := insertAll(ctx, tx, fresh, freshHashes)
	if err != nil {
		return nil, err
	}
	if clash {
		// Somebody else stored the same facts between our look and our write.
		if err := read(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// chain returns the fingerprints of what was served, in order.
func (o outcome) chain() [][32]byte {
	out := make([][32]byte, len(o.result.Certificates))
	for i, der := range o.result.Certificates {
		out[i] = sha256.Sum256(der)
	}
	return out
}

// factsBefore returns the facts of the hosts' present snapshots, by snapshot.
func factsBefore(ctx context.Context, tx *db.Tx, outs []outcome, hosts map[uuid.UUID]Host) (map[uuid.UUID]tlsscan.Facts, error) {
	var ids []uuid.UUID
	for _, o := range outs {
		if id := hosts[o.target.HostID].SnapshotID; id.Valid && !o.failed() && !slices.Contains(ids, id.UUID) {
			ids = append(ids, id.UUID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := snapshotsByID.All(ctx, tx, db.Args{"ids": ids})
	if err != nil {
		return nil, err
	}
	out := make(map[uuid.UUID]tlsscan.Facts, len(rows))
	for _, r := range rows {
		if out[r.ID], err = r.ReadFacts(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// change is what one outcome does to its host.
type change struct {
	before, after Host
	old           tlsscan.Facts
	outcome       outcome
	// leaf is the new leaf when it differs from the one before, else nil.
	leaf *parsedCert
}

func newChange(h Host, old tlsscan.Facts, o outcome, snapshots map[[32]byte]uuid.UUID, certs map[[32]byte]certKey) change {
	c := change{before: h, after: h, old: old, outcome: o}
	started := o.result.Started
	a := &c.after
	a.LastScanAt, a.LastErrorClass, a.LastError = &started, o.result.ErrorClass, o.result.Sentence
	if o.failed() {
		a.Status, a.StatusDetail, a.Failures = o.status, o.result.Sentence, h.Failures+1
		return c
	}
	a.Status = judge(o.facts, h.Policy(), started)
	a.StatusDetail = statusDetail(a.Status, o.facts)
	a.LastOKAt, a.Failures, a.LastErrorClass, a.LastError = &started, 0, "", ""
	a.SnapshotID = db.NullID(snapshots[o.hash])
	a.NotBefore, a.NotAfter, a.Issuer, a.Subject, a.Key, a.CertificateID = nil, noExpiry, "", "", "", uuid.NullUUID{}
	if len(o.result.Certificates) == 0 {
		return c
	}
	leaf := newParsedCert(o.result.Certificates[0], o.result.Leaf())
	a.CertificateID = db.NullID(certs[leaf.fingerprint].ID)
	a.NotBefore, a.NotAfter, a.Issuer, a.Subject, a.Key = leaf.notBefore, leaf.notAfter, leaf.issuerLabel, leaf.subject, leaf.key
	if old.Fingerprint != o.facts.Fingerprint {
		c.leaf = &leaf
	}
	return c
}

// differs reports whether the scan belongs into the history: another status, another
// reason, or other facts.
func (c change) differs() bool {
	return c.before.Status != c.after.Status || c.before.LastErrorClass != c.after.LastErrorClass || c.before.SnapshotID != c.after.SnapshotID
}

// writeTraces stores the observations of changes, the words to search by, and when time
// alone will change a status.
func writeTraces(ctx context.Context, tx *db.Tx, changes []change) error {
	outs := make([]outcome, len(changes))
	differs, snapshots := make([]bool, len(changes)), make([]*uuid.UUID, len(changes))
	hosts, edges, retries := make([]uuid.UUID, len(changes)), make([]*time.Time, len(changes)), make([]*time.Time, len(changes))
	words, renewed := map[uuid.UUID][]string{}, []uuid.UUID{}
	var replaced, left []uuid.UUID
	var seen, leftAt []time.Time
	for i, c := range changes {
		outs[i], differs[i], hosts[i] = c.outcome, c.differs(), c.after.ID
		outs[i].status = c.after.Status
		if !c.outcome.failed() {
			snapshots[i] = orNil(c.after.SnapshotID)
		}
		if c.after.HasCertificate() {
			if at, ok := edgeAfter(*c.after.NotBefore, c.after.NotAfter, c.after.Policy(), tx.Now); ok {
				edges[i] = &at
			}
		}
		if c.after.Failures == 1 && c.before.Status != StatusUnknown {
			soon := tx.Now.Add(retryAfter)
			retries[i] = &soon
		}
		if c.before.SnapshotID.Valid && c.before.SnapshotID != c.after.SnapshotID && c.before.LastOKAt != nil {
			left, leftAt = append(left, c.before.SnapshotID.UUID), append(leftAt, *c.before.LastOKAt)
		}
		if c.leaf == nil {
			continue
		}
		renewed = append(renewed, c.after.ID)
		words[c.after.ID] = certWords(*c.leaf)
		if c.before.CertificateID.Valid && c.before.LastOKAt != nil {
			replaced, seen = append(replaced, c.before.CertificateID.UUID), append(seen, *c.before.LastOKAt)
		}
	}
	if len(replaced) > 0 {
		if _, err := seeCerts.Run(ctx, tx, db.Args{"ids": replaced, "seen": seen}); err != nil {
			return err
		}
	}
	if len(left) > 0 {
		if _, err := leaveSnapshots.Run(ctx, tx, db.Args{"ids": left, "seen": leftAt}); err != nil {
			return err
		}
	}
	args := observationArgs(outs, false)
	args["snapshots"], args["changed"] = snapshots, differs
	delete(args, "failed")
	if _, err := insertObservations.Run(ctx, tx, args); err != nil {
		return err
	}
	if err := scheduleEdges(ctx, tx, hosts, edges, retries, false); err != nil {
		return err
	}
	if len(renewed) == 0 {
		return nil
	}
	if _, err := deleteTokens.Run(ctx, tx, db.Args{"hosts": renewed, "origin": "certificate"}); err != nil {
		return err
	}
	return putTokens(ctx, tx, "certificate", words)
}

// journal collects what a transaction has to tell, so that all of it costs what one entry
// costs.
type journal struct {
	entries []ledger.Entry
	live    []event.LiveMessage
}

// write records the journal and wakes the pages that show its hosts.
func (s *Service) write(ctx context.Context, tx *db.Tx, j journal) error {
	if _, err := s.ledger.RecordAll(ctx, tx, j.entries...); err != nil {
		return err
	}
	return event.Tell(ctx, tx, j.live...)
}

// note adds the events of one change.
func (c change) note(j *journal, now time.Time) {
	h := c.after
	add := func(action string, sev event.Severity, payload any, changes []ledger.Change) {
		j.entries = append(j.entries, ledger.Entry{Action: action, Subject: h.subject(), Payload: payload, Severity: sev, Changes: changes})
	}
	if c.leaf != nil {
		c.noteCertificate(add)
	}
	if c.before.Status != h.Status {
		p := StatusChangedPayload{HostPayload: h.payload(), From: c.before.Status, To: h.Status, Detail: h.StatusDetail}
		if h.HasCertificate() {
			end, days := h.NotAfter, x509lint.DaysLeft(h.NotAfter, now)
			p.NotAfter, p.DaysLeft = &end, &days
		}
		add(EventStatusChanged, statusSeverity(h.Status), p, []ledger.Change{{Field: "status", From: c.before.Status, To: h.Status}})
	}
	switch {
	case h.Failures == failuresToAlarm && c.before.Failures < failuresToAlarm:
		add(EventScanFailed, "", ScanFailedPayload{
			HostPayload: h.payload(), Status: h.Status, ErrorClass: h.LastErrorClass, Error: h.LastError,
			Failures: h.Failures, LastOKAt: h.LastOKAt,
		}, nil)
	case h.Failures == 0 && c.before.Failures >= failuresToAlarm:
		add(EventScanRecovered, "", ScanRecoveredPayload{HostPayload: h.payload(), Status: h.Status, Failures: c.before.Failures}, nil)
	}
	j.live = append(j.live, event.LiveMessage{Name: "host.scanned", SubjectType: "host", SubjectID: h.ID})
}

// noteCertificate tells that a host shows its first certificate, or another one.
func (c change) noteCertificate(add func(string, event.Severity, any, []ledger.Change)) {
	f := c.outcome.facts
	p := CertPayload{
		HostPayload: c.after.payload(), CertificateID: c.after.CertificateID, SnapshotID: c.after.SnapshotID.UUID,
		Fingerprint: f.Fingerprint, Subject: f.Subject, Issuer: f.Issuer, NotBefore: f.NotBefore, NotAfter: f.NotAfter, Status: c.after.Status,
	}
	if c.old.Fingerprint == "" {
		add(EventCertObserved, "", p, nil)
		return
	}
	changed := CertChangedPayload{CertPayload: p, OldFingerprint: c.old.Fingerprint, OldIssuer: c.old.Issuer, OldNotAfter: c.old.NotAfter}
	var entries []ledger.Change
	for _, d := range tlsscan.Diff(c.old, f) {
		from, to := clip(d.From, 500), clip(d.To, 500)
		changed.Changes = append(changed.Changes, FactChange{Field: d.Field, From: from, To: to})
		entries = append(entries, ledger.Change{Field: d.Field, From: from, To: to})
	}
	add(EventCertChanged, "", changed, entries)
	if issuerName(c.old) != issuerName(f) {
		add(EventCertIssuerChanged, "", changed, []ledger.Change{{Field: "issuer", From: c.old.Issuer, To: f.Issuer}})
	}
}

// issuerName is what must differ for an issuer to count as another one: its organisation,
// since one authority signs with many certificates, or all of its name without one.
func issuerName(f tlsscan.Facts) string {
	if f.IssuerOrg != "" {
		return f.IssuerOrg
	}
	return f.Issuer
}

// statusSeverity grades a change of status by where it leads.
func statusSeverity(to Status) event.Severity {
	switch x509lint.Status(to) {
	case x509lint.StatusRevoked, x509lint.StatusExpired:
		return event.Critical
	case x509lint.StatusCritical, x509lint.StatusNameMismatch, x509lint.StatusUntrusted, x509lint.StatusSelfSigned:
		return event.High
	case x509lint.StatusExpiring, x509lint.StatusIncompleteChain, x509lint.StatusNotYetValid, x509lint.StatusWeak,
		x509lint.StatusPolicyViolation:
		return event.Medium
	case x509lint.StatusValid:
		return event.Info
	}
	if to.Failing() {
		return event.Medium
	}
	return event.Info
}
