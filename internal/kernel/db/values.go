package db

import "github.com/google/uuid"

// NullID turns the zero id, which stands for none in Go, into null.
func NullID(id uuid.UUID) uuid.NullUUID { return uuid.NullUUID{UUID: id, Valid: id != uuid.Nil} }

// PrefixRange returns the bounds between which every text lies that begins with prefix, in
// the order of bytes. Only bounds can use an index under row-level security whatever plan
// PostgreSQL keeps.
func PrefixRange(prefix string) (from, upto string) { return prefix, prefix + "\U0010FFFF" }
