package commands

import (
	"testing"

	"go.uber.org/goleak"
)

// buntdb's background goroutine notices at its next tick, a second later at most, that its store was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/tidwall/buntdb.(*DB).backgroundManager"))
}
