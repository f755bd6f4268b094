package alertrules

import (
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/module"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// Module describes this module to the program.
func (s *Service) Module() module.Module {
	return module.Module{
		Name:   "alertrules",
		Tables: []string{"alert_rules", "alerts", "alert_tracks", "alert_checks", "alert_silences"},
		Permissions: []access.Grant{
			{Permission: ReadAlerts, Label: "See alerts", Min: access.Viewer},
			{Permission: AcknowledgeAlerts, Label: "Acknowledge alerts", Min: access.Member},
			{Permission: SilenceAlerts, Label: "Silence alerts", Min: access.Member},
			{Permission: ReadRules, Label: "See alert rules", Min: access.Viewer},
			{Permission: ManageRules, Label: "Create, change, test and delete alert rules", Min: access.Admin},
		},
		Nav: []web.NavEntry{
			{Bucket: web.Reliability, Label: "Alerts", Path: "/alerts", Icon: "siren", Key: "a", Weight: 20, Permission: ReadAlerts},
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
