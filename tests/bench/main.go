package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// config is what the flags say.
type config struct {
	binary string
	dir    string // of the data of all systems
	out    string // the page to write; empty for none
	round  time.Duration
	rounds int
	keys   int // of the memory and restart measurement
	wide   bool
	spread bool
	only   string
	strict bool
}

func parseFlags() config {
	var c config
	flag.StringVar(&c.binary, "binary", "../../bin/redkeep", "redkeep binary to measure")
	flag.StringVar(&c.dir, "dir", "", "directory for data, on the disk to measure (default: a temporary one)")
	flag.StringVar(&c.out, "out", "../../docs/BENCHMARKS.md", "page to write; empty for none")
	flag.DurationVar(&c.round, "round", 3*time.Second, "length of one round, after a warm-up of a third of it")
	flag.IntVar(&c.rounds, "rounds", 3, "rounds per system and scenario; their median counts")
	flag.IntVar(&c.keys, "keys", 1_000_000, "keys of the memory, restart and stall measurements")
	flag.BoolVar(&c.wide, "wide", false, "also measure 512 clients")
	flag.BoolVar(&c.spread, "spread", false, "spread clients over all nodes instead of the leader alone")
	flag.StringVar(&c.only, "only", "", "run only scenarios whose name contains this; no page is written")
	flag.BoolVar(&c.strict, "strict", false, "exit with an error if a threshold is missed")
	flag.Parse()
	return c
}

func main() {
	c := parseFlags()
	if err := run(c); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(c config) error {
	binary, err := filepath.Abs(c.binary)
	if err != nil {
		return err
	}
	c.binary = binary
	if c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "redkeep-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(c.dir)
	}
	procs := &processes{}
	defer procs.killAll()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-stop
		procs.killAll()
		os.RemoveAll(c.dir)
		os.Exit(130)
	}()
	t := newTable()
	began := time.Now()
	if err := measureAll(c, procs, t); err != nil {
		return err
	}
	t.took = time.Since(began)
	fmt.Print("\n" + t.markdown())
	if c.out != "" && c.only == "" {
		if err := t.writePage(c); err != nil {
			return err
		}
	}
	if missed := t.missed(); c.strict && len(missed) > 0 {
		return fmt.Errorf("thresholds missed: %v", missed)
	}
	return nil
}

// measureAll takes the parts that c.only names, one after the other: each has the machine for itself.
func measureAll(c config, procs *processes, t *table) error {
	if err := measureThroughput(c, procs, t); err != nil {
		return err
	}
	if err := measureWatches(c, procs, t); err != nil {
		return err
	}
	for _, part := range []struct {
		name    string
		measure func(config, *processes, *table) error
	}{
		{leaseEnd, measureLeaseEnd}, {deadlines, measureDeadlines}, {catchUp, measureCatchUp},
		{tlsScenario, measureTLS}, {failoverName, measureFailover}, {backupSave, measureBackup},
		{memberAdded, measureGrowth}, {loginsName, measureLogins}, {rightsName, measureRights},
		{multiName, measureMulti},
	} {
		if !strings.Contains(part.name, c.only) {
			continue
		}
		if err := part.measure(c, procs, t); err != nil {
			return err
		}
	}
	if c.only == "" {
		return measureSingle(c, procs, t)
	}
	return nil
}
