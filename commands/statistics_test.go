package commands

import "testing"

func TestStatisticsScript(t *testing.T) { runScript(t, "statistics") }
