package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// verdict says whether a target was reached.
type verdict string

const (
	met    verdict = "met"
	missed verdict = "**not met**"
	// shown is a figure without a target of its own.
	shown verdict = ""
)

// judge turns a comparison with the goal into a verdict.
func judge(ok bool) verdict {
	if ok {
		return met
	}
	return missed
}

// result is one line of the document. Floor and Ratio are empty where a target is absolute.
type result struct {
	Target  string // such as T4
	What    string
	Floor   string
	Product string
	Ratio   string
	Goal    string
	Verdict verdict
}

func (r result) String() string {
	return fmt.Sprintf("%-3s %s: floor %s, product %s, ratio %s, goal %s: %s", r.Target, r.What, dash(r.Floor), r.Product,
		dash(r.Ratio), dash(r.Goal), dash(strings.Trim(string(r.Verdict), "*")))
}

func dash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// machine is what a reader needs to know to place the figures; it names no host.
type machine struct {
	cores           int
	memoryGB        int
	cpu, goVersion  string
	load            string
	postgres, fsync string
}

func readMachine() machine {
	m := machine{cores: runtime.NumCPU(), goVersion: strings.TrimPrefix(runtime.Version(), "go"), load: firstWords("/proc/loadavg", 1)}
	if kb, err := strconv.Atoi(procField("/proc/meminfo", "MemTotal")); err == nil {
		m.memoryGB = (kb + 1<<19) >> 20
	}
	m.cpu = runtime.GOARCH
	return m
}

// procField returns the first word after "name:" of a file in procfs, empty when there is none.
func procField(path, name string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			if words := strings.Fields(rest); len(words) > 0 {
				return words[0]
			}
		}
	}
	return ""
}

func firstWords(path string, n int) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	words := strings.Fields(string(raw))
	return strings.Join(words[:min(n, len(words))], " ")
}

type measured struct {
	part
	results []result
	notes   []string
	took    time.Duration
}

// document is the whole run.
type document struct {
	machine machine
	began   time.Time
	took    time.Duration
	quick   bool
	parts   []measured
}

func (d document) markdown() string {
	var b strings.Builder
	m := d.machine
	flush := "flushing to disk as in production"
	if m.fsync != "on" {
		flush = "without flushing to disk"
	}
	fmt.Fprintf(&b, `# Benchmarks

Written by `+"`make bench`"+` (internal/bench) on %s; do not edit by hand.

Machine: %d cores (%s), %d GB memory, Linux, Go %s, PostgreSQL %s %s, all on loopback. Load average when the run
began: %s. Whatever else runs takes its share of the cores, and clients, TLS servers and receivers of the benchmark run on
the same cores as the product. **Ratios within one run count, absolute figures do not.** Floor and product took turns;
figures are medians of their rounds. The whole run took %s.

A floor is a bare loop that does only what cannot be left out. The target numbers are those of the project's performance
goals; a target that was not reached says so.
`, d.began.Format("2 January 2006"), m.cores, m.cpu, m.memoryGB, m.goVersion, m.postgres, flush, m.load, d.took.Round(time.Second))
	for _, p := range d.parts {
		fmt.Fprintf(&b, "\n## %s\n\n| Target | What | Floor | Product | Ratio | Goal | Verdict |\n|---|---|---|---|---|---|---|\n", p.about)
		for _, r := range p.results {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", r.Target, r.What, r.Floor, r.Product, r.Ratio, r.Goal, r.Verdict)
		}
		if len(p.notes) > 0 {
			b.WriteString("\n")
			for _, n := range p.notes {
				fmt.Fprintf(&b, "- %s\n", n)
			}
		}
	}
	return b.String()
}
