package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/vigilo/vigilo/internal/kernel/dbtest"
)

// maxTrips is how many round trips to the database a page may make: who asks, what the
// page shows, and what that turned out to need.
const maxTrips = 3

// manyTrips are pages that make more, each with the reason.
var manyTrips = map[string]string{}

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
	counted := 0
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
		address, _, _ := strings.Cut(path, "?")
		if reason := manyTrips[address]; least > maxTrips && reason == "" {
			t.Errorf("%s makes %d round trips, want at most %d", path, least, maxTrips)
		} else if reason != "" && least <= maxTrips {
			t.Errorf("%s makes %d round trips: it is no exception any more", path, least)
		}
	}
	if counted < 20 {
		t.Errorf("only %d pages asked the database through the meter", counted)
	}
}
