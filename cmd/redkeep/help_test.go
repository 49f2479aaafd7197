package main

import (
	"bufio"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// everyVerb calls fn for each verb and sub-verb.
func everyVerb(cmd *cobra.Command, fn func(*cobra.Command)) {
	fn(cmd)
	for _, sub := range cmd.Commands() {
		everyVerb(sub, fn)
	}
}

func TestHelpIsComplete(t *testing.T) {
	verbs := 0
	everyVerb(newRoot(streams{}, nil), func(cmd *cobra.Command) {
		verbs++
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		stdout, stderr, code := do(nil, "", args...)
		if code != exitOK || stderr != "" || cmd.Short == "" {
			t.Errorf("%s: exit %d, stderr %q, short text %q", cmd.CommandPath(), code, stderr, cmd.Short)
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" || !strings.Contains(stdout, "--"+f.Name) {
				t.Errorf("%s: --%s has no line of help", cmd.CommandPath(), f.Name)
			}
		})
	})
	if verbs < 15 {
		t.Errorf("only %d verbs", verbs)
	}
}

func TestServerHelpNamesEveryOption(t *testing.T) {
	stdout, _, _ := do(nil, "", "server", "--help")
	for _, o := range options {
		groups := []string{groupNode, groupTLS, groupUsers, groupLimits, groupRaft, groupLog}
		if !slices.Contains(groups, o.group) || o.help == "" {
			t.Errorf("%s: group %q, help %q", o.name, o.group, o.help)
		}
		if !strings.Contains(stdout, "--"+o.name+" ") {
			t.Errorf("--%s is not in the help", o.name)
		}
	}
	if strings.Contains(stdout, "--endpoints") {
		t.Error("flags of the client verbs are in the help of the server")
	}
	for line := range strings.Lines(stdout) {
		if len(line) > 121 {
			t.Errorf("long line: %s", line)
		}
	}
}

func TestBadCommandLines(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"gett", exitFailure, `unknown command "gett"`},
		{"server --quota 5", exitFailure, "unknown flag --quota; the nearest is --quota-bytes"},
		{"server --endpoint x", exitFailure, "the nearest is --endpoints"},
		{"server --endpoints x:1", exitFailure, "--endpoints is a flag of the client verbs"},
		{"server now", exitFailure, `server takes no argument: "now"`},
		{"get a --endpoints nowhere", exitBadArgs, `--endpoints "nowhere": must be host:port`},
		{"get a --command-timeout 0s", exitBadArgs, "--command-timeout 0s: must be above 0"},
		{"bench", exitBadArgs, "needs one argument"},
		{"bench del", exitBadArgs, `unknown benchmark "del"`},
		{"bench set --clients 0", exitBadArgs, "--clients 0: must be 1 to 100000"},
		{"bench set --requests 5 --duration 1s", exitFailure, "[duration requests]"},
		{"get a --endpoints 127.0.0.1:1,127.0.0.1:1", exitFailure,
			"cannot connect to 127.0.0.1:1: connection refused; cannot connect to"},
	} {
		stdout, stderr, code := do(nil, "", strings.Fields(c.args)...)
		if code != c.code || stdout != "" || !strings.HasPrefix(stderr, "Error: ") || !strings.Contains(stderr,
			c.want) {
			t.Errorf("%s: exit %d, stdout %q, stderr %q; want exit %d and %q", c.args, code, stdout, stderr, c.code,
				c.want)
		}
	}
}

func TestClientEnvironment(t *testing.T) {
	for _, c := range []struct {
		environ, args, want string
	}{
		{"REDKEEP_ENDPOINTS=127.0.0.1:2", "get a", "cannot connect to 127.0.0.1:2"},
		{"REDKEEP_ENDPOINTS=127.0.0.1:2", "get a --endpoints 127.0.0.1:3", "cannot connect to 127.0.0.1:3"},
		{"REDKEEP_WRITE_OUT=yaml", "get a", `unsupported output format "yaml"`},
		{"REDKEEP_COMMAND_TIMEOUT=soon", "get a", "REDKEEP_COMMAND_TIMEOUT"},
	} {
		_, stderr, code := do([]string{c.environ}, "", strings.Fields(c.args)...)
		if code == exitOK || !strings.Contains(stderr, c.want) {
			t.Errorf("%s %s: exit %d, %q; want %q", c.environ, c.args, code, stderr, c.want)
		}
	}
}

func TestVersionAndCompletion(t *testing.T) {
	if stdout, _, code := do(nil, "", "version"); code != exitOK || !strings.HasPrefix(stdout,
		"redkeep version: ") {
		t.Errorf("exit %d, %q", code, stdout)
	}
	if stdout, _, _ := do(nil, "", "version", "-w", "json"); !strings.HasPrefix(stdout, `{"version":"dev"`) {
		t.Errorf("%q", stdout)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if stdout, _, code := do(nil, "", "completion", shell); code != exitOK || !strings.Contains(stdout,
			"redkeep") {
			t.Errorf("completion %s: exit %d, %d bytes", shell, code, len(stdout))
		}
	}
}

// Of several survivors the one with the later term has more, however long the log of another is: so say the
// help and what is printed beside the numbers. Who has no others to choose from, or has chosen, is not told.
func TestRecoverTellsWhomToTake(t *testing.T) {
	help, _, _ := do(nil, "", "recover", "--help")
	printed := func(r recoverReply) string {
		var text strings.Builder
		out := bufio.NewWriter(&text)
		r.simple(&page{Writer: out})
		if err := out.Flush(); err != nil {
			t.Fatal(err)
		}
		return text.String()
	}
	survivor := recoverReply{LastEntry: 7, Term: 3, Lost: []string{"n1=h:1"}}
	shown := printed(survivor)
	for _, text := range []string{help, shown} {
		text = strings.Join(strings.Fields(text), " ")
		term, entry := strings.Index(text, "highest term"), strings.LastIndex(text, "highest entry")
		if term < 0 || entry < term {
			t.Errorf("the term does not come first: %s", text)
		}
	}
	if !strings.Contains(shown, "its log ends with entry 7 of term 3\n") {
		t.Errorf("the numbers to go by are not shown: %s", shown)
	}
	alone, done := survivor, survivor
	alone.Lost, done.ClusterID = nil, 1
	for _, r := range []recoverReply{alone, done} {
		if text := printed(r); strings.Contains(text, "highest") {
			t.Errorf("nobody is left to be taken: %s", text)
		}
	}
}

// A node that has no leader waits for one, and says CLUSTERDOWN when --request-timeout is over: nothing was
// done, ask another. Who hangs up before that only knows that a write may have been done.
func TestVerbsWaitForTheNodesAnswer(t *testing.T) {
	var c client
	c.addFlags(&cobra.Command{})
	node, err := readSettings(t, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.timeout < node.requestTimeout+time.Second {
		t.Errorf("a verb waits %v, a node takes %v to say that there is no leader", c.timeout, node.requestTimeout)
	}
}
