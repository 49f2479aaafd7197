package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTimerSlack: every thread of a node has it, those too that Go makes before main.
func TestTimerSlack(t *testing.T) {
	p := startServer(t)
	p.ready(t)
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.Process.Pid))
	if err != nil || len(tasks) < 3 {
		t.Fatalf("%d threads, %v", len(tasks), err)
	}
	for _, task := range tasks {
		got, err := os.ReadFile(filepath.Join("/proc", task.Name(), "timerslack_ns"))
		if os.IsPermission(err) {
			t.Skip("reading another process's slack takes a privilege")
		}
		if err == nil && strings.TrimSpace(string(got)) != fmt.Sprint(timerSlack) {
			t.Errorf("thread %s: %s", task.Name(), got)
		}
	}
}
