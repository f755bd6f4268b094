package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vigilo/vigilo/internal/demofarm"
	"github.com/vigilo/vigilo/internal/kernel/clock"
)

// farm starts TLS servers of every state. Hosts of the program trust their root when the
// settings name the file that rootsFile writes.
func farm(t *testing.T) *demofarm.Farm {
	t.Helper()
	f, err := demofarm.Start(context.Background(), demofarm.Options{Dir: t.TempDir(), Clock: clock.System()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// id returns the field id of a JSON answer.
func id(t *testing.T, a answer) string {
	t.Helper()
	var v struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || v.ID == "" {
		t.Fatalf("no id in %s", clip(a.body))
	}
	return v.ID
}

// create posts to the API of a workspace and returns the new id.
func (p *program) create(t *testing.T, token, slug, path, body string) string {
	t.Helper()
	a := p.json(t, token, http.MethodPost, "/ws/"+slug+"/api/v1"+path, body)
	ok(t, a, http.StatusCreated, "create "+path)
	return id(t, a)
}

// furnish fills a workspace with one of everything through the API, each with the marker
// in its texts, and waits until what follows from it has happened.
func (p *program) furnish(t *testing.T, slug string) map[string]string {
	t.Helper()
	token := p.token(t, slug, "owner")
	servers := farm(t)
	made := map[string]string{}
	for _, name := range []string{"healthy", "expires-in-5-days", "expired", "self-signed", "wrong-name"} {
		s, found := servers.Server(name)
		if !found {
			t.Fatalf("the farm has no server %s", name)
		}
		made["host "+name] = p.create(t, token, slug, "/hosts", fmt.Sprintf(
			`{"hostname":%q,"port":%d,"server_name":%q,"scan_interval":"1h","tags":[%q]}`, s.Host, s.Port, s.ServerName, marker))
	}
	receiver := newSink(t)
	made["webhook"] = p.create(t, token, slug, "/webhooks", fmt.Sprintf(
		`{"url":%q,"description":%q,"patterns":["*"]}`, receiver.URL+"/"+marker, marker))
	made["group"] = p.create(t, token, slug, "/groups", fmt.Sprintf(`{"name":%q}`, marker))
	made["rule"] = p.create(t, token, slug, "/alert-rules", fmt.Sprintf(
		`{"name":%q,"trigger":"expiring_soon","threshold_days":21,"severity":"high","emails":[%q]}`, marker, marker+"@example.test"))
	p.furnishApprovals(t, token, slug, strconv.Quote(marker))
	made["silence"] = p.planSilence(t, token, slug, strconv.Quote(marker))
	a := p.json(t, token, http.MethodPost, "/ws/"+slug+"/api/v1/invitations", fmt.Sprintf(`{"email":%q,"role":"member"}`, marker+"@example.test"))
	ok(t, a, http.StatusCreated, "invite")
	made["service"] = p.create(t, token, slug, "/assets", fmt.Sprintf(
		`{"name":%q,"ci_type":"service","criticality":"critical","team":%[1]q,"tags":[%[1]q],"description":%[1]q}`, marker+" shop"))
	made["asset"] = p.create(t, token, slug, "/assets", fmt.Sprintf(`{"name":%q,"ci_type":"database","environment":"prod"}`, marker+" db"))
	made["relationship"] = p.create(t, token, slug, "/asset-relationships", fmt.Sprintf(
		`{"from":%q,"to":%q,"exclusive":true,"note":%q}`, made["service"], made["asset"], marker))
	made["task"] = p.create(t, token, slug, "/tasks", fmt.Sprintf(
		`{"title":%q,"description":%[1]q,"parent_type":"asset","parent_id":%q,"due_at":"2031-01-02T03:04:05Z"}`, marker+" backup", made["asset"]))
	made["next task"] = p.create(t, token, slug, "/tasks", fmt.Sprintf(`{"title":%q}`, marker+" check"))
	made["dependency"] = p.create(t, token, slug, "/tasks/"+made["next task"]+"/dependencies", fmt.Sprintf(`{"predecessor":%q}`, made["task"]))
	made["freeze"] = p.create(t, token, slug, "/freezes", fmt.Sprintf(
		`{"name":%q,"kind":"hard","reason":%[1]q,"scope":{"asset_tags":[%[1]q],"service_ids":[%[2]q]},"schedule":{"starts_at":"2031-01-02T03:04:00Z","ends_at":"2031-01-03T03:04:00Z"}}`,
		marker, made["service"]))
	made["maintenance window"] = p.create(t, token, slug, "/maintenance-windows", fmt.Sprintf(
		`{"name":%q,"scope":{"asset_ids":[%q]},"schedule":{"time_zone":"Europe/Oslo","first_date":"2031-01-05","local_start":"22:00","local_end":"02:00","rrule":"FREQ=WEEKLY;BYDAY=SU"}}`,
		marker+" patches", made["asset"]))
	made["change"] = p.create(t, token, slug, "/changes", fmt.Sprintf(
		`{"title":%q,"description":%[1]q,"environment":"staging","planned_start":"2031-02-03T04:05:00Z","planned_end":"2031-02-03T05:05:00Z","implementation_plan":%[1]q,"assets":[%q],"tags":[%[3]q]}`,
		marker+" upgrade", made["asset"], marker))
	p.create(t, token, slug, "/changes/"+made["change"]+"/comments", fmt.Sprintf(`{"body":%q}`, marker))
	made["template"] = p.create(t, token, slug, "/change-templates", fmt.Sprintf(
		`{"name":%q,"body":{"title_pattern":%[1]q,"implementation_plan":%[1]q,"backout_plan":%[1]q,"risk_ceiling":"low"}}`, marker+" restart"))
	eventually(t, "the hosts were scanned", func() bool {
		a := p.get(t, token, "/ws/"+slug+"/api/v1/hosts/"+made["host healthy"])
		return strings.Contains(a.body, `"last_scan_at":"2`)
	})
	p.settle(t)
	return made
}

// furnishApprovals adds a policy, a delegation and an absence with a text, which is written
// in JSON.
func (p *program) furnishApprovals(t *testing.T, token, slug, text string) {
	t.Helper()
	p.create(t, token, slug, "/approval-policies", fmt.Sprintf(
		`{"name":%s,"match":{"asset_tags":[%s]},"stages":[{"order":5,"name":%s,"mode":"any","sources":[{"kind":"role","role":"approver"}]}]}`, text, text, text))
	var people struct {
		Items []struct {
			UserID string `json:"user_id"`
			Role   string `json:"role"`
		} `json:"items"`
	}
	a := p.get(t, token, "/ws/"+slug+"/api/v1/members")
	if err := json.Unmarshal([]byte(a.body), &people); err != nil {
		t.Fatalf("members: %v in %s", err, clip(a.body))
	}
	from := time.Now().UTC().Format(time.RFC3339)
	to := time.Now().Add(48 * time.Hour).UTC().Format(time.RFC3339)
	for _, m := range people.Items {
		if m.Role == "approver" || m.Role == "admin" {
			p.create(t, token, slug, "/delegations", fmt.Sprintf(
				`{"delegate_id":%q,"kind":"assist","start":%q,"end":%q,"reason":%s}`, m.UserID, from, to, text))
			break
		}
	}
	p.create(t, token, slug, "/absences", fmt.Sprintf(`{"start":%q,"end":%q,"reason":%s}`, to, time.Now().Add(72*time.Hour).UTC().Format(time.RFC3339), text))
}

// planSilence silences hosts with a tag, which is the comment, too, and is written in JSON.
// It is planned ahead, so that it keeps nothing from being told.
func (p *program) planSilence(t *testing.T, token, slug, text string) string {
	t.Helper()
	start := time.Now().Add(30 * 24 * time.Hour)
	return p.create(t, token, slug, "/alert-silences", fmt.Sprintf(`{"comment":%s,"tags":[%s],"starts_at":%q,"ends_at":%q}`,
		text, text, start.Format(time.RFC3339), start.Add(time.Hour).Format(time.RFC3339)))
}

// recordPaths returns the addresses of pages about single records: every page with one
// parameter, filled with an id that it takes.
func (p *program) recordPaths(t *testing.T, slug string) []string {
	t.Helper()
	ids := p.idsOf(t, slug)
	tables := map[string]string{
		"/certificates/{id}": "monitored_hosts", "/certificates/stored/{id}": "certificates", "/alert-rules/{id}": "alert_rules", "/alerts/{id}": "alerts",
		"/alert-silences/{id}":   "alert_silences",
		"/governance/audit/{id}": "audit.event", "/members/{id}": "members", "/members/groups/{id}": "people_groups",
		"/integrations/{id}": "webhook_endpoints", "/assets/{id}": "assets", "/assets/relationships/{id}": "asset_relationships",
		"/tasks/{id}": "tasks", "/settings/maintenance/{id}": "freezes",
		"/settings/approval-policies/{id}": "approval_policies",
		"/settings/delegations/{id}":       "approval_delegations", "/account/away/delegations/{id}": "approval_delegations",
		"/changes/{key}": "change_requests", "/changes/templates/{id}": "change_templates",
	}
	var out []string
	for _, r := range sortedRoutes(p) {
		if r.Method != http.MethodGet || r.API || strings.Count(r.Pattern, "{") != 2 || notAPage(r) || strings.HasSuffix(r.Pattern, "/target") {
			continue
		}
		below := strings.TrimPrefix(r.Pattern, "/ws/{slug}")
		for prefix, table := range tables {
			if below != prefix && !strings.HasPrefix(below, prefix+"/") || prefix == "/certificates/{id}" && strings.HasPrefix(below, "/certificates/stored") {
				continue
			}
			if len(ids[table]) == 0 {
				t.Errorf("furnish leaves %s empty, so %s is not looked at", table, r.Pattern)
				continue
			}
			out = append(out, fill(r.Pattern, slug, func(string) string { return ids[table][0] }))
		}
	}
	return out
}
