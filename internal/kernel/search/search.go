// Package search asks every module for records that match what a person typed, and names
// things by type and id without importing their modules.
package search

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// Hit is one record found.
type Hit struct {
	Title string
	Hint  string // what it is, such as "Certificate"
	Path  string // below the workspace, such as /certificates/<id>
	Icon  string
}

// Source finds records of one module.
type Source struct {
	Name       string
	Permission access.Permission
	// Find returns at most limit hits for a text of at least two characters.
	Find func(ctx context.Context, tx *db.Tx, text string, limit int) ([]Hit, error)
}

// Ref is how a thing is called and where its page is. Path is empty when it has none.
type Ref struct {
	Title string
	Key   string
	Path  string
	State string
}

// Resolver names the things of one type. Ids that no longer exist are missing.
type Resolver struct {
	Type string
	// Label is the type in the product's words, such as "Host".
	Label   string
	Resolve func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]Ref, error)
	// ByKey finds a thing by its key, such as CHG-00012; nil when the type has no keys.
	ByKey func(ctx context.Context, tx *db.Tx, key string) (Ref, bool, error)
}

// Index asks all sources and resolvers.
type Index struct {
	sources   []Source
	resolvers map[string]Resolver
}

// NewIndex collects sources and resolvers.
func NewIndex(sources []Source, resolvers []Resolver) *Index {
	x := &Index{resolvers: map[string]Resolver{}}
	x.Add(sources, resolvers)
	return x
}

// Add collects more while the program is put together, before it serves.
func (x *Index) Add(sources []Source, resolvers []Resolver) {
	x.sources = append(x.sources, sources...)
	for _, r := range resolvers {
		x.resolvers[r.Type] = r
	}
}

// MinText is the shortest text that is searched for.
const MinText = 2

// Find asks each source that the actor may read.
func (x *Index) Find(ctx context.Context, tx *db.Tx, policy *access.Policy, text string, limit int) ([]Hit, error) {
	text = strings.TrimSpace(text)
	if len([]rune(text)) < MinText {
		return nil, nil
	}
	var out []Hit
	for _, s := range x.sources {
		if !policy.Can(tx.Actor, s.Permission) {
			continue
		}
		hits, err := s.Find(ctx, tx, text, limit)
		if err != nil {
			return nil, err
		}
		out = append(out, hits...)
	}
	return out[:min(len(out), limit)], nil
}

// Types returns the labels of the types that can be named.
func (x *Index) Types() map[string]string {
	out := make(map[string]string, len(x.resolvers))
	for name, r := range x.resolvers {
		out[name] = r.Label
	}
	return out
}

// Key is a thing that wants a name.
type Key struct {
	Type string
	ID   uuid.UUID
}

// Resolve names things of several types. What no module knows, or no longer exists, is
// missing from the answer.
func (x *Index) Resolve(ctx context.Context, tx *db.Tx, keys []Key) (map[Key]Ref, error) {
	byType := map[string][]uuid.UUID{}
	for _, k := range keys {
		if !slices.Contains(byType[k.Type], k.ID) {
			byType[k.Type] = append(byType[k.Type], k.ID)
		}
	}
	out := map[Key]Ref{}
	for typ, ids := range byType {
		r, ok := x.resolvers[typ]
		if !ok {
			continue
		}
		refs, err := r.Resolve(ctx, tx, ids)
		if err != nil {
			return nil, err
		}
		for id, ref := range refs {
			out[Key{Type: typ, ID: id}] = ref
		}
	}
	return out, nil
}

// ByKey finds a thing by its key in any module.
func (x *Index) ByKey(ctx context.Context, tx *db.Tx, key string) (Ref, bool, error) {
	for _, r := range x.resolvers {
		if r.ByKey == nil {
			continue
		}
		if ref, ok, err := r.ByKey(ctx, tx, key); err != nil || ok {
			return ref, ok, err
		}
	}
	return Ref{}, false, nil
}
