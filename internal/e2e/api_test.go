package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vigilo/vigilo/internal/cli"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

func TestAPIPageShowsEveryOperation(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.workspace(t, "acme")
	page := p.get(t, "viewer@acme.test", "/ws/acme/api")
	ok(t, page, http.StatusOK, "page about the API")
	for _, r := range p.Web().Routes() {
		path, isAPI := strings.CutPrefix(r.Pattern, web.APIPrefix)
		if !isAPI || path == "/openapi.json" {
			continue
		}
		if !strings.Contains(page.body, "<code>"+path+"</code>") || !strings.Contains(page.body, "<code>"+string(r.Permission)+"</code>") {
			t.Errorf("the page does not show %s %s (%s)", r.Method, path, r.Permission)
		}
	}
	for _, want := range []string{
		`href="/ws/acme/api/v1/openapi.json"`, `href="/account/tokens"`, `href="/help/api"`, p.base + "/ws/acme/api/v1",
		"<code>hostname</code>", "<code>limit</code>", "whole number, 1 to 200, 50 when absent", "Your role may not.",
	} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page does not hold %s", want)
		}
	}
	// Only the plan is not the owner's to choose.
	if owner := p.get(t, "owner@acme.test", "/ws/acme/api"); strings.Count(owner.body, "Your role may not.") != 1 {
		t.Error("an owner is told that their role may not use something, or that it may choose the plan")
	}
	if a := p.get(t, "owner@acme.test", "/ws/globex/api"); a.status != http.StatusNotFound || strings.HasPrefix(a.body, "{") {
		t.Errorf("another workspace: %d %s", a.status, clip(a.body))
	}
}

// vigilo runs a command of the client against the program.
func (p *program) vigilo(t *testing.T, token string, args ...string) (code int, out, errOut string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var o, e bytes.Buffer
	env := []string{cli.EnvURL + "=" + p.base, cli.EnvWorkspace + "=acme", cli.EnvToken + "=" + token}
	code = cli.Run(ctx, args, env, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

func TestCommandLineReachesTheProgram(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.workspace(t, "acme")
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	admin, viewer := p.token(t, "acme", "admin"), p.token(t, "acme", "viewer")
	for _, tt := range []struct {
		token string
		args  []string
		code  int
		want  string // in what is printed
	}{
		{admin, []string{"me"}, 0, "admin@acme.test"},
		{admin, []string{"members", "list", "--limit", "2"}, 0, "NAME"},
		{admin, []string{"hosts", "add", host, "--port", port, "--tags", "lab"}, 0, "lab"},
		{viewer, []string{"hosts", "add", host, "--port", "1"}, 1, "forbidden"},
		{admin, []string{"hosts", "add", host, "--port", "70000"}, 1, "port"},
		{admin, []string{"hosts", "scan", u.Host, "--wait"}, 0, "succeeded"},
		{viewer, []string{"hosts", "list", "--tag", "lab", "--all"}, 0, host},
		{viewer, []string{"hosts", "show", u.Host, "--json"}, 0, `"hostname": "` + host + `"`},
		{viewer, []string{"hosts", "export"}, 0, host},
		{admin, []string{"hosts", "pause", u.Host}, 0, "active"},
		{admin, []string{"hosts", "resume", u.Host}, 0, "active"},
		{viewer, []string{"certificates", "list"}, 0, ""},
		{viewer, []string{"alerts", "list"}, 0, ""},
		{admin, []string{"alert-rules", "list"}, 0, ""},
		{admin, []string{"webhooks", "list"}, 0, ""},
		{admin, []string{"audit", "list", "--action", "host."}, 0, "host.added"},
		{admin, []string{"audit", "export", "--format", "jsonl"}, 0, "host.added"},
		{admin, []string{"events", "list"}, 0, "host.added"},
		{viewer, []string{"api", "GET", "/openapi.json"}, 0, `"openapi": "3.1.`},
		{admin, []string{"hosts", "delete", u.Host, "--yes"}, 0, "Deleted."},
		{admin, []string{"hosts", "show", u.Host}, 1, "no host"},
	} {
		code, out, errOut := p.vigilo(t, tt.token, tt.args...)
		if code != tt.code || !strings.Contains(out+errOut, tt.want) {
			t.Errorf("vigilo %s: exit code %d, want %d with %q\n%s%s", strings.Join(tt.args, " "), code, tt.code, tt.want, clip(out), clip(errOut))
		}
	}
	if _, out, _ := p.vigilo(t, viewer, "members", "list", "--all", "--json"); !json.Valid([]byte(out)) {
		t.Errorf("not JSON: %s", clip(out))
	}
}
