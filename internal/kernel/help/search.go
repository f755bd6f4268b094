package help

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
)

// Hit is an article that matches a search. Excerpt is the text around the first word
// found, or the summary.
type Hit struct {
	Article Article
	Excerpt string
	score   int
}

// Weights of a word by where it stands. A word in the text counts at most textCap times.
const (
	titleWeight   = 20
	summaryWeight = 6
	textWeight    = 1
	textCap       = 5

	maxHits       = 20
	excerptBefore = 40
	excerptLength = 160
)

// Search returns at most 20 articles in which every word of q begins some word, best
// first. An empty q finds nothing.
func (l *Library) Search(q string) []Hit {
	terms := split(q)
	if len(terms) == 0 {
		return nil
	}
	var hits []Hit
	for _, a := range l.articles {
		if score := a.score(terms); score > 0 {
			hits = append(hits, Hit{Article: a, Excerpt: a.excerpt(terms), score: score})
		}
	}
	slices.SortStableFunc(hits, func(a, b Hit) int { return cmp.Compare(b.score, a.score) })
	return hits[:min(len(hits), maxHits)]
}

// score is 0 when a word is missing.
func (a Article) score(terms []string) int {
	title, summary, text := split(a.Title), split(a.Summary), split(a.words)
	total := 0
	for _, term := range terms {
		s := titleWeight*count(title, term) + summaryWeight*count(summary, term) +
			textWeight*min(textCap, count(text, term))
		if s == 0 {
			return 0
		}
		total += s
	}
	return total
}

func (a Article) excerpt(terms []string) string {
	text := a.text
	if len(text) != len(a.words) {
		text = a.words // lower case has moved the bytes (some letters change their length)
	}
	for _, term := range terms {
		i := indexWord(a.words, term)
		if i < 0 {
			continue
		}
		from := max(0, i-excerptBefore)
		if from > 0 {
			from += strings.IndexByte(text[from:], ' ') + 1
		}
		rest := text[from:]
		if len(rest) > excerptLength {
			rest = rest[:excerptLength]
			rest = rest[:max(0, strings.LastIndexByte(rest, ' '))] + " …"
		}
		if from > 0 {
			rest = "… " + rest
		}
		return rest
	}
	return a.Summary
}

// indexWord finds term where a word begins.
func indexWord(text, term string) int {
	for at := 0; ; {
		i := strings.Index(text[at:], term)
		if i < 0 {
			return -1
		}
		i += at
		if i == 0 || !letterBefore(text, i) {
			return i
		}
		at = i + len(term)
	}
}

func letterBefore(text string, i int) bool {
	last := []rune(text[max(0, i-4):i])
	return len(last) > 0 && wordRune(last[len(last)-1])
}

func count(words []string, prefix string) int {
	n := 0
	for _, w := range words {
		if strings.HasPrefix(w, prefix) {
			n++
		}
	}
	return n
}

func split(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !wordRune(r) })
}

func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
