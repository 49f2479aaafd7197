package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/redkeep/redkeep/resp"
)

// everyOption is a KV.RANGE with all that get can ask for.
const everyOption = "KV.RANGE w FROMKEY AT 5 LIMIT 3 MINCREATE 1 MAXCREATE 9 MINMOD 2 MAXMOD 8 " +
	"DESC SORT mod SERIALIZABLE"

// cannedReplies are what the fake node of the golden test answers, by command line.
var cannedReplies = map[string]resp.Value{
	"CLUSTER.STATUS":          statusValue(1),
	"KV.PUT foo Hello World!": resp.Int(7),
	"KV.PUT foo from stdin\n": resp.Int(8),
	"KV.PUT foo bar PREV": resp.Map(resp.Bulk("revision"), resp.Int(9), resp.Bulk("prev"),
		recordValue("foo", "old", 2)),
	"KV.PUT new bar PREV":     resp.Map(resp.Bulk("revision"), resp.Int(9), resp.Bulk("prev"), resp.Null()),
	"KV.PUT foo  IGNOREVALUE": resp.Int(10),
	"KV.PUT full x":           resp.Err("OOM command not allowed when used memory > 'maxmemory'."),
	"KV.RANGE foo":            rangeValue(1, recordValue("foo", "Hello World!", 2)),
	"KV.RANGE none":           rangeValue(0),
	"KV.RANGE web PREFIX":     rangeValue(2, recordValue("web1", "value1", 3), recordValue("web2", "value2", 4)),
	"KV.RANGE web PREFIX LIMIT 1": resp.Map(resp.Bulk("revision"), resp.Int(7), resp.Bulk("more"), resp.Int(1),
		resp.Bulk("count"), resp.Int(2), resp.Bulk("kvs"), resp.Array(recordValue("web1", "value1", 3))),
	"KV.RANGE web PREFIX KEYSONLY":  rangeValue(2, recordValue("web1", "", 3), recordValue("web2", "", 4)),
	"KV.RANGE web PREFIX COUNTONLY": rangeValue(2),
	"KV.RANGE web1 TO web3":         rangeValue(1, recordValue("web1", "value1", 3)),
	"KV.RANGE old AT 3":             resp.Err("COMPACTED 5 required revision has been compacted"),
	everyOption:                     rangeValue(0),
	"KV.DEL foo":                    resp.Int(1),
	"KV.DEL web PREFIX":             resp.Int(2),
	"KV.DEL foo PREV": resp.Map(resp.Bulk("revision"), resp.Int(11), resp.Bulk("deleted"), resp.Int(1),
		resp.Bulk("prevs"), resp.Array(recordValue("foo", "bar", 9))),
	"KV.COMPACT 5":          resp.OK(),
	"KV.COMPACT 5 PHYSICAL": resp.OK(),
	"KV.COMPACT 99":         resp.Err("FUTUREREV required revision is a future revision"),
	"KV.GET health":         resp.Null(),
	"KV.HASH": resp.Map(resp.Bulk("revision"), resp.Int(7), resp.Bulk("compact_revision"), resp.Int(5),
		resp.Bulk("hash"), resp.Bulk("00c0ffee00c0ffee")),
	walkthroughTxn: txnValue(1, rangeValue(1, recordValue("user1", "bad", 2)), resp.Int(8)),
	everythingTxn: txnValue(1, rangeValue(0),
		resp.Map(resp.Bulk("revision"), resp.Int(8), resp.Bulk("prev"), recordValue("k 1", "old", 3)), resp.Int(8),
		resp.Map(resp.Bulk("revision"), resp.Int(8), resp.Bulk("deleted"), resp.Int(1), resp.Bulk("prevs"),
			resp.Array(recordValue("b", "x", 4)))),
	"KV.TXN 0 1 3 KV.PUT a b 1 2 KV.RANGE a": txnValue(0, rangeValue(0)),
	"KV.TXN 0 2 3 KV.PUT a b 3 KV.PUT c d 0": txnValue(1, resp.Int(8), resp.Err("ERR key not found")),
	"KV.HISTORY foo": resp.Array(
		changeValue("delete", "", 9), changeValue("put", "bar", 7)),
	"KV.HISTORY foo LIMIT 1": resp.Array(changeValue("put", "bar", 7)),
	"MEMBER.LIST":            resp.Array(memberValue(1), memberValue(2)),
	"ALARM.LIST":             resp.Array(alarmValue(2, "CORRUPT", 1), alarmValue(3, "HUNGDISK", 0)),
	"ALARM.DISARM":           resp.Int(1),
}

const walkthroughTxn = "KV.TXN 1 value user1 = bad 2 2 KV.RANGE user1 3 KV.PUT user1 good " +
	"1 3 KV.PUT user1 2222"

const everythingTxn = "KV.TXN 4 mod a b > 1 version \x00 != 2 create k < 3 lease k = ab " +
	"4 11 KV.RANGE k PREFIX AT 3 LIMIT 2 KEYSONLY DESC SORT mod " +
	"6 KV.PUT k 1 v \"2\" LEASE 00000000000000ab PREV " +
	"5 KV.PUT k  IGNOREVALUE IGNORELEASE 5 KV.DEL a TO z PREV 0"

func alarmValue(member int, alarm string, sticky int64) resp.Value {
	return resp.Map(resp.Bulk("member"), resp.Bulk(fmt.Sprintf("%016x", member)), resp.Bulk("name"),
		resp.Bulk(fmt.Sprint("n", member)), resp.Bulk("alarm"), resp.Bulk(alarm), resp.Bulk("since"),
		resp.Int(1_700_000_000_000), resp.Bulk("detail"), resp.Bulk("why"), resp.Bulk("sticky"), resp.Int(sticky))
}

func txnValue(succeeded int64, responses ...resp.Value) resp.Value {
	return resp.Map(resp.Bulk("succeeded"), resp.Int(succeeded), resp.Bulk("revision"), resp.Int(8),
		resp.Bulk("responses"), resp.ArrayOf(responses))
}

func changeValue(kind, value string, rev int64) resp.Value {
	fields := recordValue("foo", value, rev).Elems()
	return resp.Map(append(fields, resp.Bulk("type"), resp.Bulk(kind))...)
}

func recordValue(key, value string, rev int64) resp.Value {
	return resp.Map(resp.Bulk("key"), resp.Bulk(key), resp.Bulk("value"), resp.Bulk(value),
		resp.Bulk("create_revision"), resp.Int(rev), resp.Bulk("mod_revision"), resp.Int(rev),
		resp.Bulk("version"), resp.Int(1), resp.Bulk("lease"), resp.Bulk(""), resp.Bulk("expires"), resp.Int(0))
}

func rangeValue(count int64, kvs ...resp.Value) resp.Value {
	return resp.Map(resp.Bulk("revision"), resp.Int(7), resp.Bulk("more"), resp.Int(0),
		resp.Bulk("count"), resp.Int(count), resp.Bulk("kvs"), resp.ArrayOf(kvs))
}

func statusValue(id int) resp.Value {
	return resp.Map(
		resp.Bulk("cluster_id"), resp.Bulk("87c1a1c27baee9d5"), resp.Bulk("member_id"), resp.Bulk(memberID(id)),
		resp.Bulk("leader"), resp.Bulk(memberID(1)), resp.Bulk("term"), resp.Int(2), resp.Bulk("revision"),
		resp.Int(12),
		resp.Bulk("raft_index"), resp.Int(24), resp.Bulk("applied_index"), resp.Int(23),
		resp.Bulk("state_bytes"), resp.Int(16384), resp.Bulk("history_bytes"), resp.Int(4096),
		resp.Bulk("is_leader"), resp.Int(1), resp.Bulk("is_learner"), resp.Int(0),
		resp.Bulk("version"), resp.Bulk("1.2.3"), resp.Bulk("errors"), resp.Array())
}

func memberID(id int) string { return fmt.Sprintf("1b480b49dd41b43%d", id) }

func memberValue(id int) resp.Value {
	return resp.Map(resp.Bulk("id"), resp.Bulk(memberID(id)), resp.Bulk("name"), resp.Bulk(fmt.Sprintf("n%d",
		id)),
		resp.Bulk("peer_addr"), resp.Bulk(fmt.Sprintf("10.0.0.%d:16379", id)),
		resp.Bulk("client_addr"), resp.Bulk(fmt.Sprintf("10.0.0.%d:6379", id)),
		resp.Bulk("learner"), resp.Int(int64(id-1)), resp.Bulk("leader"), resp.Int(int64(2-id)),
		resp.Bulk("status"), resp.Bulk("started"))
}

var (
	tookTime  = regexp.MustCompile(`[0-9.]+(µs|ms|s)\b`)
	tableRule = regexp.MustCompile(`-+\+`)
)

// TestOutput compares what is sent to the node and printed for it with the recorded forms, which are
// etcdctl's. In a script a line is one command line after "redkeep"; standard input is "from stdin".
func TestOutput(t *testing.T) {
	node := startFakeNode(t, func(line string) resp.Value {
		if v, ok := cannedReplies[line]; ok {
			return v
		}
		return resp.Err("ERR not in the script: " + line)
	})
	// The endpoint's length decides the width of a table; the port differs from run to run.
	hide := strings.NewReplacer(node.addr, "ENDPOINT")
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if filepath.Ext(path) != ".txt" {
			return // what the fuzzers keep
		}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			args := append([]string{"--endpoints", node.addr}, splitWords(d.Input)...)
			stdout, stderr, code := do(nil, "from stdin\n", args...)
			var b strings.Builder
			for _, line := range node.takeAsked() {
				fmt.Fprintf(&b, "> %q\n", line)
			}
			b.WriteString(stdout)
			if stderr != "" {
				fmt.Fprintf(&b, "stderr: %s", stderr)
			}
			if code != 0 {
				fmt.Fprintf(&b, "exit %d\n", code)
			}
			out := tookTime.ReplaceAllString(hide.Replace(b.String()), "TIME")
			if strings.Contains(out, "+--") {
				out = squeezeTable(out)
			}
			return out
		})
	})
}

// squeezeTable takes the padding out of a table, so that the length of the endpoint does not show.
func squeezeTable(s string) string {
	s = tableRule.ReplaceAllString(s, "-+")
	return regexp.MustCompile(` {2,}`).ReplaceAllString(s, " ")
}

// splitWords splits at spaces; quotes keep a word together and make an empty one possible.
func splitWords(line string) (words []string) {
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}
