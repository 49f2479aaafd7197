package compat

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// ctlRuns are command lines that print the same with etcdctl against etcd and with redkeep against Redkeep,
// and end with the same exit code, one after the other on a fresh store. The second field is standard input.
var ctlRuns = []struct{ args, stdin string }{
	{"put user1 bad", ""},
	{"put old", "two words"},
	{"txn", "value(\"user1\") = \"bad\"\nmod(\"user1\") > \"1\"\n\nget user1\nput user1 good --prev-kv\n" +
		"put fresh \"a b\"\ndel nothing\ndel old --prev-kv\nget user1 --keys-only\nget user1 --print-value-only\n" +
		"get f --prefix\n\nput user1 2222\n\n"},
	{"get  --prefix --keys-only", ""},
	{"txn", "value(\"user1\") = \"111\"\n\nput user1 111\n\nput user1 2222\n\n"},
	{"get user1", ""},
	{"txn -w json", "ver(\"user1\") = \"3\"\ncreate(\"user1\") = \"2\"\n\nget user1\n" +
		"put user1 x --prev-kv\n\n\n"},
	{"txn -w fields", "c(\"none\") = \"0\"\nm(\"none\") < \"1\"\n\nget u z --limit 1\n" +
		"del user1 --prev-kv\n\n\n"},
	{"txn -w json", "val(\"none\") != \"x\"\n\nget user1\n\ndel fresh\nput \"q\\\"1\" v\n\n"},
	{"txn", "\n\n\n"}, {"txn", "value(\"none\") = \"\"\n\n\n\n"},
	{"txn", "\nput a 1\nput a 2\n\n\n"}, {"txn", "\nput a 1\ndel a\n\n\n"}, {"txn", "\ndel a\ndel a\n\n\n"},
	{"txn", "\ndel a b\nput b 1\n\n\n"}, {"txn", "foo(\"a\") = \"b\"\n\n\n\n"},
	{"txn", "value(a) = \"b\"\n\n\n\n"}, {"txn", "ver(\"a\") = \"b\"\n\n\n\n"}, {"txn", "\nnope a b\n\n\n"},
	{"alarm list", ""}, {"alarm disarm", ""}, // with -w json etcd leaves the header out
	{"alarm list x", ""}, {"alarm disarm x", ""},
	{"txn more", ""}, {"txn -w table", "\n\n\n"},
	{"put k1 v1", ""}, {"put k2 v2", ""}, {"put k3 v3", ""}, {"put k2 again", ""},
	{"get k --prefix", ""}, {"get k1 k3", ""}, {"get k2 --from-key --limit 1", ""},
	{"get k --prefix --rev 9", ""},
	{"get k --prefix --order DESCEND", ""}, {"get k --prefix --sort-by VERSION --order DESCEND", ""},
	{"get k --prefix --sort-by VALUE", ""}, {"get k --prefix --sort-by MODIFY", ""},
	{"get k --prefix --sort-by CREATE --order DESCEND --limit 2 -w json", ""}, {"get k1 --hex", ""},
	{"get k1 -w fields", ""}, {"get k1 --consistency s", ""}, {"get k1 --consistency x", ""},
	{"get k1 --print-value-only", ""}, {"get k1 --sort-by x", ""}, {"get k1 --order x", ""},
	{"put k1 x --prev-kv", ""}, {"put k1 --ignore-value", ""}, {"put none --ignore-value", ""},
	{"put k1 y --ignore-lease", ""}, {"put k1 x --ignore-value", ""}, {"put k1 x --prev-kv -w json", ""},
	{"put k1 x --lease zz", ""}, {"put k1 x --lease 123456", ""}, {"get k1 -w json", ""},
	{"del k1 k3 --prev-kv", ""}, {"del k --prefix -w json", ""}, {"del  --from-key", ""}, {"del none", ""},
}

// ctlVarying are ids and terms, which no two clusters share.
var ctlVarying = regexp.MustCompile(
	`"(cluster_id|member_id|raft_term)":\d+|"(ClusterID|MemberID|RaftTerm)" : \d+`)

func TestSameAsEtcdctl(t *testing.T) {
	for _, program := range []string{"etcd", "etcdctl"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is not installed", program)
			}
			t.Skipf("NOT COMPARED: %s is not installed (Debian: etcd-server, etcd-client)", program)
		}
	}
	for _, g := range targets {
		t.Run(g.name, func(t *testing.T) {
			etcd, keep := startEtcd(t), g.start(t)
			for _, run := range ctlRuns {
				args := strings.Split(run.args, " ")
				want, wantCode := ctl(t, "etcdctl", etcd, run.stdin, args...)
				got, code := ctl(t, node.Binary(t), keep, run.stdin, args...)
				if got != want || code != wantCode {
					t.Errorf("%s %.60q\n  etcdctl %d %.900q\n  redkeep %d %.900q", run.args, run.stdin, wantCode, want,
						code, got)
				}
			}
		})
	}
}

// ctl runs one command line and returns what it prints on standard output, and its exit code.
func ctl(t *testing.T, program, endpoint, stdin string, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{"--endpoints", endpoint}, args...)...)
	cmd.Env = []string{"ETCDCTL_API=3"}
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout = &out
	code := 0
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatalf("%s %q: %v", program, args, err)
		}
		code = exit.ExitCode()
	}
	return ctlVarying.ReplaceAllString(out.String(), "<$1$2>"), code
}

// startEtcd starts a new etcd of one member and returns its address.
func startEtcd(t *testing.T) string {
	t.Helper()
	client, peer := node.FreeAddr(t), "http://"+node.FreeAddr(t)
	node.Launch(t, "etcd", []string{"etcd", "--data-dir", t.TempDir(),
		"--listen-client-urls", "http://" + client, "--advertise-client-urls", "http://" + client,
		"--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--initial-cluster", "default=" + peer}, nil)
	node.Eventually(t, 30*time.Second, "etcd answers", func() error {
		if out, code := ctl(t, "etcdctl", client, "", "get", "none"); code != 0 {
			return errors.New(out)
		}
		return nil
	})
	return client
}
