package members

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/export"
)

func TestSlugsAreProposedFromNames(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"Acme IT":                              "acme-it",
		"  Größe & Söhne  ":                    "groesse-and-soehne",
		"Łódź — Zakład nr 1":                   "lodz-zaklad-nr-1",
		"O'Brien's Bank":                       "obriens-bank",
		"3D Print":                             "ws-3d-print",
		"AB":                                   "ab-ws",
		"日本":                                   "",
		"!!!":                                  "",
		"":                                     "",
		"Very long name of a big organisation": "very-long-name-of-a-big",
		strings.Repeat("x", 50):                strings.Repeat("x", 30),
		"a--b":                                 "a-b",
	}
	for name, want := range tests {
		got := ProposeSlug(name)
		if got != want {
			t.Errorf("%q gives %q, want %q", name, got, want)
		}
		if got != "" && (!slugPattern.MatchString(got) || len(got) < minSlug || len(got) > maxSlug) {
			t.Errorf("%q gives %q, which is no slug", name, got)
		}
	}
}

func TestFieldsOfANewWorkspaceAreChecked(t *testing.T) {
	t.Parallel()
	good := NewWorkspace{Name: "Acme", Slug: "acme", TimeZone: "Europe/Oslo"}
	tests := []struct {
		name string
		edit func(*NewWorkspace)
		want string
	}{
		{"all is well", func(*NewWorkspace) {}, ""},
		{"no zone means UTC", func(n *NewWorkspace) { n.TimeZone = "" }, ""},
		{"no slug means one from the name", func(n *NewWorkspace) { n.Slug = "" }, ""},
		{"no name", func(n *NewWorkspace) { n.Name = "  " }, "name required"},
		{"a long name", func(n *NewWorkspace) { n.Name = strings.Repeat("ü", 81) }, "name too_long"},
		{"a short slug", func(n *NewWorkspace) { n.Slug = "ab" }, "slug invalid_slug"},
		{"a long slug", func(n *NewWorkspace) { n.Slug = strings.Repeat("a", 31) }, "slug invalid_slug"},
		{"capitals", func(n *NewWorkspace) { n.Slug = "Acme" }, "slug invalid_slug"},
		{"two hyphens", func(n *NewWorkspace) { n.Slug = "a--b" }, "slug invalid_slug"},
		{"a digit first", func(n *NewWorkspace) { n.Slug = "1abc" }, "slug invalid_slug"},
		{"a reserved word", func(n *NewWorkspace) { n.Slug = "platform" }, "slug reserved_slug"},
		{"an unknown zone", func(n *NewWorkspace) { n.TimeZone = "Mars/Base" }, "time_zone invalid_time_zone"},
	}
	for _, tt := range tests {
		in := good
		tt.edit(&in)
		if got := code(in.normal().check().Err()); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestWhoMayChangeAMembership(t *testing.T) {
	t.Parallel()
	me, them := uuid.New(), uuid.New()
	owner := acting{userID: me, role: access.Owner, owner: true}
	admin := acting{userID: me, role: access.Admin}
	tests := []struct {
		name   string
		by     acting
		target Membership
		change Change
		others int64
		want   string
	}{
		{"an admin makes an admin", admin, Membership{UserID: them, Role: access.Viewer, State: Active}, Change{Role: roleOf(access.Admin)}, 1, ""},
		{"an admin makes no owner", admin, Membership{UserID: them, Role: access.Admin, State: Active}, Change{Role: roleOf(access.Owner)}, 1, "forbidden"},
		{"an admin unmakes no owner", admin, Membership{UserID: them, Role: access.Owner, State: Active}, Change{Role: roleOf(access.Viewer)}, 5, "forbidden"},
		{"an admin suspends no owner", admin, Membership{UserID: them, Role: access.Owner, State: Active}, Change{State: stateOf(Suspended)}, 5, "forbidden"},
		{"an owner makes an owner", owner, Membership{UserID: them, Role: access.Admin, State: Active}, Change{Role: roleOf(access.Owner)}, 1, ""},
		{"nobody raises themselves", admin, Membership{UserID: me, Role: access.Admin, State: Active}, Change{Role: roleOf(access.Owner)}, 1, "own_role"},
		{"an admin may step down", admin, Membership{UserID: me, Role: access.Admin, State: Active}, Change{Role: roleOf(access.Viewer)}, 1, ""},
		{"nobody suspends themselves", admin, Membership{UserID: me, Role: access.Admin, State: Active}, Change{State: stateOf(Suspended)}, 1, "own_state"},
		{"the last owner stays", owner, Membership{UserID: me, Role: access.Owner, State: Active}, Change{Role: roleOf(access.Admin)}, 0, "last_owner"},
		{"the last active owner is not suspended", owner, Membership{UserID: them, Role: access.Owner, State: Active}, Change{State: stateOf(Suspended)}, 0, "last_owner"},
		{"an owner beside another steps down", owner, Membership{UserID: me, Role: access.Owner, State: Active}, Change{Role: roleOf(access.Admin)}, 1, ""},
		{"no such role", owner, Membership{UserID: them, Role: access.Viewer, State: Active}, Change{Role: roleOf("king")}, 1, "role not_allowed"},
		{"a platform admin is no member role", owner, Membership{UserID: them, Role: access.Viewer, State: Active}, Change{Role: roleOf(access.PlatformAdmin)}, 1, "role not_allowed"},
		{"no such state", owner, Membership{UserID: them, Role: access.Viewer, State: Active}, Change{State: stateOf("gone")}, 1, "state not_allowed"},
		{"nothing changes for the last owner", owner, Membership{UserID: me, Role: access.Owner, State: Active}, Change{Role: roleOf(access.Owner)}, 0, ""},
	}
	for _, tt := range tests {
		m := tt.target
		err := m.apply(tt.by, tt.change, tt.others)
		if got := code(err); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if err == nil && m != tt.target && m.Version != tt.target.Version+1 {
			t.Errorf("%s: version %d after %d", tt.name, m.Version, tt.target.Version)
		}
	}
	removal := []struct {
		name   string
		by     acting
		role   access.Role
		others int64
		want   string
	}{
		{"an admin removes an admin", admin, access.Admin, 1, ""},
		{"an admin removes no owner", admin, access.Owner, 1, "forbidden"},
		{"an owner removes an owner", owner, access.Owner, 1, ""},
		{"the last owner is not removed", owner, access.Owner, 0, "last_owner"},
	}
	for _, tt := range removal {
		if got := code(Membership{Role: tt.role, State: Active}.mayRemove(tt.by, tt.others)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestInvitationsEndInOneOfFourStates(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 11, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name  string
		inv   Invitation
		state InvitationState
		code  string
	}{
		{"a second before the end", Invitation{ExpiresAt: now.Add(time.Second)}, Pending, ""},
		{"at the end", Invitation{ExpiresAt: now}, Expired, "invitation_expired"},
		{"revoked after it expired", Invitation{ExpiresAt: now.Add(-1), RevokedAt: &now}, Revoked, "invitation_revoked"},
		{"accepted", Invitation{ExpiresAt: now.Add(-1), AcceptedAt: &now}, Accepted, "invitation_used"},
	}
	seen := map[string]bool{}
	for _, tt := range tests {
		if got := tt.inv.State(now); got != tt.state {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.state)
		}
		err := tt.inv.usable(now)
		if got := code(err); got != tt.code {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.code)
		}
		if err != nil && seen[err.Error()] {
			t.Errorf("%s: says the same as another reason", tt.name)
		}
		if err != nil {
			seen[err.Error()] = true
		}
	}
}

func TestAnInvitationFitsItsAddressOnly(t *testing.T) {
	t.Parallel()
	inv := Invitation{Email: "mara@example.com"}
	for _, tt := range []struct {
		email    string
		verified bool
		want     string
	}{
		{"mara@example.com", true, ""},
		{"Mara@Example.COM", true, ""},
		{"mara@example.org", true, "invitation_mismatch"},
		{"mara@example.com", false, "email_unverified"},
	} {
		if got := code(inv.fits(tt.email, tt.verified)); got != tt.want {
			t.Errorf("%s, verified %t: %q, want %q", tt.email, tt.verified, got, tt.want)
		}
	}
}

func TestLinesOfInvitationsAreRead(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       []NewInvitation
		code       string
	}{
		{"one line", "mara@example.com,admin", []NewInvitation{{"mara@example.com", access.Admin, 1}}, ""},
		{"a head, blanks and capitals", "Email,Role\r\n\r\n Mara@Example.com , VIEWER \r\n", []NewInvitation{{"Mara@Example.com", access.Viewer, 3}}, ""},
		{"no role means member", "a@example.com\nb@example.com,", []NewInvitation{{"a@example.com", access.Member, 1}, {"b@example.com", access.Member, 2}}, ""},
		{"semicolons", "email;role\na@example.com;owner", []NewInvitation{{"a@example.com", access.Owner, 2}}, ""},
		{"a byte order mark", "\ufeffa@example.com,member", []NewInvitation{{"a@example.com", access.Member, 1}}, ""},
		{"quotes", "\"a@example.com\",\"member\"", []NewInvitation{{"a@example.com", access.Member, 1}}, ""},
		{"nothing", "  \n\n", nil, "rows required"},
		{"only a head", "email,role\n", nil, "rows required"},
		{"a third column", "a@example.com,member,now", nil, "row 1 too_many_columns"},
		{"an open quote", "a@example.com,member\n\"b", nil, "row 2 malformed"},
		{"not text", "a\x00b", nil, "rows invalid_text"},
		{"Latin-1", "m\xe4ra@example.com", nil, "rows invalid_text"},
		{"5,001 lines", strings.Repeat("a@example.com\n", 5001), nil, "rows too_many"},
	}
	for _, tt := range tests {
		got, err := ParseInvitations(tt.text)
		if c := code(err); c != tt.code {
			t.Errorf("%s: %q, want %q", tt.name, c, tt.code)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func TestAnySheetIsReadOrRefused(t *testing.T) {
	t.Parallel()
	rows, err := ParseInvitations(strings.Repeat("a@example.com,member\n", MaxInvitations))
	if err != nil || len(rows) != MaxInvitations {
		t.Errorf("%d rows, %v; want all %d", len(rows), err, MaxInvitations)
	}
}

func FuzzParseInvitations(f *testing.F) {
	for _, seed := range []string{"a@example.com,member", "email;role\nx", "\"", ",,,,", "\ufeff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := ParseInvitations(text)
		if (err == nil) != (len(rows) > 0) {
			t.Errorf("%d rows and %v", len(rows), err)
		}
	})
}

func TestCellsDoNotBecomeFormulas(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\tx": "'\tx", "Mara": "Mara", "": ""} {
		if got := export.Cell(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}
