// Package reseal moves the secrets that the database holds from former keys to the current
// one. Modules declare the columns that hold sealed values; the rotation goes through them
// in small transactions, so that it may be stopped at any point and run again, beside a
// program that serves.
package reseal

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/secret"
)

// EventResealed is recorded for each value that the completeness guard of the audit log
// watches.
const EventResealed = "secret.resealed"

// Column declares a column of sealed values.
type Column struct {
	// Name starts the names of the statements, such as integrations.secrets.
	Name string
	// Label is what people call the values, in the plural.
	Label string
	// Table and Column hold them. A table that is not above workspaces has workspace_id.
	Table, Column string
	// Purpose is the one that the values are sealed for.
	Purpose string
	// ID is an expression that tells rows apart, as text; empty means id::text.
	ID string
	// Row is the condition that finds a row by @id; empty means id = @id::uuid.
	Row string
	// Subject is the type of the thing that an audit entry is about, and Title an
	// expression of its name. Without a subject nothing is recorded.
	Subject, Title string
	// Save replaces the command that stores @sealed in place of @old, for tables that the
	// application may not update. It touches no row when the value is not @old any more.
	Save string
	// AboveWorkspaces marks a table without workspaces, which vigilo_system works.
	AboveWorkspaces bool
}

// Store is a column with its statements.
type Store struct {
	Column
	byKey db.Statement[keyCount]
	next  db.Statement[value]
	save  db.Command
}

// keyCount is how many values begin with a header.
type keyCount struct {
	Header []byte `db:"header"`
	N      int64  `db:"n"`
}

// value is a sealed value that is not under the current key.
type value struct {
	ID     string `db:"id"`
	Title  string `db:"title"`
	Sealed []byte `db:"sealed"`
}

// Define declares the statements of a column.
func Define(c Column) Store {
	c.ID, c.Row = cmp.Or(c.ID, "id::text"), cmp.Or(c.Row, "id = @id::uuid")
	title := cmp.Or(c.Title, "''")
	statement, nextOf, command, mine := db.Define[keyCount], db.Define[value], db.DefineCommand, "workspace_id = @ws AND "
	if c.AboveWorkspaces {
		statement, nextOf, command, mine = db.DefineSystem[keyCount], db.DefineSystem[value], db.DefineSystemCommand, ""
	}
	save := cmp.Or(c.Save, `
	UPDATE `+c.Table+` SET `+c.Column+` = @sealed WHERE `+mine+c.Row+` AND `+c.Column+` = @old`)
	return Store{
		Column: c,
		// What is too short to be a sealed value stands for itself.
		byKey: statement(c.Name+"_by_key", `
	SELECT CASE WHEN octet_length(`+c.Column+`) > 2 THEN substr(`+c.Column+`, 1, 2 + get_byte(`+c.Column+`, 1))
		ELSE `+c.Column+` END AS header, count(*) AS n
	FROM `+c.Table+` WHERE `+mine+c.Column+` IS NOT NULL
	GROUP BY 1 ORDER BY 1 LIMIT 1000`),
		next: nextOf(c.Name+"_under_old_keys", `
	SELECT `+c.ID+` AS id, `+title+` AS title, `+c.Column+` AS sealed
	FROM `+c.Table+`
	WHERE `+mine+c.Column+` IS NOT NULL AND substr(`+c.Column+`, 1, octet_length(@header::bytea)) <> @header::bytea
		AND `+c.ID+` > @after
	ORDER BY 1 LIMIT @limit`),
		save: command(c.Name+"_reseal", save),
	}
}

// workspaces walks all workspaces in pages.
var workspaces = db.DefineSystem[uuid.UUID]("reseal.workspaces", `
	SELECT id FROM workspaces WHERE id > @after ORDER BY id LIMIT 500`)

// Rotation works the sealed values of a database.
type Rotation struct {
	DB     *db.DB
	Keys   *secret.Keyring
	Stores []Store
	// Record writes an audit entry about a value in the transaction that changed it.
	Record func(ctx context.Context, tx *db.Tx, subject event.Subject) error
	// Batch is how many values a transaction changes; 0 means 200.
	Batch int
}

// Result is what became of the values of a store.
type Result struct {
	Label string
	// Resealed counts values that are under the current key now.
	Resealed int
	// Broken counts values that could not be opened, and Problem says why the first was
	// not. They stay as they are.
	Broken  int
	Problem string
}

// Run moves every value that is not under the current key. What it returns beside an error
// is done: a later run goes on from there.
func (r Rotation) Run(ctx context.Context) ([]Result, error) {
	results := make([]Result, len(r.Stores))
	for i, s := range r.Stores {
		results[i].Label = s.Label
		if s.AboveWorkspaces {
			if err := r.drain(ctx, s, uuid.Nil, &results[i]); err != nil {
				return results, err
			}
		}
	}
	return results, r.eachWorkspace(ctx, func(ws uuid.UUID) error {
		for i, s := range r.Stores {
			if !s.AboveWorkspaces {
				if err := r.drain(ctx, s, ws, &results[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (r Rotation) eachWorkspace(ctx context.Context, fn func(ws uuid.UUID) error) error {
	after := uuid.Nil
	for {
		ids, err := workspaces.All(ctx, r.DB.SystemRead(), db.Args{"after": after})
		if err != nil || len(ids) == 0 {
			return db.Classify(err)
		}
		for _, id := range ids {
			if err := fn(id); err != nil {
				return err
			}
		}
		after = ids[len(ids)-1]
	}
}

// drain works one store of one workspace, batch by batch.
func (r Rotation) drain(ctx context.Context, s Store, ws uuid.UUID, result *Result) error {
	after := ""
	for {
		var batch Result
		var last string
		err := r.within(ctx, ws, func(q db.Session, tx *db.Tx) error {
			batch, last = Result{}, ""
			values, err := s.next.All(ctx, q, db.Args{"header": r.Keys.Header(), "after": after, "limit": cmp.Or(r.Batch, 200)})
			if err != nil {
				return err
			}
			for _, v := range values {
				last = v.ID
				if err := r.reseal(ctx, q, tx, s, ws, v, &batch); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("reseal %s of workspace %s: %w", s.Label, ws, err)
		}
		result.add(batch)
		if last == "" {
			return nil
		}
		after = last
	}
}

func (r *Result) add(batch Result) {
	r.Resealed += batch.Resealed
	r.Broken += batch.Broken
	r.Problem = cmp.Or(r.Problem, batch.Problem)
}

// within runs fn in a transaction of the workspace, or above workspaces for the nil one.
func (r Rotation) within(ctx context.Context, ws uuid.UUID, fn func(q db.Session, tx *db.Tx) error) error {
	if ws == uuid.Nil {
		return r.DB.System(ctx, func(tx *db.SystemTx) error { return fn(tx, nil) })
	}
	return r.DB.InWorkspace(ctx, db.System(ws, "rotation of keys"), func(tx *db.Tx) error { return fn(tx, tx) })
}

func (r Rotation) reseal(ctx context.Context, q db.Session, tx *db.Tx, s Store, ws uuid.UUID, v value, batch *Result) error {
	sealed, err := r.Keys.Reseal(ws, s.Purpose, v.Sealed)
	switch {
	case errors.Is(err, secret.ErrUnknownKey), errors.Is(err, secret.ErrNotAuthentic), errors.Is(err, secret.ErrFormat):
		batch.Broken++
		batch.Problem = cmp.Or(batch.Problem, err.Error())
		return nil
	case err != nil:
		return err
	}
	n, err := s.save.Run(ctx, q, db.Args{"id": v.ID, "old": v.Sealed, "sealed": sealed})
	if err != nil || n == 0 {
		return err // the program replaced the value meanwhile, under the current key
	}
	batch.Resealed++
	if s.Subject == "" {
		return nil
	}
	id, err := uuid.Parse(v.ID)
	if err != nil {
		return fmt.Errorf("read id of a value: %w", err)
	}
	return r.Record(ctx, tx, event.Subject{Type: s.Subject, ID: id, Title: v.Title})
}

// Census says under which keys the values of a database are sealed.
type Census struct {
	Total int
	// Old counts values by the ids of keys that are in the ring and not current.
	Old map[string]int
	// Lost counts values by the ids of keys that are not in the ring: nothing opens them.
	Lost map[string]int
	// Unreadable counts values that are none of ours.
	Unreadable int
}

// Count counts the values by their key.
func (r Rotation) Count(ctx context.Context) (Census, error) {
	c := Census{Old: map[string]int{}, Lost: map[string]int{}}
	for _, s := range r.Stores {
		if s.AboveWorkspaces {
			rows, err := s.byKey.All(ctx, r.DB.SystemRead(), nil)
			if err != nil {
				return c, db.Classify(err)
			}
			c.add(r.Keys, rows)
		}
	}
	return c, r.eachWorkspace(ctx, func(ws uuid.UUID) error {
		var results []*db.Result[keyCount]
		if err := r.DB.ReadBatch(ctx, db.System(ws, "rotation of keys"), func(b *db.Batch) {
			for _, s := range r.Stores {
				if !s.AboveWorkspaces {
					results = append(results, s.byKey.Queue(b, nil))
				}
			}
		}); err != nil {
			return fmt.Errorf("count sealed values of workspace %s: %w", ws, err)
		}
		for _, res := range results {
			c.add(r.Keys, res.Rows)
		}
		return nil
	})
}

func (c *Census) add(keys *secret.Keyring, rows []keyCount) {
	for _, row := range rows {
		n := int(row.N)
		c.Total += n
		id, err := secret.KeyID(row.Header)
		switch {
		case err != nil:
			c.Unreadable += n
		case id == keys.CurrentKeyID():
		case keys.Has(id):
			c.Old[id] += n
		default:
			c.Lost[id] += n
		}
	}
}
