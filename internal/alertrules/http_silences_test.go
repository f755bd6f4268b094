package alertrules

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/timetext"
)

func TestPagesOfSilences(t *testing.T) {
	t.Parallel()
	s := serve(t)
	rule, set := s.chain(t)
	set("untrusted")
	const list, alerts = "/ws/acme/alert-silences", "/ws/acme/alerts"
	s.contains(t, s.page(t, "member", list), "Nothing is silenced", list+"/new")
	if body := s.page(t, "viewer", list); strings.Contains(body, list+"/new") {
		t.Error("a viewer is offered to silence alerts")
	}
	if body := s.page(t, "viewer", alerts); strings.Contains(body, "Silenced:") {
		t.Error("the banner says that something is silenced")
	}
	host, err := s.inv.HostsByExpiry(context.Background(), txOf(s.ws), farAway(), uuid.Nil, 1)
	if err != nil || len(host) != 1 {
		t.Fatal(host, err)
	}
	body := s.page(t, "member", list+"/new?host="+host[0].ID.String()+"&rule="+rule.ID.String())
	s.contains(t, body, "shop.example.com:443", "Time in Europe/Oslo", `value="`+rule.ID.String()+`"`, "checked")

	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	in := func(d time.Duration) string { return s.clk.Now().Add(d).In(zone).Format(timetext.LocalLayout) }
	f := url.Values{"comment": {"<b>Move</b>"}, "tags": {"Shop"}, "host_ids": {"nowhere.example.com"}, "ends_at": {"later"}}
	code, _, body := s.ask(t, "member", http.MethodPost, list+"/new", f.Encode())
	if code != http.StatusUnprocessableEntity {
		t.Fatalf("wrong form: %d", code)
	}
	s.contains(t, body, "No host is named nowhere.example.com", "Use a date and a time", "&lt;b&gt;Move&lt;/b&gt;", `value="Shop"`)
	f.Set("host_ids", "")
	f.Set("ends_at", in(4*time.Hour))
	code, place, _ := s.ask(t, "member", http.MethodPost, list+"/new", f.Encode())
	if code != http.StatusSeeOther {
		t.Fatalf("good form: %d", code)
	}
	s.sweep(t)
	s.contains(t, s.page(t, "viewer", place), "&lt;b&gt;Move&lt;/b&gt;", "Alerts about hosts tagged shop", "Mara Member", "1 alert", "in 4 hours")
	s.contains(t, s.page(t, "viewer", list), "&lt;b&gt;Move&lt;/b&gt;", "Active", "in 4 hours")
	s.contains(t, s.page(t, "viewer", alerts), "Silenced: alerts about hosts tagged shop, until ", "Silenced</span>")
	silence := place[strings.LastIndex(place, "/")+1:]
	s.contains(t, s.page(t, "viewer", alerts+"?silence="+silence), "shop.example.com:443", "Inside is one silence")
	if body := s.page(t, "viewer", alerts+"?acknowledged=waiting"); !strings.Contains(body, "No alert matches") {
		t.Error("a silenced alert waits for somebody")
	}
	alert := s.count(t, `SELECT count(*) FROM alerts WHERE state = 'firing' AND muted_id = $1::uuid`, silence)
	var id string
	if err := s.Admin(t).QueryRow(context.Background(), `SELECT id FROM alerts WHERE muted_id = $1::uuid`, silence).Scan(&id); err != nil || alert != 1 {
		t.Fatal(alert, err)
	}
	s.contains(t, s.page(t, "viewer", alerts+"/"+id), "Muted by the silence", place)
	s.contains(t, s.page(t, "member", alerts+"/"+id), list+"/new?host="+host[0].ID.String())

	s.contains(t, s.page(t, "member", place+"/edit"), "It has begun; this stays.", in(4*time.Hour))
	f = url.Values{"comment": {"Move, second try"}, "tags": {"shop"}, "starts_at": {in(0)}, "ends_at": {in(6 * time.Hour)}, "version": {"1"}}
	if code, _, _ := s.ask(t, "member", http.MethodPost, place+"/edit", f.Encode()); code != http.StatusSeeOther {
		t.Errorf("edit: %d", code)
	}
	if code, _, body := s.ask(t, "member", http.MethodPost, place+"/edit", f.Encode()); code != http.StatusConflict {
		t.Errorf("edit of an old version: %d %s", code, body)
	}
	s.contains(t, s.page(t, "viewer", place), "Move, second try", "in 6 hours")
	if code, _, _ := s.ask(t, "member", http.MethodPost, place+"/end", ""); code != http.StatusSeeOther {
		t.Errorf("end: %d", code)
	}
	if body := s.page(t, "member", place); strings.Contains(body, "End now") || !strings.Contains(body, "Ended") {
		t.Error("an ended silence can be ended again")
	}
	s.contains(t, s.page(t, "viewer", list+"?state=ended"), "Move, second try")
	s.contains(t, s.page(t, "viewer", list), "Nothing is silenced")
}

// The clock of Oslo skips 02:30 on 30 March 2025 and shows it twice on 26 October 2025.
func TestALocalTimeThatIsNotOneMomentIsAskedFor(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.clk.Advance(time.Date(2025, time.March, 20, 0, 0, 0, 0, time.UTC).Sub(s.clk.Now()))
	f := url.Values{"comment": {"Move"}, "tags": {"shop"}, "ends_at": {"2025-03-30T02:30"}}
	post := func() (int, string, string) {
		return s.ask(t, "member", http.MethodPost, "/ws/acme/alert-silences/new", f.Encode())
	}
	code, _, body := post()
	if code != http.StatusUnprocessableEntity {
		t.Fatalf("a skipped time: %d", code)
	}
	s.contains(t, body, "The next one is 03:00.")
	s.clk.Advance(time.Date(2025, time.October, 20, 0, 0, 0, 0, time.UTC).Sub(s.clk.Now()))
	f.Set("ends_at", "2025-10-26T02:30")
	if code, _, body = post(); code != http.StatusUnprocessableEntity {
		t.Fatalf("a time that comes twice: %d", code)
	}
	s.contains(t, body, "The first, 02:30 CEST", "The second, 02:30 CET", "Choose which one you mean.")
	f.Set("ends_which", "2")
	code, place, _ := post()
	if code != http.StatusSeeOther {
		t.Fatalf("the second: %d", code)
	}
	if n := s.count(t, `SELECT count(*) FROM alert_silences WHERE ends_at = '2025-10-26T01:30:00Z'`); n != 1 {
		t.Errorf("%d silences end at the second 02:30", n)
	}
	s.contains(t, s.page(t, "member", place+"/edit"), `value="2" selected`)
}

func TestTheAPIOfSilences(t *testing.T) {
	t.Parallel()
	s := serve(t)
	_, set := s.chain(t)
	set("untrusted")
	call := func(who, method, path, body string) (int, map[string]any) {
		code, _, text := s.ask(t, who, method, "/ws/acme/api/v1"+path, body)
		out := map[string]any{}
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
		return code, out
	}
	end := s.clk.Now().Add(time.Hour).Format(time.RFC3339)
	for body, want := range map[string]string{
		`{}`: "comment", `{"comment":"x","tags":["a"]}`: "ends_at", `{"comment":"x","ends_at":"` + end + `"}`: "host_ids",
		`{"comment":"x","ends_at":"` + end + `","rule_ids":["x"]}`: "rule_ids", `{"comment":"x","ends_at":"soon"}`: "ends_at",
	} {
		if code, answer := call("member", http.MethodPost, "/alert-silences", body); code != http.StatusUnprocessableEntity || !strings.Contains(asJSON(t, answer), `"field":"`+want) {
			t.Errorf("%s: %d %v", body, code, answer)
		}
	}
	code, made := call("member", http.MethodPost, "/alert-silences", `{"comment":"Move","tags":["shop"],"ends_at":"`+end+`"}`)
	if code != http.StatusCreated || made["state"] != "active" || made["created_by"] != s.member.UserID.String() || len(made["rule_ids"].([]any)) != 0 {
		t.Fatalf("%d %v", code, made)
	}
	s.sweep(t)
	id := made["id"].(string)
	if code, got := call("viewer", http.MethodGet, "/alerts?silence_id="+id, ""); code != http.StatusOK || !strings.Contains(asJSON(t, got), `"muted_by":"silence","muted_by_id":"`+id) {
		t.Errorf("alerts inside: %d %v", code, got)
	}
	if code, got := call("member", http.MethodPatch, "/alert-silences/"+id, `{"comment":"Move again","version":1}`); code != http.StatusOK || got["comment"] != "Move again" || got["version"] != 2.0 {
		t.Errorf("patch: %d %v", code, got)
	}
	if code, got := call("member", http.MethodPatch, "/alert-silences/"+id, `{"comment":"No","version":1}`); code != http.StatusConflict {
		t.Errorf("old version: %d %v", code, got)
	}
	for state, want := range map[string]int{"": 1, "?state=live": 1, "?state=active": 1, "?state=scheduled": 0, "?state=ended": 0} {
		if code, got := call("viewer", http.MethodGet, "/alert-silences"+state, ""); code != http.StatusOK || len(got["items"].([]any)) != want {
			t.Errorf("%s: %d %v", state, code, got)
		}
	}
	if code, got := call("member", http.MethodPost, "/alert-silences/"+id+"/end", ""); code != http.StatusOK || got["state"] != "ended" {
		t.Errorf("end: %d %v", code, got)
	}
	if code, got := call("viewer", http.MethodGet, "/alert-silences/"+id, ""); code != http.StatusOK || got["state"] != "ended" {
		t.Errorf("get: %d %v", code, got)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
