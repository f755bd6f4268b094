package alertrules

import "github.com/vigilo/vigilo/internal/kernel/web"

func (s *Service) routes(r *web.Router) {
	r.Get("/alerts", ReadAlerts, s.showAlerts)
	r.Post("/alerts/acknowledge", AcknowledgeAlerts, s.acknowledgeMany)
	r.Get("/alerts/{id}", ReadAlerts, s.showAlert)
	r.Post("/alerts/{id}/acknowledge", AcknowledgeAlerts, s.acknowledgeOne)

	r.Get("/alert-silences", ReadAlerts, s.showSilences)
	r.Get("/alert-silences/new", SilenceAlerts, s.showNewSilence)
	r.Post("/alert-silences/new", SilenceAlerts, s.createSilence)
	r.Get("/alert-silences/{id}", ReadAlerts, s.showSilence)
	r.Get("/alert-silences/{id}/edit", SilenceAlerts, s.showEditSilence)
	r.Post("/alert-silences/{id}/edit", SilenceAlerts, s.saveSilencePage)
	r.Post("/alert-silences/{id}/end", SilenceAlerts, s.endSilencePage)

	r.Get("/alert-rules", ReadRules, s.showRules)
	r.Get("/alert-rules/new", ManageRules, s.showNewRule)
	r.Post("/alert-rules/new", ManageRules, s.createRule)
	r.Get("/alert-rules/{id}", ReadRules, s.showRule)
	r.Get("/alert-rules/{id}/edit", ManageRules, s.showEditRule)
	r.Post("/alert-rules/{id}/edit", ManageRules, s.saveRulePage)
	r.Post("/alert-rules/{id}/enable", ManageRules, s.switchRule(true))
	r.Post("/alert-rules/{id}/disable", ManageRules, s.switchRule(false))
	r.Get("/alert-rules/{id}/test", ManageRules, s.showTest)
	r.Post("/alert-rules/{id}/test", ManageRules, s.sendTestPage)
	r.Get("/alert-rules/{id}/delete", ManageRules, s.showDeleteRule)
	r.Post("/alert-rules/{id}/delete", ManageRules, s.deleteRulePage)
}
