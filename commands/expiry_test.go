package commands

import "testing"

func TestExpiryScript(t *testing.T) { runScript(t, "expiry") }
