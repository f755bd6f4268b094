package ledger

import "github.com/vigilo/vigilo/internal/kernel/reseal"

var sealedKeys = reseal.Define(reseal.Column{
	Name: "ledger.pii_keys", Label: "keys of people in the audit log", Table: "audit.pii_key", Column: "sealed_key",
	Purpose: keyPurpose, ID: "subject_id::text",
	Save: `SELECT 1 FROM audit.reseal_key(@id::uuid, @old, @sealed) AS done WHERE done`,
})

// Sealed returns the column of sealed keys.
func Sealed() reseal.Store { return sealedKeys }
