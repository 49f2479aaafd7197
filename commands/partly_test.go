package commands

import (
	"strings"
	"testing"

	"github.com/redkeep/redkeep/mvcc"
)

// An error says whether anything was done: of one write nothing, of several that others were.
func TestErrorsOfWritesOntoAPlace(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.do("LOCK.ACQUIRE", "m", "TTL", "60000")
	holders, _ := n.engine.Book().Places(mvcc.Queue{Name: "m"})
	place := holders[0].Key()
	c.want("OK", "SET", "k", "v")
	none := "(" + errQueueKey.Error() + ")"
	c.want(none, "RENAME", "k", place)
	c.want(none, "COPY", "k", place, "REPLACE")
	c.want("\"v\"", "GET", "k")
	c.want(none, "MSET", place, "1")
	some := c.do("MSET", "a", "1", place, "2", "b", "3")
	if !strings.HasPrefix(some, none[:len(none)-1]+"; the other writes") {
		t.Errorf("MSET: %s", some)
	}
	c.want("\"3\"", "GET", "b")
}
