package db

import (
	"fmt"
	"strconv"
	"strings"
)

// query is an SQL text whose named arguments are numbered, which is done once and not
// again for each use.
type query struct {
	sql string
	// names are the arguments in the order of their numbers.
	names []string
}

// compile numbers the arguments of an SQL text: @name outside of quotes and comments.
func compile(text string) query {
	var q query
	var out strings.Builder
	out.Grow(len(text))
	for i := 0; i < len(text); {
		n := quoted(text[i:])
		if n == 0 && text[i] == '@' && i+1 < len(text) && startsName(text[i+1]) {
			n = 1 + nameLength(text[i+1:])
			out.WriteByte('$')
			out.WriteString(strconv.Itoa(q.number(text[i+1 : i+n])))
		} else {
			n = max(n, 1)
			out.WriteString(text[i : i+n])
		}
		i += n
	}
	q.sql = out.String()
	return q
}

func (q *query) number(name string) int {
	for i, n := range q.names {
		if n == name {
			return i + 1
		}
	}
	q.names = append(q.names, name)
	return len(q.names)
}

// quoted returns how long the literal, quoted name or comment is that a text begins with,
// 0 for none. A quote inside is written twice, which reads as two literals in a row.
// Literals with a backslash (E'…') or a dollar have no place in a statement of the program.
func quoted(text string) int {
	end := ""
	switch {
	case text[0] == '\'' || text[0] == '"':
		end = text[:1]
	case strings.HasPrefix(text, "--"):
		end = "\n"
	case strings.HasPrefix(text, "/*"):
		end = "*/"
	default:
		return 0
	}
	if n := strings.Index(text[1:], end); n >= 0 {
		return 1 + n + len(end)
	}
	return len(text)
}

func startsName(c byte) bool { return c == '_' || 'a' <= c && c <= 'z' }

func nameLength(text string) int {
	n := 0
	for n < len(text) && (startsName(text[n]) || '0' <= text[n] && text[n] <= '9') {
		n++
	}
	return n
}

// bind returns the arguments in their order. Those that a caller gives go before those of
// the session; one that is missing, or that the text does not name, is our bug.
func (q query) bind(given, auto Args) ([]any, error) {
	out := make([]any, len(q.names))
	used := 0
	for i, name := range q.names {
		v, ok := given[name]
		if ok {
			used++
		} else if v, ok = auto[name]; !ok {
			return nil, fmt.Errorf("argument @%s is missing", name)
		}
		out[i] = v
	}
	if used == len(given) {
		return out, nil
	}
	for name := range given {
		if q.find(name) < 0 {
			return nil, fmt.Errorf("argument @%s is not in the statement", name)
		}
	}
	return out, nil
}

func (q query) find(name string) int {
	for i, n := range q.names {
		if n == name {
			return i
		}
	}
	return -1
}
