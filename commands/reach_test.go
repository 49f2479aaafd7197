package commands

import (
	"strings"
	"testing"
)

// ACL DRYRUN asks and leaves no trace: what it finds is in no log.
func TestDryRunLeavesNoTrace(t *testing.T) {
	n := startNode(t)
	log := n.audited()
	c := n.dial(t)
	c.want("OK", "ACL", "SETUSER", "eve", "on", "nopass", "~own", "+@all")
	log.take()
	for _, words := range [][]string{{"GET", "other"}, {"KV.TXN", "0", "1", "2", "GET", "other", "0"},
		{"KV.TXN", "1", "value", "other", "=", "x", "0", "0"},
		{"KV.TXN", "0", "1", "7", "KV.TXN", "0", "1", "2", "GET", "other", "0", "0"}} {
		c.want(`"This user has no permissions to access the 'other' key"`,
			append([]string{"ACL", "DRYRUN", "eve"}, words...)...)
		c.want("[]", "ACL", "LOG")
		if lines := log.take(); lines != "" {
			t.Errorf("%q is in the audit log: %s", words, lines)
		}
	}
}

// What stands where an option could, and is none, is not taken for one; and what the inner commands of a
// KV.TXN may do is not refused to it.
func TestNobodyIsRefusedByMistake(t *testing.T) {
	n := startNode(t)
	admin, c := n.dial(t), n.dial(t)
	admin.want("OK", "ACL", "SETUSER", "eve", "on", "nopass", "~app:*", "+@all")
	admin.want(`"0000000000000005"`, "LEASE.GRANT", "60000", "ID", "5")
	admin.want("OK", "SET", "other", "x", "LEASE", "5")
	c.want("OK", "AUTH", "eve", "x")
	const nothing, revision = "nil", ""
	for _, tc := range []struct {
		want  string
		words []string
	}{
		{"OK", []string{"SET", "app:1", "fence", "EX", "10"}},
		{"OK", []string{"SET", "app:1", "lease", "EX", "5"}},
		{nothing, []string{"SET", "app:1", "x", "IFEQ", "fence", "EX", "10"}},
		{"OK", []string{"SET", "app:1", "x", "IFEQ", "lease", "EX", "5"}},
		{revision, []string{"KV.PUT", "app:1", "lease", "PREV"}},
		{revision, []string{"KV.PUT", "app:1", "fence", "PREV"}},
		{revision, []string{"LOCK.ACQUIRE", "app:m", "VALUE", "lease", "TTL", "1000"}},
		{revision, []string{"ELECTION.CAMPAIGN", "app:m", "lease", "TTL", "1000"}},
		{`"app:1"`, []string{"KV.TXN", "0", "1", "2", "KEYS", "*", "0"}},
		{`"app:1"`, []string{"KV.TXN", "0", "1", "2", "SCAN", "0", "0"}},
		{`"app:1"`, []string{"KV.TXN", "0", "1", "7", "KV.TXN", "0", "1", "2", "KEYS", "*", "0", "0"}},
	} {
		if got := c.do(tc.words...); strings.HasPrefix(got, "(") || !strings.Contains(got, tc.want) ||
			strings.Contains(got, "other") {
			t.Errorf("%q: %s, want %s", tc.words, got, tc.want)
		}
	}
	for _, words := range [][]string{{"SET", "app:1", "x", "LEASE", "5"},
		{"SET", "app:1", "x", "FENCE", "m", "1"},
		{"KV.PUT", "app:1", "x", "PREV", "LEASE", "5"}, {"LOCK.ACQUIRE", "app:m", "LEASE", "5"},
		{"ELECTION.CAMPAIGN", "app:m", "v", "LEASE", "5"}, {"KV.TXN", "0", "1", "2", "GET", "other", "0"},
		{"KV.TXN", "0", "1", "3", "KV.RANGE", "app", "PREFIX", "0"}} {
		if got := c.do(words...); !strings.HasPrefix(got, "(NOPERM ") {
			t.Errorf("%q: %s", words, got)
		}
	}
}
