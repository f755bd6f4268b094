package help_test

import (
	"strings"
	"testing"

	"github.com/vigilo/vigilo/internal/kernel/help"
)

func TestTextOfPeopleCannotRun(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"**bold** and\nmore":                   "<p><strong>bold</strong> and<br>\nmore</p>\n",
		"<script>alert(1)</script>":            "\n",
		"<img src=x onerror=alert(1)>":         "\n",
		"[x](javascript:alert(1))":             "<p>x</p>\n",
		"![x](https://example.com/a.png)":      "<p></p>\n",
		"# Heading":                            "Heading\n",
		"### Heading":                          "<h3>Heading</h3>\n",
		"<https://example.com>":                `<p><a href="https://example.com" rel="nofollow">https://example.com</a></p>` + "\n",
		`<p onclick="x" style="color:red">a`:   "\n",
		`[a](https://e.com "onmouseover=x()")`: `<p><a href="https://e.com" rel="nofollow">a</a></p>` + "\n",
	} {
		if got := string(help.Text(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := string(help.Text(strings.Repeat("> ", 5000) + "deep")); strings.Contains(got, "<script") {
		t.Error("deep nesting")
	}
}
