package certificates

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/listview"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/certificates"
	"github.com/vigilo/vigilo/templates/ui"
)

// newHostViews describes the list of hosts to the keeper of views and columns.
func newHostViews(d *db.DB) *listview.List {
	return listview.New(d, listview.Spec{
		Name: "certificates.hosts", Title: "Certificates", Path: "/certificates", Params: append(filterNames(), "sort"),
		Columns: []listview.Column{
			{Name: views.ColumnHost, Label: "Host", Fixed: true},
			{Name: views.ColumnStatus, Label: "Status", Shown: true},
			{Name: views.ColumnExpires, Label: "Expires", Shown: true},
			{Name: views.ColumnDays, Label: "Days left"},
			{Name: views.ColumnIssuer, Label: "Issuer", Shown: true},
			{Name: views.ColumnKey, Label: "Key"},
			{Name: views.ColumnOwner, Label: "Owner", Shown: true},
			{Name: views.ColumnTags, Label: "Tags", Shown: true},
			{Name: views.ColumnScanned, Label: "Last scan"},
			{Name: views.ColumnPort, Label: "Port"},
			{Name: views.ColumnCreated, Label: "Added"},
		},
		Check: func(query url.Values, now time.Time) error {
			_, err := filterFrom(query).query(now)
			return err
		},
	})
}

func sortWords(sort string) string {
	words := map[string]string{
		"expires": "soonest expiry first", "-expires": "latest expiry first", "host": "by name", "-host": "by name, backwards",
		"issuer": "by issuer", "-issuer": "by issuer, backwards", "status": "worst first", "-status": "healthiest first",
		"scanned": "scanned longest ago first", "-scanned": "scanned last first", "created": "oldest first", "-created": "newest first",
	}
	return words[sort]
}

// listColumns returns the columns to show, and whether somebody chose them. The standard
// ones leave by importance as the sheet narrows.
func listColumns(state listview.State, sort string, link func(func(url.Values)) string) (columns []ui.Column, chosen bool) {
	heads := map[string]ui.Column{
		views.ColumnHost:    {Text: "Host", Href: "host"},
		views.ColumnStatus:  {Text: "Status", Href: "status"},
		views.ColumnExpires: {Text: "Expires", Href: "expires"},
		views.ColumnDays:    {Text: "Days left", End: true, Leaves: ui.LeavesFirst},
		views.ColumnIssuer:  {Text: "Issuer", Href: "issuer", Leaves: ui.LeavesNext},
		views.ColumnKey:     {Text: "Key", Leaves: ui.LeavesFirst},
		views.ColumnOwner:   {Text: "Owner", Leaves: ui.LeavesNext},
		views.ColumnTags:    {Text: "Tags", Leaves: ui.LeavesThird},
		views.ColumnScanned: {Text: "Last scan", Href: "scanned", Leaves: ui.LeavesFirst},
		views.ColumnPort:    {Text: "Port", End: true, Leaves: ui.LeavesFirst},
		views.ColumnCreated: {Text: "Added", Href: "created", Leaves: ui.LeavesFirst},
	}
	names, chosen := state.Columns()
	out := make([]ui.Column, len(names))
	for i, name := range names {
		c := heads[name]
		c.Name = name
		if by := c.Href; by != "" {
			next := by
			switch sort {
			case by:
				c.Sort, next = ui.Ascending, "-"+by
			case "-" + by:
				c.Sort = ui.Descending
			}
			c.Href = link(func(q url.Values) { q.Set("sort", next) })
		}
		out[i] = c
	}
	return out, chosen
}

// tagsShown is how many tags of a host fit into its row.
const tagsShown = 2

// newRows turns hosts into the rows of a table with the given columns.
func newRows(r *web.Request, hosts []listedHost, owners map[uuid.UUID]string, columns []ui.Column) []views.Row {
	now, zone, path := r.Now(), r.Zone(), r.Path("/certificates/")
	shown := func(name string) bool {
		return slices.ContainsFunc(columns, func(c ui.Column) bool { return c.Name == name })
	}
	scanned, created := shown(views.ColumnScanned), shown(views.ColumnCreated)
	out := make([]views.Row, len(hosts))
	for i, listed := range hosts {
		h := listed.host()
		id := h.ID.String()
		row := &out[i]
		*row = views.Row{
			ID: id, Status: statusBadge(h, now), Issuer: h.Issuer, Key: h.Key, Port: portText(h.Port),
			Link: ui.RowLink{Text: h.DisplayName, Href: path + id, Sub: cmp.Or(h.Issuer, h.StatusDetail)},
		}
		row.Link.Dim = ":" + row.Port
		row.Tags = h.Tags
		if n := len(h.Tags) - tagsShown; n > 0 {
			row.Tags, row.MoreTags = h.Tags[:tagsShown], "+"+strconv.Itoa(n)
		}
		switch {
		case h.ServerName != "":
			// The name that is asked for says more than the machine that answers.
			row.Link.Text, row.Link.Dim = h.ServerName, " at "+h.Address()
		case strings.Contains(h.DisplayName, ":"):
			row.Link.Text = "[" + h.DisplayName + "]"
		}
		switch {
		case h.HasCertificate():
			row.Days = strconv.Itoa(h.daysLeft(now))
			row.Expiry = &ui.Expiry{
				Text: inDays(h.NotAfter, now), Time: timetext.Date(h.NotAfter, zone), Tone: expiryTone(h, now),
				Percent: lifetimeUsed(*h.NotBefore, h.NotAfter, now),
			}
		case h.LastScanAt == nil:
			row.NoExpiry = "not scanned yet"
		default:
			row.NoExpiry = "no certificate seen"
		}
		row.Owner = person(h.OwnerID, owners[h.OwnerID.UUID])
		if scanned && h.LastScanAt != nil {
			t := timetext.Since(*h.LastScanAt, now, zone)
			row.Scanned = &t
		}
		if created {
			t := timetext.Date(h.CreatedAt, zone)
			row.Created = &t
		}
	}
	return out
}

// person draws an owner; the hue follows from the id, so that it stays.
func person(id uuid.NullUUID, name string) *ui.Person {
	if !id.Valid || name == "" {
		return nil
	}
	return &ui.Person{Name: name, Initials: web.Initials(name), Hue: int(id.UUID[15])%4 + 1}
}
