package e2e

import (
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

//go:embed testdata/axe.min.js
var axeSource string

// chromium finds a browser; without one the tests that need it fail rather than skip.
func chromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no Chromium found; .ci/setup --tests installs one")
}

// browser is one Chromium for all tests of the process; each test gets its own profile.
var browser = sync.OnceValues(func() (context.Context, error) {
	path, err := chromium()
	if err != nil {
		return nil, err
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("no-first-run", true), chromedp.WSURLReadTimeout(60*time.Second),
	)
	alloc, _ := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, _ := chromedp.NewContext(alloc)
	return ctx, chromedp.Do(ctx)
})

// look is how a page is looked at.
type look struct {
	name   string
	width  int64
	height int64
	dark   bool
	phone  bool
}

var looks = []look{
	{name: "desktop", width: 1440, height: 900},
	{name: "phone", width: 390, height: 844, phone: true},
	{name: "dark", width: 1440, height: 900, dark: true},
}

// tab is one open page.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu       sync.Mutex
	problems []string // console errors and policy violations
}

// open starts a tab with the session of a person; an empty e-mail means nobody.
func (p *program) open(t *testing.T, email string, l look) *tab {
	t.Helper()
	parent, err := browser()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(parent, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, base: p.base}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatalf("browser: %v", err)
	}
	// Only now: a timeout on the first use of the context would be one of the tab's start.
	limited, stop := context.WithTimeout(ctx, 10*time.Minute)
	t.Cleanup(stop)
	b.ctx = limited
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	command(b, network.Enable, network.EnableParams{})
	command(b, cdplog.Enable, cdp.Empty{})
	command(b, runtime.Enable, cdp.Empty{})
	command(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.phone,
	})
	command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if email != "" {
		httpOnly := true
		command(b, network.SetCookie, network.SetCookieParams{Name: "vigilo", Value: p.session(t, email), URL: p.base, HTTPOnly: &httpOnly})
	}
	return b
}

// command sends one command of the protocol to the tab.
func command[P, R any](b *tab, cmd cdp.Command[P, R], params P) R {
	b.t.Helper()
	r, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) (R, error) { return cdp.Call(ctx, t, cmd, params) })
	if err != nil {
		b.t.Fatalf("browser: %v", err)
	}
	return r
}

// evaluate runs JavaScript in the page, waits for a promise, and returns the value.
func evaluate[T any](b *tab, script string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("browser: evaluate %s: %v", clip(script), err)
	}
	return v
}

func (b *tab) listen(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := ev.(type) {
	case *cdplog.EventEntryAdded:
		// Answers such as 404 and 422 are written to the console by the browser itself.
		if e.Entry.Level == cdplog.EntryLevelError && !strings.Contains(e.Entry.Text, "the server responded with a status of") {
			b.problems = append(b.problems, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			for _, a := range e.Args {
				b.problems = append(b.problems, string(a.Value)+a.Description)
			}
		}
	}
}

func (b *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	// An element that never comes is waited for without end.
	ctx, stop := context.WithTimeout(b.ctx, 30*time.Second)
	defer stop()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("browser: %v", err)
	}
}

// visit opens a path and waits until it is drawn, fonts included.
func (b *tab) visit(path string) {
	b.t.Helper()
	b.run(chromedp.Navigate(b.base + path))
	evaluate[bool](b, `document.fonts.ready.then(() => new Promise(r => requestAnimationFrame(() => r(true))))`)
}

// withoutScript turns scripts off, as a reader may.
func (b *tab) withoutScript() {
	command(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

type violation struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// checkAccessible runs axe with the rules of WCAG 2.2 A and AA and its best practices. In
// the dark only colours differ from the desktop, so only their contrast is asked for.
func (b *tab) checkAccessible(where string, l look) {
	b.t.Helper()
	evaluate[bool](b, axeSource+";true")
	rules := `{type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}`
	if l.dark {
		rules = `{type: "rule", values: ["color-contrast"]}`
	}
	raw := evaluate[string](b, `axe.run(document, {resultTypes: ["violations"], runOnly: `+rules+`}).then(r => JSON.stringify(r.violations))`)
	var found []violation
	if err := json.Unmarshal([]byte(raw), &found); err != nil {
		b.t.Fatalf("%s: read axe's answer: %v", where, err)
	}
	for _, v := range found {
		for _, n := range v.Nodes {
			b.t.Errorf("%s: %s (%s): %s: %s", where, v.Help, v.ID, n.HTML, n.Summary)
		}
	}
}

// checkFits fails when the page scrolls sideways.
func (b *tab) checkFits(where string) {
	b.t.Helper()
	if over := evaluate[int](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); over > 0 {
		b.t.Errorf("%s: the page is %d px wider than the window", where, over)
	}
}

// checkQuiet fails when the console holds errors or violations of the policy.
func (b *tab) checkQuiet(where string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		b.t.Errorf("%s: console: %s", where, p)
	}
	b.problems = nil
}

// picture writes a screenshot for eyes when VIGILO_PICTURES names a folder.
func (b *tab) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("VIGILO_PICTURES")
	if dir == "" {
		return
	}
	beyond := true
	shot := command(b, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &beyond})
	png, err := base64.StdEncoding.DecodeString(string(shot.Data))
	if err != nil {
		png = shot.Data
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// text returns the text of the first element that matches.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return evaluate[string](b, fmt.Sprintf(`document.querySelector(%q)?.innerText ?? ""`, selector))
}

// click clicks the first element that matches, by its own click.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.run(chromedp.Click(chromedp.CSS(selector)))
}

// fill types into the first field that matches.
func (b *tab) fill(selector, text string) {
	b.t.Helper()
	b.run(chromedp.Clear(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), text))
}

// waitFor waits until a JavaScript expression is true, across navigations.
func (b *tab) waitFor(what, expression string) {
	b.t.Helper()
	if !within(30*time.Second, func() bool { return b.holds(expression) }) {
		b.t.Fatalf("waited in vain: %s; at %s the page says: %s", what, b.path(), clip(b.text("body")))
	}
}

// holds reports whether a JavaScript expression is true; while a page is exchanged for
// another none is.
func (b *tab) holds(expression string) bool {
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
	return err == nil && v
}
