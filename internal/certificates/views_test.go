package certificates

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/clock"
)

var headings = regexp.MustCompile(`(?s)<th[^>]*>(?:<a[^>]*>)?([A-Z][a-z ]+)`)

// columnsOf returns the headings of the table on a page.
func columnsOf(a answer) string {
	var out []string
	for _, m := range headings.FindAllStringSubmatch(a.body, -1) {
		out = append(out, strings.TrimSpace(m[1]))
	}
	return strings.Join(out, ", ")
}

// lands returns where a form that was accepted leads, below the workspace.
func (a answer) lands(t *testing.T) string {
	t.Helper()
	a.wants(t, 303)
	return strings.TrimPrefix(a.Header.Get("Location"), "/ws/acme")
}

func TestAPersonNamesViewsOfTheList(t *testing.T) {
	t.Parallel()
	s := newSite(t, clock.System())
	s.due(s.ws, 3, time.Now())
	s.exec(`UPDATE monitored_hosts SET status = 'unreachable', severity = 3 WHERE hostname = 'h1.test'`)

	// What is no part of the filter is left out, and viewers have views, too.
	at := s.post("/certificates/views", "viewer", "name", " Broken ", "query", "status=unreachable&sort=-host&cursor=x&format=csv").lands(t)
	view, err := url.Parse(at)
	if err != nil || view.Path != "/certificates" || view.Query().Get("status") != "unreachable" || view.Query().Get("sort") != "-host" || view.Query().Has("cursor") {
		t.Fatalf("the view is at %s (%v)", at, err)
	}
	id := view.Query().Get("saved")
	s.get(at, "viewer").wants(t, 200, "Broken", "1 of 1", "Hosts, by name, backwards")
	if strings.Contains(s.get("/certificates", "member").body, "Broken") {
		t.Error("somebody else sees the view")
	}
	s.post("/certificates/views/"+id, "member", "do", "delete").wants(t, 404)

	// While it is open, a changed filter can be saved in it.
	s.get("/certificates?status=valid&saved="+id, "viewer").wants(t, 200, "Save changes to Broken")
	if strings.Contains(s.get(at, "viewer").body, "Save changes to") {
		t.Error("there is nothing to save in a view that did not change")
	}
	s.post("/certificates/views/"+id, "viewer", "do", "update", "query", "status=valid").lands(t)
	s.get("/certificates/views", "viewer").wants(t, 200, "/certificates?status=valid&amp;saved="+id)

	// It becomes what the list opens with; all hosts are one tab away, and the filter is free.
	s.post("/certificates/views/"+id, "viewer", "do", "save", "name", "Mine", "default", "true").lands(t)
	if home := s.get("/certificates", "viewer").lands(t); home != "/certificates?status=valid&saved="+id {
		t.Errorf("the list opens with %s", home)
	}
	s.get("/certificates?saved=none", "viewer").wants(t, 200, "3 of 3", `href="/ws/acme/certificates?saved=none"`)
	s.get("/certificates?status=unreachable", "viewer").wants(t, 200, "1 of 1")
	other := s.post("/certificates/views", "viewer", "name", "Other", "query", "").lands(t)
	_, otherID, _ := strings.Cut(other, "saved=")
	s.post("/certificates/views/"+otherID, "viewer", "do", "save", "name", "Other", "default", "true").lands(t)
	if home := s.get("/certificates", "viewer").lands(t); home != other {
		t.Errorf("after another one became the default the list opens with %s", home)
	}
	s.post("/certificates/views/"+otherID, "viewer", "do", "save", "name", "Other").lands(t)
	s.get("/certificates", "viewer").wants(t, 200, "3 of 3")

	// What is wrong is said beside what was written.
	s.post("/certificates/views", "viewer", "name", "Mine", "query", "").wants(t, 422, "You have a view of this name", `value="Mine"`)
	s.post("/certificates/views/"+otherID, "viewer", "do", "save", "name", "").wants(t, 422, "A name is needed.")
	s.post("/certificates/views", "viewer", "name", "x", "query", "status=nonsense").wants(t, 422, "There is no status")
	for i := range 10 {
		s.post("/certificates/views", "viewer", "name", strings.Repeat("v", i+1), "query", "").lands(t)
	}
	s.post("/certificates/views", "viewer", "name", "too many", "query", "").wants(t, 422, "You have 12 views")

	s.post("/certificates/views/"+id, "viewer", "do", "delete").lands(t)
	if strings.Contains(s.get("/certificates", "viewer").body, "Mine") {
		t.Error("the view is still there")
	}
	s.get(at, "viewer").wants(t, 200, "1 of 1") // an old link shows the filter all the same
}

func TestAPersonChoosesTheColumns(t *testing.T) {
	t.Parallel()
	s := newSite(t, clock.System())
	s.due(s.ws, 3, time.Now())
	const standard = "Host, Status, Expires, Issuer, Owner, Tags"
	if got := columnsOf(s.get("/certificates", "viewer")); got != standard {
		t.Fatalf("columns %s, want %s", got, standard)
	}
	// The order is that of the table, the name of the host stays, and the filter is kept.
	at := s.post("/certificates/columns", "viewer", "column", "created", "column", "days", "column", "nonsense", "query", "q=h1&cursor=x").lands(t)
	if at != "/certificates?q=h1" {
		t.Errorf("after the choice the list is at %s", at)
	}
	if got, want := columnsOf(s.get("/certificates", "viewer").wants(t, 200, `class="table is-kept"`)), "Host, Days left, Added"; got != want {
		t.Errorf("columns %s, want %s", got, want)
	}
	if got := columnsOf(s.get("/certificates", "member")); got != standard {
		t.Errorf("somebody else sees the columns %s", got)
	}
	// A view has columns of its own, once they were chosen in it.
	view := s.post("/certificates/views", "viewer", "name", "Keys", "query", "").lands(t)
	_, id, _ := strings.Cut(view, "saved=")
	if got := columnsOf(s.get(view, "viewer")); got != "Host, Days left, Added" {
		t.Errorf("a new view has the columns %s", got)
	}
	s.post("/certificates/columns", "viewer", "column", "key", "saved", id).lands(t)
	if got := columnsOf(s.get(view, "viewer")); got != "Host, Key" {
		t.Errorf("the view has the columns %s", got)
	}
	if got := columnsOf(s.get("/certificates", "viewer")); got != "Host, Days left, Added" {
		t.Errorf("beside the view the columns are %s", got)
	}
	copied := s.post("/certificates/views", "viewer", "name", "Keys too", "query", "", "saved", id).lands(t)
	if got := columnsOf(s.get(copied, "viewer")); got != "Host, Key" {
		t.Errorf("a view that is made from it has the columns %s", got)
	}
	s.post("/certificates/columns", "viewer", "do", "reset", "column", "key").lands(t)
	if got := columnsOf(s.get("/certificates", "viewer")); got != standard {
		t.Errorf("the standard columns are %s", got)
	}
	for _, column := range newHostViews(s.d.DB).Columns() {
		s.post("/certificates/columns", "viewer", "column", column).lands(t)
		s.get("/certificates", "viewer").wants(t, 200, "3 of 3")
	}
}
