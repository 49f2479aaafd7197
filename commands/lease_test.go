package commands

import "testing"

func TestLeaseScript(t *testing.T) { runScript(t, "lease") }
