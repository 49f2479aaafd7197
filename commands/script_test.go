package commands

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redkeep/redkeep/mvcc"
)

func TestScriptScript(t *testing.T) { runScript(t, "script") }

// Whatever a script has read is changed by somebody else, again and again, before its writes are made: it
// must run again, with a fresh look, and never make writes that rest on what was.
func TestScriptRunsAgain(t *testing.T) {
	n := startNode(t)
	c, other := n.dial(t), n.dial(t)
	for name, read := range map[string]string{
		"a key": `redis.call('GET', 'k')`, "a missing key": `redis.call('EXISTS', 'm')`,
		"a range": `#redis.call('KEYS', 'r*')`, "all keys": `redis.call('DBSIZE')`,
		"a deadline": `redis.call('PTTL', 'd')`, "a scan": `#redis.call('SCAN', 0, 'COUNT', 1000)[2]`,
	} {
		t.Run(name, func(t *testing.T) {
			c.want("OK", "FLUSHALL")
			c.want("OK", "MSET", "k", "0", "r1", "1", "d", "1", "log", "")
			disturbed := 0
			n.d.beforeCommit = func() {
				if disturbed++; disturbed <= 3 {
					i := strconv.Itoa(disturbed)
					other.do("MSET", "k", i, "m", i, "r"+i+"x", i)
					other.do("PEXPIRE", "d", i+"00000")
				}
			}
			defer func() { n.d.beforeCommit = nil }()
			script := `local seen = ` + read + ` redis.call('APPEND', 'log', 'x') return {seen, ` + read + `}`
			got := c.do("EVAL", script, "0")
			if want := c.do("EVAL", "local s = "+read+" return {s, s}", "0"); got != want && name != "a deadline" {
				t.Errorf("the script said %s, its own transaction left %s", got, want)
			}
			if log := c.do("GET", "log"); log != `"x"` || disturbed != 4 {
				t.Errorf("%d attempts, log %s", disturbed, log)
			}
		})
	}
}

// What a script has not read may change under it.
func TestScriptIsNotDisturbedByOthers(t *testing.T) {
	n := startNode(t)
	c, other := n.dial(t), n.dial(t)
	attempts := 0
	n.d.beforeCommit = func() {
		attempts++
		other.do("SET", "unrelated", strconv.Itoa(attempts))
	}
	c.want("1", "EVAL", `redis.call('SET', 'a', '1') return #redis.call('KEYS', 'a*')`, "0")
	if attempts != 1 {
		t.Errorf("%d attempts", attempts)
	}
}

// Many clients increment one counter by a script: no increment is lost and none is made twice.
func TestScriptCountsUp(t *testing.T) {
	n := startNode(t)
	const clients, rounds = 16, 25
	var wg sync.WaitGroup
	seen := make([]map[string]bool, clients)
	for i := range clients {
		c := n.dial(t)
		seen[i] = map[string]bool{}
		wg.Go(func() {
			for range rounds {
				seen[i][c.do("EVAL", `local v = tonumber(redis.call('GET', KEYS[1]) or '0') + 1
					redis.call('SET', KEYS[1], v) return v`, "1", "counter")] = true
			}
		})
	}
	wg.Wait()
	all := map[string]bool{}
	for _, s := range seen {
		for v := range s {
			all[v] = true
		}
	}
	for i := 1; i <= clients*rounds; i++ {
		if !all[strconv.Itoa(i)] {
			t.Errorf("nobody was told %d", i)
		}
	}
	n.dial(t).want(strconv.Quote(strconv.Itoa(clients*rounds)), "GET", "counter")
}

// A script that is disturbed each time gives up when its time is over, and says that nothing was done.
func TestScriptGivesUp(t *testing.T) {
	n := startNode(t)
	c, other := n.dial(t), n.dial(t)
	n.d.cfg.RequestTimeout = 200e6
	n.d.beforeCommit = func() { other.do("INCR", "k") }
	got := c.do("EVAL", `redis.call('GET', 'k') return redis.call('SET', 'mine', '1')`, "0")
	if !strings.HasPrefix(got, "(TRYAGAIN ") {
		t.Errorf("got %s", got)
	}
	n.d.beforeCommit = nil
	c.want("nil", "GET", "mine")
}

// SCRIPT KILL ends an endless script at once; so does the client when it goes away.
func TestScriptIsKilled(t *testing.T) {
	n := startNode(t)
	running := func() int {
		n.d.scripts.mu.Lock()
		defer n.d.scripts.mu.Unlock()
		return len(n.d.scripts.mu.running)
	}
	n.d.cfg.ScriptTimeout = 3600e9
	victim, killer, gone := n.dial(t), n.dial(t), n.dial(t)
	endless := encode("EVAL", "redis.call('SET','a','1') while true do end", "0")
	killer.want("(NOTBUSY No scripts in execution right now.)", "SCRIPT", "KILL")
	victim.send(endless)
	waitFor(t, "the script to run", func() bool { return running() == 1 })
	killer.want("OK", "SCRIPT", "KILL")
	const killed = "(ERR Script killed by user with SCRIPT KILL... script: "
	if got := victim.reply(); !strings.HasPrefix(got, killed) {
		t.Errorf("got %s", got)
	}
	gone.send(endless)
	waitFor(t, "the script to run", func() bool { return running() == 1 })
	_ = gone.conn.Close()
	waitFor(t, "the script of a client that has gone to end", func() bool { return running() == 0 })
	killer.want("nil", "GET", "a")
}

// More scripts than may run at a time wait for each other.
func TestScriptsTakeTurns(t *testing.T) {
	n := startNode(t)
	n.d.cfg.ScriptTimeout = 20e9
	var wg sync.WaitGroup
	for range 3 * scriptSlots {
		c := n.dial(t)
		wg.Go(func() { c.want("1", "EVAL", "local n = 0 for i = 1, 1e5 do n = n + i end return 1", "0") })
	}
	wg.Wait()
	if free := len(n.d.scripts.slots); free != scriptSlots {
		t.Errorf("%d of %d slots are free", free, scriptSlots)
	}
}

// The cache forgets what was not used for longest, and never grows above its bound.
func TestScriptCacheIsBounded(t *testing.T) {
	s := newScripts()
	pad := strings.Repeat(" ", 200<<10)
	for i := range 100 {
		if _, err := s.compiled(fmt.Sprint("return ", i, pad)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.compiled("return 'kept'"); err != nil {
			t.Fatal(err)
		}
	}
	n, bytes := s.cached()
	if bytes > scriptCacheBytes || n < 50 || n > 90 {
		t.Errorf("%d scripts of %d bytes", n, bytes)
	}
	if p, _ := s.compiled("return 'kept'"); s.lookup(p.SHA) != p {
		t.Error("a script in use was forgotten")
	}
}

// A script that reads more than it may has changed nothing.
func TestScriptReadsTooMuch(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	n.engine.Store().Update(1, func(b *mvcc.Batch) { // not through the log: only to have many keys quickly
		for i := range scriptGuards + 1 {
			key := mvcc.KeySpan(fmt.Sprint("k", i))
			b.Txn(&mvcc.Txn{Then: []mvcc.Op{{Kind: mvcc.OpPut, Span: key}}}, nil)
		}
	})
	c.want(strconv.Itoa(scriptGuards+1), "EVAL", `return #redis.call('KEYS', 'k*')`, "0")
	got := c.do("EVAL", `redis.call('SET', 'mine', '1') return #redis.call('KEYS', '*')`, "0")
	want := fmt.Sprintf("(ERR the script reads more than %d keys; nothing was changed.)", scriptGuards)
	if got != want {
		t.Errorf("got %s", got)
	}
	c.want("nil", "GET", "mine")
}

// What a script learned of leases, locks and elections nothing could guard, and a hash of the state would be
// one of what the script has read so far: a script is refused both.
func TestWhatScriptsMayNotRead(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.want(`"0000000000000007"`, "LEASE.GRANT", "600000", "ID", "7")
	c.do("LOCK.ACQUIRE", "m", "LEASE", "7")
	c.do("ELECTION.CAMPAIGN", "e", "v", "LEASE", "7")
	for _, call := range []string{"'LOCK.INFO', 'm'", "'ELECTION.LEADER', 'e'", "'LEASE.TTL', '7'",
		"'LEASE.TTL', '7', 'KEYS'", "'LEASE.LIST'", "'KV.HASH'", "'KV.HASH', 'AT', '1'"} {
		for _, eval := range []string{"EVAL", "EVAL_RO"} {
			got := c.do(eval, "return redis.call("+call+")", "0")
			if !strings.HasPrefix(got, "(ERR This Redis command is not allowed from script") {
				t.Errorf("%s %s: %s", eval, call, got)
			}
		}
	}
}

// Everything a script may call either plans operations or reads through the script's own view.
func TestScriptsReadNothingUnguarded(t *testing.T) {
	for _, row := range NewTable().All() {
		if row.Kind != KindRead || row.Flags&FlagNoScript != 0 || row.planRead != nil {
			continue
		}
		switch row.Name {
		case "kv.get", "kv.range", "kv.history", "dbsize", "watch":
		default:
			t.Errorf("%s: does it read through its view alone? Then add it here, else flag it noscript", row.Name)
		}
	}
}
