package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/cli"
)

func TestHostIsFoundByName(t *testing.T) {
	t.Parallel()
	v := newVigilo(t)
	v.mux.HandleFunc("GET /hosts", func(w http.ResponseWriter, r *http.Request) {
		items := []any{}
		if r.URL.Query().Get("hostname") == "mail.example.test" {
			items = append(items, map[string]any{"id": hostID(1), "hostname": "mail.example.test", "port": 443},
				map[string]any{"id": hostID(2), "hostname": "mail.example.test", "port": 25})
		}
		reply(w, http.StatusOK, map[string]any{"items": items, "next_cursor": nil})
	})
	v.mux.HandleFunc("GET /hosts/{id}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, http.StatusOK, map[string]string{"id": r.PathValue("id")})
	})
	if r := v.run(t, "", "hosts", "show", "mail.example.test:25").want(t, 0); r.out != "id  "+hostID(2)+"\n" {
		t.Errorf("stdout %q", r.out)
	}
	if r := v.run(t, "", "hosts", "show", "mail.example.test").want(t, 1); !strings.Contains(r.err, "2 ports") {
		t.Errorf("stderr %q", r.err)
	}
}

func TestScanWaitsForTheResult(t *testing.T) {
	t.Parallel()
	const good, bad, slow = 1, 2, 3
	v := newVigilo(t)
	asked := map[string]int{}
	v.mux.HandleFunc("POST /hosts/{id}/scan", func(w http.ResponseWriter, r *http.Request) {
		reply(w, http.StatusAccepted, map[string]string{"scan_id": r.PathValue("id"), "state": "queued"})
	})
	v.mux.HandleFunc("GET /scans/{id}", func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		asked[id]++
		switch {
		case id == hostID(slow) || asked[id] == 1:
			reply(w, http.StatusOK, map[string]any{"id": id, "state": "running", "snapshot_id": nil, "error": nil})
		case id == hostID(bad):
			reply(w, http.StatusOK, map[string]any{"id": id, "state": "failed", "snapshot_id": nil, "error": "connection refused"})
		default:
			reply(w, http.StatusOK, map[string]any{"id": id, "state": "succeeded", "snapshot_id": hostID(9), "error": nil})
		}
	})
	if r := v.run(t, "", "hosts", "scan", hostID(good)).want(t, 0); !strings.Contains(r.out, "scan_id  "+hostID(good)) || asked[hostID(good)] != 0 {
		t.Errorf("without --wait: %q, asked %d times", r.out, asked[hostID(good)])
	}
	if r := v.run(t, "", "hosts", "scan", "--wait", hostID(good)).want(t, 0); !strings.Contains(r.out, hostID(9)) {
		t.Errorf("result %q", r.out)
	}
	if r := v.run(t, "", "hosts", "scan", hostID(bad), "--wait").want(t, 1); !strings.Contains(r.err, "connection refused") {
		t.Errorf("failed scan: %q", r.err)
	}
	if r := v.run(t, "", "hosts", "scan", hostID(slow), "--wait", "--timeout", "50ms").want(t, 1); !strings.Contains(r.err, "did not end within 50ms") {
		t.Errorf("slow scan: %q", r.err)
	}
}

func TestWebhookThatDoesNotAcceptFailsTheCommand(t *testing.T) {
	t.Parallel()
	v := newVigilo(t)
	v.mux.HandleFunc("POST /webhooks/{id}/test", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"accepted": false, "status": 500})
	})
	if r := v.run(t, "", "webhooks", "test", hostID(1)).want(t, 1); !strings.Contains(r.out, "500") || !strings.Contains(r.err, "did not accept") {
		t.Errorf("%+v", r)
	}
}

func TestImportSendsTheFileAsCSV(t *testing.T) {
	t.Parallel()
	v := newVigilo(t)
	v.mux.HandleFunc("POST /hosts/import", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, map[string]int{"created": 2}) })
	const csv = "hostname,port\na.example.test,443\nb.example.test,8443\n"
	path := filepath.Join(t.TempDir(), "hosts.csv")
	if err := os.WriteFile(path, []byte(csv), 0o600); err != nil {
		t.Fatal(err)
	}
	v.run(t, "", "hosts", "import", path, "--tags", "eu").want(t, 0)
	v.run(t, csv, "hosts", "import", "-").want(t, 0)
	v.run(t, "", "hosts", "import", path+".missing").want(t, 1)
	all := v.requests()
	if len(all) != 2 || all[0].body != csv || all[1].body != csv || all[0].contentType != "text/csv" || all[0].query != "tags=eu" || all[0].key == "" {
		t.Errorf("requests %+v", all)
	}
}

func TestExportReplacesAFileOnlyWhenItIsComplete(t *testing.T) {
	t.Parallel()
	v := newVigilo(t)
	broken := false
	v.mux.HandleFunc("GET /hosts/export.csv", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		if broken {
			w.Header().Set("Content-Length", "1000")
		}
		if _, err := io.WriteString(w, "hostname\nnew.example.test\n"); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(t.TempDir(), "hosts.csv")
	read := func() string {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	if r := v.run(t, "", "hosts", "export").want(t, 0); r.out != "hostname\nnew.example.test\n" {
		t.Errorf("stdout %q", r.out)
	}
	v.run(t, "", "hosts", "export", "--output", path).want(t, 0)
	if got := read(); got != "hostname\nnew.example.test\n" {
		t.Errorf("file %q", got)
	}
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken = true
	v.run(t, "", "hosts", "export", "--output", path).want(t, 1)
	if got := read(); got != "old" {
		t.Errorf("a broken export replaced the file: %q", got)
	}
	if _, err := os.Stat(path + ".part"); err == nil {
		t.Error("half a file was left behind")
	}
}

func TestEventsAreFollowedWithoutGapsAndRepetitions(t *testing.T) {
	t.Parallel()
	v := newVigilo(t)
	var mu sync.Mutex
	var events []uuid.UUID // in the order in which they become visible
	add := func(at time.Time) uuid.UUID {
		id := uuid.Must(uuid.NewV7())
		ms := uint64(at.UnixMilli())
		for i := range 6 {
			id[i] = byte(ms >> (40 - 8*i))
		}
		mu.Lock()
		defer mu.Unlock()
		events = append(events, id)
		return id
	}
	old := add(time.Now().Add(-time.Hour))
	v.mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		after := r.URL.Query().Get("after")
		if c := r.URL.Query().Get("cursor"); c != "" {
			after = c
		}
		var ids []string
		for _, id := range events {
			if id.String() > after {
				ids = append(ids, id.String())
			}
		}
		slices.Sort(ids)
		var next any
		if len(ids) > 2 { // small pages, so that following walks them
			ids, next = ids[:2], ids[1]
		}
		items := []any{}
		for _, id := range ids {
			items = append(items, map[string]any{
				"id": id, "name": "host.added", "severity": "info", "occurred_at": "2026-10-01T08:00:00Z", "actor": map[string]string{"name": "Mara"},
				"subject": map[string]string{"title": "www.example.test:443"},
			})
		}
		reply(w, http.StatusOK, map[string]any{"items": items, "next_cursor": next})
	})
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	out, in := io.Pipe()
	done := make(chan int, 1)
	go func() {
		var errOut bytes.Buffer
		done <- cli.Run(ctx, []string{"events", "list", "--follow", "--json", "--interval", "5ms"},
			[]string{"VIGILO_API_URL=" + v.URL, "VIGILO_API_WORKSPACE=acme", "VIGILO_API_TOKEN=" + token}, strings.NewReader(""), in, &errOut)
		in.Close()
	}()
	dec := json.NewDecoder(out)
	next := func() string {
		var e struct {
			ID string `json:"id"`
		}
		if err := dec.Decode(&e); err != nil {
			t.Fatalf("read event: %v", err)
		}
		return e.ID
	}
	// The first look is how the client learns the time of the server; nothing is new yet.
	deadline := time.After(10 * time.Second)
	for len(v.requests()) < 2 {
		select {
		case <-deadline:
			t.Fatal("the client does not ask for events")
		case <-time.After(time.Millisecond):
		case code := <-done:
			t.Fatalf("following ended with %d", code)
		}
	}
	base := time.Now().Add(2 * time.Second)
	var want, got []string
	for i := range 5 {
		want = append(want, add(base.Add(time.Duration(i)*time.Millisecond)).String())
	}
	for range want {
		got = append(got, next())
	}
	// An event of a transaction that ended late has an id before the newest one.
	late := add(base.Add(-time.Second))
	want, got = append(want, late.String()), append(got, next())
	want = append(want, add(base.Add(20*time.Second)).String())
	got = append(got, next())
	slices.Sort(want[:5])
	slices.Sort(got[:5])
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if slices.Contains(got, old.String()) {
		t.Error("an old event was printed")
	}
	stop()
	go func() { _, _ = io.Copy(io.Discard, out) }()
	if code := <-done; code != 0 {
		t.Errorf("being stopped is exit code %d", code)
	}
}
