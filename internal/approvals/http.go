package approvals

import "github.com/vigilo/vigilo/internal/kernel/web"

func (s *Service) routes(r *web.Router) {
	r.Get("/approvals", ReadApprovals, s.showQueue)
	r.Get("/approvals/decide", DecideApprovals, s.showBulk)
	r.Post("/approvals/decide", DecideApprovals, s.decideBulk)
	r.Get("/approvals/{seat}", ReadApprovals, s.showSeat)
	r.Post("/approvals/{seat}", DecideApprovals, s.decideSeat)

	const policies = "/settings/approval-policies"
	r.Get(policies, ReadPolicies, s.showPolicies)
	r.Get(policies+"/new", ManagePolicies, s.showNewPolicy)
	r.Post(policies+"/new", ManagePolicies, s.createPolicyPage)
	r.Get(policies+"/preview", ReadPolicies, s.showTrial)
	r.Get(policies+"/{id}", ReadPolicies, s.showPolicy)
	r.Get(policies+"/{id}/edit", ManagePolicies, s.showEditPolicy)
	r.Post(policies+"/{id}/edit", ManagePolicies, s.savePolicyPage)
	r.Post(policies+"/{id}/activate", ManagePolicies, s.switchPolicy(true))
	r.Post(policies+"/{id}/retire", ManagePolicies, s.switchPolicy(false))

	r.Get("/account/away", ManageAbsences, s.showAway)
	r.Post("/account/away/absences", ManageAbsences, s.createAbsencePage)
	r.Post("/account/away/absences/{id}/delete", ManageAbsences, s.deleteAbsencePage)
	r.Get("/account/away/delegations/new", ManageDelegations, s.showNewDelegation(false))
	r.Post("/account/away/delegations/new", ManageDelegations, s.createDelegationPage(false))
	r.Get("/account/away/delegations/{id}", ManageDelegations, s.showDelegation(false))
	r.Post("/account/away/delegations/{id}", ManageDelegations, s.saveDelegationPage(false))
	r.Get("/account/away/delegations/{id}/revoke", ManageDelegations, s.showRevoke(false))
	r.Post("/account/away/delegations/{id}/revoke", ManageDelegations, s.revokePage(false))

	r.Get("/settings/delegations", AdminDelegations, s.showDelegations)
	r.Get("/settings/delegations/new", AdminDelegations, s.showNewDelegation(true))
	r.Post("/settings/delegations/new", AdminDelegations, s.createDelegationPage(true))
	r.Get("/settings/delegations/{id}", AdminDelegations, s.showDelegation(true))
	r.Post("/settings/delegations/{id}", AdminDelegations, s.saveDelegationPage(true))
	r.Get("/settings/delegations/{id}/revoke", AdminDelegations, s.showRevoke(true))
	r.Post("/settings/delegations/{id}/revoke", AdminDelegations, s.revokePage(true))
}
