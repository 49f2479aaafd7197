package commands

import "testing"

func TestValuesScript(t *testing.T)  { runScript(t, "values") }
func TestBitmapsScript(t *testing.T) { runScript(t, "bitmaps") }
func TestServerScript(t *testing.T)  { runScript(t, "server") }
