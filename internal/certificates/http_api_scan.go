package certificates

import (
	"context"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/certificates/tlsscan"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

type apiScan struct {
	ID          uuid.UUID  `json:"id"`
	HostID      uuid.UUID  `json:"host_id"`
	State       string     `json:"state" enum:"queued,running,succeeded,failed"`
	SnapshotID  *uuid.UUID `json:"snapshot_id"`
	Error       *string    `json:"error" doc:"Why the host could not be examined."`
	RequestedAt time.Time  `json:"requested_at"`
	StartedAt   *time.Time `json:"started_at"`
	FinishedAt  *time.Time `json:"finished_at"`
}

func newAPIScan(sc Scan) apiScan {
	out := apiScan{
		ID: sc.ID, HostID: sc.HostID, State: sc.State, SnapshotID: orNil(sc.SnapshotID), RequestedAt: sc.RequestedAt.UTC(),
		StartedAt: utc(sc.StartedAt), FinishedAt: utc(sc.FinishedAt),
	}
	if sc.Error != "" {
		out.Error = &sc.Error
	}
	return out
}

type scanOut struct{ Body apiScan }

type scanAccepted struct {
	Location string `header:"Location"`
	Body     struct {
		ScanID uuid.UUID `json:"scan_id"`
		State  string    `json:"state"`
	}
}

// apiCert is a certificate as the API shows it.
type apiCert struct {
	ID          uuid.UUID  `json:"id"`
	Fingerprint string     `json:"fingerprint_sha256" doc:"Lower-case hex."`
	KeyHash     string     `json:"spki_sha256"`
	Label       string     `json:"label"`
	Subject     string     `json:"subject"`
	Issuer      string     `json:"issuer"`
	Serial      string     `json:"serial" doc:"Lower-case hex."`
	Key         string     `json:"key"`
	Signature   string     `json:"signature"`
	IsCA        bool       `json:"is_ca"`
	NotBefore   *time.Time `json:"not_before"`
	NotAfter    *time.Time `json:"not_after"`
	Source      string     `json:"source" enum:"scan,manual"`
	FirstSeenAt time.Time  `json:"first_seen_at"`
	LastSeenAt  time.Time  `json:"last_seen_at"`
	Version     int64      `json:"version"`
	Names       []string   `json:"names,omitempty" doc:"Only where one certificate is read."`
}

func newAPICert(c Cert) apiCert {
	out := apiCert{
		ID: c.ID, Fingerprint: c.Hex(), KeyHash: hex.EncodeToString(c.SPKI), Label: c.Label, Subject: c.Subject, Issuer: c.Issuer,
		Serial: c.Serial, Key: c.Key, Signature: c.Signature, IsCA: c.IsCA, NotBefore: utc(c.NotBefore), Source: c.Source,
		FirstSeenAt: c.FirstSeenAt.UTC(), LastSeenAt: c.LastSeenAt.UTC(), Version: c.Version,
	}
	if c.NotBefore != nil {
		out.NotAfter = utc(&c.NotAfter)
	}
	return out
}

type apiFinding struct {
	Code     string `json:"code"`
	Severity string `json:"severity"`
	Title    string `json:"title"`
	Text     string `json:"text"`
}

// apiSnapshot is what a scan found.
type apiSnapshot struct {
	ID        uuid.UUID     `json:"id"`
	CreatedAt time.Time     `json:"created_at" doc:"When this was found for the first time."`
	Facts     tlsscan.Facts `json:"facts"`
	Chain     []apiCert     `json:"chain" nullable:"false" doc:"As served, the leaf first."`
	Findings  []apiFinding  `json:"findings" nullable:"false"`
}

type apiObservation struct {
	SnapshotID *uuid.UUID `json:"snapshot_id"`
	ScannedAt  time.Time  `json:"scanned_at"`
	Status     Status     `json:"status"`
	Address    string     `json:"address"`
	DurationMS int32      `json:"duration_ms"`
	ErrorClass string     `json:"error_class"`
}

type listObservationsOut struct{ Body api.List[apiObservation] }

// scanOperations adds what concerns scans and snapshots.
func (s *Service) scanOperations(m *api.Module) {
	api.Register(m, api.Op{
		Method: http.MethodPost, Path: "/hosts/{id}/scan", Permission: canScanHost, ID: "scan-host", Summary: "Scan a host now",
		Tag: tagHosts, Status: http.StatusAccepted,
	}, func(ctx context.Context, in *IDIn) (*scanAccepted, error) {
		id, err := in.uuid("host")
		if err != nil {
			return nil, err
		}
		sc, err := s.RequestScan(ctx, api.Actor(ctx), id)
		if err != nil {
			return nil, err
		}
		out := &scanAccepted{Location: api.Request(ctx).Path("/api/v1/scans/" + sc.ID.String())}
		out.Body.ScanID, out.Body.State = sc.ID, sc.State
		return out, nil
	})
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/scans/{id}", Permission: canReadHosts, ID: "get-scan", Summary: "Read a scan", Tag: tagHosts,
	}, func(ctx context.Context, in *IDIn) (*scanOut, error) {
		id, err := in.uuid("scan")
		if err != nil {
			return nil, err
		}
		sc, err := s.ScanByID(ctx, api.Actor(ctx), id)
		return &scanOut{Body: newAPIScan(sc)}, err
	})
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/hosts/{id}/snapshots", Permission: canReadHosts, ID: "list-snapshots",
		Summary: "List the scans of a host that found something new, newest first", Tag: tagHosts,
	}, s.apiListSnapshots)
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/snapshots/{id}", Permission: canReadHosts, ID: "get-snapshot",
		Summary: "Read what a scan found: facts, chain and findings", Tag: tagHosts,
	}, s.apiSnapshot)
}

// apiListSnapshots pages by time: the cursor is the moment of the last item.
func (s *Service) apiListSnapshots(ctx context.Context, in *struct {
	IDIn
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor string `query:"cursor"`
},
) (*listObservationsOut, error) {
	id, err := in.uuid("host")
	if err != nil {
		return nil, err
	}
	before := api.Request(ctx).Now().Add(time.Hour)
	if in.Cursor != "" {
		if before, err = time.Parse(time.RFC3339Nano, in.Cursor); err != nil {
			return nil, fault.InvalidField("cursor", "invalid_cursor", "This page link is damaged. Start again from the first page.")
		}
	}
	var host *db.Result[Host]
	var rows *db.Result[changeRow]
	err = s.db.ReadBatch(ctx, api.Actor(ctx), func(b *db.Batch) {
		host = hostByID.Queue(b, db.Args{"id": id})
		rows = changesOfHost.Queue(b, db.Args{"id": id, "before": before, "limit": in.Limit + 1})
	})
	if err != nil {
		return nil, err
	}
	if _, ok := host.First(); !ok {
		return nil, fault.NewNotFound("host")
	}
	out := &listObservationsOut{Body: api.List[apiObservation]{Items: []apiObservation{}}}
	for i, r := range rows.Rows {
		if i == in.Limit {
			cursor := rows.Rows[i-1].ScannedAt.UTC().Format(time.RFC3339Nano)
			out.Body.NextCursor = &cursor
			break
		}
		out.Body.Items = append(out.Body.Items, apiObservation{
			SnapshotID: orNil(r.SnapshotID), ScannedAt: r.ScannedAt.UTC(), Status: r.Status, Address: r.Address,
			DurationMS: r.DurationMS, ErrorClass: r.ErrorClass,
		})
	}
	return out, nil
}

type snapshotOut struct{ Body apiSnapshot }

func (s *Service) apiSnapshot(ctx context.Context, in *IDIn) (*snapshotOut, error) {
	id, err := in.uuid("snapshot")
	if err != nil {
		return nil, err
	}
	var snap Snapshot
	var certs []Cert
	err = s.db.InWorkspace(ctx, api.Actor(ctx), func(tx *db.Tx) error {
		if snap, err = snapshotByID.One(ctx, tx, db.Args{"id": id}); err != nil {
			return err
		}
		certs, err = certsByID.All(ctx, tx, db.Args{"ids": snap.Chain})
		return err
	})
	if err != nil {
		return nil, err
	}
	facts, err := snap.ReadFacts()
	if err != nil {
		return nil, err
	}
	out := &snapshotOut{Body: apiSnapshot{ID: snap.ID, CreatedAt: snap.CreatedAt.UTC(), Facts: facts, Chain: []apiCert{}, Findings: []apiFinding{}}}
	for _, link := range snap.Chain {
		if i := slices.IndexFunc(certs, func(c Cert) bool { return c.ID == link }); i >= 0 {
			out.Body.Chain = append(out.Body.Chain, newAPICert(certs[i]))
		}
	}
	for _, f := range findings(facts) {
		out.Body.Findings = append(out.Body.Findings, apiFinding{Code: f.Code, Severity: string(f.Severity), Title: f.Title, Text: f.Text})
	}
	return out, nil
}

type listCertsIn struct {
	api.ListIn
	Name          string    `query:"name" doc:"Beginning of a subject alternative name."`
	Fingerprint   string    `query:"fingerprint" doc:"SHA-256 in hex."`
	Serial        string    `query:"serial" doc:"In hex."`
	Issuer        string    `query:"issuer"`
	Source        string    `query:"source" enum:"scan,manual"`
	ExpiresBefore time.Time `query:"expires_before"`
}

type listCertsOut struct{ Body api.List[apiCert] }

type certOut struct{ Body apiCert }

type uploadIn struct {
	Body struct {
		PEM string `json:"pem" maxLength:"900000" doc:"One or more certificates in PEM form."`
	}
}

type uploadOut struct {
	Location string `header:"Location"`
	Body     struct {
		Items []apiCert `json:"items" nullable:"false"`
	}
}

// certOperations adds what concerns stored certificates.
func (s *Service) certOperations(m *api.Module) {
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/certificates", Permission: canReadCerts, ID: "list-certificates", Summary: "List certificates", Tag: tagHosts,
	}, s.apiListCerts)
	api.Register(m, api.Op{
		Method: http.MethodPost, Path: "/certificates", Permission: canCreateCert, ID: "upload-certificates",
		Summary: "Upload certificates in PEM form", Tag: tagHosts, Status: http.StatusCreated,
	}, func(ctx context.Context, in *uploadIn) (*uploadOut, error) {
		certs, err := s.UploadCertificates(ctx, api.Actor(ctx), []byte(in.Body.PEM))
		if err != nil {
			return nil, err
		}
		out := &uploadOut{Location: api.Request(ctx).Path("/api/v1/certificates/" + certs[0].ID.String())}
		for _, c := range certs {
			out.Body.Items = append(out.Body.Items, newAPICert(c))
		}
		return out, nil
	})
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/certificates/{id}", Permission: canReadCerts, ID: "get-certificate", Summary: "Read a certificate", Tag: tagHosts,
	}, func(ctx context.Context, in *IDIn) (*certOut, error) {
		id, err := in.uuid("certificate")
		if err != nil {
			return nil, err
		}
		var cert *db.Result[Cert]
		var names *db.Result[string]
		err = s.db.ReadBatch(ctx, api.Actor(ctx), func(b *db.Batch) {
			cert, names = certByID.Queue(b, db.Args{"id": id}), namesOfCert.Queue(b, db.Args{"id": id})
		})
		if err != nil {
			return nil, err
		}
		c, ok := cert.First()
		if !ok {
			return nil, fault.NewNotFound("certificate")
		}
		out := newAPICert(c)
		out.Names = names.Rows
		return &certOut{Body: out}, nil
	})
}

func (s *Service) apiListCerts(ctx context.Context, in *listCertsIn) (*listCertsOut, error) {
	f := certFilter{Name: in.Name, Fingerprint: in.Fingerprint, Serial: in.Serial, Issuer: in.Issuer, Source: in.Source, Before: in.ExpiresBefore}
	q, err := f.query()
	if err != nil {
		return nil, err
	}
	if q, err = api.Apply(in.ListIn, certList, q); err != nil {
		return nil, err
	}
	var page *db.PageResult[Cert]
	if err := s.db.ReadBatch(ctx, api.Actor(ctx), func(b *db.Batch) { page = q.Queue(b) }); err != nil {
		return nil, err
	}
	return &listCertsOut{Body: api.NewList(page.Page, newAPICert)}, nil
}

// certFilter narrows the list of certificates.
type certFilter struct {
	Name, Fingerprint, Serial, Issuer, Source string
	Before                                    time.Time
	LeavesOnly                                bool
}

func (f certFilter) query() (*db.ListQuery[Cert], error) {
	q := certList.Query()
	if f.Name != "" {
		from, upto := db.PrefixRange(strings.ToLower(storable(f.Name)))
		q.Filter("name", db.Args{"name_from": from, "name_upto": upto})
	}
	if f.Fingerprint != "" {
		raw, err := hex.DecodeString(strings.ReplaceAll(f.Fingerprint, ":", ""))
		if err != nil || len(raw) != 32 {
			return nil, fault.InvalidField("fingerprint", "not_a_fingerprint", "A fingerprint is 64 hexadecimal digits.")
		}
		q.Filter("fingerprint", db.Args{"fingerprint": raw})
	}
	if f.Serial != "" {
		serial := strings.TrimLeft(strings.ToLower(strings.ReplaceAll(storable(f.Serial), ":", "")), "0")
		q.Filter("serial", db.Args{"serial": serial})
	}
	if f.Issuer != "" {
		q.Filter("issuer", db.Args{"issuer": storable(f.Issuer)})
	}
	if f.Source != "" {
		q.Filter("source", db.Args{"source": f.Source})
	}
	if !f.Before.IsZero() {
		q.Filter("before", db.Args{"before": f.Before})
	}
	if f.LeavesOnly {
		q.Filter("leaves", nil)
	}
	return q, nil
}
