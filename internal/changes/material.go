package changes

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/changes/lifecycle"
)

// materialFormat names the canonical form; another form would be another name.
const materialFormat = "vigilo.change/1"

// material is the content that is approved, in a canonical form: fields in this order, lists
// sorted, texts with one kind of line end. Besides the fields of work.md 2.2.8 it holds what
// decides who must approve (category, priority) and the order of work.
type material struct {
	Format             string            `json:"format"`
	Type               Type              `json:"type"`
	Category           string            `json:"category"`
	Priority           Level             `json:"priority"`
	Assets             []uuid.UUID       `json:"assets"`
	Environment        string            `json:"environment"`
	Start              string            `json:"start"`
	End                string            `json:"end"`
	ImplementationPlan string            `json:"implementation_plan"`
	BackoutPlan        string            `json:"backout_plan"`
	TestPlan           string            `json:"test_plan"`
	RiskAnswers        map[string]string `json:"risk_answers"`
	Downtime           bool              `json:"downtime"`
	EvidenceRequired   bool              `json:"evidence_required"`
	Implementers       []uuid.UUID       `json:"implementers"`
	Vendor             string            `json:"vendor"`
	Steps              []materialStep    `json:"steps"`
	RemovedAttachments []string          `json:"removed_attachments"`
}

type materialStep struct {
	Title        string `json:"title"`
	Description  string `json:"description"`
	Owner        string `json:"owner"`
	Minutes      int32  `json:"minutes"`
	Verification string `json:"verification"`
	RollbackNote string `json:"rollback_note"`
	Destructive  bool   `json:"destructive"`
}

// canonical returns the canonical material form as JSON.
func canonical(c Change, steps []Step) ([]byte, error) {
	m := material{
		Format: materialFormat, Type: c.Type, Category: c.Category, Priority: c.Priority, Assets: byText(c.AssetIDs), Environment: c.Environment,
		Start: instant(c.RefStart), End: instant(c.RefEnd), ImplementationPlan: tidyText(c.ImplementationPlan),
		BackoutPlan: tidyText(c.BackoutPlan), TestPlan: tidyText(c.TestPlan), RiskAnswers: c.RiskAnswers, Downtime: c.Downtime,
		EvidenceRequired: c.EvidenceRequired, Implementers: byText(c.Implementers), Vendor: c.Vendor, Steps: []materialStep{},
		RemovedAttachments: slices.Sorted(slices.Values(c.RemovedAttachments)),
	}
	if m.RiskAnswers == nil {
		m.RiskAnswers = map[string]string{}
	}
	if m.RemovedAttachments == nil {
		m.RemovedAttachments = []string{}
	}
	for _, s := range steps {
		m.Steps = append(m.Steps, materialStep{
			Title: s.Title, Description: tidyText(s.Description), Owner: s.Owner, Minutes: s.Minutes,
			Verification: tidyText(s.Verification), RollbackNote: tidyText(s.RollbackNote), Destructive: s.Destructive,
		})
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write canonical form of %s: %w", c.Key, err)
	}
	return raw, nil
}

// contentHash returns the SHA-256 of the canonical form, 32 bytes.
func contentHash(c Change, steps []Step) ([]byte, error) {
	raw, err := canonical(c, steps)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	return sum[:], nil
}

func instant(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// rewindow decides whether another window is another thing to agree to. Before anybody has
// decided it always is; afterwards a shift of at most the tolerance is not, as long as the
// window does not grow. What the new window meets is for the caller to look at, who says so
// by meets.
func (c *Change) rewindow(tolerance time.Duration, meets bool) {
	if c.State == lifecycle.Draft || c.RefStart == nil || c.Start == nil || meets {
		c.RefStart, c.RefEnd = c.Start, c.End
		return
	}
	moved := c.Start.Sub(*c.RefStart).Abs()
	grown := c.End.Sub(*c.Start) > c.RefEnd.Sub(*c.RefStart)
	if moved > tolerance || grown {
		c.RefStart, c.RefEnd = c.Start, c.End
	}
}

// rehash brings the content hash up to date after an edit by a person, and keeps who edited
// the present revision. It reports whether the content is another than before.
func (c *Change) rehash(steps []Step, by uuid.UUID) (bool, error) {
	before := c.ContentHash
	hash, err := contentHash(*c, steps)
	if err != nil {
		return false, err
	}
	if bytes.Equal(before, hash) {
		return false, nil
	}
	if c.SubmittedHash != nil && bytes.Equal(before, c.SubmittedHash) {
		// A new revision begins here, with editors of its own.
		c.Editors = nil
	}
	c.ContentHash = hash
	c.Editors = unique(append(c.Editors, by))
	return true, nil
}
