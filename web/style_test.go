package web

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var cssComment = regexp.MustCompile(`(?s)/\*.*?\*/`)

func TestRawColoursAreOnlyInTheTokens(t *testing.T) {
	t.Parallel()
	raw := regexp.MustCompile(`#[0-9a-fA-F]{3,8}\b|\b(?:rgba?|hsla?|hwb|lab|lch|oklab|oklch|color)\(|` +
		`:[^;{]*\b(?:white|black|red|green|blue|gr[ae]y|orange|yellow|purple)\b`)
	for _, layer := range layers[1:] {
		css := cssComment.ReplaceAllString(text(t, "css/"+layer+".css"), "")
		for _, found := range raw.FindAllString(css, -1) {
			t.Errorf("%s.css has the colour %q", layer, strings.TrimSpace(found))
		}
	}
}

func TestTheCascadeNeedsNoForce(t *testing.T) {
	t.Parallel()
	for _, layer := range layers {
		css := cssComment.ReplaceAllString(text(t, "css/"+layer+".css"), "")
		if strings.Contains(css, "!important") {
			t.Errorf("%s.css uses !important", layer)
		}
		if id := regexp.MustCompile(`(?m)^\s*[^@{};]*#[a-z][\w-]*[^;{}]*\{`).FindString(css); id != "" {
			t.Errorf("%s.css selects by id: %s", layer, strings.TrimSpace(id))
		}
	}
}

func TestScriptsKeepToThePolicy(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("js/*.js")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != len(behaviours) {
		t.Errorf("js/ has %d files; %d are served", len(names), len(behaviours))
	}
	bad := regexp.MustCompile(`\beval\(|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\.style\b|"style"|https?://`)
	for _, name := range names {
		for _, found := range bad.FindAllString(text(t, name), -1) {
			t.Errorf("%s contains %s", name, found)
		}
	}
	if _, err := os.Stat("js/" + behaviours[0] + ".js"); err != nil {
		t.Error(err)
	}
}

// colour is linear light in sRGB, each part 0 to 1.
type colour struct{ r, g, b float64 }

// luminance is the relative luminance of WCAG 2.2.
func (c colour) luminance() float64 { return 0.2126*c.r + 0.7152*c.g + 0.0722*c.b }

func contrast(a, b colour) float64 {
	high, low := max(a.luminance(), b.luminance()), min(a.luminance(), b.luminance())
	return (high + 0.05) / (low + 0.05)
}

// oklch converts as CSS Color 4 does, with parts outside sRGB clipped and rounded to
// the 8 bits of a screen.
func oklch(l, c, h float64) colour {
	a, b := c*math.Cos(h*math.Pi/180), c*math.Sin(h*math.Pi/180)
	cube := func(v float64) float64 { return v * v * v }
	long := cube(l + 0.3963377774*a + 0.2158037573*b)
	medium := cube(l - 0.1055613458*a - 0.0638541728*b)
	short := cube(l - 0.0894841775*a - 1.2914855480*b)
	return colour{
		onScreen(4.0767416621*long - 3.3077115913*medium + 0.2309699292*short),
		onScreen(-1.2684380046*long + 2.6097574011*medium - 0.3413193965*short),
		onScreen(-0.0041960863*long - 0.7034186147*medium + 1.7076147010*short),
	}
}

func onScreen(linear float64) float64 {
	linear = max(0, min(1, linear))
	v := 12.92 * linear
	if linear > 0.0031308 {
		v = 1.055*math.Pow(linear, 1/2.4) - 0.055
	}
	v = math.Round(v*255) / 255
	if v <= 0.04045 {
		return v / 12.92
	}
	return math.Pow((v+0.055)/1.055, 2.4)
}

var (
	token       = regexp.MustCompile(`(?m)^\s*--([a-z0-9-]+):\s*([^;]+);`)
	oklchNumber = regexp.MustCompile(`oklch\(([\d.]+) ([\d.]+) ([\d.]+)\)`)
)

// tokens returns the opaque colours of a theme: 0 is light, 1 is dark.
func tokens(t *testing.T, theme int) map[string]colour {
	t.Helper()
	out := map[string]colour{}
	css, _, _ := strings.Cut(text(t, "css/tokens.css"), "@media")
	for _, m := range token.FindAllStringSubmatch(css, -1) {
		if !strings.HasPrefix(m[2], "light-dark(oklch(") && !strings.HasPrefix(m[2], "oklch(") {
			continue
		}
		found := oklchNumber.FindAllStringSubmatch(m[2], -1)
		if len(found) == 0 {
			continue
		}
		pick := found[min(theme, len(found)-1)]
		var v [3]float64
		for i := range v {
			n, err := strconv.ParseFloat(pick[i+1], 64)
			if err != nil {
				t.Fatalf("token %s: %v", m[1], err)
			}
			v[i] = n
		}
		out[m[1]] = oklch(v[0], v[1], v[2])
	}
	return out
}

func TestTokenPairsHaveEnoughContrast(t *testing.T) {
	t.Parallel()
	const words, marks = 4.5, 3.0
	type pair struct {
		front, back string
		least       float64
	}
	var pairs []pair
	surfaces := []string{"bg-app", "bg-surface", "bg-raised", "bg-subtle", "bg-hover"}
	for _, back := range surfaces {
		for _, front := range []string{"text", "text-2", "text-3", "accent-ink", "crit-ink", "warn-ink", "ok-ink"} {
			pairs = append(pairs, pair{front, back, words})
		}
		pairs = append(pairs, pair{"focus", back, marks})
	}
	for _, tone := range []string{"ok", "warn", "crit", "info", "note"} {
		pairs = append(pairs,
			pair{tone + "-ink", tone + "-soft", words}, pair{tone + "-ink", "bg-surface", words},
			pair{tone + "-ink", "bg-raised", words}, pair{"text", tone + "-soft", words}, pair{"text-2", tone + "-soft", words},
			pair{tone + "-fill", "bg-surface", marks},
		)
	}
	pairs = append(pairs,
		pair{"text", "bg-active", words}, pair{"text-2", "bg-active", words},
		pair{"accent-ink", "accent-soft", words}, pair{"text-2", "accent-soft", words}, pair{"text", "select", words},
		pair{"on-accent", "accent", words}, pair{"on-accent", "accent-hover", words}, pair{"on-accent", "alarm", words},
		pair{"text-inverse", "bg-inverse", words}, pair{"dev-ink", "dev-bg", words}, pair{"heat-max-ink", "heat-max", words},
		pair{"line-input", "bg-surface", marks}, pair{"line-input", "bg-raised", marks},
		pair{"accent", "bg-surface", marks}, pair{"accent", "bg-app", marks},
	)
	for theme, name := range []string{"light", "dark"} {
		colours := tokens(t, theme)
		worst := math.Inf(1)
		for _, p := range pairs {
			front, ok1 := colours[p.front]
			back, ok2 := colours[p.back]
			if !ok1 || !ok2 {
				t.Fatalf("the token %s or %s is not in tokens.css", p.front, p.back)
			}
			got := contrast(front, back)
			worst = min(worst, got/p.least)
			if got < p.least {
				t.Errorf("%s: --%s on --%s has %.2f, wants %.1f", name, p.front, p.back, got, p.least)
			}
		}
		t.Logf("%s: %d pairs, the tightest at %.0f %% of what it needs", name, len(pairs), worst*100)
	}
}

func TestTheConversionAgreesWithKnownColours(t *testing.T) {
	t.Parallel()
	if got := contrast(oklch(1, 0, 0), oklch(0, 0, 0)); math.Abs(got-21) > 0.01 {
		t.Errorf("white on black has %.2f, wants 21", got)
	}
	red := oklch(0.6279554, 0.2576833, 29.2338805) // #f00
	if math.Abs(red.r-1) > 0.001 || red.g > 0.001 || red.b > 0.001 {
		t.Errorf("red is %v", red)
	}
}
