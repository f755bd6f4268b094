package auditlog

import (
	"github.com/vigilo/vigilo/internal/kernel/event"
)

// What the log records about itself.
const (
	eventSearched      = "audit.searched"
	eventExported      = "audit.exported"
	eventFilterSaved   = "audit_filter.saved"
	eventFilterRemoved = "audit_filter.removed"
)

func events() []event.Type {
	own := func(name, label string, severity event.Severity, category event.Category) event.Type {
		return event.Type{
			Name: name, Label: label, Group: "Audit log", Severity: severity, Category: category, AuditOnly: true,
		}
	}
	return []event.Type{
		own(eventSearched, "Audit log searched", event.Info, event.CategoryExport),
		own(eventExported, "Audit log exported", event.Low, event.CategoryExport),
		own(eventFilterSaved, "Audit filter saved", event.Info, event.CategoryActivity),
		own(eventFilterRemoved, "Audit filter removed", event.Info, event.CategoryActivity),
	}
}
