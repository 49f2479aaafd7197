package commands

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

// auditLog holds what was written to the audit log.
type auditLog struct {
	mu struct {
		sync.Mutex
		text bytes.Buffer
	}
}

func (l *auditLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.text.Write(b)
}

// take returns what was written since the last call.
func (l *auditLog) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.mu.text.Reset()
	return l.mu.text.String()
}

// audited makes the node write its audit log into the test's. REQUIRES: nobody has connected yet.
func (n *testNode) audited() *auditLog {
	l := &auditLog{}
	n.d.users.log = newAudit(slog.New(slog.NewTextHandler(l, nil)))
	return l
}

// The audit log tells what was done, and where that is not known says so.
func TestAuditTellsWhatWasDone(t *testing.T) {
	n := startNode(t)
	log := n.audited()
	c := n.dial(t)
	for _, tc := range []struct{ reply, words, want string }{
		{"OK", "ACL SETUSER eve on >pw ~a", `msg="user changed" audit=true user=default words="[eve on >*** ~a]"`},
		{"OK", "ACL SETUSER bob on", `msg="user changed"`},
		{"(ERR ", "ACL SETUSER bob nonsense", ""},
		{"0", "ACL DELUSER nobody", ""},
		{"2", "ACL DELUSER eve nobody bob eve", `msg="users deleted" audit=true user=default words="[eve bob]"`},
	} {
		if got := c.line(tc.words); !strings.HasPrefix(got, tc.reply) {
			t.Errorf("%s: %s", tc.words, got)
		}
		got := log.take()
		if tc.want == "" && got != "" || strings.Count(got, "\n") > 1 || !strings.Contains(got, tc.want) {
			t.Errorf("%s: the audit log tells %q", tc.words, got)
		}
	}
}

// What the node makes at its start is told only if it made it.
func TestAuditOfUsersMadeAtStart(t *testing.T) {
	n := startNode(t)
	log := n.audited()
	rules := []string{"on", "nopass", "~*", "&*", "+@all"}
	for _, tc := range []struct {
		fresh bool
		lines int
	}{{true, 1}, {true, 0}, {false, 1}} {
		if err := n.d.EnsureUser("root", rules, tc.fresh, nil); err != nil {
			t.Fatal(err)
		}
		if got := log.take(); strings.Count(got, "user made at start") != tc.lines ||
			strings.Count(got, "\n") != tc.lines {
			t.Errorf("fresh %v: %q", tc.fresh, got)
		}
	}
}

// A change of users whose client goes away, or whose outcome does not show in time, may have been made.
func TestAuditOfUnknownOutcome(t *testing.T) {
	n := loneNode(t, time.Minute)
	log := n.audited()
	c := n.dial(t)
	c.send(encode("ACL", "SETUSER", "eve", "on"))
	waitFor(t, "the command to be served", func() bool { return len(n.d.sessions()) == 1 })
	_ = c.conn.Close()
	waitFor(t, "the connection to be forgotten", func() bool { return len(n.d.sessions()) == 0 })
	if got := log.take(); !strings.Contains(got, `msg="user changed, or not: the outcome is not known"`) {
		t.Errorf("the audit log tells %q", got)
	}
	stop := make(chan struct{})
	close(stop)
	if err := n.d.EnsureUser("root", []string{"on"}, true, stop); err != nil {
		t.Fatal(err)
	}
	if got := log.take(); strings.Contains(got, `msg="user made at start"`) {
		t.Errorf("the audit log tells %q", got)
	}
	s := &session{}
	for _, tc := range []struct {
		err     error
		outcome outcome
	}{{nil, outcomeDone}, {raftfsm.ErrUncertain, outcomeUnknown}, {raftfsm.ErrNoLeader, outcomeNothing}} {
		if got := outcomeOf(tc.err); got != tc.outcome {
			t.Errorf("%v is taken for %d", tc.err, got)
		}
	}
	n.d.auditUsers(s, outcomeUnknown, "users deleted", []string{"eve"})
	if got := log.take(); !strings.Contains(got, `msg="users deleted, or not: the outcome is not known"`) {
		t.Errorf("the audit log tells %q", got)
	}
}

// RESET takes a connection back to how it began: to its certificate's user.
func TestResetKeepsTheCertificatesUser(t *testing.T) {
	n := startNode(t)
	n.d.cfg.CertificateName = func(*resp.Conn) string { return "carol" }
	admin := n.dial(t)
	admin.want("OK", "ACL", "SETUSER", "carol", "on", "~*", "&*", "+@all")
	admin.want("OK", "ACL", "SETUSER", "eve", "on", "nopass", "+@all")
	c := n.dial(t)
	c.want(`"carol"`, "ACL", "WHOAMI")
	c.want("RESET", "RESET")
	c.want(`"carol"`, "ACL", "WHOAMI")
	c.want("OK", "AUTH", "eve", "x")
	c.want("RESET", "RESET")
	c.want(`"carol"`, "ACL", "WHOAMI")
	admin.want("OK", "ACL", "SETUSER", "default", "resetpass", ">pw")
	c.want("RESET", "RESET")
	c.want(`"carol"`, "ACL", "WHOAMI")
	admin.want("OK", "ACL", "SETUSER", "carol", "off")
	c = n.dial(t)
	c.want("RESET", "RESET")
	c.want("(NOAUTH Authentication required.)", "ACL", "WHOAMI")
}
