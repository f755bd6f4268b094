package freezes

import (
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/module"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// Module describes this module to the program.
func (s *Service) Module() module.Module {
	return module.Module{
		Name:   "freezes",
		Tables: []string{"freezes", "freeze_versions", "freeze_occurrences", "freeze_overrides"},
		Needs:  []string{"assets"},
		Permissions: []access.Grant{
			{Permission: ReadFreezes, Label: "See freezes and maintenance windows", Min: access.Viewer},
			{Permission: RequestOverrides, Label: "Ask that a change may pass a freeze", Min: access.Member},
			{Permission: GrantOverrides, Label: "Grant and refuse overrides of freezes", Min: access.Approver},
			{Permission: ManageFreezes, Label: "Create, change, activate and lift freezes and maintenance windows", Min: access.Admin},
		},
		Nav: []web.NavEntry{{
			Bucket: web.Work, Label: "Freezes", Path: listPath, Icon: "snowflake", Key: "f", Weight: 60, Permission: ReadFreezes,
		}},
		Events:    eventTypes(),
		Workers:   s.workers,
		Schedules: schedules(),
		Search:    searchSources(),
		Refs:      resolvers(),
		Routes:    s.routes,
		API:       s.operations,
	}
}
