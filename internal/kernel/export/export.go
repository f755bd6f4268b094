// Package export prepares what leaves the program as a table for a spreadsheet.
package export

import "strings"

// Cell keeps a spreadsheet from taking the text of a CSV cell for a formula: what begins
// like one gets an apostrophe in front (governance.md 2.9).
func Cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}
