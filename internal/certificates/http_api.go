package certificates

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// apiHost is a monitored host as the API shows it.
type apiHost struct {
	ID           uuid.UUID  `json:"id"`
	Hostname     string     `json:"hostname" doc:"Name in A-labels, or address."`
	DisplayName  string     `json:"display_name"`
	Port         int32      `json:"port"`
	ServerName   string     `json:"server_name"`
	STARTTLS     string     `json:"starttls"`
	Family       string     `json:"family"`
	ScanInterval Interval   `json:"scan_interval"`
	Active       bool       `json:"active"`
	Tags         []string   `json:"tags" nullable:"false"`
	Owner        *uuid.UUID `json:"owner" doc:"Membership of the owner."`
	OwnerName    string     `json:"owner_name,omitempty"`
	WarnDays     *int32     `json:"warn_days"`
	CriticalDays *int32     `json:"critical_days"`

	Status        Status     `json:"status"`
	StatusDetail  string     `json:"status_detail"`
	NotBefore     *time.Time `json:"not_before"`
	NotAfter      *time.Time `json:"not_after"`
	DaysLeft      *int       `json:"days_left"`
	Issuer        string     `json:"issuer"`
	Subject       string     `json:"subject"`
	Key           string     `json:"key"`
	SnapshotID    *uuid.UUID `json:"snapshot_id"`
	CertificateID *uuid.UUID `json:"certificate_id"`
	LastScanAt    *time.Time `json:"last_scan_at"`
	LastOKAt      *time.Time `json:"last_ok_at"`
	LastError     string     `json:"last_error"`
	ErrorClass    string     `json:"last_error_class"`
	Failures      int32      `json:"consecutive_failures"`

	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	// ScanID is the first scan of a host that was just added.
	ScanID *uuid.UUID `json:"scan_id,omitempty"`
}

func newAPIHost(h HostItem, now time.Time) apiHost {
	out := apiHost{
		ID: h.ID, Hostname: h.Hostname, DisplayName: h.DisplayName, Port: h.Port, ServerName: h.ServerName, STARTTLS: h.STARTTLS,
		Family: h.Family, ScanInterval: h.Interval, Active: h.State == Active, Tags: h.Tags, Owner: orNil(h.OwnerID),
		OwnerName: h.OwnerName, WarnDays: h.WarnDays, CriticalDays: h.CriticalDays, Status: h.Status, StatusDetail: h.StatusDetail,
		NotBefore: utc(h.NotBefore), Issuer: h.Issuer, Subject: h.Subject, Key: h.Key, SnapshotID: orNil(h.SnapshotID),
		CertificateID: orNil(h.CertificateID), LastScanAt: utc(h.LastScanAt), LastOKAt: utc(h.LastOKAt), LastError: h.LastError,
		ErrorClass: h.LastErrorClass, Failures: h.Failures, Version: h.Version, CreatedAt: h.CreatedAt.UTC(), UpdatedAt: h.UpdatedAt.UTC(),
	}
	if out.Tags == nil {
		out.Tags = []string{}
	}
	if h.HasCertificate() {
		end, days := h.NotAfter.UTC(), h.daysLeft(now)
		out.NotAfter, out.DaysLeft = &end, &days
	}
	return out
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

type hostBody struct {
	Hostname     string    `json:"hostname" maxLength:"2048" doc:"Name or address, with a port, or a URL."`
	Port         int       `json:"port,omitempty" doc:"443 or the usual port of the STARTTLS kind when absent."`
	ServerName   string    `json:"server_name,omitempty" doc:"Name to ask for and to compare with, when it is not the host name."`
	STARTTLS     string    `json:"starttls,omitempty" doc:"Empty, or smtp, lmtp, imap, pop3, ftp, ldap, postgres, mysql, xmpp, sieve, nntp, rdp."`
	Family       string    `json:"family,omitempty" doc:"Empty, ip4 or ip6."`
	ScanInterval Interval  `json:"scan_interval,omitempty" doc:"5m, 15m, 1h, 6h or 24h (default)."`
	Active       *bool     `json:"active,omitempty" doc:"True when absent."`
	Tags         *[]string `json:"tags,omitempty"`
	Owner        *string   `json:"owner,omitempty" doc:"A membership, a user or an e-mail address."`
	WarnDays     int       `json:"warn_days,omitempty"`
	CriticalDays int       `json:"critical_days,omitempty"`
}

func (b hostBody) host() NewHost {
	n := NewHost{
		Hostname: b.Hostname, Port: b.Port, ServerName: b.ServerName, STARTTLS: b.STARTTLS, Family: b.Family, Interval: b.ScanInterval,
		Paused: b.Active != nil && !*b.Active, WarnDays: b.WarnDays, CriticalDays: b.CriticalDays,
	}
	put(&n.Tags, b.Tags)
	put(&n.Owner, b.Owner)
	return n
}

type hostPatch struct {
	Hostname     *string   `json:"hostname,omitempty" maxLength:"2048"`
	Port         *int      `json:"port,omitempty"`
	ServerName   *string   `json:"server_name,omitempty"`
	STARTTLS     *string   `json:"starttls,omitempty"`
	Family       *string   `json:"family,omitempty"`
	ScanInterval *Interval `json:"scan_interval,omitempty"`
	Active       *bool     `json:"active,omitempty"`
	Tags         *[]string `json:"tags,omitempty"`
	Owner        *string   `json:"owner,omitempty" doc:"An empty text takes the owner away."`
	WarnDays     *int      `json:"warn_days,omitempty" doc:"0 returns to the default."`
	CriticalDays *int      `json:"critical_days,omitempty" doc:"0 returns to the default."`
	Version      *int64    `json:"version,omitempty"`
}

func (b hostPatch) edit(ifMatch string) HostEdit {
	e := HostEdit{
		Hostname: b.Hostname, Port: b.Port, ServerName: b.ServerName, STARTTLS: b.STARTTLS, Family: b.Family, Interval: b.ScanInterval,
		Tags: b.Tags, Owner: b.Owner, WarnDays: b.WarnDays, CriticalDays: b.CriticalDays, IfMatch: ifMatch, Version: b.Version,
	}
	if b.Active != nil {
		paused := !*b.Active
		e.Paused = &paused
	}
	return e
}

type hostOut struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     apiHost
}

// IDIn is the id in the path of an operation. It is exported because huma reads embedded
// fields of exported types only; so is HostFilterIn.
type IDIn struct {
	ID string `path:"id"`
}

func (in IDIn) uuid(what string) (uuid.UUID, error) {
	id, err := uuid.Parse(in.ID)
	if err != nil || len(in.ID) != 36 {
		return uuid.Nil, fault.NewNotFound(what)
	}
	return id, nil
}

// HostFilterIn are the filters of the list of hosts and of its export.
type HostFilterIn struct {
	Q             string    `query:"q" doc:"Words that begin a part of the name, a tag, the issuer, the serial number or the fingerprint."`
	Status        string    `query:"status" doc:"One or more statuses, separated by commas."`
	State         string    `query:"state" enum:"active,paused" doc:"active or paused."`
	Hostname      string    `query:"hostname"`
	Tag           string    `query:"tag"`
	Issuer        string    `query:"issuer"`
	Owner         string    `query:"owner" doc:"A membership, or none."`
	ExpiresBefore time.Time `query:"expires_before"`
	View          string    `query:"view" doc:"A saved view: attention, expiring, failing or paused."`
}

func (f HostFilterIn) filter() hostFilter {
	return hostFilter{
		Text: f.Q, Status: f.Status, State: f.State, Hostname: f.Hostname, Tag: f.Tag, Issuer: f.Issuer, Owner: f.Owner,
		Before: f.ExpiresBefore, View: f.View,
	}
}

type listHostsIn struct {
	api.ListIn
	HostFilterIn
}

const tagHosts = "Hosts and certificates"

// operations adds the API of this module.
func (s *Service) operations(m *api.Module) {
	api.Register(m, api.Op{
		Method: http.MethodPost, Path: "/hosts", Permission: canCreateHost, ID: "create-host", Summary: "Watch a host",
		Tag: tagHosts, Status: http.StatusCreated,
	}, func(ctx context.Context, in *struct{ Body hostBody }) (*hostOut, error) {
		h, scan, err := s.AddHost(ctx, api.Actor(ctx), in.Body.host())
		if err != nil {
			return nil, err
		}
		out, err := s.hostAnswer(ctx, h.ID)
		if err != nil {
			return nil, err
		}
		out.Body.ScanID = orNil(db.NullID(scan))
		out.Location = api.Request(ctx).Path("/api/v1/hosts/" + h.ID.String())
		return out, nil
	})
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/hosts", Permission: canReadHosts, ID: "list-hosts", Summary: "List hosts", Tag: tagHosts,
	}, s.apiListHosts)
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/hosts/{id}", Permission: canReadHosts, ID: "get-host", Summary: "Read a host", Tag: tagHosts,
	}, func(ctx context.Context, in *IDIn) (*hostOut, error) {
		id, err := in.uuid("host")
		if err != nil {
			return nil, err
		}
		return s.hostAnswer(ctx, id)
	})
	api.Register(m, api.Op{
		Method: http.MethodPatch, Path: "/hosts/{id}", Permission: canUpdateHost, ID: "update-host", Summary: "Change a host", Tag: tagHosts,
	}, func(ctx context.Context, in *struct {
		IDIn
		IfMatch string `header:"If-Match"`
		Body    hostPatch
	},
	) (*hostOut, error) {
		id, err := in.uuid("host")
		if err != nil {
			return nil, err
		}
		if _, err := s.UpdateHost(ctx, api.Actor(ctx), id, in.Body.edit(in.IfMatch)); err != nil {
			return nil, err
		}
		return s.hostAnswer(ctx, id)
	})
	api.Register(m, api.Op{
		Method: http.MethodDelete, Path: "/hosts/{id}", Permission: canDeleteHost, ID: "delete-host", Summary: "Stop watching a host",
		Tag: tagHosts, Status: http.StatusNoContent,
	}, func(ctx context.Context, in *IDIn) (*struct{}, error) {
		id, err := in.uuid("host")
		if err != nil {
			return nil, err
		}
		_, err = s.RemoveHosts(ctx, api.Actor(ctx), []uuid.UUID{id})
		return nil, err
	})
	api.Register(m, api.Op{
		Method: http.MethodPost, Path: "/hosts/import", Permission: canCreateHost, ID: "import-hosts",
		Summary: "Import hosts from CSV, all or none", Tag: tagHosts,
	}, s.apiImport)
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/hosts/export.csv", Permission: canReadHosts, ID: "export-hosts", Summary: "Export hosts as CSV", Tag: tagHosts,
	}, s.apiExport)
	s.scanOperations(m)
	s.certOperations(m)
}

func (s *Service) hostAnswer(ctx context.Context, id uuid.UUID) (*hostOut, error) {
	var row *db.Result[HostItem]
	err := s.db.ReadBatch(ctx, api.Actor(ctx), func(b *db.Batch) { row = hostItem.Queue(b, db.Args{"id": id}) })
	if err != nil {
		return nil, err
	}
	h, ok := row.First()
	if !ok {
		return nil, fault.NewNotFound("host")
	}
	return &hostOut{ETag: versionTag(h.Version), Body: newAPIHost(h, api.Request(ctx).Now())}, nil
}

func versionTag(v int64) string { return strconv.Quote(strconv.FormatInt(v, 10)) }

type listHostsOut struct{ Body api.List[apiHost] }

func (s *Service) apiListHosts(ctx context.Context, in *listHostsIn) (*listHostsOut, error) {
	q, err := in.filter().query(api.Request(ctx).Now())
	if err != nil {
		return nil, err
	}
	if q, err = api.Apply(in.ListIn, hostList, q); err != nil {
		return nil, err
	}
	var page *db.PageResult[HostItem]
	if err := s.db.ReadBatch(ctx, api.Actor(ctx), func(b *db.Batch) { page = q.Queue(b) }); err != nil {
		return nil, err
	}
	now := api.Request(ctx).Now()
	return &listHostsOut{Body: api.NewList(page.Page, func(h HostItem) apiHost { return newAPIHost(h, now) })}, nil
}

type importIn struct {
	ScanInterval Interval `query:"scan_interval" doc:"For rows that name none."`
	Tags         string   `query:"tags" doc:"Added to each row, separated by commas."`
	RawBody      []byte   `contentType:"text/csv"`
}

type importOut struct {
	Body struct {
		Created int `json:"created"`
		Existed int `json:"existed" doc:"Rows whose endpoint was watched already; they were left as they are."`
		Twice   int `json:"twice" doc:"Rows that repeat an earlier one."`
	}
}

func (s *Service) apiImport(ctx context.Context, in *importIn) (*importOut, error) {
	p, err := s.ImportHosts(ctx, api.Actor(ctx), Import{Text: string(in.RawBody), Interval: in.ScanInterval, Tags: SplitTags(in.Tags)})
	if err != nil {
		return nil, err
	}
	out := &importOut{}
	out.Body.Created, out.Body.Existed, out.Body.Twice = p.New, p.Exists, p.Twice
	return out, nil
}

func (s *Service) apiExport(ctx context.Context, in *HostFilterIn) (*huma.StreamResponse, error) {
	r := api.Request(ctx)
	q, err := in.filter().query(r.Now())
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		hctx.SetHeader("Content-Type", "text/csv; charset=utf-8")
		hctx.SetHeader("Content-Disposition", `attachment; filename="hosts.csv"`)
		if err := s.writeCSV(ctx, r.Actor, q, hctx.BodyWriter(), r.Now()); err != nil {
			r.LogFailure(err)
		}
	}}, nil
}

// splitList cuts a list of values in one parameter.
func splitList(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}
