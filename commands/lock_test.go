package commands

import "testing"

func TestLockScript(t *testing.T) { runScript(t, "lock") }

func TestElectionScript(t *testing.T) { runScript(t, "election") }
