package auditlog

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/activity"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/export"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Format is the form of an export.
type Format string

// The formats (governance.md 2.9).
const (
	CSV   Format = "csv"
	JSONL Format = "jsonl"
)

// ContentType is the media type of the format.
func (f Format) ContentType() string {
	if f == CSV {
		return "text/csv; charset=utf-8"
	}
	return "application/jsonl; charset=utf-8"
}

// maxExport is how many entries one export holds; more must be split by time.
const maxExport = 5_000_000

// Export is an export that was recorded and can be written.
type Export struct {
	s      *Service
	actor  db.Actor
	c      Criteria
	Format Format
	// Count is how many entries it holds.
	Count int64
}

// Name is the name of the file.
func (x *Export) Name() string {
	return "audit-" + x.c.From.UTC().Format("20060102") + "-" + x.c.To.UTC().Format("20060102") + "." + string(x.Format)
}

// Export prepares an export of all entries that meet the criteria until now and records
// it in the log, before the first entry leaves.
func (s *Service) Export(ctx context.Context, a db.Actor, c Criteria, format Format) (*Export, error) {
	if err := s.policy.Check(a, canExport); err != nil {
		return nil, err
	}
	if format != CSV && format != JSONL {
		return nil, fault.InvalidField("format", "not_allowed", "Format must be one of: csv, jsonl.")
	}
	var now *db.Result[time.Time]
	if err := s.db.ReadBatch(ctx, a, func(b *db.Batch) { now = databaseTime.Queue(b, nil) }); err != nil {
		return nil, fmt.Errorf("read time of the database: %w", err)
	}
	// The export ends before it is recorded, so it never holds itself.
	if end, ok := now.First(); ok && end.Before(c.To) {
		c.To = end
	}
	if c.Text != "" {
		var err error
		if c.hits, err = s.find(ctx, a, c); err != nil {
			return nil, err
		}
	}
	x := &Export{s: s, actor: a, c: c, Format: format}
	var n *db.Result[int64]
	err := s.db.ReadBatch(ctx, a, func(b *db.Batch) { n = listQuery(c).QueueCountTo(b, maxExport+1) })
	if err != nil {
		return nil, fmt.Errorf("count export: %w", err)
	}
	if x.Count, _ = n.First(); x.Count > maxExport {
		return nil, fault.InvalidField("from", "too_many", "This export would hold more than 5,000,000 entries. Choose a shorter time.")
	}
	err = s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		_, err := s.ledger.Record(ctx, tx, ledger.Entry{
			Action: eventExported, Subject: theLog(a),
			Detail: map[string]any{
				"format": string(format), "count": x.Count, "filter": c.asDetail(),
				"from": stamp(c.From), "to": stamp(c.To),
			},
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return x, nil
}

// each calls fn for every entry, newest first. No transaction is open while fn runs, which
// may wait for a slow reader.
func (x *Export) each(ctx context.Context, fn func(activity.Entry) error) error {
	q := listQuery(x.c).Chunk()
	for {
		var page *db.PageResult[activity.Row]
		if err := x.s.db.ReadBatch(ctx, x.actor, func(b *db.Batch) { page = q.Queue(b) }); err != nil {
			return fmt.Errorf("read export: %w", err)
		}
		all, err := x.s.activity.Entries(page.Page.Items)
		if err != nil {
			return err
		}
		for _, e := range all {
			if err := fn(e); err != nil {
				return fmt.Errorf("write export: %w", err)
			}
		}
		if page.Page.Next == "" {
			return nil
		}
		if q, err = q.After(page.Page.Next); err != nil {
			return err
		}
	}
}

// Write writes the export.
func (x *Export) Write(ctx context.Context, w io.Writer) error {
	if x.Format == CSV {
		return x.writeCSV(ctx, w)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return x.each(ctx, func(e activity.Entry) error { return enc.Encode(newItem(e)) })
}

var csvHeader = []string{
	"recorded_at", "occurred_at", "id", "action", "category", "outcome", "severity", "actor_kind", "actor_id", "actor_name",
	"actor_email", "on_behalf_of", "auth_method", "session_id", "target_type", "target_id", "target_key", "target_title",
	"parent_type", "parent_id", "request_id", "trace_id", "ip", "user_agent", "reason", "changes", "detail",
}

// writeCSV follows RFC 4180: a header, CRLF, quotes where needed.
func (x *Export) writeCSV(ctx context.Context, w io.Writer) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	if err := out.Write(csvHeader); err != nil {
		return fmt.Errorf("write export: %w", err)
	}
	err := x.each(ctx, func(e activity.Entry) error {
		record, err := csvRecord(newItem(e))
		if err != nil {
			return err
		}
		return out.Write(record)
	})
	out.Flush()
	if err != nil {
		return err
	}
	return out.Error()
}

func csvRecord(it item) ([]string, error) {
	changes, err := json.Marshal(it.Changes)
	if err != nil {
		return nil, fmt.Errorf("encode changes: %w", err)
	}
	detail, err := json.Marshal(it.Detail)
	if err != nil {
		return nil, fmt.Errorf("encode detail: %w", err)
	}
	var parent ref
	if it.Parent != nil {
		parent = *it.Parent
	}
	record := []string{
		stamp(it.RecordedAt), stamp(it.OccurredAt), it.ID.String(), it.Action, it.Category, it.Outcome, it.Severity,
		it.Actor.Kind, id(it.Actor.ID), it.Actor.Name, it.Actor.Email, id(it.OnBehalfOf), it.AuthMethod, id(it.SessionID),
		it.Target.Type, it.Target.ID.String(), it.Target.Key, it.Target.Title, parent.Type, parentID(parent),
		id(it.RequestID), it.TraceID, it.IP, it.UserAgent, it.Reason, string(changes), string(detail),
	}
	for i, cell := range record {
		record[i] = export.Cell(cell)
	}
	return record, nil
}

func parentID(r ref) string {
	if r.ID == uuid.Nil {
		return ""
	}
	return r.ID.String()
}

func id(id *uuid.UUID) string {
	if id == nil {
		return ""
	}
	return id.String()
}

// stamp is a time in an export: RFC 3339 in UTC.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
