package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// lab serves the floor of a page: one batch of four queries under row-level security, and
// a template that writes about as much as the product's list. There is no session, no
// right, no shell, no middleware.
type lab struct {
	pool      *pgxpool.Pool
	workspace uuid.UUID
	user      uuid.UUID
	server    *http.Server
	base      string
}

type labHost struct {
	id                        uuid.UUID
	name, status, issuer, key string
	ends, seen                time.Time
}

// labData is what the page reads.
type labData struct {
	workspace     string
	unread, total int64
	hosts         []labHost
}

func (b *bench) startLab(ctx context.Context, workspace, user uuid.UUID) (*lab, error) {
	cfg, err := pgxpool.ParseConfig(b.db.URL("vigilo_app"))
	if err != nil {
		return nil, fmt.Errorf("parse address of the database: %w", err)
	}
	cfg.MaxConns = 16 // as the product has
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	x := &lab{pool: pool, workspace: workspace, user: user, base: "http://" + l.Addr().String()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hosts", x.show)
	x.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = x.server.Serve(l) }() // ends with close
	return x, nil
}

func (x *lab) close() error {
	x.pool.Close()
	return x.server.Close()
}

func (x *lab) show(w http.ResponseWriter, r *http.Request) {
	var p labData
	if err := x.read(r.Context(), &p); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	rows := make([]labRow, len(p.hosts))
	for i, h := range p.hosts {
		rows[i] = labRow{
			ID: h.id.String(), Name: h.name, Status: h.status, Issuer: h.issuer, Key: h.key, Owner: "Olivia Owner",
			Ends: h.ends.Format("2 Jan 2006"), EndsISO: h.ends.Format(time.RFC3339), Seen: h.seen.Format("15:04"), SeenISO: h.seen.Format(time.RFC3339),
		}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := labPage(p.workspace, strconv.FormatInt(p.unread, 10), strconv.FormatInt(p.total, 10), rows).Render(r.Context(), w); err != nil {
		return // the reader went away
	}
}

func (x *lab) read(ctx context.Context, p *labData) error {
	b := &pgx.Batch{}
	b.Queue(`select set_config('app.workspace_id', $1, true)`, x.workspace.String())
	b.Queue(`SELECT name FROM workspaces WHERE id = $1`, x.workspace).QueryRow(func(r pgx.Row) error { return r.Scan(&p.workspace) })
	b.Queue(`SELECT count(*) FROM notifications WHERE workspace_id = $1 AND user_id = $2 AND in_app AND read_at IS NULL`, x.workspace, x.user).
		QueryRow(func(r pgx.Row) error { return r.Scan(&p.unread) })
	b.Queue(`SELECT count(*) FROM (SELECT 1 FROM monitored_hosts WHERE workspace_id = $1 LIMIT 10001) AS capped`, x.workspace).
		QueryRow(func(r pgx.Row) error { return r.Scan(&p.total) })
	b.Queue(`SELECT id, hostname, status, issuer, key_description, leaf_not_after, coalesce(last_scan_at, created_at)
		FROM monitored_hosts WHERE workspace_id = $1 ORDER BY leaf_not_after, id LIMIT 51`, x.workspace).
		Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var h labHost
				if err := rows.Scan(&h.id, &h.name, &h.status, &h.issuer, &h.key, &h.ends, &h.seen); err != nil {
					return err
				}
				p.hosts = append(p.hosts, h)
			}
			p.hosts = p.hosts[:min(50, len(p.hosts))]
			return rows.Err()
		})
	return x.pool.SendBatch(ctx, b).Close()
}
