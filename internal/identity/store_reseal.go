package identity

import "github.com/vigilo/vigilo/internal/kernel/reseal"

var sealedIDTokens = reseal.Define(reseal.Column{
	Name: "identity.id_tokens", Label: "ID tokens of sessions", Table: "sessions", Column: "id_token", Purpose: idTokenPurpose,
	AboveWorkspaces: true,
})
