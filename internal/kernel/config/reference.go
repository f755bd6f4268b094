package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Table returns the reference of every variable as a Markdown table.
func Table() string {
	var b strings.Builder
	b.WriteString("| Variable | Type | Default | Needed by | Meaning |\n|---|---|---|---|---|\n")
	for _, v := range variables() {
		name := "`" + v.name + "`"
		if v.hasFile() {
			name += " or `" + v.fileName() + "`"
		}
		def := ""
		if v.def != "" {
			def = "`" + v.def + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, v.kind, def, v.need, v.about)
	}
	return b.String()
}

// serviceVariable matches what Kubernetes puts into every container beside a service
// that is called vigilo.
var serviceVariable = regexp.MustCompile(`^VIGILO_(SERVICE_(HOST|PORT)|PORT)(_[A-Z0-9_]+)?$`)

// clientPrefix begins the variables of the command-line client (internal/cli). People set
// them in the shell from which they start the server too.
const clientPrefix = "VIGILO_API_"

// unknown reports names that start with VIGILO_ and are no variable, in order: a typing
// error would otherwise mean a default that nobody wanted.
func unknown(values map[string]string) []Problem {
	var known []string
	for _, v := range variables() {
		known = append(known, v.name)
		if v.hasFile() {
			known = append(known, v.fileName())
		}
	}
	var out []Problem
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !strings.HasPrefix(name, "VIGILO_") || slices.Contains(known, name) || serviceVariable.MatchString(name) ||
			strings.HasPrefix(name, clientPrefix) {
			continue
		}
		message := "is not a setting of Vigilo; remove it"
		if near := nearest(name, known); near != "" {
			message = "is not a setting of Vigilo; did you mean " + near + "?"
		}
		out = append(out, Problem{name, message})
	}
	return out
}

// nearest returns the known name that is at most a third of its own part away from name
// by single edits, or an empty text.
func nearest(name string, known []string) string {
	best, bestDistance := "", len(name)
	for _, k := range known {
		d := editDistance(name, k)
		if d < bestDistance && d <= max(2, (len(name)-len("VIGILO_"))/3) {
			best, bestDistance = k, d
		}
	}
	return best
}

// editDistance returns how many insertions, deletions and replacements of one byte turn
// a into b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
