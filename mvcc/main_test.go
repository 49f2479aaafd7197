package mvcc

import (
	"testing"
	"unsafe"

	"go.uber.org/goleak"
)

// TestMain checks for leaks: every store of a test is closed. buntdb's goroutine outlives its database
// by up to a second, and is not ours to wait for.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/tidwall/buntdb.(*DB).backgroundManager"))
}

func aliased(b []byte) string { return unsafe.String(&b[0], len(b)) }
