package commands

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redkeep/redkeep/raftfsm"
)

func TestExpiryScript(t *testing.T) { runScript(t, "expiry") }

// A read that meets more past their deadline than fit into one request is answered, and so is a script.
func TestReadsThatMeetLongKeysPastTheirDeadline(t *testing.T) {
	n := startNode(t, func(c *raftfsm.Config) { c.MaxRequestBytes = 1 << 20 })
	c := n.dial(t)
	long := strings.Repeat("k", 60<<10)
	for _, read := range [][]string{{"KEYS", "*"}, {"EVAL", "return redis.call('KEYS', '*')", "0"}} {
		for i := range 60 {
			c.want("OK", "SET", fmt.Sprint(long, i), "v", "PX", "60000")
		}
		n.skew.Add(61e9)
		c.want("[]", read...)
		c.want("0", "DBSIZE")
	}
}
