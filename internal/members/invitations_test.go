package members

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// token returns the secret part of a link.
func token(i Issued) string { return strings.TrimPrefix(i.Link, "https://vigilo.test/invitations/") }

func (b *bench) invite(t *testing.T, email string, role access.Role) Issued {
	t.Helper()
	issued, err := b.svc.Invite(context.Background(), b.admin, NewInvitation{Email: email, Role: role})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

func TestAnInvitationIsMailedAndAcceptedByItsLink(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	issued := b.invite(t, " Mara@Example.com ", access.Member)
	if issued.Email != "mara@example.com" || !strings.HasPrefix(token(issued), "inv_") {
		t.Fatalf("%+v", issued)
	}
	if len(b.mail.sent) != 1 || strings.Count(b.mail.sent[0], issued.Link) != 3 || !strings.HasPrefix(b.mail.sent[0], "mara@example.com\n") {
		t.Errorf("mail %q", b.mail.sent)
	}
	if n := b.count(t, `SELECT count(*) FROM invitations WHERE encode(token_hash, 'escape') LIKE '%inv\_%' OR token_hash = $1::bytea`, []byte(token(issued))); n != 0 {
		t.Error("the token is stored in the clear")
	}
	for _, table := range []string{"events", "audit.event"} {
		if n := b.count(t, `SELECT count(*) FROM `+table+` AS x WHERE x::text LIKE '%'||$1||'%'`, token(issued)); n != 0 {
			t.Errorf("the token is in %s", table)
		}
	}
	mara := b.user(t, "Mara Lind", "mara@example.com", true)
	offer, err := b.svc.AcceptOffer(ctx, mara, token(issued))
	if err != nil || offer.Slug != "acme" || offer.Inviter != "Adam Admin" {
		t.Fatalf("%+v, %v", offer, err)
	}
	if got := b.place(t, b.ws, mara.UserID); got != "member active invite" {
		t.Errorf("mara is %q", got)
	}
	if _, err := b.svc.AcceptOffer(ctx, mara, token(issued)); code(err) != "invitation_used" {
		t.Errorf("used twice: %v", err)
	}
	for _, action := range []string{"invitation.created", "invitation.accepted", "member.joined"} {
		if n := b.audited(t, b.ws, action); n != 1 {
			t.Errorf("%s recorded %d times", action, n)
		}
	}
}

func TestEachReasonNotToAcceptHasItsOwnSentence(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	mara, other := b.user(t, "Mara Lind", "mara@example.com", true), b.user(t, "Otto Other", "otto@example.com", true)
	unverified := b.user(t, "Not Mara", "mara@example.com", false)
	first := b.invite(t, "mara@example.com", access.Member)
	said := map[string]string{}
	refuse := func(name string, a db.Actor, token, want string) {
		t.Helper()
		_, err := b.svc.AcceptOffer(ctx, a, token)
		if got := code(err); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
			return
		}
		if before, ok := said[err.Error()]; ok {
			t.Errorf("%s says the same as %s", name, before)
		}
		said[err.Error()] = name
	}
	refuse("another address", other, token(first), "invitation_mismatch")
	refuse("an address that nobody confirmed", unverified, token(first), "email_unverified")
	refuse("no such link", mara, "inv_wrong", "invitation_unknown")
	b.clk.Advance(7 * 24 * time.Hour)
	refuse("after seven days", mara, token(first), "invitation_expired")
	again, err := b.svc.ResendInvitation(ctx, b.admin, first.ID)
	if err != nil {
		t.Fatal(err)
	}
	// The old link belongs to nothing any more.
	if _, err := b.svc.AcceptOffer(ctx, mara, token(first)); code(err) != "invitation_unknown" {
		t.Errorf("the link before: %v", err)
	}
	if err := b.svc.RevokeInvitation(ctx, b.admin, first.ID); err != nil {
		t.Fatal(err)
	}
	refuse("revoked", mara, token(again), "invitation_revoked")
	if err := b.svc.RevokeInvitation(ctx, b.admin, first.ID); code(err) != "invitation_closed" {
		t.Errorf("revoked twice: %v", err)
	}
	if _, err := b.svc.ResendInvitation(ctx, b.admin, first.ID); code(err) != "invitation_closed" {
		t.Errorf("sent a revoked one again: %v", err)
	}
	if got := b.place(t, b.ws, mara.UserID); got != "none" {
		t.Errorf("mara is %q", got)
	}
}

func TestInvitationsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	b.invite(t, "open@example.com", access.Member)
	tests := []struct {
		name string
		by   db.Actor
		in   NewInvitation
		want string
	}{
		{"no address", b.admin, NewInvitation{Role: access.Member}, "email invalid"},
		{"half an address", b.admin, NewInvitation{Email: "mara@", Role: access.Member}, "email invalid"},
		{"a NUL", b.admin, NewInvitation{Email: "ma\x00ra@example.com", Role: access.Member}, "email invalid"},
		{"no role", b.admin, NewInvitation{Email: "a@example.com"}, "role invalid"},
		{"no such role", b.admin, NewInvitation{Email: "a@example.com", Role: "platform_admin"}, "role invalid"},
		{"an owner by an admin", b.admin, NewInvitation{Email: "a@example.com", Role: access.Owner}, "role invalid"},
		{"a member", b.admin, NewInvitation{Email: "Vera.Viewer@example.test", Role: access.Member}, "email already_member"},
		{"twice", b.admin, NewInvitation{Email: "open@example.com", Role: access.Admin}, "email already_invited"},
		{"by a viewer", b.viewer, NewInvitation{Email: "a@example.com", Role: access.Viewer}, "forbidden"},
	}
	for _, tt := range tests {
		if _, err := b.svc.Invite(ctx, tt.by, tt.in); code(err) != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, code(err), tt.want)
		}
	}
	if _, err := b.svc.Invite(ctx, b.owner, NewInvitation{Email: "a@example.com", Role: access.Owner}); err != nil {
		t.Errorf("an owner could not invite an owner: %v", err)
	}
	// An invitation that ran out makes room for a new one.
	b.clk.Advance(8 * 24 * time.Hour)
	b.invite(t, "open@example.com", access.Viewer)
	if n := b.count(t, `SELECT count(*) FROM invitations WHERE email = 'open@example.com' AND revoked_at IS NULL`); n != 1 {
		t.Errorf("%d open invitations of one address", n)
	}
}

func TestAFileInvitesEverybodyOrNobody(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	b.invite(t, "open@example.com", access.Member)
	before := b.count(t, `SELECT count(*) FROM audit.event`)
	rows, err := ParseInvitations("email,role\na@example.com,member\nbroken,member\nb@example.com,king\na@example.com,viewer\nopen@example.com,viewer\nc@example.com,owner\n")
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.svc.InviteMany(ctx, b.admin, rows)
	var fields []string
	for _, d := range fault.Find(err).Details {
		fields = append(fields, d.Field)
	}
	if got := strings.Join(fields, ", "); got != "row 3, row 4, row 5, row 7" {
		t.Errorf("problems in %q: %v", got, err)
	}
	// Problems that only the database knows roll everything back as well.
	rows, err = ParseInvitations("a@example.com,member\nopen@example.com,viewer\nvera.viewer@example.test\n")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = b.svc.InviteMany(ctx, b.admin, rows); len(fault.Find(err).Details) != 2 {
		t.Errorf("problems: %v", err)
	}
	b.mail.fail = errors.New("no room")
	rows = rows[:1]
	if _, err = b.svc.InviteMany(ctx, b.admin, rows); !errors.Is(err, b.mail.fail) {
		t.Errorf("error of the mailer: %v", err)
	}
	b.mail.fail = nil
	if n := b.count(t, `SELECT count(*) FROM invitations`); n != 1 {
		t.Errorf("%d invitations, want the one from before", n)
	}
	if n := b.count(t, `SELECT count(*) FROM audit.event`); n != before {
		t.Errorf("%d entries were recorded for nothing", n-before)
	}
	rows, err = ParseInvitations("a@example.com,member\nb@example.com\nc@example.com,viewer")
	if err != nil {
		t.Fatal(err)
	}
	issued, err := b.svc.InviteMany(ctx, b.admin, rows)
	if err != nil || len(issued) != 3 {
		t.Fatalf("%d, %v", len(issued), err)
	}
	if n := b.count(t, `SELECT count(*) FROM invitations`); n != 4 || len(b.mail.sent) != 4 {
		t.Errorf("%d invitations and %d mails, want 4", n, len(b.mail.sent))
	}
}

func TestASuspendedMemberDoesNotComeBackByInvitation(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	issued := b.invite(t, "mara@example.com", access.Admin)
	mara := b.user(t, "Mara Lind", "mara@example.com", true)
	if _, err := b.svc.SeedMember(ctx, b.ws, mara.UserID, access.Viewer); err != nil {
		t.Fatal(err)
	}
	if _, err := b.svc.ChangeMember(ctx, b.admin, b.memberID(t, b.ws, mara), Change{State: stateOf(Suspended)}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.svc.AcceptOffer(ctx, mara, token(issued)); code(err) != "membership_suspended" {
		t.Errorf("accepted: %v", err)
	}
	if err := b.svc.ApplySignIn(ctx, SignIn{UserID: mara.UserID, Email: mara.Email, EmailVerified: true}); err != nil {
		t.Errorf("sign-in: %v", err)
	}
	if got := b.place(t, b.ws, mara.UserID); got != "viewer suspended seed" {
		t.Errorf("mara is %q", got)
	}
}

func TestAStrangerSeesNoInvitation(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	issued := b.invite(t, "mara@example.com", access.Admin)
	if _, err := b.svc.Invitation(ctx, b.strang, issued.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("read: %v", err)
	}
	if _, err := b.svc.ResendInvitation(ctx, b.strang, issued.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("resend: %v", err)
	}
	if err := b.svc.RevokeInvitation(ctx, b.strang, issued.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("revoke: %v", err)
	}
	// The same address may be invited by two workspaces that do not know of each other.
	if _, err := b.svc.Invite(ctx, b.strang, NewInvitation{Email: "mara@example.com", Role: access.Viewer}); err != nil {
		t.Errorf("invite: %v", err)
	}
}

func TestDemoDataMayBeWrittenTwice(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	mara, otto := b.user(t, "Mara Lind", "mara@example.com", true), b.user(t, "Otto Other", "otto@example.com", true)
	ws, err := b.svc.SeedWorkspace(ctx, NewWorkspace{Name: "Halden"}, mara.UserID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.svc.SeedWorkspace(ctx, NewWorkspace{Name: "Halden"}, mara.UserID); code(err) != "slug slug_taken" {
		t.Errorf("second workspace: %v", err)
	}
	var seen []uuid.UUID
	for range 2 {
		m, err := b.svc.SeedMember(ctx, ws.ID, otto.UserID, access.Approver)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, m.ID)
	}
	if seen[0] != seen[1] || b.place(t, ws.ID, otto.UserID) != "approver active seed" || b.place(t, ws.ID, mara.UserID) != "owner active seed" {
		t.Errorf("members %v", seen)
	}
}
