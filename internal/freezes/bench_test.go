package freezes

import (
	"fmt"
	"testing"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// BenchmarkCheck holds the window of a change against 200 active freezes, each with a
// year and a half of daily occurrences: what scheduling and starting a change ask.
func BenchmarkCheck(b *testing.B) {
	w := newWorld(b)
	for i := range 200 {
		f := weekly(FreezeKinds()[i%3], "FREQ=DAILY")
		f.Name = fmt.Sprintf("Freeze %d", i)
		f.AssetTags = []string{fmt.Sprintf("tag-%d", i)}
		w.active(f)
	}
	target := Target{Environments: []string{"prod"}, AssetTags: []string{"tag-1", "tag-2", "tag-3"}, ChangeType: "normal", Risk: "high"}
	start := noon.Add(90 * 24 * time.Hour)
	for b.Loop() {
		err := w.d.InWorkspace(b.Context(), w.member, func(tx *db.Tx) error {
			hits, err := w.Check(b.Context(), tx, target, start, start.Add(14*time.Hour))
			if len(hits) != 3 {
				b.Fatalf("%d hits", len(hits))
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
