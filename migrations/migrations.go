// Package migrations holds the schema of Vigilo as numbered SQL files. They only go
// forward. Each file belongs to one module, which its name says, and starts by turning
// row_security off, so that a data change that a policy would silently empty fails.
//
// Numbers: 0001 to 0009 kernel, then ten for each module in the order they arrived.
package migrations

import "embed"

// FS holds the files.
//
//go:embed *.sql
var FS embed.FS
