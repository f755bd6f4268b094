package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/vigilo/vigilo/internal/certificates"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/secret"
)

// changedHosts are paused and resumed in turn.
const changedHosts = 400

// measureChanges compares a change that is audited, makes an event and queues a job, all in
// one transaction, with the same change without them (T9).
func measureChanges(ctx context.Context, b *bench) (err error) {
	keys := secret.NewKey()
	v, err := b.start(ctx, vigiloOptions{keys: keys})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.stop()) }()
	audited, err := v.workspace(ctx, "audited")
	if err != nil {
		return err
	}
	bare, err := v.workspace(ctx, "bare")
	if err != nil {
		return err
	}
	for _, a := range []db.Actor{audited, bare} {
		if err := b.fill(ctx, a, changedHosts, hostRows, scheduleRows); err != nil {
			return err
		}
	}
	// The floor works on a table without the guard that asks for an audit entry. Hosts
	// without a certificate spare both sides the question whether the status still holds.
	for _, sql := range []string{
		`CREATE TABLE lab_hosts (LIKE monitored_hosts INCLUDING ALL)`,
		`SELECT tenant_table('lab_hosts')`,
		`INSERT INTO lab_hosts SELECT * FROM monitored_hosts`,
		`UPDATE lab_hosts SET leaf_not_before = NULL`,
		`ALTER TABLE monitored_hosts DISABLE TRIGGER USER`,
		`UPDATE monitored_hosts SET leaf_not_before = NULL`,
		`ALTER TABLE monitored_hosts ENABLE TRIGGER USER`,
	} {
		if _, err := b.admin.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make table of the floor: %w", err)
		}
	}
	if err := b.vacuum(ctx); err != nil {
		return err
	}
	record, err := newRecorder(v, keys)
	if err != nil {
		return err
	}
	floor, err := newToggle(v, bare, "lab_hosts", nil)
	if err != nil {
		return err
	}
	traced, err := newToggle(v, audited, "monitored_hosts", record)
	if err != nil {
		return err
	}
	var n [3]atomic.Int64
	do := []func(ctx context.Context, worker int) error{
		func(ctx context.Context, _ int) error { return floor.run(ctx, n[0].Add(1)) },
		func(ctx context.Context, _ int) error { return traced.run(ctx, n[1].Add(1)) },
		func(ctx context.Context, _ int) error {
			i := n[2].Add(1)
			_, err := v.Services.Certificates.SetPaused(ctx, audited, hostID(i), (i/changedHosts)%2 == 0)
			return err
		},
	}
	for _, workers := range []int{1, 8} {
		var all [3]loads
		for round := range pick(b, 5, 3) {
			for i, change := range do {
				l, err := repeat(ctx, workers, pick(b, 1500*time.Millisecond, 500*time.Millisecond), change)
				if err != nil {
					return err
				}
				if round > 0 {
					all[i] = append(all[i], l)
				}
			}
		}
		r := share(all[1].rate(), all[0].rate())
		b.add(result{
			"T9", fmt.Sprintf("change of a host with audit entry, event and job, %d at once", workers), perSecond(all[0].rate()),
			perSecond(all[1].rate()), ratio(r), "≥ 0.7 × floor", judge(r >= 0.7),
		})
		b.add(result{
			"", fmt.Sprintf("pausing a host as the page does, %d at once", workers), perSecond(all[0].rate()), perSecond(all[2].rate()),
			ratio(share(all[2].rate(), all[0].rate())), "", shown,
		})
	}
	b.note("The floor of T9 locks, updates and schedules a host by the product's own statements in the product's own transaction, on a " +
		"copy of the table without the completeness guard, and records nothing. Beside it the same on the real table with ledger.Record, " +
		"and the whole use case, which also checks rights and rewrites tags and search words.")
	return nil
}

// newRecorder returns what records a change with everything that follows from it.
func newRecorder(v *vigilo, keys string) (func(ctx context.Context, tx *db.Tx, id uuid.UUID, from, to string) error, error) {
	ring, err := secret.ParseKeyring(keys)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	l := ledger.New(v.Catalogue(), v.Jobs(), ring)
	return func(ctx context.Context, tx *db.Tx, id uuid.UUID, from, to string) error {
		action := certificates.EventHostPaused
		if to != "paused" {
			action = certificates.EventHostResumed
		}
		_, err := l.Record(ctx, tx, ledger.Entry{
			Action: action, Subject: event.Subject{Type: "host", ID: id, Title: "host.example.com:443"},
			Changes: []ledger.Change{{Field: "state", From: from, To: to}},
			Payload: certificates.HostPayload{HostID: id, Hostname: "host.example.com", Port: 443},
		})
		return err
	}, nil
}

// hostID is the id that hostRows gives to the host that comes up for the n-th change.
func hostID(n int64) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("01930000-0000-7000-8000-%012x", 1+n%changedHosts))
}

// toggle pauses or resumes a host in the product's own statements.
type toggle struct {
	db                                 *db.DB
	actor                              db.Actor
	lock, update, schedule, unschedule string
	// record runs in the transaction of the change; nil for a change without traces.
	record func(ctx context.Context, tx *db.Tx, id uuid.UUID, from, to string) error
}

func newToggle(v *vigilo, a db.Actor, table string, record func(context.Context, *db.Tx, uuid.UUID, string, string) error) (*toggle, error) {
	c := &toggle{db: v.DB(), actor: a, record: record}
	for name, dst := range map[string]*string{
		"certificates.lock_host": &c.lock, "certificates.update_host": &c.update,
		"certificates.insert_schedule": &c.schedule, "certificates.delete_schedule": &c.unschedule,
	} {
		sql, err := declared(name)
		if err != nil {
			return nil, err
		}
		*dst = strings.ReplaceAll(sql, "monitored_hosts", table)
	}
	return c, nil
}

func (c *toggle) run(ctx context.Context, n int64) error {
	id := hostID(n)
	return c.db.InWorkspace(ctx, c.actor, func(tx *db.Tx) error {
		rows, err := tx.Query(ctx, c.lock, pgx.StrictNamedArgs{"ws": c.actor.WorkspaceID, "id": id})
		if err != nil {
			return err
		}
		h, err := pgx.CollectExactlyOneRow(rows, pgx.RowToMap)
		if err != nil {
			return err
		}
		before, state := "active", "paused"
		if h["state"] == state {
			before, state = state, before
		}
		version, _ := h["version"].(int64)
		_, err = tx.Exec(ctx, c.update, pgx.StrictNamedArgs{
			"ws": c.actor.WorkspaceID, "id": id, "now": tx.Now, "hostname": h["hostname"], "display_name": h["display_name"], "port": h["port"],
			"server_name": h["server_name"], "starttls": h["starttls"], "family": h["family"], "scan_interval": h["scan_interval"],
			"state": state, "owner": h["owner_member_id"], "warn_days": h["warn_days"], "critical_days": h["critical_days"], "version": version + 1,
		})
		if err != nil {
			return err
		}
		if state == "paused" {
			_, err = tx.Exec(ctx, c.unschedule, pgx.StrictNamedArgs{"ws": c.actor.WorkspaceID, "hosts": []uuid.UUID{id}})
		} else {
			_, err = tx.Exec(ctx, c.schedule, pgx.StrictNamedArgs{
				"ws": c.actor.WorkspaceID, "hosts": []uuid.UUID{id}, "next": []time.Time{tx.Now.Add(time.Hour)}, "intervals": []int32{86400}, "phases": []int32{60},
			})
		}
		if err != nil || c.record == nil {
			return err
		}
		return c.record(ctx, tx, id, before, state)
	})
}
