package approvals

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// Statement is what a decision record states. Hashes are SHA-256 in lower-case hexadecimal.
type Statement struct {
	ID            uuid.UUID      `json:"id"`
	Sequence      int64          `json:"sequence"` // 1 for the first decision about the subject
	SubjectType   string         `json:"subject_type"`
	SubjectID     uuid.UUID      `json:"subject_id"`
	SubjectKey    string         `json:"subject_key"`
	Revision      int64          `json:"revision"`
	ContentHash   string         `json:"content_hash"`
	ShownHash     string         `json:"shown_hash"` // of the text that was shown
	RequestID     uuid.UUID      `json:"request_id"`
	RequestKind   Kind           `json:"request_kind"`
	Policies      []PinnedPolicy `json:"policies"`
	Stage         int            `json:"stage"`
	StageName     string         `json:"stage_name"`
	SeatID        uuid.UUID      `json:"seat_id"`
	SeatSource    string         `json:"seat_source"`
	Principal     uuid.UUID      `json:"principal"` // whose seat it is; the board for a board
	PrincipalName string         `json:"principal_name"`
	Actor         uuid.UUID      `json:"actor"` // who decided
	ActorName     string         `json:"actor_name"`
	ActorRole     string         `json:"actor_role"`
	Path          []uuid.UUID    `json:"path"` // from principal to actor
	Delegations   []string       `json:"delegations"`
	Verdict       Verdict        `json:"verdict"`
	Comment       string         `json:"comment"`
	DecidedAt     time.Time      `json:"decided_at"`
	SessionID     uuid.UUID      `json:"session_id"`
	AuthMethod    string         `json:"auth_method"`
	MFA           string         `json:"mfa"` // how the person proved who they are, as the provider said
	SignedInAt    *time.Time     `json:"signed_in_at"`
	Address       string         `json:"address"`
	BoardItem     uuid.UUID      `json:"board_item"`
	AuditID       uuid.UUID      `json:"audit_id"` // the entry of the audit log
	Previous      string         `json:"previous"` // hash of the record before; empty for the first
}

// Record is a statement with what proves it.
type Record struct {
	Statement
	Hash string `json:"hash"`
	// Shown is the text that was decided on; the statement holds its hash.
	Shown string `json:"shown"`
}

// domain keeps the hash of a record from being the hash of anything else.
const domain = "vigilo.approval.decision.v1\n"

// sum returns the hash of a statement: SHA-256 of the domain line and the statement as JSON,
// its fields in the order of the type, without blanks and without escapes for HTML.
func (s Statement) sum() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(domain)
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return nil, fmt.Errorf("encode decision record: %w", err)
	}
	sum := sha256.Sum256(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	return sum[:], nil
}

func shownHash(shown string) []byte {
	sum := sha256.Sum256([]byte(shown))
	return sum[:]
}

func (d decisionRow) statement() Statement {
	s := Statement{
		ID: d.ID, Sequence: d.Sequence, SubjectType: d.SubjectType, SubjectID: d.SubjectID, SubjectKey: d.SubjectKey,
		Revision: d.Revision, ContentHash: hex.EncodeToString(d.ContentHash), ShownHash: hex.EncodeToString(d.ShownHash),
		RequestID: d.RequestID, RequestKind: d.RequestKind, Policies: d.Policies, Stage: d.Stage, StageName: d.StageName,
		SeatID: d.SeatID, SeatSource: d.SeatSource, Principal: d.Principal, PrincipalName: d.PrincipalName, Actor: d.Actor,
		ActorName: d.ActorName, ActorRole: d.ActorRole, Path: d.Path, Delegations: d.Delegations, Verdict: d.Verdict,
		Comment: d.Comment, DecidedAt: d.DecidedAt.UTC(), SessionID: d.SessionID, AuthMethod: d.AuthMethod, MFA: d.MFA,
		Address: d.Address, BoardItem: d.BoardItem, AuditID: d.AuditID, Previous: hex.EncodeToString(d.Previous),
	}
	if d.SignedInAt != nil {
		at := d.SignedInAt.UTC()
		s.SignedInAt = &at
	}
	return s
}

func (d decisionRow) record(shown string) Record {
	return Record{Statement: d.statement(), Hash: hex.EncodeToString(d.Hash), Shown: shown}
}

// Decisions returns every decision about a subject, oldest first, whatever became of the
// requests: the whole chain.
func (s *Service) Decisions(ctx context.Context, tx *db.Tx, subjectType string, id uuid.UUID) ([]Record, error) {
	rows, err := decisionsOfSubject.All(ctx, tx, db.Args{"type": subjectType, "id": id})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	var ids []uuid.UUID
	for _, d := range rows {
		ids = append(ids, d.RequestID)
	}
	requests, err := requestsOf.All(ctx, tx, db.Args{"ids": ids})
	if err != nil {
		return nil, err
	}
	shown := map[uuid.UUID]string{}
	for _, r := range requests {
		shown[r.ID] = r.Shown
	}
	out := make([]Record, len(rows))
	for i, d := range rows {
		out[i] = d.record(shown[d.RequestID])
	}
	return out, nil
}

// Verify recomputes the chain of all decisions about one subject. The error names the first
// record that was altered, removed or moved.
func Verify(records []Record) error {
	previous := ""
	for i, r := range records {
		at := fmt.Sprintf("decision %d (%s)", i+1, r.ID)
		sum, err := r.sum()
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", at, err)
		case r.Sequence != int64(i+1):
			return fmt.Errorf("%s says that it is number %d: a record was removed or added before it", at, r.Sequence)
		case r.Previous != previous:
			return fmt.Errorf("%s does not follow the record before it: the link is broken", at)
		case hex.EncodeToString(sum) != r.Hash:
			return fmt.Errorf("%s was altered: its hash differs", at)
		case hex.EncodeToString(shownHash(r.Shown)) != r.ShownHash:
			return fmt.Errorf("%s: the text that was shown was altered", at)
		}
		previous = r.Hash
	}
	return nil
}
