package commands

import (
	"strings"
	"testing"

	"github.com/redkeep/redkeep/raftfsm"
)

const oomReply = "(OOM command not allowed when used memory > 'maxmemory'.)"

// A pipeline is planned before the first of it is applied: each of its writes meets the quota at its turn.
func TestQuotaHoldsInsideAPipeline(t *testing.T) {
	n := startNode(t, func(cfg *raftfsm.Config) { cfg.QuotaBytes = 100_000 })
	c := n.dial(t)
	c.want("OK", "SET", "a", strings.Repeat("x", 10_000))
	var pipeline [][]string
	for i := range 50 {
		pipeline = append(pipeline, []string{"APPEND", "b", strings.Repeat("y", 100)},
			[]string{"COPY", "a", "c" + strings.Repeat("i", i)})
	}
	pipeline = append(pipeline, []string{"EXPIRE", "a", "100"}, []string{"DEL", "b"})
	refused := 0
	replies := c.pipeline(pipeline...)
	for _, r := range replies {
		if r == oomReply {
			refused++
		}
	}
	if refused < 80 {
		t.Errorf("%d of 100 growing writes were refused", refused)
	}
	if got := n.engine.Store().StateBytes(); got > 120_000 {
		t.Errorf("the state has %d bytes", got)
	}
	if last := replies[len(replies)-2:]; last[0] != "1" || last[1] != "1" {
		t.Errorf("EXPIRE and DEL: %q", last)
	}
}

// A transaction that meets the quota at its turn is refused whole; one that asks for far more than it carries
// is stopped on its way.
func TestQuotaAtATransactionsTurn(t *testing.T) {
	n := startNode(t, func(cfg *raftfsm.Config) { cfg.QuotaBytes = 100_000 })
	c := n.dial(t)
	c.want("OK", "SET", "a", strings.Repeat("x", 60_000))
	replies := c.pipeline([]string{"COPY", "a", "a2"},
		[]string{"KV.TXN", "0", "2", "3", "SET", "b", "1", "2", "GET", "b", "0"},
		[]string{"LOCK.ACQUIRE", "m", "TTL", "1000"},
		[]string{"ELECTION.PROCLAIM", "m", "1", "v"},
		[]string{"GET", "b"}, []string{"DEL", "a", "a2"})
	if want := []string{"1", oomReply, oomReply}; strings.Join(replies[:3], "\n") != strings.Join(want, "\n") {
		t.Errorf("replies %q", replies)
	}
	if replies[4] != "nil" || replies[5] != "2" {
		t.Errorf("after the refusals: %q", replies[4:])
	}
	c.want("OK", "MULTI")
	for i := range 16 {
		c.want("QUEUED", "SETBIT", "k"+strings.Repeat("i", i), "60000000", "1") // 7.5 MB each
	}
	got := c.do("EXEC")
	if n := strings.Count(got, oomReply); n != 8 || !strings.HasPrefix(got, "[0 0 0 0 0 0 0 0 (OOM") {
		t.Errorf("EXEC: %s", got)
	}
}

// What a script has decided to write meets the quota, too.
func TestQuotaAtAScriptsTurn(t *testing.T) {
	n := startNode(t, func(cfg *raftfsm.Config) { cfg.QuotaBytes = 1000 })
	c, other := n.dial(t), n.dial(t)
	n.d.beforeCommit = func() {
		n.d.beforeCommit = nil
		other.want("OK", "SET", "big", strings.Repeat("x", 2000))
	}
	if got := c.do("EVAL", "return redis.call('SET', KEYS[1], '1')", "1", "k"); got != oomReply {
		t.Errorf("EVAL: %s", got)
	}
	c.want("nil", "GET", "k")
}

// pipeline sends commands at once and returns their replies.
func (c *client) pipeline(commands ...[]string) (replies []string) {
	c.t.Helper()
	var bytes strings.Builder
	for _, words := range commands {
		bytes.WriteString(encode(words...))
	}
	c.send(bytes.String())
	for range commands {
		replies = append(replies, c.reply())
	}
	return replies
}
