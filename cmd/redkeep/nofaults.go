//go:build !faults

package main

import (
	"log/slog"
	"time"
)

// A normal binary has no faults to inject; see faults.go.

// wallClock is what the node takes for the time.
func wallClock() time.Time { return time.Now() }

func listenForFaults(*slog.Logger) (end func(), err error) { return func() {}, nil }
