package commands

import "testing"

func TestKVScript(t *testing.T) { runScript(t, "kv") }
