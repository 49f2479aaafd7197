package commands

import "testing"

func TestKeysScript(t *testing.T) { runScript(t, "keys") }
