package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// keyLife is how long an Idempotency-Key is remembered (api.md, Writes).
const keyLife = 24 * time.Hour

type keyRow struct {
	Fingerprint []byte    `db:"fingerprint"`
	Status      *int32    `db:"status"`
	Headers     []byte    `db:"headers"`
	Body        []byte    `db:"body"`
	CreatedAt   time.Time `db:"created_at"`
}

var (
	reserveKey = db.DefineCommand("api.reserve_key", `
	INSERT INTO idempotency_keys (workspace_id, actor_id, key, fingerprint, created_at)
	VALUES (@ws, @actor, @key, @fingerprint, @now)
	ON CONFLICT (workspace_id, actor_id, key) DO UPDATE
	SET fingerprint = excluded.fingerprint, created_at = excluded.created_at, status = NULL, headers = NULL, body = NULL
	WHERE idempotency_keys.created_at < @expired`)
	readKey = db.Define[keyRow]("api.read_key", `
	SELECT fingerprint, status, headers, body, created_at FROM idempotency_keys
	WHERE workspace_id = @ws AND actor_id = @actor AND key = @key`)
	finishKey = db.DefineCommand("api.finish_key", `
	UPDATE idempotency_keys SET status = @status, headers = @headers, body = @body
	WHERE workspace_id = @ws AND actor_id = @actor AND key = @key`)
	releaseKey = db.DefineCommand("api.release_key", `
	DELETE FROM idempotency_keys WHERE workspace_id = @ws AND actor_id = @actor AND key = @key AND status IS NULL`)
	expireKeys = db.DefineSystemCommand("api.expire_keys", `DELETE FROM idempotency_keys WHERE created_at < @expired`)
)

const bodyPurpose = "api.idempotency"

// once serves a write at most once for its key: the first call is answered and kept, a
// repetition gets the kept answer, another body under the same key is refused.
func (a *API) once(r *web.Request, key string, serve func(http.ResponseWriter)) error {
	if len(key) > 255 || !utf8.ValidString(key) || bytes.ContainsRune([]byte(key), 0) {
		return fault.InvalidField("Idempotency-Key", "too_long", "An Idempotency-Key has at most 255 characters.")
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "multipart/form-data" {
		return fault.InvalidField("Idempotency-Key", "not_allowed", "An upload takes no Idempotency-Key.")
	}
	body, err := io.ReadAll(r.Body) // readBody has bounded it
	if err != nil {
		return fmt.Errorf("read body again: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	sum := sha256.Sum256(append([]byte(r.Method+" "+r.URL.RequestURI()+"\n"), body...))
	args := db.Args{"actor": r.Principal.ID, "key": key}

	kept, reserved, err := a.reserve(r, args, sum[:])
	if err != nil {
		return err
	}
	if !reserved {
		return a.replay(r, kept, sum[:])
	}
	rec := &capture{header: http.Header{}}
	a.serveOrForget(r, args, rec, serve)
	if err := a.keep(r, args, rec); err != nil {
		return err
	}
	return rec.copyTo(r)
}

// serveOrForget serves into rec. A panic is a failure of ours like any other: the key is
// released before it goes on, else every repetition would wait for an answer that never
// comes.
func (a *API) serveOrForget(r *web.Request, args db.Args, rec *capture, serve func(http.ResponseWriter)) {
	done := false
	defer func() {
		if done {
			return
		}
		if err := a.keep(r, args, &capture{status: http.StatusInternalServerError}); err != nil {
			r.LogFailure(fmt.Errorf("forget key after a panic: %w", err))
		}
	}()
	serve(rec)
	done = true
}

func (a *API) reserve(r *web.Request, args db.Args, sum []byte) (kept keyRow, reserved bool, err error) {
	err = a.db.InWorkspace(r.Context(), r.Actor, func(tx *db.Tx) error {
		n, err := reserveKey.Run(r.Context(), tx, db.Args{
			"actor": args["actor"], "key": args["key"], "fingerprint": sum, "expired": tx.Now.Add(-keyLife),
		})
		if err != nil {
			return err
		}
		if reserved = n == 1; reserved {
			return nil
		}
		kept, err = readKey.One(r.Context(), tx, args)
		return err
	})
	return kept, reserved, err
}

func (a *API) replay(r *web.Request, kept keyRow, sum []byte) error {
	if !bytes.Equal(kept.Fingerprint, sum) {
		return fault.NewInvalid("idempotency_mismatch", "This Idempotency-Key was used for another request. Use a new key.")
	}
	if kept.Status == nil {
		return fault.NewConflict("idempotency_in_progress", "The first request with this Idempotency-Key is not finished. Ask again in a moment.")
	}
	body, err := a.sealer.Open(r.Workspace.ID, bodyPurpose, kept.Body)
	if err != nil {
		return fmt.Errorf("open kept answer: %w", err)
	}
	rec := &capture{header: http.Header{}, status: int(*kept.Status)}
	if err := json.Unmarshal(kept.Headers, &rec.header); err != nil {
		return fmt.Errorf("read kept answer: %w", err)
	}
	rec.header.Set("Idempotency-Replayed", "true")
	rec.body.Write(body)
	return rec.copyTo(r)
}

// keep stores an answer sealed, since some answers hold a secret that is shown once. What
// failed on our side is forgotten, so that the caller can repeat it.
func (a *API) keep(r *web.Request, args db.Args, rec *capture) error {
	// A caller who hung up will ask again, and must find what came of it.
	ctx := context.WithoutCancel(r.Context())
	return a.db.InWorkspace(ctx, r.Actor, func(tx *db.Tx) error {
		if rec.status >= 500 {
			_, err := releaseKey.Run(ctx, tx, args)
			return err
		}
		sealed, err := a.sealer.Seal(r.Workspace.ID, bodyPurpose, rec.body.Bytes())
		if err != nil {
			return fmt.Errorf("seal answer: %w", err)
		}
		headers, err := json.Marshal(rec.header)
		if err != nil {
			return fmt.Errorf("encode headers: %w", err)
		}
		_, err = finishKey.Run(ctx, tx, db.Args{
			"actor": args["actor"], "key": args["key"], "status": rec.status, "headers": headers, "body": sealed,
		})
		return err
	})
}

// capture holds an answer until it is stored.
type capture struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (c *capture) Header() http.Header { return c.header }

func (c *capture) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
}

func (c *capture) Write(b []byte) (int, error) {
	c.WriteHeader(http.StatusOK)
	return c.body.Write(b)
}

func (c *capture) copyTo(r *web.Request) error {
	for name, values := range c.header {
		r.W.Header()[name] = values
	}
	r.W.Header().Set("Cache-Control", "no-store")
	if c.status == 0 {
		c.status = http.StatusOK
	}
	r.W.WriteHeader(c.status)
	if _, err := r.W.Write(c.body.Bytes()); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}

// ExpireArgs forget idempotency keys older than a day.
type ExpireArgs struct {
	Run uuid.UUID `json:"run"`
}

// Kind implements river.JobArgs.
func (ExpireArgs) Kind() string { return "api.expire_keys" }

// ExpireWorker works ExpireArgs.
type ExpireWorker struct {
	river.WorkerDefaults[ExpireArgs]
	DB *db.DB
}

// Work implements river.Worker.
func (w *ExpireWorker) Work(ctx context.Context, _ *river.Job[ExpireArgs]) error {
	return w.DB.System(ctx, func(tx *db.SystemTx) error {
		_, err := expireKeys.Run(ctx, tx, db.Args{"expired": tx.Now.Add(-keyLife)})
		return err
	})
}
