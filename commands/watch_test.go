package commands

import (
	"fmt"
	"strings"
	"testing"
)

func TestWatchChannels(t *testing.T) {
	n := startNode(t)
	c, writer := n.dial(t), n.dial(t)
	c.text = true
	writer.do("SET", "stock1", "1000")
	c.do("SUBSCRIBE", "watch:stock1", "watch;prefix;prev:stock")
	c.reply()
	c.want(`[psubscribe watch;nodel:st*2 3]`, "PSUBSCRIBE", "watch;nodel:st*2")
	writer.do("SET", "stock1", "2000")
	for range 2 {
		got := c.reply()
		want := `{"type":"put","key":"stock1","value":"2000","create_revision":2,` +
			`"mod_revision":3,"version":2,"end":true}`
		if strings.HasPrefix(got, "[message watch;prefix") {
			want = strings.Replace(want, `,"end"`, `,"prev":{"key":"stock1","value":"1000","create_revision":2,`+
				`"mod_revision":2,"version":1},"end"`, 1)
		}
		if !strings.HasSuffix(got, " "+want+"]") {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
	writer.do("MSET", "stock2", "\xff", "stockx2", "b")
	seen := map[string]int{}
	for range 4 {
		seen[c.reply()]++
	}
	value := `{"type":"put","key":"stock2","value_b64":"/w==","create_revision":4,"mod_revision":4,"version":1}`
	for _, want := range []string{
		"[message watch;prefix;prev:stock " + value + "]", "[pmessage watch;nodel:st*2 watch:stock2 " + value + "]",
	} {
		if seen[want] != 1 {
			t.Errorf("%s is not in %v", want, seen)
		}
	}
	writer.do("DEL", "stock2")
	if got := c.reply(); !strings.HasPrefix(got, `[message watch;prefix;prev:stock {"type":"delete",`+
		`"key":"stock2","mod_revision":5,"prev":{"key":"stock2"`) {
		t.Errorf("got %s", got)
	}
	c.want("[pong ]", "PING")
}

func TestWatchFromThePast(t *testing.T) {
	n := startNode(t)
	c, writer := n.dial(t), n.dial(t)
	c.text = true
	for i := range 10 {
		writer.do("SET", "k", fmt.Sprint(i)) // revisions 2 to 11
	}
	c.want("[subscribe watch;rev=9:k 1]", "SUBSCRIBE", "watch;rev=9:k")
	c.send(encode("SUBSCRIBE", "watch;rev=13;noput:k"))
	for rev, confirmed := 9, false; rev <= 11 || !confirmed; {
		got := c.reply()
		if strings.HasPrefix(got, "[subscribe") {
			confirmed = true
			continue
		}
		if !strings.Contains(got, fmt.Sprintf(`"mod_revision":%d,`, rev)) {
			t.Fatalf("want revision %d, got %s", rev, got)
		}
		rev++
	}
	n2 := n.dial(t)
	n2.text = true
	writer.do("DEL", "k") // revision 12, before what the second watch wants
	c.expect(`[message watch;rev=9:k {"type":"delete","key":"k","mod_revision":12,"end":true}]`)
	writer.do("KV.COMPACT", "5")
	n2.want("[subscribe watch;rev=4:k 1]", "SUBSCRIBE", "watch;rev=4:k")
	n2.expect(`[message watch;rev=4:k {"type":"canceled","reason":"required revision has been compacted",` +
		`"compact_revision":5}]`)
}

func TestWatchProgress(t *testing.T) {
	n := startNode(t)
	c, writer := n.dial(t), n.dial(t)
	c.text = true
	c.want("[subscribe watch;progress=100:k 1]", "SUBSCRIBE", "watch;progress=100:k")
	writer.do("SET", "other", "1")
	for got := ""; got != `[message watch;progress=100:k {"type":"progress","revision":2}]`; {
		if got = c.reply(); !strings.Contains(got, "progress") {
			t.Fatalf("got %s", got)
		}
	}
}

func TestBadWatchChannels(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	for _, bad := range []string{
		"watch;bogus:k", "watch;rev:k", "watch;rev=x:k", "watch;rev=-1:k", "watch;prev=1:k", "watch;rev=1;rev=2:k",
		"watch;progress=1:k", "watch;progress:k", "watch;prefix", "watch;:k",
	} {
		want := "(ERR invalid watch channel '" + bad + "': "
		if got := c.do("SUBSCRIBE", "fine", bad); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", bad, got)
		}
	}
	if got := c.do("PSUBSCRIBE", "watch;prefix:k"); !strings.HasPrefix(got, "(ERR invalid watch channel") {
		t.Error(got)
	}
	c.want("nil", "GET", "fine") // no subscription was made
	c.want(`["subscribe" "watched" 1]`, "SUBSCRIBE", "watched")
}

func TestKVWatch(t *testing.T) {
	for _, proto := range []string{"2", "3"} {
		t.Run("RESP"+proto, func(t *testing.T) {
			n := startNode(t)
			c, writer := n.dial(t), n.dial(t)
			c.line("HELLO " + proto)
			writer.do("SET", "a", "0")
			c.want("(ERR watcher range is empty)", "KV.WATCH", "b", "TO", "b")
			c.want("(ERR syntax error)", "KV.WATCH", "b", "PREV", "PREV")
			c.want("(ERR PROGRESS must be from 100 ms to one day)", "KV.WATCH", "b", "PROGRESS", "1")
			c.want("1", "KV.WATCH", "a", "TO", "c", "REV", "2", "PREV")
			rec := func(key, value string, create, mod, version int) string {
				if proto == "3" {
					return fmt.Sprintf(`{"key": %q, "value": %q, "create_revision": %d, "mod_revision": %d, "version": %d, `+
						`"lease": "", "expires": 0}`, key, value, create, mod, version)
				}
				return fmt.Sprintf(`["key" %q "value" %q "create_revision" %d "mod_revision" %d "version" %d `+
					`"lease" "" "expires" 0]`, key, value, create, mod, version)
			}
			push := map[string]string{"2": "", "3": ">"}[proto]
			c.expect(push + `["watch" 1 2 [["put" ` + rec("a", "0", 2, 2, 1) + ` nil]]]`)
			c.want("2", "KV.WATCH", "a", "PREFIX", "NOPUT")
			writer.do("MSET", "a", "1", "b", "2", "c", "3")
			c.expect(push + `["watch" 1 3 [["put" ` + rec("a", "1", 2, 3, 2) + ` ` + rec("a", "0", 2, 2, 1) +
				`] ["put" ` + rec("b", "2", 3, 3, 1) + ` nil]]]`)
			c.want("1", "KV.UNWATCH", "1")
			c.want("0", "KV.UNWATCH", "1")
			writer.do("DEL", "a")
			c.expect(push + `["watch" 2 4 [["delete" ` + rec("a", "", 0, 4, 0) + ` nil]]]`)
			if got := c.do("GET", "a"); (proto == "2") != strings.HasPrefix(got, "(ERR Can't execute") {
				t.Errorf("GET while watching: %s", got)
			}
			writer.do("KV.COMPACT", "4")
			c.want("(COMPACTED 4 required revision has been compacted)", "KV.WATCH", "a", "REV", "3")
			c.want("1", "KV.UNWATCH", "2")
			c.want("PONG", "PING")
		})
	}
}

// A watch that starts at the compacted revision, which stays readable, gets its deletes too.
func TestWatchFromTheCompactedRevision(t *testing.T) {
	n := startNode(t)
	c, writer := n.dial(t), n.dial(t)
	writer.do("SET", "a", "1")
	writer.do("DEL", "a")
	writer.want("OK", "KV.COMPACT", "3", "PHYSICAL")
	c.text = true
	c.do("SUBSCRIBE", "watch;rev=3:a")
	c.expect(`[message watch;rev=3:a {"type":"delete","key":"a","mod_revision":3,"end":true}]`)
}

// A watcher that stops reading loses nothing and holds nobody up; what waits for it is bounded.
func TestStoppedWatcherLosesNothing(t *testing.T) {
	n := startNode(t)
	c, writer := n.dial(t), n.dial(t)
	c.text = true
	c.do("SUBSCRIBE", "watch;prefix:k")
	value := strings.Repeat("v", 32<<10)
	const count = 800
	for i := range count {
		writer.want("OK", "SET", fmt.Sprintf("k%d", i), value)
	}
	if fell := n.d.engine.Hub().Stats().Fell.Load(); fell == 0 {
		t.Fatal("the watcher never fell behind: the test shows nothing")
	}
	for i := range count {
		want := fmt.Sprintf(`[message watch;prefix:k {"type":"put","key":"k%d",`, i)
		if got := c.reply(); !strings.HasPrefix(got, want) {
			t.Fatalf("event %d: %.100s", i, got)
		}
	}
}
