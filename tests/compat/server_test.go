package compat

import (
	"fmt"
	"strings"
)

var serverFamilies = []family{
	{"refused and unknown", func(p *pair) {
		// Redis goes on with how to allow it. Here nothing does, and the text says so.
		for _, debug := range []string{"SLEEP 0", "JMAP", "OBJECT k"} {
			p.SameError("ERR DEBUG command not allowed", splitWords("DEBUG "+debug)...)
		}
		p.SameLine("DEBUG", "SHUTDOWN ABORT", "SHUTDOWN NOPE", "SHUTDOWN SAVE NOSAVE",
			"SHUTDOWN ABORT NOW", "MONITOR x", "PING")
		p.SameShape("LOLWUT")
		for _, foreign := range []string{"LPUSH k v", "hset k f v", "ZADD k 1 m", "XADD k * f v", "SADD k m"} {
			p.calls++
			got, err := p.keep.Do(splitWords(foreign)...)
			want := fmt.Sprintf("ERR unknown command '%s', with args beginning with: ", splitWords(foreign)[0])
			if err != nil || len(got.Text) < len(want) || got.Text[:len(want)] != want {
				p.t.Errorf("%s: %v, %v", foreign, got, err)
			}
		}
	}},
	{"waiting", func(p *pair) {
		p.SameLine("WAIT", "WAIT x 0", "WAIT 0 x", "WAIT 0 -1", "WAIT 1", "WAIT 0 0 0", "CLIENT UNBLOCK 999999",
			"CLIENT UNBLOCK x", "CLIENT UNBLOCK 1 NOPE", "CLIENT UNBLOCK", "CLIENT UNBLOCK 999999 TIMEOUT",
			"CLIENT UNBLOCK 999999 error")
	}},
	{"pauses and silence", func(p *pair) {
		p.SameLine("CLIENT PAUSE", "CLIENT PAUSE x", "CLIENT PAUSE -1", "CLIENT PAUSE 1 NOPE",
			"CLIENT PAUSE 1 WRITE",
			"SET a 1", "CLIENT PAUSE 1", "GET a", "CLIENT UNPAUSE", "CLIENT UNPAUSE x", "CLIENT REPLY",
			"CLIENT REPLY NOPE",
			"CLIENT REPLY ON", "CLIENT TRACKINGINFO", "CLIENT TRACKINGINFO x")
		p.Pipeline("CLIENT REPLY OFF\r\nPING\r\nSET a 2\r\nCLIENT REPLY ON\r\nGET a\r\nCLIENT REPLY SKIP\r\nPING"+
			"\r\nNOPE\r\nCLIENT REPLY SKIP"+
			"\r\nSET a 3\r\nGET a\r\nCLIENT REPLY OFF\r\nCLIENT REPLY SKIP\r\nPING\r\nNOPE"+
			"\r\nCLIENT REPLY ON\r\nPING\r\n", 6)
	}},
	{"slow log and latency", func(p *pair) {
		p.SameLine("CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 3", "SLOWLOG RESET", "SET slow v",
			"GET slow")
		want, got := p.both("SLOWLOG", "GET", "2")
		for i := range min(len(want.Elems), len(got.Elems)) {
			w, g := want.Elems[i], got.Elems[i]
			if w.Shape() != g.Shape() || w.Elems[3].Raw != g.Elems[3].Raw {
				p.t.Errorf("slow log entry %d\n  redis   %v\n  redkeep %v", i, w, g)
			}
		}
		if len(want.Elems) != len(got.Elems) {
			p.t.Errorf("slow log\n  redis   %v\n  redkeep %v", want, got)
		}
		for range 5 {
			p.SameLine("SET slow v")
		}
		p.SameLine("SLOWLOG LEN", "SLOWLOG GET 0", "SLOWLOG GET -2", "SLOWLOG GET x",
			"SLOWLOG GET 1 2", "SLOWLOG gEt 1 2",
			"CONFIG SET slowlog-log-slower-than 10000 slowlog-max-len 128", "SLOWLOG RESET", "SLOWLOG LEN",
			"LATENCY RESET", "LATENCY LATEST", "LATENCY HISTORY command", "LATENCY GRAPH command", "LATENCY GRAPH",
			"LATENCY RESET nope", "CONFIG SET latency-monitor-threshold 100", "CONFIG GET latency-monitor-threshold",
			"CONFIG SET latency-monitor-threshold 0")
		p.SameShape("LATENCY", "DOCTOR")
		p.SameLine("CONFIG SET slowlog-max-len x", "CONFIG SET slowlog-max-len 1 slowlog-max-len 2",
			"CONFIG SET slowlog-max-len 1 nosuch 2", "CONFIG GET slowlog-max-len", "CONFIG SET slowlog-max-len",
			"CONFIG REWRITE")
	}},
}

func splitWords(line string) []string { return strings.Split(line, " ") }
