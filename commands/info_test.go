package commands

import "testing"

func TestInfoScript(t *testing.T) { runScript(t, "info") }
