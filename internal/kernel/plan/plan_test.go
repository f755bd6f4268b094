package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/fault"
)

func TestEachPlanHoldsMoreThanTheOneBefore(t *testing.T) {
	t.Parallel()
	more := func(larger, smaller int) bool { return larger == 0 || smaller > 0 && larger > smaller }
	for i, n := range Names()[1:] {
		small, large := Of(Names()[i], true), Of(n, true)
		if !more(large.Members, small.Members) || !more(large.Hosts, small.Hosts) ||
			!more(int(large.Retention), int(small.Retention)) || large.ShortestInterval >= small.ShortestInterval {
			t.Errorf("%s %+v after %s %+v", large.Name, large.Limits, small.Name, small.Limits)
		}
	}
	if got := Of(Enterprise, true).Limits; got != (Limits{}) {
		t.Errorf("enterprise is limited: %+v", got)
	}
}

func TestLimitsHoldOnlyWhereTheyAreEnforced(t *testing.T) {
	t.Parallel()
	free, off := Of(Free, true), Of(Free, false)
	for name, check := range map[string]func(p Plan, have, more int) error{"members": Plan.CheckMembers, "hosts": Plan.CheckHosts} {
		limit := map[string]int{"members": free.Members, "hosts": free.Hosts}[name]
		if err := check(free, limit-1, 1); err != nil {
			t.Errorf("%s: the last one is refused: %v", name, err)
		}
		err := check(free, limit, 1)
		if !Exceeded(err) || !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "larger plan") {
			t.Errorf("%s: one too many: %v", name, err)
		}
		if err := check(off, limit, 1); err != nil {
			t.Errorf("%s: refused although limits are off: %v", name, err)
		}
	}
	if free.Allows(free.ShortestInterval-time.Second) || !free.Allows(free.ShortestInterval) || !off.Allows(time.Minute) {
		t.Error("intervals are judged wrongly")
	}
}
