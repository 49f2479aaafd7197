package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// The walk-through is a set of scripts in testdata: each command is what a user types, each answer what a
// user sees. They run against one node and, through a follower, against three; `go test ./tests/integration
// -run Walkthrough -rewrite` writes down the answers anew.

// scripts that print the same whatever the size of the cluster, and scripts for one size.
var walkthroughs = []struct {
	folder string
	nodes  []int
}{
	{"testdata/any", []int{1, 3}},
	{"testdata/one", []int{1}},
	{"testdata/three", []int{3}},
}

func TestWalkthrough(t *testing.T) {
	for _, w := range walkthroughs {
		for _, nodes := range w.nodes {
			t.Run(fmt.Sprintf("%s on %d", filepath.Base(w.folder), nodes), func(t *testing.T) {
				datadriven.Walk(t, w.folder, func(t *testing.T, script string) { playScript(t, script, nodes) })
			})
		}
	}
}

func playScript(t *testing.T, script string, nodes int) {
	c := node.Start(t, node.Options{Nodes: nodes})
	via := c.Nodes[0]
	if nodes > 1 {
		via = c.Follower()
	}
	shell := newShell(t, c, via)
	datadriven.RunTest(t, script, func(t *testing.T, d *datadriven.TestData) string {
		if d.Cmd != "sh" {
			t.Fatalf("%s: unknown directive %s", d.Pos, d.Cmd)
		}
		return shell.run(t, d.Input)
	})
}

// shell runs what a user types, with redkeep and redis-cli set up to talk to one node.
type shell struct {
	env   []string
	dir   string
	names *strings.Replacer
}

func newShell(t *testing.T, c *node.Cluster, via *node.Node) *shell {
	t.Helper()
	bin := t.TempDir()
	host, port, err := net.SplitHostPort(via.ClientAddr)
	must(t, err)
	cli, err := exec.LookPath("redis-cli")
	must(t, err)
	wrapper := fmt.Sprintf("#!/bin/sh\nexec %s -h %s -p %s \"$@\"\n", cli, host, port)
	must(t, os.WriteFile(filepath.Join(bin, "redis-cli"), []byte(wrapper), 0o755))
	must(t, os.Symlink(node.Binary(t), filepath.Join(bin, "redkeep")))
	var pairs []string
	for _, n := range c.Nodes {
		pairs = append(pairs, n.ClientAddr, "<client "+n.Name+">", n.PeerAddr, "<peer "+n.Name+">",
			n.HTTPAddr, "<http "+n.Name+">")
	}
	return &shell{
		env: append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "REDKEEP_ENDPOINTS="+via.ClientAddr),
		dir: t.TempDir(), names: strings.NewReplacer(pairs...),
	}
}

func (s *shell) run(t *testing.T, line string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Env, cmd.Dir = s.env, s.dir
	out, err := cmd.CombinedOutput()
	text := s.settle(string(out))
	if err != nil {
		text += fmt.Sprintf("(%v)\n", err)
	}
	return text
}

// What differs from run to run is replaced by a word for it.
var varying = []struct {
	pattern *regexp.Regexp
	word    string
}{
	{regexp.MustCompile(`\b[0-9a-f]{16}\b`), "<id>"},
	{regexp.MustCompile(`took = [0-9.]+(ns|µs|ms|s)`), "took = <time>"},
	{regexp.MustCompile(`"(cluster_id|member_id)":\d+`), `"$1":<id>`},
	{regexp.MustCompile(`"raft_term":\d+`), `"raft_term":<term>`},
	{regexp.MustCompile(`"(ClusterID|MemberID)" : \d+`), `"$1" : <id>`},
	{regexp.MustCompile(`"RaftTerm" : \d+`), `"RaftTerm" : <term>`},
	{regexp.MustCompile(`-{4,}`), "--"}, // tables are as wide as the addresses in them
	{regexp.MustCompile(` +\|`), " |"},
	{regexp.MustCompile(`\| +`), "| "},
}

func (s *shell) settle(out string) string {
	out = s.names.Replace(out)
	for _, v := range varying {
		out = v.pattern.ReplaceAllString(out, v.word)
	}
	return out
}

// Rows of tables whose cells vary are checked by their columns.
func TestEndpointStatusTable(t *testing.T) {
	eachSize(t, func(t *testing.T, c *node.Cluster, via *node.Node) {
		must(t, client(t, via).Set(bg, "k", "v", 0).Err())
		sh := newShell(t, c, via)
		rows := tableRows(sh.run(t, "redkeep endpoint status -w table --cluster"))
		if len(rows) != len(c.Nodes)+1 {
			t.Fatalf("%d rows for %d nodes: %q", len(rows), len(c.Nodes), rows)
		}
		for want := range strings.SplitSeq("ENDPOINT,ID,VERSION,IS LEADER,IS LEARNER,TERM,INDEX,ERRORS", ",") {
			if !strings.Contains(strings.ToUpper(strings.Join(rows[0], "|")), want) {
				t.Errorf("no column %s in %q", want, rows[0])
			}
		}
		leaders := 0
		for _, r := range rows[1:] {
			if len(r) != len(rows[0]) {
				t.Errorf("row %q has not the columns %q", r, rows[0])
			}
			for i, h := range rows[0] {
				if strings.EqualFold(h, "IS LEADER") && r[i] == "true" {
					leaders++
				}
			}
		}
		if leaders != 1 {
			t.Errorf("%d leaders in %q", leaders, rows)
		}
	})
}

// tableRows returns the cells of a drawn table, the heading first.
func tableRows(out string) [][]string {
	var rows [][]string
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			continue
		}
		var cells []string
		for _, c := range strings.Split(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(c))
		}
		rows = append(rows, cells)
	}
	return rows
}

func TestReadyLineNamesTheAddresses(t *testing.T) {
	n := node.Start(t, node.Options{}).Nodes[0]
	for line := range strings.Lines(n.Proc.Output()) {
		if !strings.Contains(line, node.ReadyLine) {
			continue
		}
		for _, a := range []string{n.ClientAddr, n.PeerAddr, n.HTTPAddr} {
			if !strings.Contains(line, a) {
				t.Errorf("the ready line does not name %s: %s", a, line)
			}
		}
	}
	if c := strings.Count(n.Proc.Output(), node.ReadyLine); c != 1 {
		t.Errorf("%d ready lines", c)
	}
}

// make run is row 1 of the walk-through; it is what a newcomer types first.
func TestMakeTargetsExist(t *testing.T) {
	root, err := node.Root()
	must(t, err)
	for _, target := range []string{"run", "cluster", "test", "bench"} {
		cmd := exec.Command("make", "-n", target)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("make -n %s: %v\n%s", target, err, out)
		}
	}
}
