package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/vigilo/vigilo/internal/kernel/dbtest"
)

// maxTrips is how many round trips to the database a page may make: who asks, what the
// page shows, and what that turned out to need.
const maxTrips = 3

// manyTrips are pages that make more: how many at most, and why. An id stands as {id}.
var manyTrips = map[string]struct {
	most int64
	why  string
}{
	"/ws/acme/account/away/delegations/{id}":        {5, "the delegation, whom it concerns, and what it moved"},
	"/ws/acme/account/away/delegations/{id}/revoke": {5, "a question before an act: the delegation and whom it concerns"},
	"/ws/acme/alert-rules/{id}/edit":                {4, "a form: the rule, the hosts and people it names, and what there is to choose"},
	"/ws/acme/alert-silences/{id}/edit":             {4, "a form: the silence, the hosts it names, and the rules to choose"},
	"/ws/acme/assets/relationships/{id}/remove":     {4, "a question before an act: the relationship and both its ends"},
	"/ws/acme/assets/{id}/delete":                   {6, "a question before an act: the asset and each kind of thing that depends on it"},
	"/ws/acme/changes/templates/{id}":               {6, "the template, its versions, its uses and its approval"},
	"/ws/acme/changes/templates/{id}/edit":          {6, "a form: the template, its version, and what there is to choose"},
	"/ws/acme/changes/{id}":                         {38, judged},
	"/ws/acme/changes/{id}/activity":                {33, judged},
	"/ws/acme/changes/{id}/approvals":               {33, judged},
	"/ws/acme/changes/{id}/attachments":             {34, judged},
	"/ws/acme/changes/{id}/comments":                {34, judged},
	"/ws/acme/changes/{id}/edit":                    {32, judged},
	"/ws/acme/changes/{id}/evidence":                {6, "a form: the change, its evidence, and what the policy asks for"},
	"/ws/acme/changes/{id}/hold":                    {33, judged},
	"/ws/acme/changes/{id}/links":                   {5, "a form: the change and what it is about"},
	"/ws/acme/changes/{id}/proof":                   {11, "decisions, their chain and the audit entries that they point to"},
	"/ws/acme/changes/{id}/review":                  {6, "a form: the change and its review"},
	"/ws/acme/changes/{id}/steps":                   {34, judged},
	"/ws/acme/changes/{id}/tasks":                   {34, judged},
	"/ws/acme/members/groups/{id}":                  {4, "the group, who is in it, and who could be"},
	"/ws/acme/search":                               {14, "one read for each kind of record that can be found"},
	"/ws/acme/settings/approval-policies/{id}/edit": {7, "a form: the policy, its version, and what there is to choose"},
	"/ws/acme/settings/delegations/{id}":            {5, "the delegation, whom it concerns, and what it moved"},
	"/ws/acme/settings/delegations/{id}/revoke":     {5, "a question before an act: the delegation and whom it concerns"},
	"/ws/acme/settings/maintenance/{id}/edit":       {7, "a form: the freeze, whom it concerns, and what there is to choose"},
	"/ws/acme/tasks/{id}/edit":                      {4, "a form: the task, its parent, and whom it can be given to"},
}

// judged is why the pages of a change read much: the next thing to do is to read in batches.
const judged = "a change is judged in one transaction, as its actions are: one read for each thing that may stand in its way"

var idInPath = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// TestNoPageAsksTheDatabaseOften counts round trips on the wire. Statements are prepared
// and sessions touched now and then, so the least of several requests counts.
func TestNoPageAsksTheDatabaseOften(t *testing.T) {
	t.Parallel()
	full := start(t)
	full.workspace(t, "acme")
	full.furnish(t, "acme")
	paths := append(pagePaths(full), full.recordPaths(t, "acme")...)
	hosts := full.idsOf(t, "acme")["monitored_hosts"]
	paths = append(paths, "/ws/acme/certificates/remove?id="+hosts[0], "/ws/acme/certificates/tag?id="+hosts[0],
		"/ws/acme/certificates?tag="+marker+"&view=attention&sort=host", "/ws/acme/search?q="+marker)
	meter, err := dbtest.NewMeter(full.db.URL("vigilo_app"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := meter.Close(); err != nil {
			t.Error(err)
		}
	})
	var settings []string
	for name, role := range map[string]string{"VIGILO_DATABASE_URL": "vigilo_app", "VIGILO_SYSTEM_DATABASE_URL": "vigilo_system"} {
		address, err := meter.Through(full.db.URL(role))
		if err != nil {
			t.Fatal(err)
		}
		settings = append(settings, name+"="+address)
	}
	p := full.onlyServe(t, settings...)
	counted, needed := 0, map[string]int64{}
	for _, path := range paths {
		least := int64(0)
		for try := range 12 {
			before := meter.Trips()
			a := p.get(t, "owner@acme.test", path)
			if a.status >= http.StatusBadRequest {
				t.Fatalf("%s: status %d: %s", path, a.status, clip(a.body))
			}
			if n := meter.Trips() - before; try == 0 || n < least {
				least = n
			}
			if try > 0 && least <= maxTrips {
				break
			}
		}
		if least > 0 {
			counted++
		}
		address, _, _ := strings.Cut(idInPath.ReplaceAllString(path, "{id}"), "?")
		most := int64(maxTrips)
		if x, exception := manyTrips[address]; exception {
			most = x.most
			needed[address] = max(needed[address], least)
		}
		if least > most {
			t.Errorf("%s makes %d round trips, want at most %d", path, least, most)
		}
	}
	for address, n := range needed {
		if n <= maxTrips {
			t.Errorf("%s makes %d round trips: it is no exception any more", address, n)
		}
	}
	if counted < 20 {
		t.Errorf("only %d pages asked the database through the meter", counted)
	}
}
