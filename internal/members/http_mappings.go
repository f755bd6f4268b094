package members

import (
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/members"
	"github.com/vigilo/vigilo/templates/ui"
)

func mappingsPage(r *web.Request) web.Page {
	return web.Page{Title: "Identity provider groups", Crumbs: crumbs(r, web.Crumb{Text: "Identity provider groups"})}
}

func mappingsView(r *web.Request, rules []Mapping, f mappingForm, err error) views.Mappings {
	path := r.Path("/members/mappings")
	role := access.Role(f.Role)
	if !role.Valid() {
		role = access.Member
	}
	v := views.Mappings{
		Tabs: tabs(r, "Identity provider groups"),
		Form: ui.Form{Action: path, Errors: errorList(err, map[string]string{"claim_value": "Group", "role": "Role"})},
		Claim: web.WithError(ui.Field{
			Name: "claim_value", Label: "Group", Value: f.Claim, Required: true, MaxLength: maxClaim, Code: true, Autocomplete: "off",
			Hint: "Exactly as the sign-in service writes it in its list of groups, such as vigilo-admins or staff/network. A slash at its beginning does not count.",
		}, err),
		Role: web.WithError(ui.Field{Name: "role", Label: "Role", Required: true, Short: true, Options: roleOptions(r, role)}, err),
	}
	for _, m := range rules {
		row := views.MappingRow{Claim: m.ClaimValue, Role: m.Role.Label(), Added: r.Moment(m.CreatedAt)}
		if m.Role != access.Owner || r.Can(OwnWorkspace) {
			row.Delete = path + "/" + m.ID.String() + "/delete"
		}
		v.Rows = append(v.Rows, row)
	}
	if len(v.Rows) == 0 {
		v.Empty = &ui.Empty{
			Icon: "network", Title: "No rule yet", Text: "Without rules people join by invitation only. Add the first rule below to let a group of your sign-in service in.",
		}
	}
	return v
}

func (s *Service) showMappings(r *web.Request) error {
	rules, err := s.Mappings(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	return r.Page(mappingsPage(r), views.MappingsPage(mappingsView(r, rules, mappingForm{}, nil)))
}

func (s *Service) createMapping(r *web.Request) error {
	var f mappingForm
	err := r.Form(&f)
	if err == nil {
		_, err = s.AddMapping(r.Context(), r.Actor, NewMapping{ClaimValue: f.Claim, Role: access.Role(f.Role)})
	}
	if err == nil {
		r.Flash("Rule added. It acts when people sign in next.")
		return r.SeeOther(r.Path("/members/mappings"))
	}
	rules, loadErr := s.Mappings(r.Context(), r.Actor)
	if loadErr != nil {
		return loadErr
	}
	return r.InvalidPage(err, mappingsPage(r), views.MappingsPage(mappingsView(r, rules, f, err)))
}

func (s *Service) showDeleteMapping(r *web.Request) error {
	id, err := r.UUID("id", "rule")
	if err != nil {
		return err
	}
	m, err := s.Mapping(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	path := r.Path("/members/mappings")
	return r.Page(web.Page{Title: "Delete the rule", Crumbs: crumbs(r, web.Crumb{Text: "Identity provider groups", Href: path}, web.Crumb{Text: "Delete the rule"})},
		views.ConfirmPage(views.Confirm{
			Head: ui.PageHead{Title: "Delete the rule"},
			Form: ui.ConfirmForm{
				Action: path + "/" + id.String() + "/delete", Title: "Delete the rule for " + m.ClaimValue + "?", Confirm: "Delete", Danger: true, CancelHref: path,
				Points: []string{
					"Nobody in this group becomes " + m.Role.Label() + " any more.",
					"Members who came by it lose their place when they sign in next, unless another rule holds.",
					"Members who came by invitation stay.",
				},
			},
		}))
}

func (s *Service) deleteMappingPage(r *web.Request) error {
	id, err := r.UUID("id", "rule")
	if err != nil {
		return err
	}
	if err := s.DeleteMapping(r.Context(), r.Actor, id); err != nil {
		return err
	}
	r.Flash("Rule deleted")
	return r.SeeOther(r.Path("/members/mappings"))
}
