package main

import (
	"encoding/json"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
		{"BUSY too many writes", "put k v", true},
		{"CORRUPT this member's state differs from the others'", "put k v", true},
		{"CORRUPT this member's state differs from the others'", "get k", true},
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
	dead, sent := cutting(t)
	alive := startFakeNode(t, func(string) resp.Value { return rangeValue(0) })
	_, stderr, code := do(nil, "", "--endpoints", dead+","+alive.addr, "put", "k", "v")
	if code != exitFailure || len(alive.takeAsked()) != 0 || !strings.Contains(stderr, "it may have been done") {
		t.Errorf("write: exit %d, stderr %q", code, stderr)
	}
	if _, stderr, code = do(nil, "", "--endpoints", dead+","+alive.addr, "get", "k"); code != exitOK {
		t.Errorf("read: exit %d, stderr %q", code, stderr)
	}
	if sent.Load() != 2 {
		t.Errorf("%d requests were sent to the one that breaks, want 2", sent.Load())
	}
}

// cutting is the address of a node that greets, and hangs up on every request, which it counts.
func cutting(t *testing.T) (addr string, sent *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sent = &atomic.Int64{}
	var serving sync.WaitGroup
	serve := func(conn net.Conn) {
		defer conn.Close()
		for b := make([]byte, 1000); ; {
			n, err := conn.Read(b)
			said := strings.ToLower(string(b[:n]))
			switch {
			case err != nil:
				return
			case strings.Contains(said, "\nhello"):
				_, _ = conn.Write([]byte("-ERR unknown command\r\n"))
			case strings.Contains(said, "\nping"):
				_, _ = conn.Write([]byte("+PONG\r\n"))
			default:
				sent.Add(1)
				return
			}
		}
	}
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { serve(conn) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); serving.Wait() })
	return ln.Addr().String(), sent
}

// hungAddr is the address of a node that is stopped: the kernel accepts for it, and nobody says anything.
func hungAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln.Addr().String()
}

// An endpoint that hangs does not keep the others from being asked, for a read, a write or a lock.
func TestHungEndpointIsPassedOver(t *testing.T) {
	alive := startFakeNode(t, func(line string) resp.Value {
		switch word, _, _ := strings.Cut(line, " "); word {
		case "ping":
			return resp.Simple("PONG")
		case "KV.RANGE":
			return rangeValue(1, recordValue("k", "v", 2))
		case "LEASE.GRANT":
			return resp.Bulk(liveLease)
		case "LEASE.KEEPALIVE":
			return resp.Int(2000)
		case "LOCK.ACQUIRE":
			return resp.Array(resp.Bulk("m/"+liveLease), resp.Int(5), resp.Bulk(liveLease))
		}
		return resp.Int(5)
	})
	for _, args := range []string{"put k v", "get k", "lock m -- true"} {
		line := append([]string{"--command-timeout", "2s", "--endpoints", hungAddr(t) + "," + alive.addr},
			strings.Fields(args)...)
		if stdout, stderr, code := do(nil, "", line...); code != exitOK {
			t.Errorf("%s: exit %d, %q %q", args, code, stdout, stderr)
		}
	}
}

// A lock whose lease cannot be renewed is given up when its time is over, not when the call that hangs is.
func TestLossOfALockIsToldInTime(t *testing.T) {
	asleep := make(chan struct{})
	node := startFakeNode(t, func(line string) resp.Value {
		switch word, _, _ := strings.Cut(line, " "); word {
		case "LEASE.GRANT":
			return resp.Bulk(liveLease)
		case "LOCK.ACQUIRE":
			return resp.Array(resp.Bulk("m/"+liveLease), resp.Int(5), resp.Bulk(liveLease))
		case "LEASE.KEEPALIVE", "LOCK.KEEPALIVE":
			<-asleep
		}
		return resp.Int(1)
	})
	t.Cleanup(func() { close(asleep) })
	began := time.Now()
	_, stderr, code := do(nil, "", "--endpoints", node.addr, "--command-timeout", "40s", "lock", "--ttl", "1",
		"m", "--", "sleep", "60")
	if took := time.Since(began); code != exitFailure || took > 20*time.Second || took < time.Second ||
		!strings.Contains(stderr, errSessionLost.Error()) {
		t.Errorf("after %v: exit %d, %q", took, code, stderr)
	}
}

// The verb's own flags may stand before and behind the name; what begins a command, "--" or a word, ends
// them.
func TestFlagsOfLock(t *testing.T) {
	node := startFakeNode(t, func(line string) resp.Value {
		switch word, _, _ := strings.Cut(line, " "); word {
		case "LEASE.GRANT":
			return resp.Bulk(liveLease)
		case "LOCK.ACQUIRE":
			return resp.Array(resp.Bulk("m/"+liveLease), resp.Int(5), resp.Bulk(liveLease))
		}
		return resp.Int(1)
	})
	for args, want := range map[string]string{
		"--ttl 7 m -- echo --ttl 1": "LEASE.GRANT 7000 --ttl 1",
		"m --ttl 7 -- echo --ttl 1": "LEASE.GRANT 7000 --ttl 1",
		"m --ttl=7 echo -n --ttl 1": "LEASE.GRANT 7000 --ttl 1",
		"m --hex --ttl 7 -- echo x": "LEASE.GRANT 7000 x",
		"m echo --ttl 7":            "LEASE.GRANT 10000 --ttl 7",
		"-- m echo -- --ttl 7":      "LEASE.GRANT 10000 -- --ttl 7",
	} {
		stdout, stderr, code := do(nil, "", append([]string{"--endpoints", node.addr, "lock"},
			strings.Fields(args)...)...)
		granted := ""
		for _, line := range node.takeAsked() {
			if strings.HasPrefix(line, "LEASE.GRANT") {
				granted = line
			}
		}
		if got := granted + " " + strings.TrimSpace(stdout); got != want || code != exitOK {
			t.Errorf("lock %s: %q, want %q; exit %d, %q", args, got, want, code, stderr)
		}
	}
	for args, want := range map[string]string{
		"m --tll 7 -- echo": "unknown flag --tll",
		"m --ttl x -- echo": "invalid argument",
		"m -w yaml -- echo": "yaml",
	} {
		_, stderr, code := do(nil, "", append([]string{"--endpoints", node.addr, "lock"},
			strings.Fields(args)...)...)
		if code == exitOK || !strings.Contains(stderr, want) || len(node.takeAsked()) > 0 {
			t.Errorf("lock %s: exit %d, %q", args, code, stderr)
		}
	}
	stdout, _, code := do(nil, "", "lock", "m", "--help")
	if code != exitOK || !strings.Contains(stdout, "--ttl") {
		t.Errorf("lock m --help: exit %d, %q", code, stdout)
	}
}

// A place whose key was deleted is lost although its lease lives: the holder is told at the next renewal.
func TestAForcedReleaseIsTold(t *testing.T) {
	var leads resp.Value
	node := startFakeNode(t, func(line string) resp.Value {
		switch word, _, _ := strings.Cut(line, " "); word {
		case "LEASE.GRANT":
			return resp.Bulk(liveLease)
		case "LOCK.ACQUIRE", "ELECTION.CAMPAIGN":
			return resp.Array(resp.Bulk("m/"+liveLease), resp.Int(5), resp.Bulk(liveLease))
		case "KV.RANGE":
			return rangeValue(1, recordValue("m/"+liveLease, "p", 5))
		case "LOCK.KEEPALIVE":
			return resp.Err("LOCKLOST the token does not hold the lock")
		case "ELECTION.LEADER":
			return leads
		}
		return resp.Int(1)
	})
	another := resp.Map(resp.Bulk("key"), resp.Bulk("m/07"), resp.Bulk("value"), resp.Bulk("q"),
		resp.Bulk("token"), resp.Int(6), resp.Bulk("lease"), resp.Bulk("0000000000000007"))
	for _, c := range []struct {
		args  string
		leads resp.Value
	}{
		{"lock --ttl 1 m -- sleep 60", resp.Null()}, {"lock --ttl 1 m", resp.Null()},
		{"elect --ttl 1 m p", resp.Null()}, {"elect --ttl 1 m p", another},
	} {
		leads = c.leads
		_, stderr, code := do(nil, "", append([]string{"--endpoints", node.addr},
			strings.Fields(c.args)...)...)
		if code != exitFailure || !strings.Contains(stderr, "its key was deleted") {
			t.Errorf("%s: exit %d, %q", c.args, code, stderr)
		}
	}
}

// A watch that no node has taken ends with the reason.
func TestWatchOfNobody(t *testing.T) {
	_, stderr, code := do(nil, "", "--endpoints", "127.0.0.1:1", "watch", "k")
	if code != exitFailure || !strings.HasPrefix(stderr, "Error: no endpoint answers: 127.0.0.1:1: ") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

// A node that has met no leader since its start knows nobody's client address. That is no healthy cluster.
func TestNobodyIsNotHealthy(t *testing.T) {
	node := startFakeNode(t, func(string) resp.Value {
		return resp.Array(resp.Map(resp.Bulk("id"), resp.Bulk("00000000000000ab"),
			resp.Bulk("name"), resp.Bulk("n1"), resp.Bulk("peer_addr"), resp.Bulk("h:1"),
			resp.Bulk("client_addr"), resp.Bulk(""),
			resp.Bulk("learner"), resp.Int(0), resp.Bulk("leader"), resp.Int(0),
			resp.Bulk("status"), resp.Bulk("started")))
	})
	for _, verb := range []string{"health", "status", "hashkv"} {
		stdout, stderr, code := do(nil, "", "--endpoints", node.addr, "endpoint", verb, "--cluster")
		if code != exitFailure || !strings.Contains(stderr, "knows no member's client address") {
			t.Errorf("%s: exit %d, %q %q", verb, code, stdout, stderr)
		}
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

// A benchmark of transactions counts their requests; what a refused EXEC takes along are errors, each once.
func TestBenchOfTransactions(t *testing.T) {
	full := false
	node := startFakeNode(t, func(line string) resp.Value {
		switch {
		case line == "MULTI":
			return resp.OK()
		case line == "EXEC" && full:
			return resp.Err("EXECABORT Transaction discarded because of previous errors.")
		case line == "EXEC":
			return resp.Array(resp.OK(), resp.OK(), resp.OK())
		case full:
			return resp.Err("OOM the quota is reached")
		}
		return resp.Simple("QUEUED")
	})
	bench := []string{"--endpoints", node.addr, "-w", "json", "bench", "set", "--multi", "--requests", "12",
		"--clients", "2", "--pipeline", "3"}
	for _, full = range []bool{false, true} {
		node.takeAsked()
		stdout, stderr, code := do(nil, "", bench...)
		var r benchResult
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatalf("%q %q: %v", stdout, stderr, err)
		}
		if asked := node.takeAsked(); len(asked) != 20 || asked[0] != "MULTI" {
			t.Errorf("asked %q", asked)
		}
		if !r.Multi || r.Requests != 12 || !full && (code != exitOK || r.Errors != 0) || full && (r.Errors != 12 ||
			stderr != "Error: 12 requests got an error: OOM the quota is reached\n") {
			t.Errorf("full %v: exit %d, %q, %+v", full, code, stderr, r)
		}
	}
}

// Who may not open transactions is told so: what was sent as one has then been done request by request.
func TestBenchWithoutTheRightToMulti(t *testing.T) {
	node := startFakeNode(t, func(line string) resp.Value {
		switch line {
		case "MULTI":
			return resp.Err("NOPERM User default has no permissions to run the 'multi' command")
		case "EXEC":
			return resp.Err("ERR EXEC without MULTI")
		}
		return resp.Bulk("value")
	})
	_, stderr, code := do(nil, "", "--endpoints", node.addr, "bench", "get", "--multi", "--requests", "3",
		"--clients", "1", "--pipeline", "3")
	if code != exitFailure || !strings.Contains(stderr, "NOPERM User default has no permissions") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

// Every connection of a benchmark logs in first, if there is a password.
func TestBenchLogsIn(t *testing.T) {
	const login = "AUTH app correct-horse"
	refuse := false
	node := startFakeNode(t, func(line string) resp.Value {
		if refuse {
			return resp.Err("WRONGPASS invalid username-password pair or user is disabled.")
		}
		return resp.OK()
	})
	environ := []string{"REDKEEP_USER=app", "REDKEEP_PASSWORD=correct-horse", "REDKEEP_ENDPOINTS=" + node.addr}
	stdout, stderr, code := do(environ, "", "bench", "set", "--requests", "4", "--clients", "2")
	asked := node.takeAsked()
	if code != exitOK || len(asked) != 6 || asked[0] != login || asked[1] != login {
		t.Errorf("exit %d, %q %q, asked %q", code, stdout, stderr, asked)
	}
	refuse = true
	_, stderr, code = do(environ, "", "bench", "set", "--requests", "4", "--clients", "2")
	if code != exitFailure || !strings.Contains(stderr, "WRONGPASS") || strings.Contains(stderr, "horse") {
		t.Errorf("exit %d, %q", code, stderr)
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
