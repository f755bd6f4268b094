package certificates

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/certificates/tlsscan"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// scanPatience is how long a scan that was asked for counts as under way.
const scanPatience = 5 * time.Minute

// RequestScan asks for a scan of a host now. While one is under way, that one is returned.
func (s *Service) RequestScan(ctx context.Context, a db.Actor, hostID uuid.UUID) (Scan, error) {
	var sc Scan
	if err := s.policy.Check(a, canScanHost); err != nil {
		return sc, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		h, err := lockHost.One(ctx, tx, db.Args{"id": hostID})
		if err != nil {
			return err
		}
		var j journal
		if sc, err = s.requestScan(ctx, tx, h, &j); err != nil {
			return err
		}
		return s.write(ctx, tx, j)
	})
	return sc, err
}

// RequestScans asks for scans of many hosts and returns how many there will be.
func (s *Service) RequestScans(ctx context.Context, a db.Actor, ids []uuid.UUID) (int, error) {
	if err := s.policy.Check(a, canScanHost); err != nil {
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
		n = len(hosts)
		var j journal
		for _, h := range hosts {
			if _, err := s.requestScan(ctx, tx, h, &j); err != nil {
				return err
			}
		}
		return s.write(ctx, tx, j)
	})
	return n, err
}

// requestScan makes a scan of a host that the caller has locked or just made; its job comes
// with the journal.
func (s *Service) requestScan(ctx context.Context, tx *db.Tx, h Host, j *journal) (Scan, error) {
	open, ok, err := openScanOfHost.Maybe(ctx, tx, db.Args{"host": h.ID, "since": tx.Now.Add(-scanPatience)})
	if err != nil || ok {
		return open, err
	}
	sc := Scan{
		ID: uuid.Must(uuid.NewV7()), HostID: h.ID, State: ScanQueued, RequestedBy: db.NullID(tx.Actor.UserID), RequestedAt: tx.Now,
	}
	if _, err := insertScan.Run(ctx, tx, db.Args{"id": sc.ID, "host": h.ID, "by": sc.RequestedBy}); err != nil {
		return sc, err
	}
	j.entries = append(j.entries, ledger.Entry{
		Action: EventScanRequested, Subject: h.subject(), Detail: map[string]any{"scan_id": sc.ID.String()},
		Payload: ScanRequestedPayload{HostPayload: h.payload(), ScanID: sc.ID},
		Jobs: []river.JobArgs{ScanArgs{
			InWorkspace: job.InWorkspace{WorkspaceID: tx.Actor.WorkspaceID}, ScanID: sc.ID,
		}},
	})
	return sc, nil
}

// errBusy is returned by runScan while the host's address has all connections it may have.
var errBusy = errors.New("certificates: the address is busy with other scans")

// runScan carries out a scan that was asked for. A second run of a finished one does
// nothing.
func (s *Service) runScan(ctx context.Context, workspace, id uuid.UUID) error {
	a := db.System(workspace, "scan on request")
	t, ok, err := s.beginScan(ctx, a, id)
	if err != nil || !ok {
		return err
	}
	o := newOutcome(t, s.scanner.Scan(ctx, t.scan()))
	if busy(o.result.Err) {
		return errBusy
	}
	if err := ctx.Err(); err != nil {
		return err // we were stopped; that says nothing about the host
	}
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if err := s.record(ctx, tx, []outcome{o}); err != nil {
			return err
		}
		h, err := hostByID.One(ctx, tx, db.Args{"id": t.HostID})
		if err != nil {
			return err
		}
		args := db.Args{"id": id, "state": ScanSucceeded, "snapshot": h.SnapshotID, "error": ""}
		if o.failed() {
			args["state"], args["snapshot"], args["error"] = ScanFailed, uuid.NullUUID{}, o.result.Sentence
		}
		if _, err := finishScan.Run(ctx, tx, args); err != nil {
			return err
		}
		return tellScan(ctx, tx, id, t.HostID)
	})
}

// beginScan marks the scan as running. ok is false when there is nothing left to do.
func (s *Service) beginScan(ctx context.Context, a db.Actor, id uuid.UUID) (t target, ok bool, err error) {
	err = s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		sc, found, err := lockScan.Maybe(ctx, tx, db.Args{"id": id})
		if err != nil || !found || !sc.Open() {
			return err
		}
		targets, err := scanTargets.All(ctx, tx, db.Args{"ids": []uuid.UUID{sc.HostID}, "paused_too": true})
		if err != nil || len(targets) == 0 {
			return err
		}
		t, ok = targets[0], true
		if sc.State == ScanRunning {
			return nil
		}
		if _, err := startScan.Run(ctx, tx, db.Args{"id": id}); err != nil {
			return err
		}
		return tellScan(ctx, tx, id, sc.HostID)
	})
	return t, ok, err
}

// abandonScan ends a scan that we could not carry out, with words that blame nobody else.
func (s *Service) abandonScan(ctx context.Context, workspace, id uuid.UUID) error {
	return s.db.InWorkspace(ctx, db.System(workspace, "scan on request"), func(tx *db.Tx) error {
		sc, ok, err := lockScan.Maybe(ctx, tx, db.Args{"id": id})
		if err != nil || !ok || !sc.Open() {
			return err
		}
		_, err = finishScan.Run(ctx, tx, db.Args{
			"id": id, "state": ScanFailed, "snapshot": uuid.NullUUID{}, "error": "Vigilo could not carry out this scan. Try again.",
		})
		if err != nil {
			return err
		}
		return tellScan(ctx, tx, id, sc.HostID)
	})
}

// tellScan wakes the pages that show the scan or its host.
func tellScan(ctx context.Context, tx *db.Tx, id, host uuid.UUID) error {
	if err := event.Tell(ctx, tx, event.LiveMessage{Name: "scan.updated", SubjectType: "scan", SubjectID: id}); err != nil {
		return err
	}
	return event.Tell(ctx, tx, event.LiveMessage{Name: "host.scanned", SubjectType: "host", SubjectID: host})
}

// scan is the target in the terms of the engine.
func (t target) scan() tlsscan.Target {
	return tlsscan.Target{
		Host: t.Hostname, Port: uint16(t.Port), ServerName: t.ServerName, STARTTLS: t.STARTTLS, Family: t.Family, //nolint:gosec // CHECK of the table
	}
}

// ScanByID returns a scan that somebody asked for.
func (s *Service) ScanByID(ctx context.Context, a db.Actor, id uuid.UUID) (Scan, error) {
	var sc Scan
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		sc, err = scanByID.One(ctx, tx, db.Args{"id": id})
		return err
	})
	return sc, err
}

func (s *Service) recordUpload(ctx context.Context, tx *db.Tx, id uuid.UUID, p parsedCert) error {
	_, err := s.ledger.Record(ctx, tx, ledger.Entry{
		Action: EventCertUploaded, Subject: event.Subject{Type: "certificate", ID: id, Title: p.label},
		Payload: CertUploadedPayload{CertificateID: id, Fingerprint: hex.EncodeToString(p.fingerprint[:]), Subject: p.subject, NotAfter: p.notAfter},
	})
	return err
}
