package members

import (
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/members"
	"github.com/vigilo/vigilo/templates/ui"
)

func (s *Service) showGroups(r *web.Request) error {
	var groups []PeopleGroup
	if err := s.db.View(r.Context(), r.Actor, func(tx *db.Tx) error {
		var err error
		groups, err = s.Groups(r.Context(), tx)
		return err
	}); err != nil {
		return err
	}
	path := r.Path("/members/groups")
	v := views.GroupList{Tabs: tabs(r, "Groups")}
	if r.Can(ManageMembers) {
		v.Actions = []ui.LinkButton{{Text: "New group", Href: path + "/new", Icon: "plus", Kind: ui.Primary}}
	}
	for _, g := range groups {
		v.Rows = append(v.Rows, ui.Row{Icon: "users", Title: g.Name, Href: path + "/" + g.ID.String(), Aside: countLabel(g.Size, "member")})
	}
	if len(v.Rows) == 0 {
		v.Empty = &ui.Empty{Icon: "users", Title: "No group yet", Text: "Put people who share a duty into a group, and let alerts go to all of them."}
	}
	return r.Page(web.Page{Title: "Groups", Crumbs: crumbs(r, web.Crumb{Text: "Groups"})}, views.GroupListPage(v))
}

func groupPage(r *web.Request, title string) web.Page {
	return web.Page{Title: title, Crumbs: crumbs(r, web.Crumb{Text: "Groups", Href: r.Path("/members/groups")}, web.Crumb{Text: title})}
}

func newGroupView(r *web.Request, f groupForm, err error) views.NewGroup {
	path := r.Path("/members/groups")
	return views.NewGroup{
		Form: ui.Form{Action: path + "/new", Errors: errorList(err, map[string]string{"name": "Name"})},
		Name: web.WithError(ui.Field{Name: "name", Label: "Name", Value: f.Name, Required: true, Autofocus: true, MaxLength: maxName, Autocomplete: "off"}, err),
		Back: path,
	}
}

func (s *Service) showNewGroup(r *web.Request) error {
	return r.Page(groupPage(r, "New group"), views.NewGroupPage(newGroupView(r, groupForm{}, nil)))
}

func (s *Service) createGroupPage(r *web.Request) error {
	var f groupForm
	err := r.Form(&f)
	var g PeopleGroup
	if err == nil {
		g, err = s.CreateGroup(r.Context(), r.Actor, f.Name, nil)
	}
	if err != nil {
		return r.InvalidPage(err, groupPage(r, "New group"), views.NewGroupPage(newGroupView(r, f, err)))
	}
	r.Flash("Group created. Now add its people.")
	return r.SeeOther(r.Path("/members/groups/" + g.ID.String()))
}

// groupProblem is what went wrong on the page of a group, with what was typed there.
type groupProblem struct {
	err         error
	name, email string
}

func (s *Service) showGroup(r *web.Request) error {
	id, err := r.UUID("id", "group")
	if err != nil {
		return err
	}
	return s.renderGroup(r, id, groupProblem{})
}

// maxSuggestions is how many addresses the field offers; more would make the page heavy.
const maxSuggestions = 200

func (s *Service) renderGroup(r *web.Request, id uuid.UUID, problem groupProblem) error {
	g, in, err := s.GroupOf(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	path := r.Path("/members/groups/" + id.String())
	v := views.Group{Head: ui.PageHead{Title: g.Name, Lede: countLabel(g.Size, "member") + ". Suspended members receive nothing."}}
	manage := r.Can(ManageMembers)
	inside := map[string]bool{}
	for _, m := range in {
		inside[m.Email] = true
		p := views.GroupPerson{Person: person(m.UserID, m.Name), ID: m.ID.String(), Email: m.Email}
		p.Person.Href = r.Path("/members/" + m.ID.String())
		if m.State == Suspended {
			badge := stateBadge(m.State)
			p.State = &badge
		}
		if manage {
			p.Remove = path + "/people/remove"
		}
		v.People = append(v.People, p)
	}
	if len(v.People) == 0 {
		v.Empty = &ui.Empty{Icon: "users", Title: "Nobody is in this group", Text: "Alerts that go to it reach nobody until somebody is added."}
	}
	if manage {
		if err := s.groupForms(r, g, path, inside, problem, &v); err != nil {
			return err
		}
	}
	body := views.GroupPage(v)
	if problem.err != nil {
		return r.InvalidPage(problem.err, groupPage(r, g.Name), body)
	}
	return r.Page(groupPage(r, g.Name), body)
}

// groupForms fills what only admins see.
func (s *Service) groupForms(r *web.Request, g PeopleGroup, path string, inside map[string]bool, problem groupProblem, v *views.Group) error {
	var all []Person
	if err := s.db.View(r.Context(), r.Actor, func(tx *db.Tx) error {
		var err error
		all, err = s.People(r.Context(), tx)
		return err
	}); err != nil {
		return err
	}
	var offered []string
	for _, p := range all {
		if !inside[p.Email] && len(offered) < maxSuggestions {
			offered = append(offered, p.Email)
		}
	}
	v.Delete = &ui.LinkButton{Text: "Delete group", Href: path + "/delete", Icon: "trash-2"}
	v.Add = &ui.Form{Action: path + "/people"}
	v.Rename = &ui.Form{Action: path, Hidden: []ui.Hidden{{Name: "version", Value: strconv.FormatInt(g.Version, 10)}}}
	v.Person = ui.Field{
		Name: "email", Label: "E-mail of a member", Value: problem.email, Type: "email", Required: true, List: offered, Autocomplete: "off",
	}
	v.Name = ui.Field{Name: "name", Label: "Name", Value: g.Name, Required: true, MaxLength: maxName, Autocomplete: "off"}
	switch {
	case problem.err == nil:
	case problem.email != "":
		v.Add.Errors, v.Person = errorList(problem.err, map[string]string{"email": "E-mail"}), web.WithError(v.Person, problem.err)
	default:
		v.Rename.Errors = errorList(problem.err, map[string]string{"name": "Name"})
		v.Name.Value = problem.name
		v.Name = web.WithError(v.Name, problem.err)
	}
	return nil
}

func (s *Service) renameGroup(r *web.Request) error {
	id, err := r.UUID("id", "group")
	if err != nil {
		return err
	}
	var f groupForm
	if err = r.Form(&f); err == nil {
		_, err = s.ChangeGroup(r.Context(), r.Actor, id, GroupChange{Name: &f.Name, Version: &f.Version})
	}
	if fault.Is(err, fault.Invalid) || fault.Is(err, fault.Conflict) {
		return s.renderGroup(r, id, groupProblem{err: err, name: f.Name})
	}
	if err != nil {
		return err
	}
	r.Flash("Group renamed")
	return r.SeeOther(r.Path("/members/groups/" + id.String()))
}

func (s *Service) addToGroupPage(r *web.Request) error {
	id, err := r.UUID("id", "group")
	if err != nil {
		return err
	}
	var f groupPersonForm
	var m Member
	if err = r.Form(&f); err == nil {
		m, err = s.AddToGroup(r.Context(), r.Actor, id, f.Email)
	}
	if fault.Is(err, fault.Invalid) {
		if f.Email == "" {
			f.Email = " "
		}
		return s.renderGroup(r, id, groupProblem{err: err, email: f.Email})
	}
	if err != nil {
		return err
	}
	r.Flash(m.Name + " is in the group")
	return r.SeeOther(r.Path("/members/groups/" + id.String()))
}

func (s *Service) takeFromGroup(r *web.Request) error {
	id, err := r.UUID("id", "group")
	if err != nil {
		return err
	}
	var f groupPersonForm
	if err := r.Form(&f); err != nil {
		return err
	}
	member, err := uuid.Parse(strings.TrimSpace(f.Member))
	if err != nil {
		return fault.NewNotFound("member")
	}
	if err := s.TakeFromGroup(r.Context(), r.Actor, id, member); err != nil {
		return err
	}
	r.Flash("Taken out of the group")
	return r.SeeOther(r.Path("/members/groups/" + id.String()))
}

func (s *Service) showDeleteGroup(r *web.Request) error {
	id, err := r.UUID("id", "group")
	if err != nil {
		return err
	}
	g, _, err := s.GroupOf(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	path := r.Path("/members/groups/" + id.String())
	return r.Page(groupPage(r, "Delete the group"), views.ConfirmPage(views.Confirm{
		Head: ui.PageHead{Title: "Delete the group"},
		Form: ui.ConfirmForm{
			Action: path + "/delete", Title: "Delete " + g.Name + "?", Confirm: "Delete", Danger: true, CancelHref: path,
			Points: []string{"Its members stay members of the workspace.", "Alerts that go to this group reach nobody through it any more."},
		},
	}))
}

func (s *Service) deleteGroupPage(r *web.Request) error {
	id, err := r.UUID("id", "group")
	if err != nil {
		return err
	}
	if err := s.DeleteGroup(r.Context(), r.Actor, id); err != nil {
		return err
	}
	r.Flash("Group deleted")
	return r.SeeOther(r.Path("/members/groups"))
}
