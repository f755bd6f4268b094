package notifications

import "github.com/vigilo/vigilo/internal/kernel/reseal"

var sealedValues = []reseal.Store{
	reseal.Define(reseal.Column{
		Name: "notifications.passwords", Label: "passwords of mail servers", Table: "mail_settings", Column: "sealed_password",
		Purpose: passwordPurpose, Subject: "mail_settings", Title: "host",
	}),
	reseal.Define(reseal.Column{
		Name: "notifications.bodies", Label: "mails on their way", Table: "mails", Column: "sealed_body", Purpose: bodyPurpose,
	}),
}
