package notifications

import "github.com/vigilo/vigilo/internal/kernel/event"

// MailSettingsPayload is the body of mail.settings_changed. It never holds the password.
type MailSettingsPayload struct {
	// Host is empty when the workspace went back to the server of the installation.
	Host string `json:"host"`
	Port int    `json:"port"`
	TLS  string `json:"tls"`
	From string `json:"from"`
}

const (
	eventMailSettings = "mail.settings_changed"
	eventPreferences  = "notification.preferences_changed"
)

func eventTypes() []event.Type {
	return []event.Type{
		{
			Name: eventMailSettings, Label: "Mail settings changed", Group: "Workspace", Severity: event.Medium,
			Category: event.CategoryAdmin,
			Example:  MailSettingsPayload{Host: "smtp.example.com", Port: 587, TLS: "starttls", From: "Vigilo <vigilo@example.com>"},
		},
		{
			Name: eventPreferences, Label: "Notification preferences changed", Group: "Notifications", Severity: event.Info,
			Category: event.CategoryActivity, AuditOnly: true,
		},
	}
}
