package seats

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

var monday = time.Date(2026, time.June, 1, 9, 0, 0, 0, time.UTC)

func hours(n int) time.Time { return monday.Add(time.Duration(n) * time.Hour) }

// gives makes a delegation of the first letter to the second from hour 0 to hour 10.
func gives(pair string, edit ...func(*Delegation)) Delegation {
	r := []rune(pair)
	d := Delegation{
		ID: uuid.UUID{0: byte(r[0]), 1: byte(r[1])}, Principal: who(r[0]), Delegate: who(r[1]), Kind: Out, Scope: Scope{Kind: ScopeAll},
		Start: hours(0), End: hours(10), CreatedAt: hours(-1),
	}
	for _, e := range edit {
		e(&d)
	}
	return d
}

func scoped(k ScopeKind, value string) func(*Delegation) {
	return func(d *Delegation) { d.Scope = Scope{k, value} }
}

func during(from, to int) func(*Delegation) {
	return func(d *Delegation) { d.Start, d.End = hours(from), hours(to) }
}

func assisting(d *Delegation) { d.Kind = Assist }

// world has the people A to F and X, of whom some are inactive or excluded.
func world(at int, inactive, excluded string, delegations ...Delegation) World {
	w := World{At: hours(at), People: map[uuid.UUID]Person{}, Excluded: map[uuid.UUID]bool{}, Delegations: delegations}
	for _, l := range "ABCDEFX" {
		w.People[who(l)] = Person{Active: !strings.ContainsRune(inactive, l), Permitted: true}
	}
	for _, l := range excluded {
		w.Excluded[who(l)] = true
	}
	return w
}

func TestASeatIsRoutedToWhoeverIsThere(t *testing.T) {
	t.Parallel()
	topic := Topic{ChangeType: "normal", Tags: []string{"pci"}, Policies: people("p")}
	older := func(d *Delegation) { d.CreatedAt = hours(-5) }
	for name, tt := range map[string]struct {
		w        World
		absent   string
		taken    string
		assignee string
		path     string
		unrouted Unrouted
	}{
		"a principal who is there":             {world(1, "", ""), "", "", "A", "A", ""},
		"an absence without a delegation":      {world(1, "", ""), "A", "", "", "A", Absent},
		"an absence with a delegation":         {world(1, "", "", gives("AB", assisting)), "A", "", "B", "AB", ""},
		"a delegation of kind out":             {world(1, "", "", gives("AB")), "", "", "B", "AB", ""},
		"a delegation of kind assist":          {world(1, "", "", gives("AB", assisting)), "", "", "A", "A", ""},
		"before it starts":                     {world(-1, "", "", gives("AB")), "", "", "A", "A", ""},
		"the moment it starts":                 {world(0, "", "", gives("AB")), "", "", "B", "AB", ""},
		"the moment it ends":                   {world(10, "", "", gives("AB")), "", "", "A", "A", ""},
		"the delegate is away too":             {world(1, "", "", gives("AB"), gives("BC")), "", "", "C", "ABC", ""},
		"three hops":                           {world(1, "", "", gives("AB"), gives("BC"), gives("CD")), "", "", "D", "ABCD", ""},
		"four hops":                            {world(1, "", "", gives("AB"), gives("BC"), gives("CD"), gives("DE")), "", "", "", "ABCD", DelegationDepth},
		"a loop":                               {world(1, "", "", gives("AB"), gives("BA")), "", "", "", "AB", DelegationLoop},
		"the delegate is excluded":             {world(1, "", "B", gives("AB")), "", "", "", "AB", DelegateSoD},
		"an excluded delegate delegates on":    {world(1, "", "B", gives("AB"), gives("BC")), "", "", "", "AB", DelegateSoD},
		"the principal is excluded":            {world(1, "", "A", gives("AB")), "", "", "", "A", DelegateSoD},
		"an inactive principal":                {world(1, "A", "", gives("AB", assisting)), "", "", "B", "AB", ""},
		"an inactive principal, nobody behind": {world(1, "A", ""), "", "", "", "A", Inactive},
		"an inactive delegate":                 {world(1, "B", "", gives("AB")), "", "", "", "AB", Inactive},
		"a second seat":                        {world(1, "", ""), "", "A", "", "A", DuplicateSeat},
		"a second seat goes on":                {world(1, "", "", gives("AB", assisting)), "", "A", "B", "AB", ""},
		"the delegate holds a seat":            {world(1, "", "", gives("AB"), gives("BC", assisting)), "", "B", "C", "ABC", ""},
		"narrowest scope first": {world(1, "", "", gives("AB", older), gives("AC", scoped(ScopeChangeType, "normal")),
			gives("AD", scoped(ScopePolicy, who('p').String())), gives("AE", scoped(ScopeAssetGroup, "pci"))), "", "", "D", "AD", ""},
		"then the oldest":            {world(1, "", "", gives("AB"), gives("AC", older)), "", "", "C", "AC", ""},
		"another scope":              {world(1, "", "", gives("AB", assisting, scoped(ScopeChangeType, "emergency"))), "A", "", "", "A", Absent},
		"out covers the person":      {world(1, "", "", gives("AB", scoped(ScopeChangeType, "emergency"))), "", "", "", "A", Absent},
		"a tag of the assets":        {world(1, "", "", gives("AB", scoped(ScopeAssetGroup, "pci"))), "", "", "B", "AB", ""},
		"a delegation of yesterday":  {world(1, "", "", gives("AB", during(-20, -10))), "", "", "A", "A", ""},
		"somebody nobody ever heard": {world(1, "", "", gives("AZ")), "", "", "", "AZ", Inactive},
	} {
		for _, l := range tt.absent {
			tt.w.Absences = append(tt.w.Absences, Absence{who(l), hours(0), hours(5)})
		}
		got := tt.w.Resolve(who('A'), topic, without(tt.taken))
		assignee := ""
		if got.Assignee != uuid.Nil {
			assignee = letters([]uuid.UUID{got.Assignee})
		}
		if assignee != tt.assignee || letters(got.Path) != tt.path || got.Unrouted != tt.unrouted || len(got.Delegations) != len(got.Path)-1 {
			t.Errorf("%s: %q by %q, %q; want %q by %q, %q", name, assignee, letters(got.Path), got.Unrouted, tt.assignee, tt.path, tt.unrouted)
		}
	}
}

func TestWhoIsAvailableIsSeatedFirst(t *testing.T) {
	t.Parallel()
	w := world(1, "", "", gives("AB"), gives("BC", assisting))
	seat := func(l string) Chair { return Chair{Kind: Personal, Principals: people(l)} }
	// A is away and gives to B; B has a seat of their own, so A's goes on to C.
	got := w.Route([]Chair{seat("A"), seat("B"), {Kind: Shared, Principals: people("ACD")}})
	var lines []string
	for i, as := range got {
		for _, a := range as {
			line := string(rune('1'+i)) + " " + letters(a.Path)
			if !a.Routed() {
				line += " " + string(a.Unrouted)
			}
			lines = append(lines, line)
		}
	}
	want := []string{"1 ABC", "2 B", "3 ABC duplicate_seat", "3 C duplicate_seat", "3 D"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
	got = w.Route([]Chair{seat("A"), {Kind: Personal, Principals: people("B"), Filled: who('B')}, {Kind: BoardSeat}, {Kind: Personal, Principals: people("D"), Closed: true}})
	if len(got[0]) != 1 || letters(got[0][0].Path) != "ABC" || got[1] != nil || got[2] != nil || got[3] != nil {
		t.Errorf("%+v", got)
	}
}

func TestALoopIsFoundBeforeItExists(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		existing []Delegation
		add      Delegation
		path     string
	}{
		"nothing yet":                   {nil, gives("AB"), ""},
		"to oneself":                    {nil, gives("AA"), "AA"},
		"there and back":                {[]Delegation{gives("BA")}, gives("AB"), "ABA"},
		"through others":                {[]Delegation{gives("BC"), gives("CD"), gives("DE"), gives("EA")}, gives("AB"), "ABCDEA"},
		"one after the other":           {[]Delegation{gives("BA", during(10, 20))}, gives("AB"), ""},
		"one moment in common":          {[]Delegation{gives("BA", during(9, 20))}, gives("AB"), "ABA"},
		"no moment in common for all":   {[]Delegation{gives("BC", during(0, 5)), gives("CA", during(5, 10))}, gives("AB"), ""},
		"other change types":            {[]Delegation{gives("BA", scoped(ScopeChangeType, "normal"))}, gives("AB", scoped(ScopeChangeType, "emergency")), ""},
		"a type inside everything":      {[]Delegation{gives("BA", scoped(ScopeChangeType, "normal"))}, gives("AB"), "ABA"},
		"a type and a tag may meet":     {[]Delegation{gives("BA", scoped(ScopeAssetGroup, "pci"))}, gives("AB", scoped(ScopeChangeType, "normal")), "ABA"},
		"two tags may meet":             {[]Delegation{gives("BA", scoped(ScopeAssetGroup, "pci"))}, gives("AB", scoped(ScopeAssetGroup, "web")), "ABA"},
		"two policies do not":           {[]Delegation{gives("BA", scoped(ScopePolicy, "p"))}, gives("AB", scoped(ScopePolicy, "q")), ""},
		"types that differ further on":  {[]Delegation{gives("BC", scoped(ScopeChangeType, "x")), gives("CA", scoped(ScopeChangeType, "y"))}, gives("AB"), ""},
		"a loop that is not ours":       {[]Delegation{gives("BC"), gives("CB", during(20, 30))}, gives("AB"), ""},
		"its own older version":         {[]Delegation{gives("AB")}, gives("AB"), ""},
		"two ways, one is a dead end":   {[]Delegation{gives("BC"), gives("BD"), gives("DA")}, gives("AB"), "ABDA"},
		"a detour does not hide a loop": {[]Delegation{gives("BC"), gives("CB", scoped(ScopePolicy, "p")), gives("CA")}, gives("AB"), "ABCA"},
	} {
		if got := letters(FindLoop(tt.existing, tt.add)); got != tt.path {
			t.Errorf("%s: %q, want %q", name, got, tt.path)
		}
	}
}

// TestDelegationsThatWereLetInNeverLoop adds random delegations as long as none closes a
// loop, and then routes everybody at every hour.
func TestDelegationsThatWereLetInNeverLoop(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	types := []string{"normal", "standard"}
	for range 300 {
		var kept []Delegation
		for n := range 12 {
			from := r.IntN(10)
			d := Delegation{
				ID: uuid.UUID{0: byte(n + 1)}, Principal: who(rune('A' + r.IntN(6))), Delegate: who(rune('A' + r.IntN(6))), Kind: Out,
				Scope: Scope{Kind: ScopeAll}, Start: hours(from), End: hours(from + 1 + r.IntN(6)), CreatedAt: hours(n),
			}
			if r.IntN(2) == 0 {
				d.Scope = Scope{ScopeChangeType, types[r.IntN(2)]}
			}
			if FindLoop(kept, d) == nil {
				kept = append(kept, d)
			}
		}
		for at := range 16 {
			w := world(at, "", "", kept...)
			for _, l := range "ABCDEF" {
				for _, ct := range types {
					a := w.Resolve(who(l), Topic{ChangeType: ct}, nobody)
					if a.Unrouted == DelegationLoop {
						t.Fatalf("loop %s at %d of %s: %+v", letters(a.Path), at, ct, kept)
					}
				}
			}
		}
	}
}

// FuzzRoute holds what must be true of any routing: nobody excluded, away, inactive or
// seated twice is asked, and a path never repeats a person.
func FuzzRoute(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
	f.Add([]byte("AB BC CA excluded"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		next := func(n int) int {
			if len(raw) == 0 {
				return 0
			}
			b := int(raw[0])
			raw = raw[1:]
			return b % n
		}
		w := world(5, "", "")
		for range next(8) {
			d := gives("AB", during(next(8), 4+next(8)))
			d.Principal, d.Delegate = who(rune('A'+next(6))), who(rune('A'+next(6)))
			d.ID, d.Kind = uuid.UUID{3: byte(len(raw)), 4: byte(next(256))}, []DelegationKind{Out, Assist}[next(2)]
			w.Delegations = append(w.Delegations, d)
		}
		for range next(3) {
			w.Absences = append(w.Absences, Absence{who(rune('A' + next(6))), hours(next(8)), hours(4 + next(8))})
		}
		for range next(3) {
			w.Excluded[who(rune('A'+next(6)))] = true
		}
		for range next(3) {
			w.People[who(rune('A'+next(6)))] = Person{Active: next(2) == 0, Permitted: next(2) == 0}
		}
		var chairs []Chair
		for range 1 + next(5) {
			c := Chair{Kind: []Kind{Personal, Shared}[next(2)], Principals: []uuid.UUID{who(rune('A' + next(6)))}}
			if c.Kind == Shared {
				c.Principals = append(c.Principals, who(rune('A'+next(6))))
			}
			chairs = append(chairs, c)
		}
		personal := map[uuid.UUID]int{}
		for i, as := range w.Route(chairs) {
			if len(as) != len(chairs[i].Principals) {
				t.Fatalf("seat %d has %d assignments", i, len(as))
			}
			for _, a := range as {
				sorted := slices.Clone(a.Path)
				slices.SortFunc(sorted, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
				if len(slices.Compact(sorted)) != len(a.Path) || len(a.Path) > maxHops+1 || a.Path[0] != a.Principal {
					t.Fatalf("path %s", letters(a.Path))
				}
				for _, passed := range a.Path[:len(a.Path)-1] {
					if w.Excluded[passed] {
						t.Fatalf("path %s leads on from somebody excluded", letters(a.Path))
					}
				}
				if !a.Routed() {
					if a.Assignee != uuid.Nil {
						t.Fatalf("unrouted to somebody: %+v", a)
					}
					continue
				}
				if !w.Able(a.Assignee) || w.absent(a.Assignee) || a.Assignee != a.Path[len(a.Path)-1] {
					t.Fatalf("asks somebody who cannot: %+v", a)
				}
				if chairs[i].Kind == Personal {
					if other, ok := personal[a.Assignee]; ok {
						t.Fatalf("%s sits on %d and %d", letters([]uuid.UUID{a.Assignee}), other, i)
					}
					personal[a.Assignee] = i
				}
			}
		}
	})
}
