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
	const group = "Audit log"
	return []event.Type{
		{Name: eventSearched, Label: "Audit log searched", Group: group, Severity: event.Info, Category: event.CategoryExport, AuditOnly: true},
		{Name: eventExported, Label: "Audit log exported", Group: group, Severity: event.Low, Category: event.CategoryExport, AuditOnly: true},
		{Name: eventFilterSaved, Label: "Audit filter saved", Group: group, Severity: event.Info, Category: event.CategoryActivity, AuditOnly: true},
		{Name: eventFilterRemoved, Label: "Audit filter removed", Group: group, Severity: event.Info, Category: event.CategoryActivity, AuditOnly: true},
	}
}
