package assets

import (
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/assets"
	"github.com/vigilo/vigilo/templates/ui"
)

// relationForm is what the page "Add relationship" sends. Direction is the type of the
// relationship with "below" or "above" in front: which end the present asset is.
type relationForm struct {
	Direction string `form:"direction"`
	Other     string `form:"other"`
	// Choice is the id of one of several assets that fit what was typed.
	Choice    string `form:"choice"`
	Protocol  string `form:"protocol"`
	Port      string `form:"port"`
	Exclusive bool   `form:"exclusive"`
	Note      string `form:"note"`
}

// directions are the choices of the form: every verb, read from the present asset.
func directions(value string) []ui.Option {
	var out []ui.Option
	add := func(side, kind, verb, heading string) {
		v := side + " " + kind
		out = append(out, ui.Option{Value: v, Text: verb, Group: heading, Selected: v == value})
	}
	for _, kind := range RelationshipTypes() {
		forward, _ := verbs(kind)
		add("below", kind, upperFirst(forward), "It rests on the other")
	}
	for _, kind := range RelationshipTypes() {
		_, back := verbs(kind)
		add("above", kind, upperFirst(back), "The other rests on it")
	}
	return out
}

func (f relationForm) relationship(here, other uuid.UUID) (NewRelationship, error) {
	side, kind, ok := strings.Cut(f.Direction, " ")
	n := NewRelationship{From: here, To: other, Type: kind, Protocol: f.Protocol, Exclusive: f.Exclusive, Note: f.Note}
	if !ok || !slices.Contains(RelationshipTypes(), kind) || (side != "below" && side != "above") {
		return n, fault.InvalidField("direction", "not_allowed", "Choose how the two are related.")
	}
	if side == "above" {
		n.From, n.To = other, here
	}
	if f.Port != "" {
		port, err := strconv.Atoi(f.Port)
		if err != nil || port == 0 {
			return n, fault.InvalidField("port", "not_a_number", "Port must be between 1 and 65535.")
		}
		n.Port = port
	}
	return n, nil
}

func (s *Service) showRelate(r *web.Request) error {
	f := relationForm{Direction: "below depends_on"}
	if r.URL.Query().Get("direction") == "above" {
		f.Direction = "above depends_on"
	}
	return s.answerRelate(r, f, nil, nil)
}

// suggested is how many names the field of the other asset suggests.
const suggested = 300

func (s *Service) answerRelate(r *web.Request, f relationForm, choices []Brief, problem error) error {
	id, err := r.UUID("id", "asset")
	if err != nil {
		return err
	}
	var row *db.Result[Asset]
	var first *db.Result[briefRow]
	err = s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		row = assetByID.Queue(b, db.Args{"id": id})
		first = firstAssets.Queue(b, db.Args{"limit": suggested})
	})
	if err != nil {
		return err
	}
	a, ok := row.First()
	if !ok {
		return fault.NewNotFound("asset")
	}
	m := form.Messages(problem)
	v := views.RelationForm{
		Title: "Add relationship", CancelHref: r.Path(a.Path()),
		Lede:      "Say how " + a.Name + " and another asset are related.",
		Form:      ui.Form{Action: r.Path(a.Path() + "/relationships"), Errors: formErrors(problem)},
		Direction: ui.Field{Name: "direction", Label: a.Name, Required: true, Options: directions(f.Direction), Error: m["direction"]},
		Other: ui.Field{
			Name: "other", Label: "Other asset", Value: f.Other, Required: true, Error: orText(m["other"], orText(m["from"], m["to"])),
			Hint: "Its name, or the beginning of it.", Autocomplete: "off",
		},
		Protocol:  ui.Field{Name: "protocol", Label: "Protocol", Value: f.Protocol, Error: m["protocol"], Placeholder: "tcp", Short: true},
		Port:      ui.Field{Name: "port", Label: "Port", Value: f.Port, Error: m["port"], Placeholder: "5432", Short: true},
		Exclusive: ui.Choice{Name: "exclusive", Label: "Nothing can stand in", Hint: "When the one fails, the other fails with it.", Checked: f.Exclusive},
		Note:      ui.Field{Name: "note", Label: "Note", Value: f.Note, Error: m["note"], MaxLength: maxNote},
	}
	for _, b := range first.Rows {
		if b.ID != a.ID {
			v.Other.List = append(v.Other.List, b.Name)
		}
	}
	if len(choices) > 0 {
		v.Choices = &ui.Field{Name: "choice", Label: "Which one?", Required: true}
		for i, b := range choices {
			v.Choices.Options = append(v.Choices.Options, ui.Option{
				Value: b.ID.String(), Text: b.Name, Hint: typeTitle(b.Type) + " in " + environmentLabel(b.Environment), Selected: i == 0,
			})
		}
	}
	page := web.Page{Title: "Add relationship", Crumbs: crumbs(r, web.Crumb{Text: a.Name, Href: r.Path(a.Path())}, web.Crumb{Text: "Add relationship"})}
	if problem != nil {
		return r.InvalidPage(problem, page, views.RelationPage(v))
	}
	return r.Page(page, views.RelationPage(v))
}

func (s *Service) relate(r *web.Request) error {
	id, err := r.UUID("id", "asset")
	if err != nil {
		return err
	}
	var f relationForm
	if err := r.Form(&f); err != nil {
		return s.answerRelate(r, f, nil, err)
	}
	other, choices, err := s.otherAsset(r, id, f)
	if err != nil {
		return s.answerRelate(r, f, choices, err)
	}
	in, err := f.relationship(id, other.ID)
	if err != nil {
		return s.answerRelate(r, f, nil, err)
	}
	if _, err := s.Relate(r.Context(), r.Actor, in); err != nil {
		return s.answerRelate(r, f, nil, err)
	}
	r.Flash("The relationship with " + other.Name + " is added.")
	return r.SeeOther(r.Path(assetPath(id)))
}

// choicesShown is how many assets the form offers when several fit.
const choicesShown = 8

// otherAsset finds the asset that somebody named: by the choice they made, by its exact
// name, or the only one that begins so. When several fit they come back as choices.
func (s *Service) otherAsset(r *web.Request, here uuid.UUID, f relationForm) (Brief, []Brief, error) {
	if strings.TrimSpace(f.Other) == "" {
		return Brief{}, nil, fault.InvalidField("other", "required", "Name the other asset.")
	}
	var found []Brief
	err := s.db.InWorkspace(r.Context(), r.Actor, func(tx *db.Tx) error {
		var err error
		if id, parseErr := uuid.Parse(f.Choice); parseErr == nil {
			found, err = s.Briefs(r.Context(), tx, []uuid.UUID{id})
			return err
		}
		found, err = s.Find(r.Context(), tx, f.Other, 100)
		return err
	})
	if err != nil {
		return Brief{}, nil, err
	}
	words := searchWords(f.Other)
	found = slices.DeleteFunc(found, func(b Brief) bool {
		return b.ID == here || (f.Choice == "" && !fits(b.Name, words))
	})
	exact := slices.DeleteFunc(slices.Clone(found), func(b Brief) bool { return nameKey(b.Name) != nameKey(oneLine(f.Other)) })
	if len(exact) > 0 {
		found = exact
	}
	switch len(found) {
	case 0:
		return Brief{}, nil, fault.InvalidField("other", "unknown_asset", "No other asset in use has this name.")
	case 1:
		return found[0], nil, nil
	}
	return Brief{}, found[:min(len(found), choicesShown)], fault.InvalidField("other", "ambiguous", "Several assets fit. Choose one below, or write more of the name.")
}

// fits reports whether each of the words begins a part of the name.
func fits(name string, words []string) bool {
	parts := nameWords(strings.ToLower(name))
	for _, w := range words {
		if !slices.ContainsFunc(parts, func(p string) bool { return strings.HasPrefix(p, w) }) {
			return false
		}
	}
	return true
}

func (s *Service) showUnrelate(r *web.Request) error {
	id, err := r.UUID("id", "relationship")
	if err != nil {
		return err
	}
	var from, to Asset
	var rel Relationship
	err = s.db.View(r.Context(), r.Actor, func(tx *db.Tx) error {
		if rel, err = relationshipByID.One(r.Context(), tx, db.Args{"id": id}); err != nil {
			return err
		}
		if from, err = assetByID.One(r.Context(), tx, db.Args{"id": rel.From}); err != nil {
			return err
		}
		to, err = assetByID.One(r.Context(), tx, db.Args{"id": rel.To})
		return err
	})
	if err != nil {
		return err
	}
	forward, _ := verbs(rel.Type)
	const title = "Remove relationship"
	return r.Page(web.Page{
		Title:  title,
		Crumbs: crumbs(r, web.Crumb{Text: from.Name, Href: r.Path(from.Path())}, web.Crumb{Text: title}),
	}, views.ConfirmPage(views.Confirmation{Title: title, Confirm: ui.ConfirmForm{
		Action: r.Path("/assets/relationships/" + id.String() + "/remove"), Title: title, Confirm: "Remove", Danger: true,
		CancelHref: r.Path(from.Path()), Text: from.Name + " " + forward + " " + to.Name + ".",
		Points: []string{"The map, the impact of both and the risk of changes no longer count it.", "The audit log keeps it."},
	}}))
}

func (s *Service) unrelate(r *web.Request) error {
	id, err := r.UUID("id", "relationship")
	if err != nil {
		return err
	}
	rel, err := s.Unrelate(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	r.Flash("The relationship is removed.")
	return r.SeeOther(r.Path(assetPath(rel.From)))
}
