package changes

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/assets"
	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/tasks"
)

// TemplateState is where a template of standard changes stands.
type TemplateState string

// The states (work.md 2.8). Only an active one can be used.
const (
	TemplateProposed  TemplateState = "proposed"
	TemplateActive    TemplateState = "active"
	TemplateSuspended TemplateState = "suspended"
	TemplateRetired   TemplateState = "retired"
)

// Template is what standard changes begin from. VersionInUse is nil before the first
// approval, VersionProposed while nothing waits for one.
type Template struct {
	ID              uuid.UUID     `db:"id"`
	Name            string        `db:"name" audit:"name"`
	State           TemplateState `db:"state" audit:"state"`
	StateReason     string        `db:"state_reason" audit:"state_reason"`
	VersionInUse    *int32        `db:"version_in_use" audit:"version_in_use"`
	VersionProposed *int32        `db:"version_proposed" audit:"version_proposed"`
	ProposedBy      uuid.NullUUID `db:"proposed_by" audit:"proposed_by"`
	ExpiresAt       time.Time     `db:"expires_at" audit:"expires_at"`
	Version         int64         `db:"version"`
	CreatedAt       time.Time     `db:"created_at"`
	CreatedBy       uuid.NullUUID `db:"created_by"`
	UpdatedAt       time.Time     `db:"updated_at"`
}

// Path is the page of the template below its workspace.
func (t Template) Path() string { return "/changes/templates/" + t.ID.String() }

func (t Template) subject() event.Subject {
	return event.Subject{Type: SubjectTemplate, ID: t.ID, Title: t.Name}
}

func (t Template) payload(version int32) TemplatePayload {
	return TemplatePayload{TemplateID: t.ID, Name: t.Name, State: t.State, Version: version, Reason: t.StateReason}
}

// TemplateBody is what a version of a template fixes.
type TemplateBody struct {
	// TitlePattern and the texts may hold parameters as {{name}}.
	TitlePattern       string        `json:"title_pattern"`
	Description        string        `json:"description"`
	Category           string        `json:"category"`
	Environment        string        `json:"environment"` // empty: each change says
	ImplementationPlan string        `json:"implementation_plan"`
	BackoutPlan        string        `json:"backout_plan"`
	TestPlan           string        `json:"test_plan"`
	Downtime           bool          `json:"downtime"`
	EvidenceRequired   bool          `json:"evidence_required"`
	RiskCeiling        Level         `json:"risk_ceiling"` // low or medium
	AssetTypes         []string      `json:"asset_types"`  // empty: any
	AssetTags          []string      `json:"asset_tags"`   // empty: any; one of them is enough
	MaxAssets          int           `json:"max_assets"`
	MaxMinutes         int           `json:"max_minutes"` // longest window, 0 for no limit
	ValidDays          int           `json:"valid_days"`  // from the approval on
	Parameters         []Parameter   `json:"parameters"`
	Steps              []NewStep     `json:"steps"`
	Tasks              []tasks.Draft `json:"tasks"`
}

// Parameter is a value that each change gives.
type Parameter struct {
	Name     string   `json:"name"` // a to z, digits, underscore
	Label    string   `json:"label"`
	Kind     string   `json:"kind"`    // text, number, choice
	Options  []string `json:"options"` // of a choice
	Pattern  string   `json:"pattern"` // RE2, of a text; matched as a whole
	Min      int      `json:"min"`     // of a number, when Max is greater
	Max      int      `json:"max"`
	Required bool     `json:"required"`
}

// Limits of a template.
const (
	maxParameters    = 20
	defaultValidDays = 365
	maxValidDays     = 730
)

var parameterName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

var placeholder = regexp.MustCompile(`\{\{\s*([^{}]*?)\s*\}\}`)

// tidy writes a body in one form and fills in defaults.
func (b *TemplateBody) tidy() {
	b.TitlePattern, b.Description, b.Environment = oneLine(b.TitlePattern), tidyText(b.Description), environment(b.Environment)
	b.ImplementationPlan, b.BackoutPlan, b.TestPlan = tidyText(b.ImplementationPlan), tidyText(b.BackoutPlan), tidyText(b.TestPlan)
	b.AssetTags = tidyTags(b.AssetTags)
	if b.Category == "" {
		b.Category = "maintenance"
	}
	if b.RiskCeiling == "" {
		b.RiskCeiling = lifecycle.Low
	}
	if b.MaxAssets == 0 {
		b.MaxAssets = 10
	}
	if b.ValidDays == 0 {
		b.ValidDays = defaultValidDays
	}
	for i := range b.Parameters {
		p := &b.Parameters[i]
		p.Name, p.Label = strings.TrimSpace(p.Name), oneLine(p.Label)
		if p.Label == "" {
			p.Label = p.Name
		}
		if p.Kind == "" {
			p.Kind = "text"
		}
	}
	for i := range b.Steps {
		b.Steps[i].ID = uuid.Nil
	}
	for _, list := range []*[]string{&b.AssetTypes, &b.AssetTags} {
		if *list == nil {
			*list = []string{}
		}
	}
	if b.Parameters == nil {
		b.Parameters = []Parameter{}
	}
	if b.Steps == nil {
		b.Steps = []NewStep{}
	}
	if b.Tasks == nil {
		b.Tasks = []tasks.Draft{}
	}
}

// check returns every field that cannot be.
func (b TemplateBody) check() *form.Check {
	c := &form.Check{}
	c.Text("title_pattern", b.TitlePattern, "A title", maxTitle)
	c.Longest("description", b.Description, "The description", maxText)
	c.OneOf("category", b.Category, "The category", Categories()...)
	if b.Environment != "" {
		c.OneOf("environment", b.Environment, "The environment", Environments()...)
	}
	c.Text("implementation_plan", b.ImplementationPlan, "An implementation plan", maxPlan)
	c.Text("backout_plan", b.BackoutPlan, "A backout plan", maxPlan)
	c.Longest("test_plan", b.TestPlan, "The test plan", maxPlan)
	if b.RiskCeiling != lifecycle.Low && b.RiskCeiling != lifecycle.Medium {
		c.Add("risk_ceiling", "not_allowed", "A standard change has low or medium risk; more needs an approval each time.")
	}
	c.Range("max_assets", b.MaxAssets, 1, maxAssets, "The number of assets")
	c.Range("max_minutes", b.MaxMinutes, 0, 43_200, "The longest window")
	c.Range("valid_days", b.ValidDays, 1, maxValidDays, "The days of validity")
	for _, t := range b.AssetTypes {
		c.OneOf("asset_types", t, "A type of asset", assets.Types()...)
	}
	for i, s := range b.Steps {
		s.step(i+1, fmt.Sprintf("steps[%d].", i), c)
	}
	if len(b.Steps) > maxSteps {
		c.Add("steps", "too_many", fmt.Sprintf("A template has at most %d steps.", maxSteps))
	}
	for i, t := range b.Tasks {
		c.Text(fmt.Sprintf("tasks[%d].title", i), strings.TrimSpace(t.Title), "The title of a task", 200)
		if t.Gate != "" {
			c.OneOf(fmt.Sprintf("tasks[%d].gate", i), t.Gate, "The gate", tasks.GateNames()...)
		}
	}
	b.checkParameters(c)
	return c
}

func (b TemplateBody) checkParameters(c *form.Check) {
	if len(b.Parameters) > maxParameters {
		c.Add("parameters", "too_many", fmt.Sprintf("A template has at most %d parameters.", maxParameters))
	}
	var names []string
	for i, p := range b.Parameters {
		at := func(field string) string { return fmt.Sprintf("parameters[%d].%s", i, field) }
		switch {
		case !parameterName.MatchString(p.Name):
			c.Add(at("name"), "invalid_name", "A parameter is named with small letters, digits and underscores, such as host_name.")
		case slices.Contains(names, p.Name):
			c.Add(at("name"), "duplicate", "Two parameters are named "+p.Name+".")
		}
		names = append(names, p.Name)
		c.Text(at("label"), p.Label, "The label", 80)
		c.OneOf(at("kind"), p.Kind, "The kind", "text", "number", "choice")
		if p.Kind == "choice" && len(p.Options) == 0 {
			c.Add(at("options"), "required", "A choice has options.")
		}
		if _, err := regexp.Compile(p.Pattern); err != nil || len(p.Pattern) > 200 {
			c.Add(at("pattern"), "invalid_pattern", "This is no regular expression (RE2): "+p.Pattern)
		}
	}
	for field, text := range map[string]string{
		"title_pattern": b.TitlePattern, "description": b.Description, "implementation_plan": b.ImplementationPlan,
		"backout_plan": b.BackoutPlan, "test_plan": b.TestPlan,
	} {
		for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(names, m[1]) {
				c.Add(field, "unknown_parameter", "There is no parameter named "+m[1]+".")
				break
			}
		}
	}
}

// hash is the SHA-256 of the body as it is stored.
func (b TemplateBody) hash() ([]byte, error) {
	raw, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("write template body: %w", err)
	}
	sum := sha256.Sum256(raw)
	return sum[:], nil
}

// values checks what a change gives for the parameters.
func (b TemplateBody) values(in map[string]string, c *form.Check) map[string]string {
	out := map[string]string{}
	for _, p := range b.Parameters {
		v := oneLine(in[p.Name])
		field := "template_values." + p.Name
		switch {
		case v == "" && p.Required:
			c.Add(field, "required", p.Label+" is needed.")
		case v == "":
		case utf8.RuneCountInString(v) > 200:
			c.Add(field, "too_long", "At most 200 characters fit.")
		case p.Kind == "choice" && !slices.Contains(p.Options, v):
			c.OneOf(field, v, p.Label, p.Options...)
		case p.Kind == "number":
			n, err := strconv.Atoi(v)
			if err != nil {
				c.Add(field, "not_a_number", "Use a whole number.")
			} else if p.Max > p.Min {
				c.Range(field, n, p.Min, p.Max, p.Label)
			}
		case p.Pattern != "":
			if re, err := regexp.Compile(`^(?:` + p.Pattern + `)$`); err != nil || !re.MatchString(v) {
				c.Add(field, "no_match", p.Label+" does not have the form that the template asks for.")
			}
		}
		out[p.Name] = v
	}
	for name := range in {
		if !slices.ContainsFunc(b.Parameters, func(p Parameter) bool { return p.Name == name }) {
			c.Add("template_values."+name, "unknown_parameter", "The template has no parameter named "+name+".")
		}
	}
	return out
}

// render puts the values of parameters into a text, once: a value that looks like a
// parameter stays as it is.
func render(text string, values map[string]string) string {
	return placeholder.ReplaceAllStringFunc(text, func(m string) string {
		name := placeholder.FindStringSubmatch(m)[1]
		if v, ok := values[name]; ok {
			return v
		}
		return m
	})
}

// usable is a version of a template as changes use it.
type usable struct {
	ID          uuid.UUID     `db:"id"`
	Name        string        `db:"name"`
	State       TemplateState `db:"state"`
	ExpiresAt   time.Time     `db:"expires_at"`
	BodyVersion int32         `db:"body_version"`
	Body        TemplateBody  `db:"body"`
	BodyHash    []byte        `db:"body_hash"`
	ApprovedBy  string        `db:"approved_by"`
	values      map[string]string
}

// fill makes a standard change of c. What the template fixes is taken out of the edit.
func (u *usable) fill(c *Change, e *Edit) error {
	var check form.Check
	var given map[string]string
	put(&given, e.TemplateValues)
	u.values = u.Body.values(given, &check)
	if err := check.Err(); err != nil {
		return err
	}
	u.fix(c)
	c.TemplateID, c.TemplateVersion, c.TemplateValues = db.NullID(u.ID), &u.BodyVersion, u.values
	c.Description = render(u.Body.Description, u.values)
	e.Type, e.Title, e.ImplementationPlan, e.BackoutPlan, e.TestPlan, e.Category, e.Downtime = nil, nil, nil, nil, nil, nil, nil
	if u.Body.EvidenceRequired {
		e.EvidenceRequired = nil
	}
	if u.Body.Environment != "" {
		e.Environment = nil
	}
	return nil
}

// fix sets what the template fixes.
func (u *usable) fix(c *Change) {
	c.Type, c.Category, c.Downtime = lifecycle.Standard, u.Body.Category, u.Body.Downtime
	c.Title = oneLine(render(u.Body.TitlePattern, u.values))
	if r := []rune(c.Title); len(r) > maxTitle {
		c.Title = string(r[:maxTitle])
	}
	c.ImplementationPlan = tidyText(render(u.Body.ImplementationPlan, u.values))
	c.BackoutPlan = tidyText(render(u.Body.BackoutPlan, u.values))
	c.TestPlan = tidyText(render(u.Body.TestPlan, u.values))
	c.EvidenceRequired = c.EvidenceRequired || u.Body.EvidenceRequired
	if u.Body.Environment != "" {
		c.Environment = u.Body.Environment
	}
}

// steps are those of a change that begins from the template; nil has none.
func (u *usable) steps() []Step {
	if u == nil {
		return nil
	}
	var check form.Check // checked when the template was written
	out := make([]Step, len(u.Body.Steps))
	for i, n := range u.Body.Steps {
		n.Title, n.Description = render(n.Title, u.values), render(n.Description, u.values)
		n.Verification, n.RollbackNote = render(n.Verification, u.values), render(n.RollbackNote, u.values)
		out[i] = n.step(i+1, "", &check)
		out[i].ID = uuid.Must(uuid.NewV7())
	}
	return out
}

func (u *usable) drafts() []tasks.Draft { return u.Body.Tasks }

// drift names what of a change differs from its template or leaves its limits.
func (u usable) drift(c Change, steps []Step, briefs []assets.Brief) []lifecycle.Ref {
	var out []lifecycle.Ref
	add := func(field, text string) { out = append(out, lifecycle.Ref{Kind: "field", Key: field, Text: text}) }
	u.values = c.TemplateValues
	want := c
	want.EvidenceRequired = false
	u.fix(&want)
	for _, f := range []struct {
		field, text string
		same        bool
	}{
		{"title", "the title", c.Title == want.Title},
		{"category", "the category", c.Category == want.Category},
		{"environment", "the environment", c.Environment == want.Environment},
		{"implementation_plan", "the implementation plan", c.ImplementationPlan == want.ImplementationPlan},
		{"backout_plan", "the backout plan", c.BackoutPlan == want.BackoutPlan},
		{"test_plan", "the test plan", c.TestPlan == want.TestPlan},
		{"downtime", "the downtime", c.Downtime == want.Downtime},
		{"evidence_required", "the evidence", c.EvidenceRequired || !want.EvidenceRequired},
		{"steps", "the steps", sameSteps(steps, u.steps())},
	} {
		if !f.same {
			add(f.field, f.text+" is another")
		}
	}
	if n := len(c.AssetIDs); n > u.Body.MaxAssets {
		add("assets", fmt.Sprintf("%d assets instead of at most %d", n, u.Body.MaxAssets))
	}
	for _, b := range briefs {
		byType := len(u.Body.AssetTypes) == 0 || slices.Contains(u.Body.AssetTypes, b.Type)
		byTag := len(u.Body.AssetTags) == 0 || slices.ContainsFunc(b.Tags, func(t string) bool { return slices.Contains(u.Body.AssetTags, t) })
		if !byType || !byTag {
			add("assets", b.Name+" is not among the assets that it allows")
		}
	}
	if c.Risk.Rank() > u.Body.RiskCeiling.Rank() {
		add("risk", "the risk is "+string(c.Risk)+", above "+string(u.Body.RiskCeiling))
	}
	if u.Body.MaxMinutes > 0 && c.HasWindow() && c.End.Sub(*c.Start) > time.Duration(u.Body.MaxMinutes)*time.Minute {
		add("planned_end", fmt.Sprintf("the window is longer than %d minutes", u.Body.MaxMinutes))
	}
	return out
}

func sameSteps(a, b []Step) bool {
	return slices.EqualFunc(a, b, func(x, y Step) bool {
		x.ID, y.ID = uuid.Nil, uuid.Nil
		return x == y
	})
}
