package changes

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Pack is everything about a change for an auditor, read before the first byte is written.
type Pack struct {
	Proof    Proof
	Change   Change
	Steps    []Step
	Comments []Comment
	Review   *Review
	Holds    []Hold
	Trail    []TrailEntry
	made     time.Time
	by       string
	actor    db.Actor
}

// trailLimit is how many lines of the audit log a pack holds.
const trailLimit = 1000

// ReadPack reads a pack and notes in the audit log who took it.
func (s *Service) ReadPack(ctx context.Context, a db.Actor, ref string) (*Pack, error) {
	p := &Pack{actor: a, by: a.Name}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		c, err := findChange(ctx, tx, ref)
		if err != nil {
			return err
		}
		p.Change, p.made = c, tx.Now.UTC()
		if p.Proof, err = s.proof(ctx, tx, c); err != nil {
			return err
		}
		args := db.Args{"id": c.ID}
		if p.Steps, err = stepsOf.All(ctx, tx, args); err != nil {
			return err
		}
		if p.Comments, err = commentsOf.All(ctx, tx, args); err != nil {
			return err
		}
		if p.Holds, err = holdsOf.All(ctx, tx, args); err != nil {
			return err
		}
		r, ok, err := reviewOf.Maybe(ctx, tx, args)
		if err != nil {
			return err
		}
		if ok {
			p.Review = &r
		}
		if s.trail != nil {
			if p.Trail, err = s.trail(ctx, tx, SubjectChange, c.ID, trailLimit); err != nil {
				return fmt.Errorf("read audit log of %s: %w", c.Key, err)
			}
		}
		_, err = s.record(ctx, tx, ledger.Entry{Action: EventPackExported, Subject: c.subject(), Detail: map[string]any{"revision": c.Revision}})
		return err
	})
	return p, err
}

// manifest lists the files of a pack with their digests.
type manifest struct {
	Change  string         `json:"change"`
	MadeAt  time.Time      `json:"made_at"`
	MadeBy  string         `json:"made_by"`
	Files   []manifestFile `json:"files"`
	Comment string         `json:"comment"`
}

type manifestFile struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// WritePack writes a pack as a zip archive. The manifest comes last, with the digest of
// every other file.
func (s *Service) WritePack(ctx context.Context, p *Pack, w io.Writer) error {
	z := zip.NewWriter(w)
	m := manifest{
		Change: p.Change.Key, MadeAt: p.made, MadeBy: p.by,
		Comment: "Compute the SHA-256 of each file and compare. proof.json holds the chain of decisions: each record names the hash of the one before it.",
	}
	add := func(path string, write func(io.Writer) error) error {
		f, err := z.CreateHeader(&zip.FileHeader{Name: path, Method: zip.Deflate, Modified: p.made})
		if err != nil {
			return fmt.Errorf("add %s to pack: %w", path, err)
		}
		sum := sha256.New()
		counted := &counter{}
		if err := write(io.MultiWriter(f, sum, counted)); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		m.Files = append(m.Files, manifestFile{Path: path, Size: counted.n, SHA256: hex.EncodeToString(sum.Sum(nil))})
		return nil
	}
	for _, part := range []struct {
		path  string
		value any
	}{
		{"change.json", packChange(p.Change)},
		{"proof.json", p.Proof},
		{"steps.json", newAPISteps(p.Steps)},
		{"comments.json", newAPIComments(p.Comments)},
		{"holds.json", newAPIHolds(p.Holds)},
		{"review.json", newAPIReview(p.Review)},
		{"audit.json", p.Trail},
	} {
		if err := add(part.path, func(w io.Writer) error { return writeJSON(w, part.value) }); err != nil {
			return err
		}
	}
	if err := add("shown.txt", func(w io.Writer) error {
		_, err := io.WriteString(w, shownText(p.Change, p.Steps, nil))
		return err
	}); err != nil {
		return err
	}
	names := map[string]int{}
	for _, f := range p.Proof.Attachments {
		path := "attachments/" + f.Name
		if n := names[strings.ToLower(f.Name)]; n > 0 {
			path = fmt.Sprintf("attachments/%d-%s", n, f.Name)
		}
		names[strings.ToLower(f.Name)]++
		if err := add(path, func(w io.Writer) error { return s.WriteAttachment(ctx, p.actor, f.ID, w) }); err != nil {
			return err
		}
	}
	if err := add("manifest.json", func(w io.Writer) error { return writeJSON(w, m) }); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("close pack: %w", err)
	}
	return nil
}

func packChange(c Change) any { return newAPIChange(c, nil) }

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// counter counts what is written to it.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
