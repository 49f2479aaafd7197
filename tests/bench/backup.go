package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// Backups: `redkeep snapshot save` from the leader of three nodes with a million keys, while four clients
// write. The time is that of the verb, from its start until the file is verified and synced.

const backupSave = "a backup"

// backupRate is what a save has to reach, in millions of bytes per second.
const backupRate = 100

func measureBackup(c config, ps *processes, t *table) error {
	s, err := startRedkeep(c, ps, "backup", 3)
	if err != nil {
		return err
	}
	defer ps.killAll()
	fmt.Printf("loading %d keys into three nodes\n", c.keys)
	if err := load(s, 0, c.keys); err != nil {
		return fmt.Errorf("load for a backup: %w", err)
	}
	wait(5 * time.Second) // let them finish what they do behind
	quiet := func() error { wait(3 * time.Second); return nil }
	if err := during(s, t, "nothing else on three nodes", c.keys, quiet); err != nil { // to compare with
		return err
	}
	var rates []float64
	err = during(s, t, backupSave, c.keys, func() error {
		for range c.rounds {
			rate, err := saveOnce(c, s)
			if err != nil {
				return err
			}
			rates = append(rates, rate)
		}
		return nil
	})
	if err == nil {
		slices.Sort(rates)
		t.backup = rates[len(rates)/2]
	}
	return err
}

// saveOnce returns the millions of bytes per second of one save.
func saveOnce(c config, s *system) (float64, error) {
	file := filepath.Join(c.dir, "bench.snapshot")
	defer os.Remove(file)
	from := time.Now()
	out, err := exec.Command(c.binary, "--endpoints", s.leader(), "snapshot", "save", file).CombinedOutput()
	took := time.Since(from)
	if err != nil {
		return 0, fmt.Errorf("snapshot save: %w: %s", err, out)
	}
	info, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	rate := float64(info.Size()) / 1e6 / took.Seconds()
	fmt.Printf("  snapshot save of %d MB beside writes: %v, %.0f MB/s\n", info.Size()/1e6,
		took.Round(time.Millisecond), rate)
	return rate, nil
}
