package changes

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/assets"
	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/freezes"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// Proof is what shows who agreed to what: the content in its canonical form with its hash,
// the chain of decisions, what was passed with which permission, and what was seen to work.
type Proof struct {
	ID               uuid.UUID          `json:"id"`
	Key              string             `json:"key"`
	Title            string             `json:"title"`
	Type             Type               `json:"type"`
	State            State              `json:"state"`
	Revision         int64              `json:"revision"`
	Format           string             `json:"format" doc:"Name of the canonical form."`
	Canonical        json.RawMessage    `json:"canonical" doc:"The content that was decided on; its SHA-256 is content_hash."`
	ContentHash      string             `json:"content_hash" doc:"SHA-256, in hex."`
	Requester        string             `json:"requester"`
	Submitter        string             `json:"submitter"`
	SubmittedAt      *time.Time         `json:"submitted_at"`
	ApprovedAt       *time.Time         `json:"approved_at"`
	ValidUntil       *time.Time         `json:"approval_valid_until"`
	ApprovedRisk     Level              `json:"approved_risk"`
	Preauthorisation *Preauthorisation  `json:"preauthorisation"`
	Retro            string             `json:"retro_approval"`
	Decisions        []approvals.Record `json:"decisions" nullable:"false"`
	Valid            bool               `json:"valid" doc:"Whether every link of the chain of decisions holds."`
	Problem          string             `json:"problem,omitempty" doc:"The broken link."`
	Overrides        []ProofOverride    `json:"overrides" nullable:"false"`
	Evidence         []ProofEvidence    `json:"evidence" nullable:"false"`
	Attachments      []ProofFile        `json:"attachments" nullable:"false"`
	Removed          []string           `json:"removed_attachments" nullable:"false" doc:"SHA-256 of files that were taken away after the first submission."`
	MadeAt           time.Time          `json:"made_at"`
}

// ProofOverride is a freeze that the change was allowed to pass.
type ProofOverride struct {
	Freeze      string     `json:"freeze"`
	State       string     `json:"state"`
	SelfGranted bool       `json:"self_granted"`
	Revision    int64      `json:"revision"`
	Reason      string     `json:"reason"`
	RequestedBy string     `json:"requested_by"`
	RequestedAt time.Time  `json:"requested_at"`
	DecidedBy   string     `json:"decided_by"`
	DecidedAt   *time.Time `json:"decided_at"`
	Note        string     `json:"note"`
}

// ProofEvidence is a piece of evidence.
type ProofEvidence struct {
	Kind    string            `json:"kind"`
	Summary string            `json:"summary"`
	URL     string            `json:"url,omitempty"`
	Facts   map[string]string `json:"facts,omitempty"`
	By      string            `json:"by"`
	At      time.Time         `json:"at"`
}

// ProofFile is a file with its digest.
type ProofFile struct {
	ID     uuid.UUID `json:"id"`
	Name   string    `json:"name"`
	Size   int64     `json:"size"`
	SHA256 string    `json:"sha256"`
}

// Proof puts the proof of a change together and verifies the chain.
func (s *Service) Proof(ctx context.Context, a db.Actor, ref string) (Proof, error) {
	var out Proof
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		c, err := findChange(ctx, tx, ref)
		if err != nil {
			return err
		}
		out, err = s.proof(ctx, tx, c)
		return err
	})
	return out, err
}

func (s *Service) proof(ctx context.Context, tx *db.Tx, c Change) (Proof, error) {
	people, err := s.roster(ctx, tx)
	if err != nil {
		return Proof{}, err
	}
	steps, err := stepsOf.All(ctx, tx, db.Args{"id": c.ID})
	if err != nil {
		return Proof{}, err
	}
	raw, err := canonical(c, steps)
	if err != nil {
		return Proof{}, err
	}
	p := Proof{
		ID: c.ID, Key: c.Key, Title: c.Title, Type: c.Type, State: c.State, Revision: c.Revision, Format: materialFormat, Canonical: raw,
		ContentHash: hex.EncodeToString(c.ContentHash), Requester: people.name(c.Requester.UUID), SubmittedAt: utc(c.SubmittedAt), ApprovedAt: utc(c.ApprovedAt),
		ValidUntil: utc(c.ApprovalValidUntil), ApprovedRisk: c.ApprovedRisk, Preauthorisation: c.Preauthorisation, Retro: c.Retro,
		Overrides: []ProofOverride{}, Evidence: []ProofEvidence{}, Attachments: []ProofFile{}, Removed: textList(c.RemovedAttachments), MadeAt: tx.Now.UTC(),
	}
	if c.Submitter.Valid {
		p.Submitter = people.name(c.Submitter.UUID)
	}
	if p.Decisions, err = s.approvals.Decisions(ctx, tx, SubjectChange, c.ID); err != nil {
		return p, fmt.Errorf("read decisions of %s: %w", c.Key, err)
	}
	if p.Decisions == nil {
		p.Decisions = []approvals.Record{}
	}
	p.Valid = true
	if err := approvals.Verify(p.Decisions); err != nil {
		p.Valid, p.Problem = false, err.Error()
	}
	if hash, err := contentHash(c, steps); err != nil || hex.EncodeToString(hash) != p.ContentHash {
		p.Valid, p.Problem = false, strings.TrimSpace(p.Problem+" The content does not have the hash that is kept with it.")
	}
	overrides, err := s.freezes.OverridesFor(ctx, tx, c.ID)
	if err != nil {
		return p, fmt.Errorf("read overrides of %s: %w", c.Key, err)
	}
	for _, o := range overrides {
		p.Overrides = append(p.Overrides, proofOverride(o, people))
	}
	return p, s.proofParts(ctx, tx, c, &p)
}

func proofOverride(o freezes.Override, people roster) ProofOverride {
	out := ProofOverride{
		Freeze: o.FreezeName, State: string(o.State), SelfGranted: o.SelfGranted, Revision: o.Revision, Reason: o.Reason,
		RequestedBy: people.name(o.RequestedBy), RequestedAt: o.RequestedAt.UTC(), DecidedAt: utc(o.DecidedAt), Note: o.DecisionNote,
	}
	if o.DecidedBy.Valid {
		out.DecidedBy = people.name(o.DecidedBy.UUID)
	}
	return out
}

func (s *Service) proofParts(ctx context.Context, tx *db.Tx, c Change, p *Proof) error {
	evidence, err := evidenceOf.All(ctx, tx, db.Args{"id": c.ID})
	if err != nil {
		return err
	}
	for _, e := range evidence {
		p.Evidence = append(p.Evidence, ProofEvidence{Kind: e.Kind, Summary: e.Summary, URL: e.URL, Facts: e.Facts, By: e.AuthorName, At: e.CreatedAt.UTC()})
	}
	files, err := attachmentsOf.All(ctx, tx, db.Args{"id": c.ID})
	if err != nil {
		return err
	}
	for _, f := range files {
		p.Attachments = append(p.Attachments, ProofFile{ID: f.ID, Name: f.Name, Size: f.Size, SHA256: hex.EncodeToString(f.SHA256)})
	}
	return nil
}

// shownText is the text that those who decide are shown, kept with their decision.
func shownText(c Change, steps []Step, briefs []assets.Brief) string {
	var b strings.Builder
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, text)
		}
	}
	part := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "\n%s\n%s\n", name, text)
		}
	}
	line("Change", c.Key+" "+c.Title)
	line("Type", string(c.Type))
	line("Revision", fmt.Sprint(c.Revision))
	line("Category", c.Category)
	line("Environment", c.Environment)
	line("Priority", string(c.Priority))
	line("Risk", string(c.Risk))
	if c.HasWindow() {
		line("Window", c.Start.UTC().Format("2006-01-02 15:04")+" to "+c.End.UTC().Format("2006-01-02 15:04 UTC"))
	}
	if c.Downtime {
		line("Downtime", "users will notice")
	}
	line("Vendor", c.Vendor)
	var names []string
	for _, a := range briefs {
		names = append(names, a.Name+" ("+a.Type+", "+a.Environment+")")
	}
	line("Assets", strings.Join(names, ", "))
	part("Why and what", c.Description)
	part("Implementation plan", c.ImplementationPlan)
	for _, s := range steps {
		fmt.Fprintf(&b, "%d. %s", s.Position, s.Title)
		if s.Minutes > 0 {
			fmt.Fprintf(&b, " (%d min)", s.Minutes)
		}
		b.WriteByte('\n')
		part("   Verification", s.Verification)
		part("   Going back", s.RollbackNote)
	}
	part("Backout plan", c.BackoutPlan)
	part("Test plan", c.TestPlan)
	return b.String()
}

// templateText is a version of a template as those who decide read it.
func templateText(u usable) string {
	c := Change{
		Key: "Template", Title: u.Body.TitlePattern, Type: lifecycle.Standard, Revision: int64(u.BodyVersion), Category: u.Body.Category,
		Environment: u.Body.Environment, Priority: lifecycle.Medium, Risk: u.Body.RiskCeiling, Downtime: u.Body.Downtime, Description: u.Body.Description,
		ImplementationPlan: u.Body.ImplementationPlan, BackoutPlan: u.Body.BackoutPlan, TestPlan: u.Body.TestPlan,
	}
	u.values = map[string]string{}
	text := shownText(c, u.steps(), nil)
	text += fmt.Sprintf("\nAt most %d assets, of type: %s; with tag: %s\n", u.Body.MaxAssets, anyOf(u.Body.AssetTypes), anyOf(u.Body.AssetTags))
	for _, p := range u.Body.Parameters {
		text += fmt.Sprintf("Parameter %s (%s): %s %s\n", p.Name, p.Kind, p.Label, strings.Join(p.Options, ", "))
	}
	return text + fmt.Sprintf("Valid for %d days after its approval.\n", u.Body.ValidDays)
}

func anyOf(list []string) string {
	if len(list) == 0 {
		return "any"
	}
	return strings.Join(list, ", ")
}

// Verdict is the answer of the gate to a deployment.
type Verdict struct {
	Allowed   bool
	Change    Change // zero when there is none
	Failures  []lifecycle.Failure
	CheckedAt time.Time
}

// Ask answers a deployment that asks whether it may run under a change now. It fails closed:
// a change that does not exist, or that anything stands in the way of, is refused.
func (s *Service) Ask(ctx context.Context, a db.Actor, ref string) (Verdict, error) {
	out := Verdict{}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		out.CheckedAt = tx.Now
		if strings.TrimSpace(ref) == "" {
			out.Failures = []lifecycle.Failure{{Code: "change_missing", Message: "Name the change that this deployment belongs to."}}
			return nil
		}
		row, ok, err := maybeChange(ctx, tx, strings.TrimSpace(ref))
		if err != nil {
			return err
		}
		if !ok {
			out.Failures = []lifecycle.Failure{{Code: "unknown_change", Message: "There is no such change in this workspace."}}
			return nil
		}
		out.Change = row
		f, err := s.collect(ctx, tx, row)
		if err != nil {
			return err
		}
		out.Failures = lifecycle.Evaluate(f.in, lifecycle.Gate)
		if risky(row, lifecycle.Start) {
			out.Failures = append(out.Failures, lifecycle.Failure{Code: "risk_increased", Message: "The risk is higher than what was approved."})
		}
		out.Allowed = len(out.Failures) == 0
		return nil
	})
	return out, err
}
