package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/redkeep/redkeep/resp"
)

// TestFailover: what the first endpoint's failure allows the client to do at the second.
func TestFailover(t *testing.T) {
	second := startFakeNode(t, func(line string) resp.Value {
		if strings.HasPrefix(line, "KV.RANGE") {
			return rangeValue(1, recordValue("k", "second", 2))
		}
		return resp.Int(5)
	})
	var text string
	first := startFakeNode(t, func(string) resp.Value { return resp.Err(text) })
	for _, c := range []struct {
		first string // address, or error text of the first node
		args  string
		moves bool
	}{
		{"127.0.0.1:1", "put k v", true},
		{"127.0.0.1:1", "get k", true},
		{"CLUSTERDOWN no leader is known; the command was not executed, try again", "put k v", true},
		{"UNCERTAIN the command may or may not have been executed", "put k v", false},
		{"UNCERTAIN the renewal could not be confirmed in time", "lease keep-alive --once 7", true},
		{"BUSY too many writes", "put k v", false},
		{"ERR value is provided", "put k v", false},
		{"COMPACTED 5", "get k", false},
	} {
		endpoint := c.first
		if strings.Contains(c.first, " ") {
			endpoint, text = first.addr, c.first
		}
		args := append([]string{"--endpoints", endpoint + "," + second.addr}, strings.Fields(c.args)...)
		stdout, stderr, code := do(nil, "", args...)
		moved := len(second.takeAsked()) > 0
		if moved != c.moves || moved != (code == exitOK) {
			t.Errorf("%s, %s: moved %v, exit %d, %q %q", c.first, c.args, moved, code, stdout, stderr)
		}
		if !moved && stderr != "Error: "+c.first+"\n" {
			t.Errorf("%s: stderr %q", c.first, stderr)
		}
	}
}

// TestBrokenConnection: a write that was sent is not sent again; a read is.
func TestBrokenConnection(t *testing.T) {
	dead := startFakeNode(t, func(string) resp.Value { panic("the connection ends here") })
	alive := startFakeNode(t, func(string) resp.Value { return rangeValue(0) })
	_, stderr, code := do(nil, "", "--endpoints", dead.addr+","+alive.addr, "put", "k", "v")
	if code != exitFailure || len(alive.takeAsked()) != 0 || stderr == "" {
		t.Errorf("write: exit %d, stderr %q", code, stderr)
	}
}

func TestUnexpectedReply(t *testing.T) {
	node := startFakeNode(t, func(string) resp.Value { return resp.OK() })
	for _, args := range []string{"get k", "member list", "put k v --prev-kv", "del k --prev-kv",
		"get k -w json"} {
		_, stderr, code := do(nil, "", append([]string{"--endpoints", node.addr}, strings.Fields(args)...)...)
		if code != exitFailure || !strings.Contains(stderr, "is it a redkeep node of this version?") {
			t.Errorf("%s: exit %d, %q", args, code, stderr)
		}
	}
}

func TestUnhealthyEndpoint(t *testing.T) {
	node := startFakeNode(t, func(string) resp.Value { return resp.Null() })
	stdout, stderr, code := do(nil, "", "--endpoints", node.addr+",127.0.0.1:1", "endpoint", "health")
	if code != exitFailure || !strings.HasPrefix(stdout,
		node.addr+" is healthy: successfully committed proposal: took = ") {
		t.Errorf("exit %d, stdout %q", code, stdout)
	}
	want := "127.0.0.1:1 is unhealthy: failed to commit proposal: " +
		"cannot connect to 127.0.0.1:1: connection refused\n" +
		"Error: unhealthy cluster\n"
	if stderr != want {
		t.Errorf("stderr %q, want %q", stderr, want)
	}
}

func TestBenchCountsEveryRequest(t *testing.T) {
	node := startFakeNode(t, func(line string) resp.Value {
		switch {
		case strings.HasPrefix(line, "SET bench:0000"):
			return resp.OK()
		case strings.HasPrefix(line, "GET bench:000000000000"):
			return resp.Bulk("value")
		default:
			return resp.Null()
		}
	})
	for _, kind := range []string{"set", "get", "mixed"} {
		node.takeAsked()
		stdout, stderr, code := do(nil, "", "--endpoints", node.addr, "-w", "json", "bench", kind,
			"--requests", "103", "--clients", "4", "--pipeline", "5", "--key-space", "2", "--reads", "50")
		var r benchResult
		if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != exitOK {
			t.Fatalf("%s: exit %d, %q %q %v", kind, code, stdout, stderr, err)
		}
		sets, gets := 0, 0
		for _, line := range node.takeAsked() {
			if strings.HasPrefix(line, "SET ") {
				sets++
			} else {
				gets++
			}
		}
		if r.Requests != 103 || sets+gets != 103 || r.Errors != 0 || r.LatencyMS["p50"] <= 0 || r.PerSecond <= 0 {
			t.Errorf("%s: %d sets, %d gets, %+v", kind, sets, gets, r)
		}
		if kind == "set" && gets > 0 || kind == "get" && (sets > 0 || r.Missing == 0) || kind == "mixed" &&
			sets*gets == 0 {
			t.Errorf("%s: %d sets, %d gets, %d missing", kind, sets, gets, r.Missing)
		}
	}
}

func TestBenchReportsErrors(t *testing.T) {
	node := startFakeNode(t, func(string) resp.Value { return resp.Err("CLUSTERDOWN no leader") })
	stdout, stderr, code := do(nil, "", "--endpoints", node.addr, "bench", "set", "--requests", "10",
		"--clients", "1")
	if code != exitFailure || stderr != "Error: 10 requests got an error: CLUSTERDOWN no leader\n" {
		t.Errorf("exit %d, %q %q", code, stdout, stderr)
	}
}
