package commands

import "testing"

func TestConfigScript(t *testing.T) { runScript(t, "config") }
