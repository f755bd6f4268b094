package members

import (
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/module"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// Module describes this module to the program.
func (s *Service) Module() module.Module {
	return module.Module{
		Name:   "members",
		Tables: []string{"workspaces", "members", "invitations", "group_mappings", "people_groups", "people_group_members"},
		Needs:  []string{"identity"},
		Permissions: []access.Grant{
			{Permission: ReadWorkspace, Label: "Open the workspace", Min: access.Viewer},
			{Permission: ManageWorkspace, Label: "Change the settings of the workspace", Min: access.Admin},
			{Permission: ReadMembers, Label: "See who the members are", Min: access.Viewer},
			{Permission: ManageMembers, Label: "Invite, change and remove members", Min: access.Admin},
			{Permission: SetPlan, Label: "Choose the plan of the workspace", Min: access.PlatformAdmin},
			{Permission: OwnWorkspace, Label: "Make and unmake owners", Min: access.Owner},
		},
		Nav: []web.NavEntry{
			{Bucket: web.AdminBucket, Label: "Members", Path: "/members", Icon: "users", Key: "m", Weight: 20, Permission: ReadMembers},
			{Bucket: web.AdminBucket, Label: "Settings", Path: "/settings", Icon: "settings", Weight: 90, Permission: ManageWorkspace},
		},
		Events: eventTypes(),
		Search: searchSources(),
		Refs:   resolvers(),
		Routes: s.routes,
		API:    s.operations,
	}
}
