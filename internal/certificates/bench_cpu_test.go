package certificates

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/vigilo/vigilo/internal/kernel/dbtest"
)

// backendCPU sums the CPU time of the backends that serve the program, as the process
// table tells it: user and system ticks, 100 a second on Linux.
type backendCPU struct {
	d     *dbtest.DB
	seen  map[int32]float64
	total float64
}

func newBackendCPU(d *dbtest.DB) *backendCPU { return &backendCPU{d: d, seen: map[int32]float64{}} }

// read returns the seconds used since the first call, by backends that are still there.
func (c *backendCPU) read(b *testing.B) float64 {
	b.Helper()
	rows, err := c.d.Admin(b).Query(context.Background(), `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename LIKE 'vigilo%'`)
	if err != nil {
		b.Fatal(err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		b.Fatal(err)
	}
	first := len(c.seen) == 0
	for _, pid := range pids {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // another system, or the backend just ended
		}
		_, after, _ := strings.Cut(string(raw), ") ")
		used := 0.0
		for _, f := range strings.Fields(after)[11:13] {
			ticks, err := strconv.ParseFloat(f, 64)
			if err != nil {
				b.Fatal(err)
			}
			used += ticks / 100
		}
		if !first {
			c.total += used - c.seen[pid]
		}
		c.seen[pid] = used
	}
	return c.total
}
