package certificates

import (
	"context"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// Cert is a certificate that was served to a scan of the workspace, or uploaded to it.
type Cert struct {
	ID uuid.UUID `db:"id"`
	// Fingerprint is the SHA-256 of the DER encoding, 32 bytes.
	Fingerprint []byte `db:"fingerprint_sha256"`
	// SPKI is the SHA-256 of the public key info (RFC 7469, 2.4); nil when unreadable.
	SPKI        []byte     `db:"spki_sha256"`
	Label       string     `db:"label"`
	Subject     string     `db:"subject"`
	Issuer      string     `db:"issuer"`
	IssuerLabel string     `db:"issuer_label"`
	Serial      string     `db:"serial"`
	Key         string     `db:"key_description"`
	Signature   string     `db:"signature"`
	IsCA        bool       `db:"is_ca"`
	NotBefore   *time.Time `db:"not_before"`
	NotAfter    time.Time  `db:"not_after"`
	// Source is "scan" or "manual".
	Source      string        `db:"source"`
	OwnerID     uuid.NullUUID `db:"owner_member_id"`
	Notes       string        `db:"notes"`
	FirstSeenAt time.Time     `db:"first_seen_at"`
	LastSeenAt  time.Time     `db:"last_seen_at"`
	Version     int64         `db:"version"`
}

// Hex returns the fingerprint in lower-case hex.
func (c Cert) Hex() string { return hex.EncodeToString(c.Fingerprint) }

const certColumns = `c.id, c.fingerprint_sha256, c.spki_sha256, c.label, c.subject, c.issuer, c.issuer_label, c.serial,
	c.key_description, c.signature, c.is_ca, c.not_before, c.not_after, c.source, c.owner_member_id, c.notes, c.first_seen_at,
	c.last_seen_at, c.version`

var (
	certByID = db.Define[Cert]("certificates.certificate", `
	SELECT `+certColumns+` FROM certificates c WHERE c.workspace_id = @ws AND c.id = @id`).Called("certificate")
	certsByID = db.Define[Cert]("certificates.certificates_by_id", `
	SELECT `+certColumns+` FROM certificates c WHERE c.workspace_id = @ws AND c.id = ANY(@ids) LIMIT 1000`)
	certDER = db.Define[[]byte]("certificates.certificate_der", `
	SELECT der FROM certificates WHERE workspace_id = @ws AND id = @id`).Called("certificate")

	// chainOfHost returns the certificates of the host's present snapshot, in served order.
	chainOfHost = db.Define[Cert]("certificates.chain_of_host", `
	SELECT `+certColumns+`
	FROM monitored_hosts h
	JOIN tls_snapshots s ON s.workspace_id = h.workspace_id AND s.id = h.snapshot_id
	CROSS JOIN LATERAL unnest(s.chain) WITH ORDINALITY AS link(id, position)
	JOIN certificates c ON c.workspace_id = h.workspace_id AND c.id = link.id
	WHERE h.workspace_id = @ws AND h.id = @id
	ORDER BY link.position
	LIMIT 40`)

	// upsertCerts adds certificates that the workspace has not seen, in the order of their
	// fingerprints so that two batches never wait for each other in a circle. A manual
	// certificate that a scan meets keeps its source.
	upsertCerts = db.Define[certKey]("certificates.upsert_certificates", `
	INSERT INTO certificates (workspace_id, id, fingerprint_sha256, spki_sha256, der, label, subject, issuer, issuer_label,
		serial, key_description, signature, is_ca, not_before, not_after, source, first_seen_at, last_seen_at)
	SELECT @ws, r.id, r.fingerprint, r.spki, r.der, r.label, r.subject, r.issuer, r.issuer_label, r.serial, r.key, r.signature,
		r.is_ca, r.not_before, r.not_after, @source, @now, @now
	FROM unnest(@ids::uuid[], @fingerprints::bytea[], @spkis::bytea[], @ders::bytea[], @labels::text[], @subjects::text[],
		@issuers::text[], @issuer_labels::text[], @serials::text[], @keys::text[], @signatures::text[], @cas::bool[],
		@not_befores::timestamptz[], @not_afters::timestamptz[])
		AS r(id, fingerprint, spki, der, label, subject, issuer, issuer_label, serial, key, signature, is_ca, not_before, not_after)
	ON CONFLICT (workspace_id, fingerprint_sha256) DO UPDATE SET last_seen_at = greatest(certificates.last_seen_at, excluded.last_seen_at)
	RETURNING id, fingerprint_sha256, (xmax = 0) AS added`)

	insertNames = db.DefineCommand("certificates.insert_names", `
	INSERT INTO certificate_names (workspace_id, certificate_id, position, name)
	SELECT @ws, r.* FROM unnest(@certificates::uuid[], @positions::int[], @names::text[]) AS r
	ON CONFLICT DO NOTHING`)
	namesOfCert = db.Define[string]("certificates.names_of_certificate", `
	SELECT name FROM certificate_names WHERE workspace_id = @ws AND certificate_id = @id ORDER BY position LIMIT 1000`)
	namesOfHost = db.Define[string]("certificates.names_of_host", `
	SELECT n.name
	FROM monitored_hosts h
	JOIN certificate_names n ON n.workspace_id = h.workspace_id AND n.certificate_id = h.certificate_id
	WHERE h.workspace_id = @ws AND h.id = @id
	ORDER BY n.position
	LIMIT 1000`)

	// seeCerts notes until when certificates were served that hosts have replaced, in the
	// order of their ids so that two batches never wait for each other in a circle.
	seeCerts = db.DefineCommand("certificates.see_certificates", `
	WITH seen AS (
		SELECT c.id, max(r.seen) AS seen
		FROM unnest(@ids::uuid[], @seen::timestamptz[]) AS r (id, seen)
		JOIN certificates c ON c.workspace_id = @ws AND c.id = r.id
		GROUP BY c.id
	), locked AS (
		SELECT c.id FROM certificates c WHERE c.workspace_id = @ws AND c.id IN (SELECT id FROM seen) ORDER BY c.id FOR UPDATE
	)
	UPDATE certificates c SET last_seen_at = greatest(c.last_seen_at, s.seen)
	FROM seen s JOIN locked l ON l.id = s.id
	WHERE c.workspace_id = @ws AND c.id = s.id`)

	hostsOfCert = db.Define[Host]("certificates.hosts_of_certificate", `
	SELECT `+hostColumns+`
	FROM monitored_hosts h
	WHERE h.workspace_id = @ws AND h.certificate_id = @id
	ORDER BY h.hostname, h.port, h.id
	LIMIT 50`)

	findCerts = db.Define[Cert]("certificates.find_certificates", `
	SELECT `+certColumns+`
	FROM certificates c
	WHERE c.workspace_id = @ws AND c.id IN (
		SELECT n.certificate_id FROM certificate_names n WHERE n.workspace_id = @ws AND n.name >= @from AND n.name < @upto
		UNION ALL
		SELECT s.id FROM certificates s WHERE s.workspace_id = @ws AND s.serial >= @from AND s.serial < @upto)
	ORDER BY c.not_after DESC, c.id
	LIMIT @limit`)

	certList = db.DefineList(db.ListSpec[Cert]{
		Name: "certificates.certificates", Columns: certColumns, From: "certificates c", Where: "c.workspace_id = @ws",
		Filters: map[string]string{
			"name": `c.id IN (SELECT n.certificate_id FROM certificate_names n
				WHERE n.workspace_id = @ws AND n.name >= @name_from AND n.name < @name_upto)`,
			"serial":      "c.serial = @serial",
			"fingerprint": "c.fingerprint_sha256 = @fingerprint",
			"issuer":      "c.issuer_label = @issuer",
			"source":      "c.source = @source",
			"before":      "c.not_after < @before",
			"leaves":      "NOT c.is_ca",
		},
		Sorts: map[string]db.SortBy[Cert]{
			"not_after": {Expr: "c.not_after", Cast: "timestamptz", Of: func(c Cert) string { return c.NotAfter.Format(time.RFC3339Nano) }},
			"label":     {Expr: "c.label", Cast: `text COLLATE "C"`, Of: func(c Cert) string { return c.Label }},
			"issuer":    {Expr: "c.issuer_label", Cast: `text COLLATE "C"`, Of: func(c Cert) string { return c.IssuerLabel }},
		},
		Default: "not_after", IDExpr: "c.id", ID: func(c Cert) uuid.UUID { return c.ID },
	})
)

type certKey struct {
	ID          uuid.UUID `db:"id"`
	Fingerprint []byte    `db:"fingerprint_sha256"`
	Added       bool      `db:"added"`
}

// putCerts stores certificates and returns their ids by fingerprint. source is said of
// those that are new.
func putCerts(ctx context.Context, tx *db.Tx, source string, certs []parsedCert) (map[[32]byte]certKey, error) {
	if len(certs) == 0 {
		return nil, nil
	}
	args := certArgs(certs)
	args["source"] = source
	keys, err := upsertCerts.All(ctx, tx, args)
	if err != nil {
		return nil, err
	}
	out := make(map[[32]byte]certKey, len(keys))
	for _, k := range keys {
		out[[32]byte(k.Fingerprint)] = k
	}
	var ids []uuid.UUID
	var positions []int32
	var names []string
	for _, c := range certs {
		k := out[c.fingerprint]
		if !k.Added {
			continue
		}
		for i, n := range c.names {
			ids, positions, names = append(ids, k.ID), append(positions, int32(i)), append(names, n) //nolint:gosec // bounded by the size of a certificate
		}
	}
	if len(ids) > 0 {
		if _, err := insertNames.Run(ctx, tx, db.Args{"certificates": ids, "positions": positions, "names": names}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// leave notes until when hosts that go showed what they showed.
func leave(ctx context.Context, tx *db.Tx, hosts ...Host) error {
	var snapshots, certs []uuid.UUID
	var shown, served []time.Time
	for _, h := range hosts {
		if h.LastOKAt == nil {
			continue
		}
		if h.SnapshotID.Valid {
			snapshots, shown = append(snapshots, h.SnapshotID.UUID), append(shown, *h.LastOKAt)
		}
		if h.CertificateID.Valid {
			certs, served = append(certs, h.CertificateID.UUID), append(served, *h.LastOKAt)
		}
	}
	if len(snapshots) > 0 {
		if _, err := leaveSnapshots.Run(ctx, tx, db.Args{"ids": snapshots, "seen": shown}); err != nil {
			return err
		}
	}
	if len(certs) == 0 {
		return nil
	}
	_, err := seeCerts.Run(ctx, tx, db.Args{"ids": certs, "seen": served})
	return err
}

func certArgs(certs []parsedCert) db.Args {
	n := len(certs)
	ids, fingerprints, spkis, ders := make([]uuid.UUID, n), make([][]byte, n), make([][]byte, n), make([][]byte, n)
	text := map[string][]string{"labels": nil, "subjects": nil, "issuers": nil, "issuer_labels": nil, "serials": nil, "keys": nil, "signatures": nil}
	cas, befores, afters := make([]bool, n), make([]*time.Time, n), make([]time.Time, n)
	for i, c := range certs {
		ids[i], fingerprints[i], spkis[i], ders[i] = uuid.Must(uuid.NewV7()), c.fingerprint[:], c.spki, c.der
		cas[i], befores[i], afters[i] = c.isCA, c.notBefore, c.notAfter
		text["labels"], text["subjects"] = append(text["labels"], c.label), append(text["subjects"], c.subject)
		text["issuers"], text["issuer_labels"] = append(text["issuers"], c.issuer), append(text["issuer_labels"], c.issuerLabel)
		text["serials"], text["keys"] = append(text["serials"], c.serial), append(text["keys"], c.key)
		text["signatures"] = append(text["signatures"], c.signature)
	}
	args := db.Args{
		"ids": ids, "fingerprints": fingerprints, "spkis": spkis, "ders": ders, "cas": cas, "not_befores": befores, "not_afters": afters,
	}
	for name, list := range text {
		args[name] = list
	}
	return args
}

func portText(p int32) string { return strconv.Itoa(int(p)) }
