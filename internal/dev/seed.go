package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/identity"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/members"
)

const platformAdmin = "otto@acme.example"

// person is a demo person with a role in each workspace they belong to.
type person struct {
	name, email, zone string
	roles             map[string]access.Role
}

func people() []person {
	const acme, globex = "acme", "globex"
	return []person{
		{"Priya Nair", "priya@acme.example", "Europe/Oslo", map[string]access.Role{acme: access.Owner}},
		{"Tomas Ferreira", "tomas@acme.example", "Europe/Lisbon", map[string]access.Role{acme: access.Admin}},
		{"Aiko Tanaka", "aiko@acme.example", "Asia/Tokyo", map[string]access.Role{acme: access.Approver}},
		{"Ben Okafor", "ben@acme.example", "Africa/Lagos", map[string]access.Role{acme: access.Approver}},
		{"Mara Lindqvist", "mara@acme.example", "Europe/Oslo", map[string]access.Role{acme: access.Member, globex: access.Viewer}},
		{"Vera Holm", "vera@acme.example", "Europe/Copenhagen", map[string]access.Role{acme: access.Viewer}},
		{"Otto Brandt", platformAdmin, "Europe/Berlin", map[string]access.Role{acme: access.Viewer}},
		{"Gina Rossi", "gina@globex.example", "Europe/Rome", map[string]access.Role{globex: access.Owner}},
		{"Hal Jensen", "hal@globex.example", "Europe/Copenhagen", map[string]access.Role{globex: access.Member}},
	}
}

// Demo is what demo.json holds for scripts and tests.
type Demo struct {
	BaseURL    string          `json:"base_url"`
	Workspaces []DemoWorkspace `json:"workspaces"`
	People     []DemoPerson    `json:"people"`
	TLSServers []DemoServer    `json:"tls_servers"`
	MailURL    string          `json:"mail_url"`
	WebhookURL string          `json:"webhook_url"`
}

// DemoWorkspace is a workspace of the demo.
type DemoWorkspace struct {
	Slug string `json:"slug"`
}

// DemoPerson is somebody who can sign in, with a token for each workspace.
type DemoPerson struct {
	Name        string           `json:"name"`
	Email       string           `json:"email"`
	Memberships []DemoMembership `json:"memberships"`
}

// DemoMembership is a role in a workspace and a personal token with its rights.
type DemoMembership struct {
	Workspace string `json:"workspace"`
	Role      string `json:"role"`
	Token     string `json:"token"`
}

// DemoServer is a TLS server that the demo runs.
type DemoServer struct {
	Name       string `json:"name"`
	Host       string `json:"host"`
	Port       int    `json:"port"`
	ServerName string `json:"server_name"`
	STARTTLS   string `json:"starttls,omitempty"`
	Note       string `json:"note"`
}

func (w *world) demoPath() string { return filepath.Join(w.dir, "demo.json") }

// seed adds the demo data at the first start. A later start finds demo.json, whose tokens
// cannot be read back from the database, and keeps them.
func (w *world) seed(ctx context.Context) (Demo, error) {
	demo, err := w.readDemo()
	if err != nil {
		return Demo{}, err
	}
	known := map[string]string{}
	for _, p := range demo.People {
		for _, m := range p.Memberships {
			known[p.Email+" "+m.Workspace] = m.Token
		}
	}
	demo = Demo{
		BaseURL: w.cfg.BaseURL.String(), MailURL: w.mailURL, WebhookURL: w.hookURL,
		Workspaces: []DemoWorkspace{{Slug: "acme"}, {Slug: "globex"}},
	}
	users := map[string]identity.User{}
	for _, p := range people() {
		u, err := w.app.Services.Identity.EnsureUser(ctx, identity.SeedUser{
			Email: p.email, Name: p.name, TimeZone: p.zone, PlatformAdmin: p.email == platformAdmin,
		})
		if err != nil {
			return Demo{}, fmt.Errorf("add %s: %w", p.name, err)
		}
		users[p.email] = u
	}
	spaces, err := w.seedWorkspaces(ctx, users)
	if err != nil {
		return Demo{}, err
	}
	for _, p := range people() {
		entry := DemoPerson{Name: p.name, Email: p.email}
		for _, ws := range demo.Workspaces {
			role, ok := p.roles[ws.Slug]
			if !ok {
				continue
			}
			m, err := w.join(ctx, spaces[ws.Slug], users[p.email], role, known[p.email+" "+ws.Slug])
			if err != nil {
				return Demo{}, err
			}
			m.Workspace = ws.Slug
			entry.Memberships = append(entry.Memberships, m)
		}
		demo.People = append(demo.People, entry)
	}
	for _, s := range w.farm.Servers() {
		demo.TLSServers = append(demo.TLSServers, DemoServer{
			Name: s.Name, Host: s.Host, Port: s.Port, ServerName: s.ServerName, STARTTLS: s.STARTTLS, Note: s.Note,
		})
	}
	if len(known) == 0 {
		if err := w.seedContent(ctx, spaces["acme"], users); err != nil {
			return Demo{}, err
		}
	}
	return demo, nil
}

// seedWorkspaces makes the two workspaces, each with its owner, and finds them at a later
// start.
func (w *world) seedWorkspaces(ctx context.Context, users map[string]identity.User) (map[string]uuid.UUID, error) {
	out := map[string]uuid.UUID{}
	for _, ws := range []struct{ name, slug, zone, owner string }{
		{"Acme Platform", "acme", "Europe/Oslo", "priya@acme.example"},
		{"Globex", "globex", "Europe/Rome", "gina@globex.example"},
	} {
		made, err := w.app.Services.Members.SeedWorkspace(ctx, members.NewWorkspace{
			Name: ws.name, Slug: ws.slug, TimeZone: ws.zone,
		}, users[ws.owner].ID)
		switch {
		case err == nil:
			out[ws.slug] = made.ID
		case fault.Is(err, fault.Invalid): // the slug is taken: an earlier start made it
			id, err := w.app.Services.Members.WorkspaceBySlug(ctx, ws.slug)
			if err != nil {
				return nil, err
			}
			out[ws.slug] = id
		default:
			return nil, fmt.Errorf("add workspace %s: %w", ws.slug, err)
		}
	}
	return out, nil
}

// join makes a person a member and gives them a token, unless they have one.
func (w *world) join(ctx context.Context, ws uuid.UUID, u identity.User, role access.Role, token string) (DemoMembership, error) {
	if _, err := w.app.Services.Members.SeedMember(ctx, ws, u.ID, role); err != nil {
		return DemoMembership{}, fmt.Errorf("add %s: %w", u.Name, err)
	}
	shown := role
	if u.PlatformAdmin {
		shown = access.PlatformAdmin
	}
	if token == "" {
		var err error
		token, err = w.app.Services.Identity.CreatePersonalToken(ctx, actor(ws, u, role), "Demo token", nil, time.Time{})
		if err != nil {
			return DemoMembership{}, fmt.Errorf("create token of %s: %w", u.Name, err)
		}
	}
	return DemoMembership{Role: string(shown), Token: token}, nil
}

// actor is a demo person acting in a workspace.
func actor(ws uuid.UUID, u identity.User, role access.Role) db.Actor {
	return db.Actor{
		WorkspaceID: ws, Kind: db.ActorUser, ID: u.ID, UserID: u.ID, Name: u.Name, Email: u.Email, Role: string(role),
		PlatformAdmin: u.PlatformAdmin, AuthMethod: "dev", Reason: "demo data",
	}
}

func (w *world) readDemo() (Demo, error) {
	raw, err := os.ReadFile(w.demoPath())
	if errors.Is(err, os.ErrNotExist) {
		return Demo{}, nil
	}
	if err != nil {
		return Demo{}, fmt.Errorf("read demo.json: %w", err)
	}
	var d Demo
	if err := json.Unmarshal(raw, &d); err != nil {
		return Demo{}, fmt.Errorf("read demo.json: %w; remove the file to make new tokens", err)
	}
	return d, nil
}

func (w *world) writeDemo(d Demo) error {
	raw, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("encode demo.json: %w", err)
	}
	// Tokens are secrets, if only of a demo.
	if err := os.WriteFile(w.demoPath(), append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("write demo.json: %w", err)
	}
	return nil
}
