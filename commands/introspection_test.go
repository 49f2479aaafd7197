package commands

import "testing"

func TestIntrospectionScript(t *testing.T) { runScript(t, "introspection") }
