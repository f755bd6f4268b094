package approvals

import (
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/module"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// Module describes this module to the program.
func (s *Service) Module() module.Module {
	return module.Module{
		Name: "approvals",
		Tables: []string{
			"approval_policies", "approval_policy_versions", "approval_requests", "approval_stages", "approval_seats", "approval_routes",
			"approval_decisions", "approval_delegations", "approval_absences",
		},
		Permissions: []access.Grant{
			{Permission: ReadApprovals, Label: "See approvals and who is asked", Min: access.Approver},
			{Permission: DecideApprovals, Label: "Decide approvals", Min: access.Approver},
			{Permission: ReadPolicies, Label: "See approval policies", Min: access.Approver},
			{Permission: ManagePolicies, Label: "Create and change approval policies", Min: access.Admin},
			{Permission: ManageDelegations, Label: "Delegate own decisions", Min: access.Approver},
			{Permission: AdminDelegations, Label: "See and change delegations and absences of others", Min: access.Admin},
			{Permission: ManageAbsences, Label: "Enter own absences", Min: access.Member},
		},
		Nav: []web.NavEntry{
			{Bucket: web.Work, Label: "Approvals", Path: "/approvals", Icon: "clipboard-check", Key: "v", Weight: 20, Permission: ReadApprovals},
		},
		Events:    eventTypes(),
		On:        s.subscriptions(),
		Workers:   s.workers,
		Schedules: schedules(),
		Search:    searchSources(),
		Refs:      resolvers(),
		Routes:    s.routes,
		API:       s.operations,
	}
}
