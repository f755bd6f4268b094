package members

import (
	"net/http"

	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/members"
	"github.com/vigilo/vigilo/templates/ui"
)

func (s *Service) routes(r *web.Router) {
	r.Account(http.MethodGet, "/workspaces", s.showMine)
	r.Account(http.MethodGet, "/workspaces/new", s.showNewWorkspace)
	r.Account(http.MethodPost, "/workspaces/new", s.createWorkspacePage)
	r.Public(http.MethodGet, "/invitations/{token}", s.showOffer)
	r.Account(http.MethodPost, "/invitations/{token}", s.acceptOffer)

	r.Get("", ReadWorkspace, s.showHome)
	r.Get("/getting-started", ReadWorkspace, s.showGettingStarted)
	r.Get("/search", ReadWorkspace, s.showSearch)
	r.Get("/go/{key}", ReadWorkspace, s.goToKey)
	r.Get("/settings", ManageWorkspace, s.showSettings)
	r.Post("/settings", ManageWorkspace, s.saveSettings)
	r.Post("/settings/sessions", ManageWorkspace, s.saveSessionLimits)
	r.Post("/settings/plan", SetPlan, s.savePlanPage)

	r.Get("/members", ReadMembers, s.showMembers)
	r.Get("/members/{id}", ReadMembers, s.showMember)
	r.Post("/members/{id}", ManageMembers, s.changeRole)
	r.Post("/members/{id}/suspend", ManageMembers, s.changeState(Suspended))
	r.Post("/members/{id}/resume", ManageMembers, s.changeState(Active))
	r.Get("/members/{id}/remove", ManageMembers, s.showRemove)
	r.Post("/members/{id}/remove", ManageMembers, s.removeMember)

	r.Get("/members/invitations", ManageMembers, s.showInvitations)
	r.Get("/members/invitations/new", ManageMembers, s.showInvite)
	r.Post("/members/invitations/new", ManageMembers, s.createInvitation)
	r.Get("/members/invitations/import", ManageMembers, s.showImport)
	r.Post("/members/invitations/import", ManageMembers, s.importInvitations)
	r.Post("/members/invitations/{id}/resend", ManageMembers, s.resendInvitation)
	r.Get("/members/invitations/{id}/revoke", ManageMembers, s.showRevoke)
	r.Post("/members/invitations/{id}/revoke", ManageMembers, s.revokeInvitation)

	r.Get("/members/mappings", ManageMembers, s.showMappings)
	r.Post("/members/mappings", ManageMembers, s.createMapping)
	r.Get("/members/mappings/{id}/delete", ManageMembers, s.showDeleteMapping)
	r.Post("/members/mappings/{id}/delete", ManageMembers, s.deleteMappingPage)

	r.Get("/members/groups", ReadMembers, s.showGroups)
	r.Get("/members/groups/new", ManageMembers, s.showNewGroup)
	r.Post("/members/groups/new", ManageMembers, s.createGroupPage)
	r.Get("/members/groups/{id}", ReadMembers, s.showGroup)
	r.Post("/members/groups/{id}", ManageMembers, s.renameGroup)
	r.Post("/members/groups/{id}/people", ManageMembers, s.addToGroupPage)
	r.Post("/members/groups/{id}/people/remove", ManageMembers, s.takeFromGroup)
	r.Get("/members/groups/{id}/delete", ManageMembers, s.showDeleteGroup)
	r.Post("/members/groups/{id}/delete", ManageMembers, s.deleteGroupPage)
}

func (s *Service) showMine(r *web.Request) error {
	rows, err := myWorkspaces.All(r.Context(), s.db.SystemRead(), map[string]any{"user": r.User().ID})
	if err != nil {
		return err
	}
	v := views.Mine{}
	for _, w := range rows {
		row := ui.Row{Icon: "building-2", Title: w.Name, Href: "/ws/" + w.Slug, Sub: w.Slug, Badge: &ui.Badge{Text: w.Role.Label()}}
		if w.State == Suspended {
			row.Badge = &ui.Badge{Text: "Suspended", Tone: ui.Warn, Icon: "circle-pause"}
		}
		v.Rows = append(v.Rows, row)
	}
	return r.Bare(web.Page{Title: "Your workspaces"}, views.MinePage(v))
}

func (s *Service) showNewWorkspace(r *web.Request) error {
	q := r.URL.Query()
	f := workspaceForm{Name: q.Get("name"), Slug: q.Get("slug"), TimeZone: r.User().TimeZone}
	if zone := q.Get("time_zone"); zone != "" {
		f.TimeZone = zone
	}
	proposed := ""
	if f.Name != "" {
		var err error
		if proposed, err = s.ProposeFreeSlug(r.Context(), f.Name); err != nil {
			return err
		}
		// An address that somebody typed stays; one that only followed the name moves on.
		if f.Slug == "" || f.Slug == q.Get("proposed") {
			f.Slug = proposed
		}
	}
	return r.Bare(web.Page{Title: "New workspace"}, views.NewWorkspacePage(newWorkspaceView(r, f, proposed, nil)))
}

func newWorkspaceView(r *web.Request, f workspaceForm, proposed string, err error) views.NewWorkspace {
	v := views.NewWorkspace{
		Form: ui.Form{
			Action: "/workspaces/new", Guard: true,
			Errors: errorList(err, map[string]string{"name": "Name", "slug": "Address", "time_zone": "Time zone"}),
		},
		Name: web.WithError(ui.Field{
			Name: "name", Label: "Name", Value: f.Name, Required: true, Autofocus: true, MaxLength: maxName, Autocomplete: "organization",
			Hint: "What people call the team or company, such as Acme IT. You can change it later.",
			Attrs: map[string]any{
				"hx-get": "/workspaces/new", "hx-trigger": "input delay:300ms", "hx-include": "closest form",
				"hx-target": "#slug-field", "hx-select": "#slug-field", "hx-swap": "outerMorph", "hx-sync": "this:replace",
			},
		}, err),
		Slug: web.WithError(ui.Field{
			Name: "slug", Label: "Address", Value: f.Slug, Code: true, MaxLength: maxSlug, Autocomplete: "off",
			Hint: "Part of every link: /ws/address. Lower-case letters, digits and hyphens; it never changes. Left empty, it follows the name.",
		}, err),
		TimeZone: web.WithError(ui.Field{
			Name: "time_zone", Label: "Time zone", Value: f.TimeZone, List: commonZones(), Autocomplete: "off",
			Hint: "For times that the whole workspace shares, such as Europe/Oslo. Left empty, it is UTC.",
		}, err),
		Proposed: proposed,
	}
	if len(r.Principal.Memberships) > 0 {
		v.Cancel = "/workspaces"
	}
	return v
}

func (s *Service) createWorkspacePage(r *web.Request) error {
	var f workspaceForm
	if err := r.Form(&f); err != nil {
		return s.refuseWorkspace(r, f, err)
	}
	in := NewWorkspace{Name: f.Name, Slug: f.Slug, TimeZone: f.TimeZone}
	if in.Slug == "" && in.Name != "" {
		var err error
		if in.Slug, err = s.ProposeFreeSlug(r.Context(), in.Name); err != nil {
			return err
		}
	}
	ws, err := s.CreateWorkspace(r.Context(), r.Actor, in)
	if err != nil {
		f.Slug = in.Slug
		return s.refuseWorkspace(r, f, err)
	}
	r.Flash("Workspace " + ws.Name + " is ready")
	return r.SeeOther("/ws/" + ws.Slug + "/getting-started")
}

func (s *Service) refuseWorkspace(r *web.Request, f workspaceForm, err error) error {
	return bareInvalid(r, err, web.Page{Title: "New workspace"}, views.NewWorkspacePage(newWorkspaceView(r, f, "", err)))
}
