package commands

import "testing"

func TestConnectionScript(t *testing.T) { runScript(t, "connection") }
