package commands

import "testing"

func TestClientScript(t *testing.T) { runScript(t, "client") }
