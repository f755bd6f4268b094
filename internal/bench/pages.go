package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/web"
	assets "github.com/vigilo/vigilo/web"
)

// pagesHosts is how many hosts the list shows 50 of.
const pagesHosts = 500

// measurePages compares the list of hosts with the floor (T4) and weighs what a first view
// loads (T6).
func measurePages(ctx context.Context, b *bench) (err error) {
	v, err := b.start(ctx, vigiloOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.stop()) }()
	owner, err := v.workspace(ctx, "acme")
	if err != nil {
		return err
	}
	if err := b.fill(ctx, owner, pagesHosts, hostRows); err != nil {
		return err
	}
	if err := b.fillAudit(ctx, owner, pagesHosts); err != nil {
		return err
	}
	if err := b.vacuum(ctx); err != nil {
		return err
	}
	session, err := v.session(ctx, owner)
	if err != nil {
		return err
	}
	floor, err := b.startLab(ctx, owner.WorkspaceID, owner.UserID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, floor.close()) }()
	if err := b.comparePages(ctx, page{url: floor.base + "/hosts"}, page{v.base + "/ws/acme/certificates", session}); err != nil {
		return err
	}
	if err := b.countTrips(ctx, owner); err != nil {
		return err
	}
	return b.weigh(ctx, page{v.base + "/ws/acme/certificates", session})
}

func (b *bench) comparePages(ctx context.Context, floor, product page) error {
	client := newClient(16)
	defer client.CloseIdleConnections()
	var sizes [2]int
	for i, p := range []page{floor, product} {
		body, err := get(ctx, client, p)
		if err != nil {
			return err
		}
		sizes[i] = len(body)
		// Statements are prepared and connections opened before anything is measured.
		if _, err := drive(ctx, client, p, 16, pick(b, 2*time.Second, 500*time.Millisecond)); err != nil {
			return err
		}
	}
	var one, many [2]loads
	var cpu [2][]time.Duration
	for range pick(b, 5, 2) {
		for i, p := range []page{floor, product} {
			l, err := drive(ctx, client, p, 1, pick(b, 1500*time.Millisecond, 500*time.Millisecond))
			if err != nil {
				return err
			}
			one[i] = append(one[i], l)
			before, err := b.databaseCPU(ctx)
			if err != nil {
				return err
			}
			if l, err = drive(ctx, client, p, 16, pick(b, 3*time.Second, time.Second)); err != nil {
				return err
			}
			many[i] = append(many[i], l)
			after, err := b.databaseCPU(ctx)
			if err != nil {
				return err
			}
			cpu[i] = append(cpu[i], spent(before, after)/time.Duration(max(l.n, 1)))
		}
	}
	b.note("Processor time of PostgreSQL per page of T4: floor %s, product %s.", ms(median(cpu[0])), ms(median(cpu[1])))
	f, p := many[0], many[1]
	r := share(p.rate(), f.rate())
	b.add(result{"T4", "list of hosts, 50 rows, 16 clients", perSecond(f.rate()), perSecond(p.rate()), ratio(r), "≥ 0.6 × floor", judge(r >= 0.6)})
	b.add(result{
		"T4", "the same, one client, p50", ms(one[0].p50()), ms(one[1].p50()), ratio(share(one[1].p50(), one[0].p50())), "≤ 2 ms",
		judge(one[1].p50() <= 2*time.Millisecond),
	})
	b.add(result{"T4", "the same, 16 clients, p99", ms(f.p99()), ms(p.p99()), ratio(share(p.p99(), f.p99())), "≤ 30 ms", judge(p.p99() <= 30*time.Millisecond)})
	b.note("The floor of T4 is one handler without session, rights and shell: one batch of set_config and four queries under row-level "+
		"security, and a template of 50 rows that writes %s (the product's page: %s).", kb(sizes[0]), kb(sizes[1]))
	return nil
}

// countTrips counts round trips to the database of single requests, on the wire, by a
// second instance of the program that talks to the database through a meter.
func (b *bench) countTrips(ctx context.Context, owner db.Actor) (err error) {
	m, err := dbtest.NewMeter(b.db.URL("vigilo_app"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	var o vigiloOptions
	if o.appURL, err = m.Through(b.db.URL("vigilo_app")); err != nil {
		return err
	}
	if o.systemURL, err = m.Through(b.db.URL("vigilo_system")); err != nil {
		return err
	}
	v, err := b.start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.stop()) }()
	session, err := v.session(ctx, owner)
	if err != nil {
		return err
	}
	client := newClient(1)
	defer client.CloseIdleConnections()
	const host = "/certificates/01930000-0000-7000-8000-000000000007"
	var counts []string
	worst := int64(0)
	for _, p := range []struct{ name, path string }{
		{"hosts", "/certificates"},
		{"one host", host},
		{"its history", host + "/history"},
		{"alerts", "/alerts"},
		{"alert rules", "/alert-rules"},
		{"audit log", "/governance/audit"},
		{"webhooks", "/integrations"},
		{"members", "/members"},
		{"inbox", "/notifications"},
		{"home", ""},
	} {
		n, err := trips(ctx, m, func() error {
			_, err := get(ctx, client, page{v.base + "/ws/acme" + p.path, session})
			return err
		})
		if err != nil {
			return err
		}
		counts = append(counts, fmt.Sprintf("%s %d", p.name, n))
		worst = max(worst, n)
	}
	b.add(result{"T4", "round trips to the database per page: " + strings.Join(counts, ", "), "", fmt.Sprintf("at most %d", worst), "", "≤ 3", judge(worst <= 3)})
	return nil
}

// trips returns the usual number of round trips of a request that was made before.
func trips(ctx context.Context, m *dbtest.Meter, ask func() error) (int64, error) {
	var counts []int64
	for i := range 12 {
		before := m.Trips()
		if err := ask(); err != nil {
			return 0, err
		}
		// Statements are prepared at first, on each connection that is new.
		if i >= 5 {
			counts = append(counts, m.Trips()-before)
		}
	}
	return median(counts), ctx.Err()
}

var assetPattern = regexp.MustCompile(`(?:href|src)="(/static/[^"#]+)`)

// weigh adds up what a first view of the list loads, compressed.
func (b *bench) weigh(ctx context.Context, p page) error {
	client := newClient(1)
	defer client.CloseIdleConnections()
	html, err := get(ctx, client, p)
	if err != nil {
		return err
	}
	weight := map[string]int{}
	requests := map[string]bool{}
	base := p.url[:strings.Index(p.url, "/ws/")]
	for _, match := range assetPattern.FindAllStringSubmatch(string(html), -1) {
		address := match[1]
		if requests[address] {
			continue
		}
		requests[address] = true
		body, err := get(ctx, client, page{url: base + address})
		if err != nil {
			return err
		}
		weight[path.Ext(strings.SplitN(address, "?", 2)[0])] += packed(body)
	}
	if font := assets.Asset(assets.Font); font == web.Assets().Font && !requests[font] {
		requests[font] = true // asked for by the stylesheet
	}
	n := packed(html)
	b.add(result{"T6", "HTML of the list, gzip", "", kb(n), "", "≤ 20 KB", judge(n <= 20<<10)})
	b.add(result{"T6", "CSS, gzip", "", kb(weight[".css"]), "", "≤ 15 KB", judge(weight[".css"] <= 15<<10)})
	b.add(result{"T6", "JavaScript, gzip", "", kb(weight[".js"]), "", "≤ 25 KB", judge(weight[".js"] <= 25<<10)})
	b.add(result{"T6", "requests of a first view (page, styles, scripts, icons, font)", "", fmt.Sprint(len(requests) + 1), "", "≤ 10", judge(len(requests)+1 <= 10)})
	return nil
}

func packed(body []byte) int {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(body); err != nil {
		return 0 // a buffer takes everything
	}
	if err := w.Close(); err != nil {
		return 0
	}
	return out.Len()
}

func kb(n int) string { return fmt.Sprintf("%.1f KB", float64(n)/1024) }
