package integrations

import "github.com/vigilo/vigilo/internal/kernel/reseal"

var sealedSecrets = []reseal.Store{
	reseal.Define(reseal.Column{
		Name: "integrations.secrets", Label: "webhook secrets", Table: "webhook_endpoints", Column: "secret_sealed",
		Purpose: purpose, Subject: SubjectType, Title: "coalesce(nullif(description, ''), url)",
	}),
	reseal.Define(reseal.Column{
		Name: "integrations.former_secrets", Label: "former webhook secrets", Table: "webhook_endpoints", Column: "previous_sealed",
		Purpose: purpose,
	}),
}
