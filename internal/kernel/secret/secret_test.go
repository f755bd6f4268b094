package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/vigilo/vigilo/internal/kernel/secret"
)

var (
	oldKey = "2025:" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32))
	newKey = "2026:" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{2}, 32))
	ws     = uuid.MustParse("0197f0c0-0000-7000-8000-000000000001")
	other  = uuid.MustParse("0197f0c0-0000-7000-8000-000000000002")
)

const purpose = "webhooks.signing_key"

// golden is "hunter2" under newKey, as version 1 wrote it. Databases hold such bytes, so
// they must open for ever.
const golden = "01043230323666f3a8cf3c19782f15b973ae27bb6a34d5495ca2ea1a9bd3cd982f03028d10697a98931998035dc7eb02ef4b4a1993"

func ring(t testing.TB, text string) *secret.Keyring {
	t.Helper()
	k, err := secret.ParseKeyring(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func seal(t testing.TB, k *secret.Keyring, plain string) []byte {
	t.Helper()
	sealed, err := k.Seal(ws, purpose, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestSealedSecretOpensOnlyForItsWorkspaceAndPurpose(t *testing.T) {
	t.Parallel()
	k := ring(t, newKey)
	sealed := seal(t, k, "hunter2")
	if bytes.Contains(sealed, []byte("hunter2")) {
		t.Error("the sealed bytes contain the plain text")
	}
	for _, tt := range []struct {
		name      string
		workspace uuid.UUID
		purpose   string
		want      error
	}{
		{"same workspace and purpose", ws, purpose, nil},
		{"another workspace", other, purpose, secret.ErrNotAuthentic},
		{"no workspace", uuid.Nil, purpose, secret.ErrNotAuthentic},
		{"another purpose", ws, "smtp.password", secret.ErrNotAuthentic},
		{"prefix of the purpose", ws, purpose[:8], secret.ErrNotAuthentic},
		{"no purpose", ws, "", secret.ErrNotAuthentic},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			plain, err := k.Open(tt.workspace, tt.purpose, sealed)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error is %v, want %v", err, tt.want)
			}
			if tt.want == nil && string(plain) != "hunter2" {
				t.Errorf("opened %q", plain)
			}
			if tt.want != nil && plain != nil {
				t.Errorf("a failed open returned %d bytes", len(plain))
			}
		})
	}
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	t.Parallel()
	k := ring(t, newKey+"\n"+oldKey)
	sealed := seal(t, k, "hunter2")
	for i := range sealed {
		for bit := range 8 {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1 << bit
			if _, err := k.Open(ws, purpose, changed); err == nil {
				t.Errorf("byte %d bit %d flipped: opened without an error", i, bit)
			}
		}
	}
	for n := range sealed {
		if _, err := k.Open(ws, purpose, sealed[:n]); err == nil {
			t.Errorf("cut to %d bytes: opened without an error", n)
		}
	}
}

func TestSecretOfAnOldKeyOpensAndIsSealedAgainUnderTheCurrentOne(t *testing.T) {
	t.Parallel()
	before := ring(t, oldKey)
	sealed := seal(t, before, "hunter2")
	if before.NeedsRotation(sealed) {
		t.Error("a secret under the current key needs rotation")
	}
	during := ring(t, newKey+"\n"+oldKey)
	if !during.NeedsRotation(sealed) {
		t.Error("a secret under an old key needs no rotation")
	}
	again, err := during.Reseal(ws, purpose, sealed)
	if err != nil {
		t.Fatal(err)
	}
	if during.NeedsRotation(again) {
		t.Error("a secret that was sealed again needs rotation")
	}
	same, err := during.Reseal(ws, purpose, again)
	if err != nil || !bytes.Equal(same, again) {
		t.Errorf("a secret under the current key was sealed again: %v", err)
	}
	after := ring(t, newKey)
	plain, err := after.Open(ws, purpose, again)
	if err != nil || string(plain) != "hunter2" {
		t.Errorf("after the old key was removed: %q, %v", plain, err)
	}
	if _, err := after.Open(ws, purpose, sealed); !errors.Is(err, secret.ErrUnknownKey) || !strings.Contains(err.Error(), `"2025"`) {
		t.Errorf("error is %v, want the unknown key 2025", err)
	}
	if _, err := during.Reseal(other, purpose, sealed); !errors.Is(err, secret.ErrNotAuthentic) {
		t.Errorf("sealed again for another workspace: %v", err)
	}
}

func TestSecretOfFormatVersionOneOpens(t *testing.T) {
	t.Parallel()
	plain, err := ring(t, newKey).Open(ws, purpose, unhex(t, golden))
	if err != nil || string(plain) != "hunter2" {
		t.Errorf("opened %q, %v", plain, err)
	}
}

func TestSameIDWithAnotherKeyIsNotAuthentic(t *testing.T) {
	t.Parallel()
	sealed := seal(t, ring(t, oldKey), "hunter2")
	impostor := ring(t, "2025:"+strings.TrimPrefix(newKey, "2026:"))
	if _, err := impostor.Open(ws, purpose, sealed); !errors.Is(err, secret.ErrNotAuthentic) {
		t.Errorf("error is %v", err)
	}
}

func TestSealingTwiceGivesDifferentBytes(t *testing.T) {
	t.Parallel()
	k := ring(t, newKey)
	if bytes.Equal(seal(t, k, "hunter2"), seal(t, k, "hunter2")) {
		t.Error("equal secrets can be told from their sealed bytes")
	}
	if _, err := k.Seal(ws, "", []byte("x")); err == nil {
		t.Error("sealed without a purpose")
	}
}

func TestKeyringFileMistakesAreNamedWithoutTheKey(t *testing.T) {
	t.Parallel()
	long := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 33))
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "no key found: want lines of the form id:base64"},
		{"only a comment", "# keys\n\n", "no key found: want lines of the form id:base64"},
		{"no id", "c2VjcmV0", "key 1: want the form id:base64"},
		{"bad id", newKey + "\nä:" + long, "key 2: its id must have 1 to 32 letters, digits, dots, hyphens or underscores"},
		{"not base64", "a:§secret§", "key 1: the part after a: is not base64"},
		{"too long", "a:" + long, "key 1: the key a has 33 bytes, want 32"},
		{"twice", newKey + "," + newKey, "key 2: the id 2026 is used twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := secret.ParseKeyring(tt.text)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestFirstKeyOfTheFileIsCurrent(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte("# newest first\n\n"+newKey+"\r\n"+oldKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := secret.LoadKeyring(path)
	if err != nil {
		t.Fatal(err)
	}
	if k.CurrentKeyID() != "2026" {
		t.Errorf("current key is %s", k.CurrentKeyID())
	}
}

func TestMissingKeyringIsCreatedOnceAndPrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data", "keys")
	if _, err := secret.LoadKeyring(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("error is %v", err)
	}
	type result struct {
		k   *secret.Keyring
		err error
	}
	results := make(chan result, 8)
	for range cap(results) {
		go func() {
			k, err := secret.LoadOrCreateKeyring(path)
			results <- result{k, err}
		}()
	}
	ids := map[string]bool{}
	var last *secret.Keyring
	for range cap(results) {
		r := <-results
		if r.err != nil {
			t.Fatal(r.err)
		}
		ids[r.k.CurrentKeyID()] = true
		last = r.k
	}
	if len(ids) != 1 {
		t.Errorf("%d keys were made, want 1", len(ids))
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, want 0600", st.Mode().Perm())
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files beside the keyring, %v", len(entries)-1, err)
	}
	again, err := secret.LoadOrCreateKeyring(path)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := again.Open(ws, purpose, seal(t, last, "hunter2")); err != nil || string(plain) != "hunter2" {
		t.Errorf("after a restart: %q, %v", plain, err)
	}
}

func TestTokensAreRandomAndFoundByTheirHash(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^vgl_[0-9A-Za-z]{43}$`)
	seen := map[string]bool{}
	for range 1000 {
		token, hash := secret.NewToken("vgl_")
		if !form.MatchString(token) {
			t.Fatalf("token has the form %q", token)
		}
		if seen[token] {
			t.Fatal("the same token twice")
		}
		seen[token] = true
		if !bytes.Equal(hash, secret.HashToken(token)) {
			t.Fatal("the hash is not the token's")
		}
	}
	// FIPS 180-2, appendix B.1.
	want := "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if got := fmt.Sprintf("%x", secret.HashToken("abc")); got != want {
		t.Errorf("hash is %s, want SHA-256", got)
	}
}

func TestTextAndKeyringNeverPrint(t *testing.T) {
	t.Parallel()
	text := secret.Text("hunter2")
	keys := ring(t, newKey)
	value := struct {
		Password secret.Text
		List     []secret.Text
		Map      map[string]secret.Text
		Keys     *secret.Keyring
	}{text, []secret.Text{text}, map[string]secret.Text{"a": text}, keys}

	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %[1]v", "%10s", "%t"} {
		fmt.Fprintf(&out, verb+"\n", text)
		fmt.Fprintf(&out, verb+"\n", value)
	}
	fmt.Fprintln(&out, text, value, keys, *keys)
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(raw)
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(h).Info("start", "password", text, "config", value, "keys", keys, slog.Group("g", "p", text))
	}
	fmt.Fprintln(&out, fmt.Errorf("sign in with %s: %w", text, errors.New("no")))
	for _, leak := range []string{"hunter2", "68756e74657232", "68756E74657232", "2 2 2 2", "02020202", "33686018"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%q is printed:\n%s", leak, out.String())
		}
	}
	if !strings.Contains(out.String(), "[redacted]") {
		t.Error("nothing is printed in place of the secret")
	}
	if text.Reveal() != "hunter2" {
		t.Errorf("Reveal returns %q", text.Reveal())
	}
}

func TestTextFromJSONIsRead(t *testing.T) {
	t.Parallel()
	var got struct{ Password secret.Text }
	if err := json.Unmarshal([]byte(`{"Password":"hunter2"}`), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("hunter2", got.Password.Reveal()); diff != "" {
		t.Error(diff)
	}
}

func TestTextIsNotStoredByTheDriver(t *testing.T) {
	t.Parallel()
	for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
		if raw, err := pgtype.NewMap().Encode(pgtype.TextOID, format, secret.Text("hunter2"), nil); err == nil {
			t.Errorf("format %d: encoded as %q", format, raw)
		}
	}
}

func FuzzOpenAcceptsOnlyWhatWasSealed(f *testing.F) {
	k := ring(f, newKey+"\n"+oldKey)
	sealed := unhex(f, golden) // not a fresh one: each worker of the fuzzer is a process of its own
	f.Add(sealed)
	f.Add(sealed[:10])
	f.Add([]byte{1, 0})
	f.Add([]byte{1, 255, 'a'})
	f.Add([]byte{2, 4, '2', '0', '2', '6'})
	f.Fuzz(func(t *testing.T, raw []byte) {
		plain, err := k.Open(ws, purpose, raw)
		if bytes.Equal(raw, sealed) {
			if err != nil || string(plain) != "hunter2" {
				t.Fatalf("the real secret: %q, %v", plain, err)
			}
			return
		}
		if err == nil {
			t.Fatalf("opened %x as %q", raw, plain)
		}
		if !errors.Is(err, secret.ErrFormat) && !errors.Is(err, secret.ErrUnknownKey) && !errors.Is(err, secret.ErrNotAuthentic) {
			t.Fatalf("unclassified error %v", err)
		}
		k.NeedsRotation(raw)
	})
}

func FuzzSealAndOpenAgree(f *testing.F) {
	k := ring(f, newKey)
	f.Add([]byte("hunter2"), "smtp.password")
	f.Add([]byte{}, "p")
	f.Fuzz(func(t *testing.T, plain []byte, purpose string) {
		sealed, err := k.Seal(ws, purpose, plain)
		if purpose == "" {
			if err == nil {
				t.Fatal("sealed without a purpose")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.Open(ws, purpose, sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("opened %x, %v, want %x", got, err, plain)
		}
	})
}

func TestHeaderTellsWhichKeySealed(t *testing.T) {
	t.Parallel()
	former, current := ring(t, oldKey), ring(t, newKey+"\n"+oldKey)
	for name, tc := range map[string]struct {
		sealed  []byte
		id      string
		current bool
	}{
		"former":  {seal(t, former, "x"), "2025", false},
		"current": {seal(t, current, "x"), "2026", true},
	} {
		id, err := secret.KeyID(tc.sealed)
		if err != nil || id != tc.id || !current.Has(id) {
			t.Errorf("%s: key %q, known %v, %v", name, id, current.Has(id), err)
		}
		if got := bytes.HasPrefix(tc.sealed, current.Header()); got != tc.current {
			t.Errorf("%s: begins with the current header: %v", name, got)
		}
		if id, err := secret.KeyID(tc.sealed[:len(current.Header())]); err != nil || id != tc.id {
			t.Errorf("%s: the header alone gives %q, %v", name, id, err)
		}
	}
	// A longer id does not look like a shorter one.
	longer := ring(t, strings.Replace(newKey, "2026:", "20261:", 1))
	if bytes.HasPrefix(seal(t, longer, "x"), current.Header()) {
		t.Error("another key's header begins with ours")
	}
	if former.Has("2026") {
		t.Error("a ring has a key that it was not given")
	}
	if _, err := secret.KeyID([]byte{1}); !errors.Is(err, secret.ErrFormat) {
		t.Errorf("no secret: %v", err)
	}
}
