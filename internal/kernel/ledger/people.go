package ledger

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// Person is the personal data of an audit entry: names as they were at the time. It is
// sealed with a key of the person's own, so that erasing them destroys one key.
type Person struct {
	Name      string `json:"name"`
	Email     string `json:"email,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
}

const keyPurpose = "audit.pii_key"

// people keeps personal data apart from entries. The same person with the same name and
// device shares one row, which a small cache finds again without asking the database.
type people struct {
	sealer Sealer
	mu     sync.Mutex
	known  map[cacheKey]uuid.UUID
}

type cacheKey struct {
	workspace, subject uuid.UUID
	digest             [32]byte
}

// cacheLimit bounds the cache; it is emptied when full, since a miss only costs a row.
const cacheLimit = 20_000

func newPeople(s Sealer) *people { return &people{sealer: s, known: map[cacheKey]uuid.UUID{}} }

var (
	lockKey = db.Define[[]byte]("ledger.pii_key", `
	SELECT sealed_key FROM audit.pii_key WHERE workspace_id = @ws AND subject_id = @subject AND sealed_key IS NOT NULL`)
	insertKey = db.DefineCommand("ledger.insert_pii_key", `
	INSERT INTO audit.pii_key (workspace_id, subject_id, sealed_key) VALUES (@ws, @subject, @key)
	ON CONFLICT DO NOTHING`)
	insertPII = db.DefineCommand("ledger.insert_pii", `
	INSERT INTO audit.pii (workspace_id, id, subject_id, ciphertext) VALUES (@ws, @id, @subject, @ciphertext)`)
	refExists = db.Define[bool]("ledger.pii_exists", `
	SELECT EXISTS (SELECT 1 FROM audit.pii WHERE workspace_id = @ws AND id = @id)`)
	loadPII = db.Define[SealedPerson]("ledger.load_pii", `
	SELECT p.id, p.subject_id, p.ciphertext, k.sealed_key
	FROM audit.pii p JOIN audit.pii_key k ON k.workspace_id = p.workspace_id AND k.subject_id = p.subject_id
	WHERE p.workspace_id = @ws AND p.id = ANY (@ids)`)
)

// SealedPerson is personal data as it is stored: a row of audit.pii with the key of its
// subject from audit.pii_key. SealedKey is nil once the person was erased.
type SealedPerson struct {
	ID         uuid.UUID `db:"id"`
	SubjectID  uuid.UUID `db:"subject_id"`
	Ciphertext []byte    `db:"ciphertext"`
	SealedKey  []byte    `db:"sealed_key"`
}

// ref returns the row that holds the personal data of tx's actor, writing it when new.
func (p *people) ref(ctx context.Context, tx *db.Tx) (uuid.NullUUID, error) {
	a := tx.Actor
	if a.Kind == db.ActorSystem {
		return uuid.NullUUID{}, nil
	}
	person := Person{Name: a.Name, Email: a.Email, UserAgent: a.UserAgent}
	plain, err := json.Marshal(person)
	if err != nil {
		return uuid.NullUUID{}, fmt.Errorf("encode personal data: %w", err)
	}
	// Anonymous actors share the nil subject: nothing identifies whom to erase.
	subject := a.UserID
	if subject == uuid.Nil {
		subject = a.ID
	}
	key := cacheKey{workspace: a.WorkspaceID, subject: subject, digest: sha256.Sum256(plain)}
	p.mu.Lock()
	id, ok := p.known[key]
	p.mu.Unlock()
	if ok {
		return uuid.NullUUID{UUID: id, Valid: true}, nil
	}
	return p.write(ctx, tx, key, plain)
}

func (p *people) write(ctx context.Context, tx *db.Tx, key cacheKey, plain []byte) (uuid.NullUUID, error) {
	dataKey, err := p.dataKey(ctx, tx, key.subject)
	if err != nil {
		return uuid.NullUUID{}, err
	}
	// Keyed, so that once the key is destroyed nobody can test a guess against the id.
	mac := hmac.New(sha256.New, dataKey)
	mac.Write(key.digest[:])
	id := uuid.UUID(mac.Sum(nil)[:16])
	exists, err := refExists.One(ctx, tx, db.Args{"id": id})
	if err != nil {
		return uuid.NullUUID{}, err
	}
	if exists {
		// Committed by an earlier transaction, so it is safe to remember.
		p.remember(key, id)
		return uuid.NullUUID{UUID: id, Valid: true}, nil
	}
	sealed, err := sealWith(dataKey, plain, id[:])
	if err != nil {
		return uuid.NullUUID{}, err
	}
	// Two first entries of one person at once would collide on the id; the second waits
	// for the first and then finds its row.
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", id.String()); err != nil {
		return uuid.NullUUID{}, fmt.Errorf("lock personal data: %w", err)
	}
	if exists, err = refExists.One(ctx, tx, db.Args{"id": id}); err != nil || exists {
		return uuid.NullUUID{UUID: id, Valid: exists}, err
	}
	if _, err := insertPII.Run(ctx, tx, db.Args{"id": id, "subject": key.subject, "ciphertext": sealed}); err != nil {
		return uuid.NullUUID{}, err
	}
	return uuid.NullUUID{UUID: id, Valid: true}, nil
}

func (p *people) remember(key cacheKey, id uuid.UUID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) >= cacheLimit {
		clear(p.known)
	}
	p.known[key] = id
}

// dataKey returns the person's key in the workspace, making one at their first entry.
func (p *people) dataKey(ctx context.Context, tx *db.Tx, subject uuid.UUID) ([]byte, error) {
	sealed, ok, err := lockKey.Maybe(ctx, tx, db.Args{"subject": subject})
	if err != nil {
		return nil, err
	}
	if !ok {
		fresh := make([]byte, 32)
		if _, err := rand.Read(fresh); err != nil {
			return nil, fmt.Errorf("draw data key: %w", err)
		}
		own, err := p.sealer.Seal(tx.Actor.WorkspaceID, keyPurpose, fresh)
		if err != nil {
			return nil, fmt.Errorf("seal data key: %w", err)
		}
		if _, err := insertKey.Run(ctx, tx, db.Args{"subject": subject, "key": own}); err != nil {
			return nil, err
		}
		if sealed, err = lockKey.One(ctx, tx, db.Args{"subject": subject}); err != nil {
			return nil, err
		}
	}
	key, err := p.sealer.Open(tx.Actor.WorkspaceID, keyPurpose, sealed)
	if err != nil {
		return nil, fmt.Errorf("open data key: %w", err)
	}
	return key, nil
}

// People reads personal data by reference. A person who was erased is missing.
func (l *Ledger) People(ctx context.Context, tx *db.Tx, refs []uuid.UUID) (map[uuid.UUID]Person, error) {
	rows, err := loadPII.All(ctx, tx, db.Args{"ids": refs})
	if err != nil {
		return nil, err
	}
	return l.OpenPeople(tx.Actor.WorkspaceID, rows)
}

// OpenPeople opens personal data that a query of the workspace has read together with its
// entries, by the id of the row. A person who was erased is missing.
func (l *Ledger) OpenPeople(workspace uuid.UUID, rows []SealedPerson) (map[uuid.UUID]Person, error) {
	out := make(map[uuid.UUID]Person, len(rows))
	keys := map[uuid.UUID][]byte{}
	for _, r := range rows {
		if _, done := out[r.ID]; done || r.SealedKey == nil {
			continue
		}
		key, ok := keys[r.SubjectID]
		if !ok {
			var err error
			if key, err = l.people.sealer.Open(workspace, keyPurpose, r.SealedKey); err != nil {
				return nil, fmt.Errorf("open data key: %w", err)
			}
			keys[r.SubjectID] = key
		}
		plain, err := openWith(key, r.Ciphertext, r.ID[:])
		if err != nil {
			return nil, fmt.Errorf("open personal data: %w", err)
		}
		var person Person
		if err := json.Unmarshal(plain, &person); err != nil {
			return nil, fmt.Errorf("decode personal data: %w", err)
		}
		out[r.ID] = person
	}
	return out, nil
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("use data key: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func sealWith(key, plain, aad []byte) ([]byte, error) {
	aead, err := gcm(key)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plain, aad), nil
}

func openWith(key, sealed, aad []byte) ([]byte, error) {
	aead, err := gcm(key)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, nil, sealed, aad)
}
