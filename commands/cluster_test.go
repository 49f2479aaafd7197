package commands

import "testing"

func TestClusterScript(t *testing.T) { runScript(t, "cluster") }
