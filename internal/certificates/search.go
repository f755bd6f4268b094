package certificates

import (
	"context"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/search"
)

// searchSources find hosts by the beginning of any part of their name, by tag, issuer,
// serial number and fingerprint, and certificates by name and serial number.
func (s *Service) searchSources() []search.Source {
	return []search.Source{
		{Name: "hosts", Permission: canReadHosts, Find: findHostHits},
		{Name: "certificates", Permission: canReadCerts, Find: findCertHits},
	}
}

func findHostHits(ctx context.Context, tx *db.Tx, text string, limit int) ([]search.Hit, error) {
	words := searchWords(text)
	if len(words) == 0 {
		return nil, nil
	}
	from, upto := db.PrefixRange(words[0])
	hosts, err := findHosts.All(ctx, tx, db.Args{"from": from, "upto": upto, "limit": limit})
	if err != nil {
		return nil, err
	}
	out := make([]search.Hit, len(hosts))
	for i, f := range hosts {
		h := Host{ID: f.ID, Hostname: f.Hostname, DisplayName: f.DisplayName, Port: f.Port, ServerName: f.ServerName}
		out[i] = search.Hit{Title: h.Title(), Hint: "Host, " + lowerFirst(statusLabel(f.Status)), Path: h.Path(), Icon: "lock"}
	}
	return out, nil
}

func findCertHits(ctx context.Context, tx *db.Tx, text string, limit int) ([]search.Hit, error) {
	words := searchWords(text)
	if len(words) == 0 || len(words[0]) < 4 {
		return nil, nil
	}
	from, upto := db.PrefixRange(words[0])
	certs, err := findCerts.All(ctx, tx, db.Args{"from": from, "upto": upto, "limit": min(limit, 5)})
	if err != nil {
		return nil, err
	}
	out := make([]search.Hit, len(certs))
	for i, c := range certs {
		out[i] = search.Hit{Title: c.Label, Hint: "Certificate, expires " + c.NotAfter.Format("2 Jan 2006"), Path: certPath(c.ID), Icon: "shield-check"}
	}
	return out, nil
}

// certPath is the page of a certificate below its workspace.
func certPath(id uuid.UUID) string { return "/certificates/stored/" + id.String() }

func (s *Service) resolvers() []search.Resolver {
	return []search.Resolver{
		{Type: "host", Label: "Host", Resolve: func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
			hosts, err := hostsByID.All(ctx, tx, db.Args{"ids": ids})
			out := make(map[uuid.UUID]search.Ref, len(hosts))
			for _, h := range hosts {
				out[h.ID] = search.Ref{Title: h.Title(), Path: h.Path(), State: statusLabel(h.Status)}
			}
			return out, err
		}},
		{Type: "certificate", Label: "Certificate", Resolve: func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
			certs, err := certsByID.All(ctx, tx, db.Args{"ids": ids})
			out := make(map[uuid.UUID]search.Ref, len(certs))
			for _, c := range certs {
				out[c.ID] = search.Ref{Title: c.Label, Path: certPath(c.ID)}
			}
			return out, err
		}},
	}
}
