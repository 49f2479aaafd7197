package commands

import "testing"

func TestStringsScript(t *testing.T) { runScript(t, "strings") }
