package api

import "github.com/vigilo/vigilo/internal/kernel/reseal"

// The id of a kept answer is the actor, 36 characters, and the key that they chose.
var sealedAnswers = reseal.Define(reseal.Column{
	Name: "api.answers", Label: "answers kept for repeated calls", Table: "idempotency_keys", Column: "body", Purpose: bodyPurpose,
	ID: "actor_id::text || key", Row: "actor_id = left(@id, 36)::uuid AND key = substr(@id, 37)",
})

// Sealed returns the column of sealed answers.
func Sealed() reseal.Store { return sealedAnswers }
