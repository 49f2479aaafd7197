package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// table is what one run measured.
type table struct {
	rates       map[string]map[string]float64 // scenario, system
	order       []string
	memoryBusy  map[string]resident // right after the load
	memory      map[string]resident // half a minute later
	memoryAfter map[string]resident // after a restart
	restart     map[string]time.Duration
	stalls      map[string]map[string]time.Duration
	walkP99     time.Duration
	failover    map[string]map[string]interruptions // way, system
	growth      growth
	logins      logins
	multi       float64                  // cost of a MULTI of 16 SETs, over that of one SET
	rights      float64                  // SET rate of a user with rules, over the default user's
	delivery    map[string]time.Duration // of events to watchers, median
	catchUp     map[string]float64       // events a second from history, by form of watch
	backup      float64                  // of a save, in MB/s
	idleWatcher int64                    // bytes of one on the server
	// SET rates over those without: watchers that do not read, TLS, a million keys that end in a minute.
	stopped, overTLS, deadlines float64
	took                        time.Duration
}

func newTable() *table {
	return &table{
		rates: map[string]map[string]float64{}, memoryBusy: map[string]resident{},
		memory: map[string]resident{}, memoryAfter: map[string]resident{},
		restart: map[string]time.Duration{}, stalls: map[string]map[string]time.Duration{},
		delivery: map[string]time.Duration{}, failover: map[string]map[string]interruptions{},
		catchUp: map[string]float64{},
	}
}

func (t *table) rate(scenario, system string, perSecond float64) {
	if t.rates[scenario] == nil {
		t.rates[scenario] = map[string]float64{}
		t.order = append(t.order, scenario)
	}
	t.rates[scenario][system] = perSecond
}

func (t *table) stall(name, system string, worst time.Duration) {
	if t.stalls[name] == nil {
		t.stalls[name] = map[string]time.Duration{}
	}
	t.stalls[name][system] = worst
}

// ratio is a threshold on Redkeep's rate over another system's.
type ratio struct {
	scenario, against string
	least             float64
}

var ratios = []ratio{
	{"SET, 64 clients", "etcd", 3},
	{"GET, 64 clients", "etcd", 3},
	{"SET, 1 client", "etcd", 1.3},
	{"SET, 64 clients × 16 pipelined", "redis", 0.5},
	{"compare-and-set in one request, 64 clients", "etcd", 3},
	{"read, then compare-and-set, 64 clients", "etcd", 3},
	{"lease renewals, 64 clients", "etcd", 1.5},
	{"lease renewals, 64 callers in one process", "etcd", 1.5},
	{"lock hand-overs, 8 contenders", "etcd", 10},
}

// verdict is one line of the list of thresholds.
type verdict struct {
	text string
	met  bool
}

func (t *table) verdicts() []verdict {
	var out []verdict
	add := func(met bool, format string, args ...any) {
		out = append(out, verdict{fmt.Sprintf(format, args...),
			met})
	}
	for _, r := range ratios {
		row := t.rates[r.scenario]
		if row["redkeep"] == 0 || row[r.against] == 0 {
			continue
		}
		have := row["redkeep"] / row[r.against]
		add(have >= r.least, "%s: %.2f × %s, at least %.1f ×", r.scenario, have, r.against, r.least)
	}
	t.multiVerdict(add)
	if t.walkP99 > 0 {
		add(t.walkP99 < 20*time.Millisecond,
			"99th percentile of SET while KEYS and SCAN walk all keys: %v, under 20 ms",
			t.walkP99.Round(10*time.Microsecond))
	}
	if ours, theirs := t.memory["redkeep"].all, t.memory["etcd"].all; theirs > 0 {
		add(ours <= theirs, "resident memory: %d MiB, at most etcd's %d MiB", ours>>20, theirs>>20)
		add(t.restart["redkeep"] <= 3*time.Second, "restart: %v, at most 3 s",
			t.restart["redkeep"].Round(time.Millisecond))
	}
	if ours, theirs := t.delivery["redkeep"], t.delivery["etcd"]; ours > 0 && theirs > 0 {
		add(2*ours <= theirs, "delivery to %d watchers, p50: %v, at most half of etcd's %v", watchers,
			ours.Round(10*time.Microsecond), theirs.Round(10*time.Microsecond))
	}
	if t.idleWatcher > 0 {
		add(t.idleWatcher <= idleMost, "an idle watcher, one of %d: %d bytes on the server, at most %d",
			idleWatchers, t.idleWatcher, idleMost)
	}
	if t.stopped > 0 {
		add(t.stopped >= 0.95, "SET, 64 clients, beside %d watchers that do not read: %.0f %%, at least 95 %%",
			stoppedWatches, 100*t.stopped)
	}
	if t.overTLS > 0 {
		add(t.overTLS >= tlsKeeps, "SET, 64 clients, over TLS 1.3 to clients and between members: %.0f %% of "+
			"plain, at least %.0f %%", 100*t.overTLS, 100*tlsKeeps)
	}
	if t.backup > 0 {
		add(t.backup >= backupRate, "snapshot save beside writes: %.0f MB/s, at least %d MB/s", t.backup,
			backupRate)
	}
	if t.deadlines > 0 {
		add(t.deadlines >= 0.9, "SET, 64 clients, while a million keys end in a minute: %.0f %%, at least 90 %%",
			100*t.deadlines)
	}
	for _, form := range catchUpForms {
		if rate := t.catchUp[form.name]; rate > 0 {
			add(rate >= catchUpLeast, "%s, %s: %.0f a second, at least %d", catchUp, form.name, rate, catchUpLeast)
		}
	}
	t.growth.verdicts(add)
	t.logins.verdicts(add)
	t.rightsVerdict(add)
	for _, name := range []string{"a snapshot", "compaction", leaseEnd, backupSave} {
		if worst, ok := t.stalls[name]["redkeep"]; ok {
			add(worst <= 100*time.Millisecond, "worst SET during %s: %v, at most 100 ms", name,
				worst.Round(100*time.Microsecond))
		}
	}
	t.failoverVerdicts(add)
	return out
}

func (t *table) missed() []string {
	var out []string
	for _, v := range t.verdicts() {
		if !v.met {
			out = append(out, v.text)
		}
	}
	return out
}

var systemNames = []string{"redkeep", "etcd", "redis"}

// markdown renders the tables and the thresholds.
func (t *table) markdown() string {
	var b strings.Builder
	b.WriteString("| operations per second | Redkeep, 3 nodes | etcd, 3 nodes | Redis, 1 node | " +
		"Redkeep / etcd | Redkeep / Redis |\n|---|---|---|---|---|---|\n")
	for _, sc := range t.order {
		row := t.rates[sc]
		fmt.Fprintf(&b, "| %s |", sc)
		for _, s := range systemNames {
			fmt.Fprintf(&b, " %s |", orDash(row[s] > 0, "%.0f", row[s]))
		}
		fmt.Fprintf(&b, " %s | %s |\n", orDash(row["etcd"] > 0, "%.2f ×", row["redkeep"]/row["etcd"]),
			orDash(row["redis"] > 0, "%.2f ×", row["redkeep"]/row["redis"]))
	}
	t.writeSingle(&b)
	t.writeFailover(&b)
	b.WriteString("\nThresholds:\n\n")
	for _, v := range t.verdicts() {
		fmt.Fprintf(&b, "- %s: %s\n", map[bool]string{true: "met", false: "**missed**"}[v.met], v.text)
	}
	return b.String()
}

func (t *table) writeSingle(b *strings.Builder) {
	if len(t.memory) == 0 {
		return
	}
	b.WriteString("\n| one node, one million keys of 128 bytes | Redkeep | etcd |\n|---|---|---|\n")
	line := func(name string, cell func(system string) string) {
		fmt.Fprintf(b, "| %s | %s | %s |\n", name, cell("redkeep"), cell("etcd"))
	}
	line("resident memory right after the load", func(s string) string { return t.memoryBusy[s].String() })
	line("resident memory half a minute later", func(s string) string { return t.memory[s].String() })
	line("resident memory after a restart", func(s string) string { return t.memoryAfter[s].String() })
	line("kill -9 to first linearizable read",
		func(s string) string { return t.restart[s].Round(time.Millisecond).String() })
	for _, name := range []string{"nothing else", "a snapshot", "compaction"} {
		label := map[string]string{
			"nothing else": "worst SET with nothing else going on",
			"a snapshot":   "worst SET while a snapshot is written",
			"compaction":   "worst SET while a million revisions are compacted",
		}[name]
		line(label, func(s string) string {
			worst, ok := t.stalls[name][s]
			return orDash(ok, "%v", worst.Round(100*time.Microsecond))
		})
	}
}

func orDash(ok bool, format string, v any) string {
	if !ok {
		return "–"
	}
	return fmt.Sprintf(format, v)
}

// writePage writes docs/BENCHMARKS.md.
func (t *table) writePage(c config) error {
	var b strings.Builder
	b.WriteString("# Benchmarks\n\nWritten by `make bench`; do not edit. One run on one machine: only the " +
		"ratios mean anything elsewhere.\n\n")
	fmt.Fprintf(&b, "- Machine: %s, %d CPUs, %s; data of all systems on the same disk.\n", cpuModel(),
		runtime.NumCPU(), memory())
	for _, v := range versions(c) {
		fmt.Fprintf(&b, "- %s\n", v)
	}
	fmt.Fprintf(&b,
		"- Values of %d random bytes; %d keys to draw from. Writes are synced to disk by a quorum (Redis: by its\n"+
			"  one node, `appendfsync always`); reads of Redkeep and etcd are linearizable, those of Redis are not.\n",
		valueBytes, keySpace)
	where := "at the leader, the best place for both"
	if c.spread {
		where = "spread over all nodes"
	}
	fmt.Fprintf(&b, "- Clients: go-redis for Redkeep and Redis, a connection each; etcd's Go client, %d\n"+
		"  connections shared, its fastest here. They are %s. Clients and servers share the machine.\n",
		etcdConnections, where)
	fmt.Fprintf(&b, "- Median of %d rounds of %v per system, going around; %v in all.\n\n", c.rounds, c.round,
		t.took.Round(time.Second))
	b.WriteString(t.markdown())
	if err := os.MkdirAll(filepath.Dir(c.out), 0o755); err != nil {
		return err
	}
	return os.WriteFile(c.out, []byte(b.String()), 0o644)
}

func cpuModel() string { return procField("/proc/cpuinfo", "model name") }

func memory() string { return procField("/proc/meminfo", "MemTotal") + " of memory" }

func procField(file, name string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}
