package compat

import (
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// tool runs one of Redis's own programs against addr and returns what it prints; it must end well by itself.
func tool(t *testing.T, addr, stdin, name string, args ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, append([]string{"-h", host, "-p", port}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %q: %v\n%.2000s", name, args, err, out)
	}
	return string(out)
}

// cliRuns print the same against both servers. The second field is standard input.
var cliRuns = []struct {
	args  string
	stdin string
}{
	{"FLUSHALL", ""}, {"SET a 1", ""}, {"GET a", ""}, {"GET none", ""}, {"INCR a", ""}, {"-3 GET none", ""},
	{"-3 MGET a none", ""},
	{"-n 0 PING", ""}, {"--raw GET a", ""}, {"--no-raw GET a", ""}, {"--json MGET a none", ""}, {"NOPE x", ""},
	{"SET a", ""},
	{"", "SET b 2\nGET b\nMGET a b none\nDEL a b\nNOPE x\nSET k \"two words\"\nGET k\nTYPE k\n"},
	{"-3", "SET b 2\nGET b\nEXISTS b\nHELLO 2 x\nGET none\n"},
	{"", "SET b 2\nWATCH b\nMULTI\nSET b 3\nINCR b\nGET none\nEXEC\nMULTI\nNOPE\nEXEC\nMULTI\nGET b\nDISCARD\n"},
	{"-3", "SET b 2\nWATCH b\nSET b 2\nMULTI\nGET b\nEXEC\nMULTI\nMGET b none\nEXEC\n"},
	{"-x SET piped", "value from standard input"}, {"GET piped", ""}, {"--csv MGET piped none", ""},
	{"-r 3 PING", ""},
	{"--scan --pattern pipe*", ""}, {"-d , --raw MGET piped piped", ""}, {"--pipe", pipedCommands()},
	{"GET bulk:99", ""},
	{"DBSIZE", ""},
}

func pipedCommands() string {
	var b strings.Builder
	for i := range 100 {
		b.WriteString("SET bulk:" + string(rune('0'+i/10)) + string(rune('0'+i%10)) + " v\r\n")
	}
	return b.String()
}

func TestRedisCli(t *testing.T) {
	for _, g := range targets {
		t.Run(g.name, func(t *testing.T) {
			redis, keep := startRedis(t), g.start(t)
			for _, run := range cliRuns {
				args := strings.Fields(run.args)
				want := tool(t, redis, run.stdin, "redis-cli", args...)
				got := tool(t, keep, run.stdin, "redis-cli", args...)
				if want != got {
					t.Errorf("redis-cli %s\n  redis   %.500q\n  redkeep %.500q", run.args, want, got)
				}
			}
		})
	}
}

// The modes of redis-cli that walk a database must end well and count the keys.
func TestRedisCliModes(t *testing.T) {
	keep := targets[0].start(t)
	tool(t, keep, pipedCommands(), "redis-cli", "--pipe")
	if out := tool(t, keep, "", "redis-cli", "--bigkeys"); !strings.Contains(out, "Sampled 100 keys") {
		t.Errorf("--bigkeys:\n%s", out)
	}
	if out := tool(t, keep, "", "redis-cli", "--scan"); strings.Count(out, "bulk:") != 100 {
		t.Errorf("--scan:\n%s", out)
	}
	if out := tool(t, keep, "", "redis-cli", "INFO", "server"); !strings.Contains(out, "redis_version:") {
		t.Errorf("INFO server:\n%s", out)
	}
}

func TestRedisBenchmark(t *testing.T) {
	for _, g := range targets {
		t.Run(g.name, func(t *testing.T) {
			keep := g.start(t)
			for _, run := range []struct{ args, want string }{
				{"-t set,get -P 16 -n 20000 -c 20 -q", "SET: GET: "},
				{"-t ping_inline,ping_mbulk -n 5000 -c 10 -q", "PING_INLINE: PING_MBULK: "},
				{"-t incr,mset -n 2000 -c 10 -r 100 -q", "INCR: MSET (10 keys): "},
				{"-t set,get -P 4 -n 2000 -c 10 -r 100 -d 128 -3 -q", "SET: GET: "},
				{"-t set -n 2000 -c 8 --threads 2 -q", "SET: "},
			} {
				out := tool(t, keep, "", "redis-benchmark", strings.Fields(run.args)...)
				for _, want := range strings.SplitAfter(strings.TrimSpace(run.want), ": ") {
					if !strings.Contains(out, strings.TrimSpace(want)) {
						t.Errorf("redis-benchmark %s lacks %q:\n%s", run.args, want, out)
					}
				}
				if strings.Contains(out, "Error") || strings.Contains(out, "WARN") || strings.Contains(out, "Could not") {
					t.Errorf("redis-benchmark %s complains:\n%s", run.args, out)
				}
			}
		})
	}
}
