package commands

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/raftfsm"
)

// place makes a place in the queue of the lock m, and returns its key.
func (c *client) place(n *testNode) string {
	c.t.Helper()
	c.do("LOCK.ACQUIRE", "m", "TTL", "60000")
	holders, _ := n.engine.Book().Places(mvcc.Queue{Name: "m"})
	return holders[0].Key()
}

// A command of several writes that meets a place in a queue says so and has written nothing, wherever it
// stands; what stands beside it in MULTI or KV.TXN is done.
func TestSeveralWritesAreOne(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	place := c.place(n)
	c.want("OK", "SET", "k", "v")
	one, several := "("+errQueueKey.Error()+")", "("+errQueueKeys.Error()+")"
	before := n.engine.Store().Revision()
	c.want(one, "RENAME", "k", place)
	c.want(one, "COPY", "k", place, "REPLACE")
	c.want(one, "MSET", place, "1")
	c.want(several, "MSET", "a", "1", place, "2", "b", "3")
	c.want(several, "MSET", place, "1", place, "2")
	c.want(several, "MSETEX", "2", "a", "1", place, "2")
	c.want(several, "MSETEX", "2", "k", "1", place, "2", "XX", "KEEPTTL")
	c.want("0", "MSETNX", "a", "1", place, "2")
	c.want("[OK nil]", "EVAL", `local r = redis.pcall('MSET', 'a', '1', ARGV[1], '2')
		return {redis.status_reply(r.err:find('nothing was written') and 'OK'), redis.call('GET', 'a')}`,
		"0", place)
	if got := c.do("EVAL", `redis.call('SET', 'a', '1') redis.call('MSET', 'b', '1', ARGV[1], '2')`, "0",
		place); !strings.HasPrefix(got, several[:len(several)-1]) {
		t.Errorf("EVAL: %s", got)
	}
	if now := n.engine.Store().Revision(); now != before {
		t.Errorf("commands that were refused took the store from revision %d to %d", before, now)
	}
	c.want("OK", "MULTI")
	for _, words := range [][]string{{"SET", "a", "0"}, {"MSET", "a", "1", "b", "1"},
		{"MSET", "a", "2", place, "2", "b", "2"}, {"MSET", "b", "3", "c", "3"}, {"GET", "a"}} {
		c.want("QUEUED", words...)
	}
	c.want("[OK OK "+several+` OK "1"]`, "EXEC")
	if got := c.do("KV.TXN", "0", "2", "5", "MSET", "d", "1", place, "2", "3", "SET", "e", "1", "0"); !strings.
		Contains(got, `"responses" [`+several+" OK]") {
		t.Errorf("KV.TXN: %s", got)
	}
	c.want(`["1" "3" "3" nil "1"]`, "MGET", "a", "b", "c", "d", "e")
}

// A key becomes a place between the moment at which a script looked and its turn: it runs again, finds the
// place, and nothing of what it wrote before is there.
func TestAPlaceAtAScriptsTurn(t *testing.T) {
	n := startNode(t)
	c, other := n.dial(t), n.dial(t)
	c.want(`"0000000000000007"`, "LEASE.GRANT", "60000", "ID", "7")
	attempts := 0
	n.d.beforeCommit = func() {
		if attempts++; attempts == 1 {
			other.do("LOCK.ACQUIRE", "m", "LEASE", "7")
		}
	}
	got := c.do("EVAL", `redis.call('SET', 'a', '1') redis.call('SET', KEYS[1], '2') return 'done'`, "1",
		"m/0000000000000007")
	if !strings.HasPrefix(got, "("+errQueueKey.Error()) || attempts != 1 {
		t.Errorf("EVAL, after %d attempts: %s", attempts, got)
	}
	c.want("nil", "GET", "a")
}

// Time stands still in a script, at its turn, too: what it gave a millisecond is there for its next step.
func TestAScriptsTurnIsAtItsTime(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	n.d.beforeCommit = func() { n.skew.Add(int64(time.Second)) }
	c.want(`OK`, "EVAL", `redis.call('SET', 'a', '1') redis.call('SET', 'k', 'v', 'PX', 1)
		return redis.call('RENAME', 'k', 'k2')`, "0")
	c.want("6", "EVAL", `redis.call('SET', 'n', '5', 'PX', 1) return redis.call('INCR', 'n')`, "0")
	c.want("2", "EVAL", `redis.call('SET', 'e', '1') redis.call('PEXPIRE', 'e', 1)
		return redis.call('APPEND', 'e', '2')`, "0")
	n.d.beforeCommit = nil
	c.want(`["1" nil nil nil nil nil]`, "MGET", "a", "k", "k2", "n", "e", "none")
	past := n.engine.Store()
	for key, want := range map[string]string{"k2": "v", "n": "6", "e": "12"} {
		all, err := past.History(key, 0)
		if err != nil || len(all) < 2 || all[1].Value() != want {
			t.Errorf("%s was never %q: %v, %v", key, want, all, err)
		}
	}
}

// The guards of a KV.TXN inside a KV.TXN see the state before the call, in a script what its calls before
// that have written; and they do so at its turn.
func TestGuardsOfAScriptAtItsTurn(t *testing.T) {
	c := startNode(t).dial(t)
	got := c.do("EVAL", `redis.call('SET', 'a', '1')
		local r = redis.call('KV.TXN', 0, 1, 16, 'KV.TXN', 1, 'value', 'a', '=', '1', 1, 3, 'SET', 'b', 'then',
			1, 3, 'SET', 'b', 'else', 0)
		return redis.call('GET', 'b')`, "0")
	if now := c.do("GET", "b"); got != `"then"` || now != got {
		t.Errorf("the script saw %s, its turn left %s", got, now)
	}
}

// What a script may write always fits into the slack above the quota, however many keys it is.
func TestAScriptFitsIntoTheQuotasSlack(t *testing.T) {
	n := startNode(t, func(cfg *raftfsm.Config) { cfg.QuotaBytes = 100_000 })
	n.d.cfg.ScriptTimeout = 10 * time.Second
	c := n.dial(t)
	c.want("OK", "SET", "there", strings.Repeat("x", 60_000))
	got := c.do("EVAL", `for i = 1, 8 do redis.call('SETRANGE', 'big' .. i, 8379999, 'x') end
		for i = 1, 2000 do redis.call('SET', i, '') end return 'done'`, "0")
	size := c.do("DBSIZE")
	if !strings.HasPrefix(got, "("+errScriptWrites.Error()) || size != "1" {
		t.Errorf("EVAL: %s; %s keys are there", got, size)
	}
	c.want(fmt.Sprint(60_000), "STRLEN", "there")
}
