package certificates

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/docs"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/help"
	"github.com/vigilo/vigilo/internal/kernel/web"
	"github.com/vigilo/vigilo/templates/ui"
)

// doors knows people by their role: the secret is the role's name, in the workspace acme.
type doors struct{ w *world }

func (d doors) Session(_ context.Context, token, slug string) (web.Principal, bool, error) {
	a := d.w.member
	if token == "viewer" {
		a = d.w.viewer
	}
	p := web.Principal{
		Kind: db.ActorUser, ID: a.UserID, User: web.User{ID: a.UserID, Name: a.Name, Email: a.Email, TimeZone: "Europe/Oslo", Shortcuts: true},
		Role: access.Role(token), AuthMethod: "dev",
	}
	if slug == "acme" {
		p.Workspace = &web.Workspace{ID: d.w.ws, Slug: "acme", Name: "Acme", TimeZone: "UTC"}
		p.Memberships = []web.Membership{{Slug: "acme", Name: "Acme", Role: p.Role}}
	}
	return p, access.Role(token).Valid(), nil
}

func (d doors) Token(ctx context.Context, token, slug string) (web.Principal, bool, error) {
	p, ok, err := d.Session(ctx, token, slug)
	p.Kind = db.ActorAPIKey
	return p, ok, err
}

// site is the service behind a real web server.
type site struct {
	*world
	srv *httptest.Server
	web *web.Server
}

func newSite(t *testing.T, clk clock.Clock) *site {
	t.Helper()
	w := newWorld(t, clk)
	w.activity = func(*db.Batch, string, uuid.UUID, int) func(*time.Location, time.Time) ([]ui.Entry, error) {
		return func(*time.Location, time.Time) ([]ui.Entry, error) { return nil, nil }
	}
	base, err := url.Parse("http://vigilo.test")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{world: w}
	s.web = web.New(web.Options{
		DB: w.d.DB, Policy: w.policy, Auth: doors{w}, Clock: clk, BaseURL: base, DevLogin: true,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	})
	a := api.New(s.web, w.d.DB, dbtest.Keyring(t), "test")
	m := w.Module()
	s.web.SetNav(m.Nav)
	m.Routes(s.web.Module(m.Name))
	m.API(a.Module(m.Name))
	s.srv = httptest.NewServer(s.web.Handler())
	t.Cleanup(s.srv.Close)
	return s
}

type answer struct {
	*http.Response
	body string
}

func (s *site) do(method, path, role, contentType string, body io.Reader, header ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.srv.URL+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	if strings.Contains(path, "/api/v1/") {
		req.Header.Set("Authorization", "Bearer "+role)
	} else {
		req.AddCookie(&http.Cookie{Name: "vigilo", Value: role})
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{res, string(raw)}
}

func (s *site) get(path, role string) answer {
	s.t.Helper()
	return s.do(http.MethodGet, "/ws/acme"+path, role, "", nil)
}

func (s *site) post(path, role string, fields ...string) answer {
	s.t.Helper()
	v := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		v.Add(fields[i], fields[i+1])
	}
	return s.do(http.MethodPost, "/ws/acme"+path, role, "application/x-www-form-urlencoded", strings.NewReader(v.Encode()))
}

func (s *site) json(method, path, role string, body, out any, header ...string) answer {
	s.t.Helper()
	var in io.Reader
	kind := ""
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		in, kind = bytes.NewReader(raw), "application/json"
	}
	a := s.do(method, "/ws/acme/api/v1"+path, role, kind, in, header...)
	if out != nil {
		if err := json.Unmarshal([]byte(a.body), out); err != nil {
			s.t.Fatalf("%s %s: %d %s", method, path, a.StatusCode, a.body)
		}
	}
	return a
}

func (a answer) wants(t *testing.T, status int, texts ...string) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d\n%.600s", a.Request.Method, a.Request.URL.Path, a.StatusCode, status, a.body)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("%s %s: no %q", a.Request.Method, a.Request.URL.Path, text)
		}
	}
	return a
}

func TestEveryRouteKeepsToItsRole(t *testing.T) {
	t.Parallel()
	s := newSite(t, clock.System())
	for _, route := range s.web.Routes() {
		if route.Module != "certificates" {
			continue
		}
		g, ok := s.policy.Grant(route.Permission)
		if !ok {
			t.Fatalf("%s names no permission", route.Pattern)
		}
		path := strings.NewReplacer("{slug}", "acme", "{id}", uuid.NewString()).Replace(route.Pattern)
		a := s.do(route.Method, path, "viewer", "", nil)
		if got := a.StatusCode == http.StatusForbidden; got != (g.Min.Rank() > access.Viewer.Rank()) {
			t.Errorf("%s %s answers a viewer with %d; it needs %s", route.Method, route.Pattern, a.StatusCode, g.Min)
		}
		if a := s.do(route.Method, path, "member", "", nil); a.StatusCode == http.StatusForbidden || a.StatusCode >= 500 {
			t.Errorf("%s %s answers a member with %d", route.Method, route.Pattern, a.StatusCode)
		}
	}
}

func TestPagesAnswerBeforeAndAfterTheFirstHost(t *testing.T) {
	t.Parallel()
	s := newSite(t, clock.System())
	s.get("/certificates", "member").wants(t, 200, "No host is watched yet", "Add host", "Import many")
	if a := s.get("/certificates", "viewer"); strings.Contains(a.body, "/certificates/new") {
		t.Error("a viewer is offered to add a host")
	}
	srv := s.serve(s.ca.leaf(time.Now(), "shop.test", 5*day+time.Hour))
	h := s.add(srv, "shop.test", func(n *NewHost) { n.Tags = []string{"production"}; n.Owner = s.member.Email })
	path := "/certificates/" + h.ID.String()
	s.get(path, "viewer").wants(t, 200, "The first scan is on its way", `data-live="host/`+h.ID.String()+` scan/`, "Refresh")
	for _, tab := range []string{"/chain", "/names", "/history", "/activity"} {
		s.get(path+tab, "viewer").wants(t, 200)
	}
	if err := s.runOpenScans(); err != nil {
		t.Fatal(err)
	}
	s.get("/certificates", "viewer").wants(t, 200, "shop.test", "Expires in 5 days", "Mara Lind", "production", "Test Trust", "5 days")
	s.get(path, "member").wants(t, 200, "The certificate expires in 5 days.", "TLS 1.3", "Copy fingerprint", "The name matches", "Scan now")
	s.get(path+"/chain", "viewer").wants(t, 200, "Test Trust Issuing CA", "Test Trust Root")
	s.get(path+"/names", "viewer").wants(t, 200, "shop.test", "Yes")
	s.get(path+"/history", "viewer").wants(t, 200, "First certificate seen", "100.00% of 1 scan")
	s.get(path+"/edit", "member").wants(t, 200, `value="shop.test"`, `value="production"`)
	s.get(path+"/remove", "member").wants(t, 200, "Remove shop.test:"+strconv.Itoa(srv.port))
	month := h.CreatedAt.Add(5*day + time.Hour).Format("2006-01")
	s.get("/certificates/calendar?month="+month, "viewer").wants(t, 200, "shop.test")
	s.get("/certificates/calendar?month=1999-01", "viewer").wants(t, 200, "Nothing ends in this month")
	s.get("/certificates/calendar?month=nonsense", "viewer").wants(t, 422)
	s.get("/certificates/stored", "viewer").wants(t, 200, "shop.test")
	cert := s.host(h.ID).CertificateID.UUID.String()
	s.get("/certificates/stored/"+cert, "viewer").wants(t, 200, "Served by", h.Title())
	s.get("/certificates/stored/"+cert+"/pem", "viewer").wants(t, 200, "-----BEGIN CERTIFICATE-----")
	s.get("/certificates/"+uuid.NewString(), "viewer").wants(t, 404)
	s.get("/certificates/not-an-id", "viewer").wants(t, 404)
}

// runOpenScans carries out what the job queue would.
func (w *world) runOpenScans() error {
	rows, err := w.d.Admin(w.t).Query(w.t.Context(), `SELECT id FROM scans WHERE state = 'queued'`)
	if err != nil {
		return err
	}
	var ids []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return err
		}
		ids = append(ids, id)
	}
	for _, id := range ids {
		if err := w.runScan(w.t.Context(), w.ws, id); err != nil {
			return err
		}
	}
	return rows.Err()
}

func TestListFiltersSortsAndPages(t *testing.T) {
	t.Parallel()
	s := newSite(t, clock.System())
	s.due(s.ws, 120, time.Now())
	s.exec(`UPDATE monitored_hosts SET status = 'unreachable', severity = 3 WHERE hostname = 'h7.test'`)
	s.exec(`SET session_replication_role = replica; UPDATE monitored_hosts SET state = 'paused' WHERE hostname = 'h8.test'; RESET session_replication_role`)
	next := regexp.MustCompile(`href="([^"]*cursor=[^"]*)" rel="next"`)
	seen := map[string]bool{}
	path := "/certificates?sort=host"
	for range 3 {
		a := s.get(path, "viewer").wants(t, 200)
		for _, m := range regexp.MustCompile(`/certificates/([0-9a-f-]{36})"`).FindAllStringSubmatch(a.body, -1) {
			seen[m[1]] = true
		}
		m := next.FindStringSubmatch(a.body)
		if m == nil {
			break
		}
		path = strings.TrimPrefix(strings.ReplaceAll(m[1], "&amp;", "&"), "/ws/acme")
	}
	if len(seen) != 120 {
		t.Errorf("three pages show %d hosts, want 120", len(seen))
	}
	s.get("/certificates?view=failing", "viewer").wants(t, 200, "Unreachable", "1 of 1")
	s.get("/certificates?view=paused", "viewer").wants(t, 200, "Paused", "1 of 1")
	s.get("/certificates?status=unreachable&view=healthy", "viewer").wants(t, 200, "No host matches", "Remove the filter on status")
	s.get("/certificates?tag=none-has-it", "viewer").wants(t, 200, "No host matches", "Remove the filter on tag")
	s.get("/certificates?view=expired", "viewer").wants(t, 200, "That is good news")
	s.get("/certificates?q=h7", "viewer").wants(t, 200, "11 of 11", "h7")
	for _, bad := range []string{"status=nonsense", "view=nonsense", "state=nonsense", "owner=nonsense", "cursor=nonsense"} {
		s.get("/certificates?"+bad, "viewer").wants(t, 422)
	}
	// Sorting by every column works in both directions, and foreign text in it does no harm.
	for _, sort := range append(hostList.SortNames(), "-status", "-expires", "'; DROP") {
		s.get("/certificates?sort="+url.QueryEscape(sort), "viewer").wants(t, 200)
	}
	a := s.get("/certificates?format=csv&q=h7.test", "viewer").wants(t, 200, "id,hostname,port")
	if n := strings.Count(a.body, "\n"); n != 2 || !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("the export has %d lines\n%s", n, a.body)
	}
}

func TestFormsKeepWhatWasTypedAndSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := newSite(t, clock.System())
	s.post("/certificates", "member", "hostname", "not a name", "port", "99999", "tags", "a, b").
		wants(t, 422, `value="not a name"`, `value="99999"`, `value="a, b"`, "A host name holds no blanks", "Port must be between 1 and 65535.")
	s.post("/certificates", "member", "hostname", "a.test", "port", "many").wants(t, 422, "Use a whole number")
	a := s.post("/certificates", "member", "hostname", "https://shop.test:8443/x", "scan_interval", "1h", "tags", "Prod, eu").wants(t, 303)
	at := strings.TrimPrefix(a.Header.Get("Location"), "/ws/acme")
	s.get(at, "member").wants(t, 200, "Port 8443", "every hour", "prod")
	s.post("/certificates", "member", "hostname", "shop.test:8443").wants(t, 409, "is watched already", at)
	s.post(at, "member", "hostname", "shop.test", "port", "8443", "scan_interval", "5m", "version", "1").wants(t, 303)
	s.post(at, "member", "hostname", "shop.test", "port", "8443", "scan_interval", "6h", "version", "1").wants(t, 409, "Somebody changed this host meanwhile", "Open the form again")
	s.post(at+"/pause", "member").wants(t, 303)
	s.get(at, "member").wants(t, 200, "Scans are paused", "Resume scans")
	s.post(at+"/resume", "member").wants(t, 303)
	s.post(at+"/scan", "member").wants(t, 303)
}

func TestBulkActionsReachTheSelectedHosts(t *testing.T) {
	t.Parallel()
	s := newSite(t, clock.System())
	ids := s.due(s.ws, 12, time.Now())
	fields := []string{"do", "pause"}
	for _, id := range ids[:3] {
		fields = append(fields, "id", id.String())
	}
	s.post("/certificates/bulk", "member", fields...).wants(t, 303)
	if n := s.count(`SELECT count(*) FROM monitored_hosts WHERE state = 'paused'`); n != 3 {
		t.Errorf("%d paused, want 3", n)
	}
	s.post("/certificates/bulk", "member", "do", "resume", "all", "1", "view", "paused").wants(t, 303)
	if n := s.count(`SELECT count(*) FROM monitored_hosts WHERE state = 'paused'`); n != 0 {
		t.Errorf("%d still paused after resuming all that match", n)
	}
	fields[1] = "scan"
	s.post("/certificates/bulk", "member", fields...).wants(t, 303)
	if n := s.count(`SELECT count(*) FROM scans`); n != 3 {
		t.Errorf("%d scans, want 3", n)
	}
	fields[1] = "tag"
	a := s.post("/certificates/bulk", "member", fields...).wants(t, 303)
	s.get(strings.TrimPrefix(a.Header.Get("Location"), "/ws/acme"), "member").wants(t, 200, "Add tags to 3 hosts")
	tagged := append([]string{"tags", "Payments"}, fields[2:]...)
	s.post("/certificates/tag", "member", tagged...).wants(t, 303)
	if n := s.count(`SELECT count(*) FROM host_tags WHERE tag = 'payments'`); n != 3 {
		t.Errorf("%d tagged, want 3", n)
	}
	tagged[1] = ""
	s.post("/certificates/tag", "member", tagged...).wants(t, 422, "Write at least one tag")
	fields[1] = "delete"
	a = s.post("/certificates/bulk", "member", fields...).wants(t, 303)
	s.get(strings.TrimPrefix(a.Header.Get("Location"), "/ws/acme"), "member").wants(t, 200, "Remove 3 hosts", "Vigilo stops scanning")
	if n := s.count(`SELECT count(*) FROM monitored_hosts`); n != 12 {
		t.Errorf("asking removed %d", 12-n)
	}
	s.post("/certificates/remove", "member", fields[2:]...).wants(t, 303)
	if n := s.count(`SELECT count(*) FROM monitored_hosts`); n != 9 {
		t.Errorf("%d left, want 9", n)
	}
	s.post("/certificates/bulk", "member", "do", "scan").wants(t, 422, "Select at least one host")
	s.post("/certificates/bulk", "member", "do", "nonsense", "id", ids[5].String()).wants(t, 422)
}

func TestImportByFileIsCheckedThenConfirmed(t *testing.T) {
	t.Parallel()
	s := newSite(t, clock.System())
	var body bytes.Buffer
	mw := multipart.NewWriter(&body)
	part, err := mw.CreateFormFile("file", "hosts.csv")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(part, "hostname,port\na.test,443\nb.test,8443\n")
	if err := mw.WriteField("scan_interval", "6h"); err != nil {
		t.Fatal(err)
	}
	if err := mw.Close(); err != nil {
		t.Fatal(err)
	}
	s.do(http.MethodPost, "/ws/acme/certificates/import", "member", mw.FormDataContentType(), &body).
		wants(t, 200, "Check the import", "Add 2 hosts", "b.test:8443", "hostname,port")
	text := "hostname,port\na.test,443\nb.test,8443\n"
	s.post("/certificates/import", "member", "text", text, "step", "change").wants(t, 200, "Import hosts", "b.test,8443")
	s.post("/certificates/import", "member", "text", text+"c d,1\n").wants(t, 200, "1 row cannot be imported", "Change the list")
	s.post("/certificates/import", "member", "text", "").wants(t, 422, "Paste at least one host")
	s.post("/certificates/import", "member", "text", text, "scan_interval", "6h", "step", "confirm").wants(t, 303)
	if n := s.count(`SELECT count(*) FROM monitored_hosts WHERE scan_interval = '6h'`); n != 2 {
		t.Errorf("%d hosts, want 2", n)
	}
}

func TestAPIOfHosts(t *testing.T) {
	t.Parallel()
	s := newSite(t, clock.System())
	srv := s.serve(s.ca.leaf(time.Now(), "shop.test", 80*day))
	var h apiHost
	a := s.json(http.MethodPost, "/hosts", "member", map[string]any{
		"hostname": "shop.test", "port": srv.port, "scan_interval": "15m", "active": true, "tags": []string{"prod"}, "owner": s.member.Email,
	}, &h)
	a.wants(t, 201)
	if a.Header.Get("Location") != "/ws/acme/api/v1/hosts/"+h.ID.String() || h.Status != StatusUnknown || h.ScanID == nil || h.Owner == nil || h.Version != 1 {
		t.Fatalf("created %+v at %s", h, a.Header.Get("Location"))
	}
	s.json(http.MethodPost, "/hosts", "member", map[string]any{"hostname": "shop.test", "port": srv.port}, nil).wants(t, 409, "host_exists")
	s.json(http.MethodPost, "/hosts", "member", map[string]any{"hostname": "a b", "port": 0, "scan_interval": "9m"}, nil).wants(t, 422, `"hostname"`, `"scan_interval"`)
	s.json(http.MethodPost, "/hosts", "member", map[string]any{"hostname": "a.test", "colour": "red"}, nil).wants(t, 422, "colour")
	s.json(http.MethodPost, "/hosts", "viewer", map[string]any{"hostname": "a.test"}, nil).wants(t, 403)

	if err := s.runOpenScans(); err != nil {
		t.Fatal(err)
	}
	id := "/hosts/" + h.ID.String()
	s.json(http.MethodGet, id, "viewer", nil, &h).wants(t, 200)
	if h.Status != "valid" || h.DaysLeft == nil || *h.DaysLeft < 79 || h.SnapshotID == nil || h.NotAfter == nil {
		t.Fatalf("after its scan: %+v", h)
	}
	var sc apiScan
	s.json(http.MethodGet, "/scans/"+h.lastScan(s).String(), "viewer", nil, &sc).wants(t, 200)
	if sc.State != ScanSucceeded || sc.SnapshotID == nil || *sc.SnapshotID != *h.SnapshotID || sc.Error != nil {
		t.Errorf("scan is %+v", sc)
	}
	var snap apiSnapshot
	s.json(http.MethodGet, "/snapshots/"+h.SnapshotID.String(), "viewer", nil, &snap).wants(t, 200)
	if len(snap.Chain) != 2 || snap.Chain[0].Label != "shop.test" || snap.Facts.TLSVersion != "TLS 1.3" {
		t.Errorf("snapshot is %+v", snap)
	}
	var seen api.List[apiObservation]
	s.json(http.MethodGet, id+"/snapshots", "viewer", nil, &seen).wants(t, 200)
	if len(seen.Items) != 1 || *seen.Items[0].SnapshotID != *h.SnapshotID || seen.NextCursor != nil {
		t.Errorf("snapshots are %+v", seen)
	}

	s.json(http.MethodPatch, id, "member", map[string]any{"scan_interval": "1h", "active": false, "version": 1}, &h).wants(t, 200)
	if h.ScanInterval != "1h" || h.Active || h.Version != 2 {
		t.Errorf("changed to %+v", h)
	}
	s.json(http.MethodPatch, id, "member", map[string]any{"owner": ""}, &h, "If-Match", `"2"`).wants(t, 200)
	if h.Owner != nil {
		t.Error("the owner was not taken away")
	}
	s.json(http.MethodPatch, id, "member", map[string]any{"active": true}, nil, "If-Match", `"1"`).wants(t, 409, "version_conflict")
	s.json(http.MethodPost, id+"/scan", "member", nil, nil).wants(t, 202, "scan_id")
	s.json(http.MethodPost, id+"/scan", "viewer", nil, nil).wants(t, 403)

	var list api.List[apiHost]
	s.json(http.MethodGet, "/hosts?state=paused&tag=prod&q=shop&status=valid&sort=-expires", "viewer", nil, &list).wants(t, 200)
	if len(list.Items) != 1 {
		t.Errorf("listed %d", len(list.Items))
	}
	s.json(http.MethodGet, "/hosts?sort=colour", "viewer", nil, nil).wants(t, 422, "sort")
	s.json(http.MethodGet, "/hosts?colour=red", "viewer", nil, nil).wants(t, 422, "colour")
	s.json(http.MethodGet, "/hosts/nonsense", "viewer", nil, nil).wants(t, 404)
	s.json(http.MethodDelete, id, "member", nil, nil).wants(t, 204)
	s.json(http.MethodGet, id, "viewer", nil, nil).wants(t, 404)
}

// lastScan returns the id of the newest requested scan of the host.
func (h apiHost) lastScan(s *site) (id uuid.UUID) {
	s.t.Helper()
	err := s.d.Admin(s.t).QueryRow(s.t.Context(), `SELECT id FROM scans WHERE host_id = $1 ORDER BY requested_at DESC LIMIT 1`, h.ID).Scan(&id)
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

func TestAPIOfListsExportsAndCertificates(t *testing.T) {
	t.Parallel()
	s := newSite(t, clock.System())
	var made struct{ Created, Existed, Twice int }
	csv := "hostname,tags\na.test,x\nb.test,\na.test,\n"
	a := s.do(http.MethodPost, "/ws/acme/api/v1/hosts/import?scan_interval=6h", "member", "text/csv", strings.NewReader(csv)).wants(t, 200)
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || made.Created != 2 || made.Twice != 1 {
		t.Fatalf("%s, %v", a.body, err)
	}
	s.do(http.MethodPost, "/ws/acme/api/v1/hosts/import", "member", "text/csv", strings.NewReader("hostname\nc.test\nd e\n")).wants(t, 422, "line 3: hostname")
	var list api.List[apiHost]
	s.json(http.MethodGet, "/hosts?limit=1&sort=host", "viewer", nil, &list).wants(t, 200)
	if len(list.Items) != 1 || list.NextCursor == nil {
		t.Fatalf("first page: %+v", list)
	}
	s.json(http.MethodGet, "/hosts?limit=1&sort=host&cursor="+*list.NextCursor, "viewer", nil, &list).wants(t, 200)
	if len(list.Items) != 1 || list.Items[0].Hostname != "b.test" || list.NextCursor != nil {
		t.Fatalf("second page: %+v", list)
	}
	a = s.json(http.MethodGet, "/hosts/export.csv?tag=x", "viewer", nil, nil).wants(t, 200, "a.test")
	if strings.Contains(a.body, "b.test") || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/csv") {
		t.Errorf("exported %s as %s", a.body, a.Header.Get("Content-Type"))
	}
	pem := map[string]any{"pem": string(s.ca.root.PEM())}
	s.json(http.MethodPost, "/certificates", "member", pem, nil).wants(t, 201, "Test Trust Root", `"source":"manual"`)
	s.json(http.MethodPost, "/certificates", "member", map[string]any{"pem": "nothing"}, nil).wants(t, 422, "BEGIN CERTIFICATE")
	s.json(http.MethodPost, "/certificates", "viewer", pem, nil).wants(t, 403)
	var certs api.List[apiCert]
	s.json(http.MethodGet, "/certificates?source=manual", "viewer", nil, &certs).wants(t, 200)
	if len(certs.Items) != 1 || !certs.Items[0].IsCA {
		t.Fatalf("certificates: %+v", certs)
	}
	s.json(http.MethodGet, "/certificates?fingerprint="+certs.Items[0].Fingerprint, "viewer", nil, &certs).wants(t, 200)
	if len(certs.Items) != 1 {
		t.Error("not found by fingerprint")
	}
	s.json(http.MethodGet, "/certificates/"+certs.Items[0].ID.String(), "viewer", nil, nil).wants(t, 200)
	s.json(http.MethodGet, "/certificates?fingerprint=xyz", "viewer", nil, nil).wants(t, 422)
}

func TestUploadPageNeverShowsAKeyAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, clock.System())
	key, err := s.ca.root.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	a := s.post("/certificates/stored", "member", "pem", string(key)).wants(t, 422, "This holds a private key")
	if strings.Contains(a.body, strings.Split(string(key), "\n")[1]) {
		t.Error("the key is shown again")
	}
	s.post("/certificates/stored", "member", "pem", string(s.ca.root.PEM())).wants(t, 303)
}

func TestIncompleteChainSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	s := newSite(t, clock.System())
	s.scanner.Intermediates = []*x509.Certificate{s.ca.issuer.X509}
	alone := s.ca.leaf(time.Now(), "shop.test", 80*day)
	alone.Certificate = alone.Certificate[:1]
	h := s.scanNow(s.add(s.serve(alone), "shop.test"))
	if h.Status != "incomplete_chain" {
		t.Fatalf("status is %s", h.Status)
	}
	s.get("/certificates/"+h.ID.String(), "viewer").wants(t, 200, "The chain is incomplete.", "Intermediate, not sent by the server", "Missing")
}

func TestHostileCertificateTextStaysText(t *testing.T) {
	t.Parallel()
	s := newSite(t, clock.System())
	const evil = `<script>alert(1)</script>`
	srv := s.serve(newAuthority(t, evil, time.Now()).leaf(time.Now(), "shop.test", 80*day))
	h := s.scanNow(s.add(srv, "shop.test"))
	path := "/certificates/" + h.ID.String()
	for _, p := range []string{"/certificates", path, path + "/chain", path + "/history", "/certificates/stored?kind=all"} {
		if a := s.get(p, "viewer").wants(t, 200); strings.Contains(a.body, evil) {
			t.Errorf("%s holds the script as such", p)
		}
	}
}

func TestEveryArticleIsReachedFromItsPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, clock.System())
	var patterns []string
	for _, r := range s.web.Routes() {
		if r.Module == "certificates" && r.Method == http.MethodGet && !r.API && !strings.HasSuffix(r.Pattern, "/pem") {
			patterns = append(patterns, r.Pattern)
		}
	}
	covered := helpRoutes(t)
	for _, p := range patterns {
		if !slices.Contains(covered, p) {
			t.Errorf("no help article serves %s", p)
		}
	}
	for _, p := range covered {
		if !slices.Contains(patterns, p) {
			t.Errorf("a help article serves %s, which does not exist", p)
		}
	}
}

func helpRoutes(t *testing.T) []string {
	t.Helper()
	lib, err := help.Load(docs.Help())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, sec := range lib.Sections() {
		for _, a := range sec.Articles {
			for _, r := range a.Routes {
				if strings.HasPrefix(r, "/ws/{slug}/certificates") {
					out = append(out, r)
				}
			}
		}
	}
	return out
}
