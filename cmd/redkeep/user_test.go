package main

import (
	"bufio"
	"bytes"
	"fmt"
	"github.com/redkeep/redkeep/commands"
	"github.com/redkeep/redkeep/raftfsm"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// as runs a client verb as a user and returns what it said.
func as(addr, user, password, stdin string, args ...string) (stdout, stderr string, code int) {
	environ := []string{"REDKEEP_ENDPOINTS=" + addr, "REDKEEP_USER=" + user, "REDKEEP_PASSWORD=" + password}
	return do(environ, stdin, args...)
}

func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// One command makes the first administrator and shuts out everybody else; from then on users are made and
// changed with passwords that stand nowhere: not on a command line, not in the logs, not in a crash.
func TestUserVerbs(t *testing.T) {
	audit := filepath.Join(t.TempDir(), "audit")
	p := startServer(t, "--audit-file", audit)
	addr, _ := p.ready(t)
	const secret, other = "correct-horse", "battery-staple"
	steps := []struct {
		user, password, stdin string
		args                  []string
		code                  int
		says                  string
	}{
		{"", "", secret + "\n", []string{"user", "add", "admin", "--admin", "--close-default"}, 0,
			"User admin created\nUser default disabled\n"},
		{"", "", "", []string{"put", "k", "v"}, 1, "NOAUTH"},
		{"admin", "wrong", "", []string{"put", "k", "v"}, 1, "WRONGPASS"},
		{"admin", secret, "", []string{"put", "k", "v"}, 0, "OK"},
		{"admin", secret, other + "\n", []string{"user", "add", "app", "--rule", "~app:*", "--rule", "+@all",
			"--rule",
			"-@admin", "--rule", "-@dangerous"}, 0, "User app created"},
		{"admin", secret, secret + "\n", []string{"user", "add", "app"}, 1, "nothing was changed"},
		{"app", other, "", []string{"put", "app:1", "v"}, 0, "OK"},
		{"app", other, "", []string{"get", "k"}, 1, "NOPERM"},
		{"app", other, "", []string{"get", "app:", "--prefix"}, 0, "app:1"},
		{"app", other, "", []string{"get", "app:", "--from-key"}, 1, "NOPERM"},
		{"app", other, "", []string{"user", "grant", "app", "~*"}, 1, "NOPERM"},
		{"admin", secret, "", []string{"user", "grant", "app", "%R~k"}, 0, "User app changed"},
		{"app", other, "", []string{"get", "k"}, 0, "v"},
		{"admin", secret, "", []string{"user", "grant", "app", ">" + other}, exitBadArgs, "does not belong"},
		{"admin", secret, secret + "2\n", []string{"user", "passwd", "app"}, 0, "new password"},
		{"app", other, "", []string{"get", "k"}, 1, "WRONGPASS"},
		{"admin", secret, "", []string{"user", "disable", "app"}, 0, "User app disabled"},
		{"app", secret + "2", "", []string{"get", "k"}, 1, "WRONGPASS"},
		{"admin", secret, "", []string{"user", "enable", "app"}, 0, "User app enabled"},
		{"admin", secret, "", []string{"user", "list"}, 0, "admin\napp\ndefault\n"},
		{"admin", secret, "", []string{"user", "get", "app"}, 0, "user app on"},
		{"admin", secret, "", []string{"user", "get", "nobody"}, 1, "no user nobody"},
		{"admin", secret, "", []string{"user", "delete", "app"}, 0, "User app deleted"},
		{"admin", secret, "", []string{"user", "delete", "app"}, 1, "no user app"},
		{"admin", secret, "", []string{"user", "delete", "admin"}, 1, "administrator"},
		{"admin", secret, "", []string{"user", "disable", "admin"}, 1, "administrator"},
		{"admin:" + secret, "", "", []string{"get", "k"}, exitBadArgs, "takes a name alone"},
		{"admin", secret, "", []string{"user", "add", "empty"}, 1, "no password"},
	}
	for _, s := range steps {
		stdout, stderr, code := as(addr, s.user, s.password, s.stdin, s.args...)
		if code != s.code || !strings.Contains(stdout+stderr, s.says) {
			t.Fatalf("%q as %s: exit %d, %q %q, want %d, %q", s.args, s.user, code, stdout, stderr, s.code, s.says)
		}
	}
	_ = p.Process.Signal(syscall.SIGQUIT) // a crash: every goroutine with its arguments
	<-p.exited
	lines, err := os.ReadFile(audit)
	if err != nil || !bytes.Contains(lines, []byte(`"msg":"login"`)) || !bytes.Contains(lines, []byte(
		`"refused"`)) {
		t.Errorf("the audit log is %s, %v", lines, err)
	}
	for name, text := range map[string]string{"stderr": p.stderr.String(), "stdout": p.stdout.String(),
		"audit": string(lines)} {
		if strings.Contains(text, secret) || strings.Contains(text, other) {
			t.Errorf("%s holds a password", name)
		}
	}
	if !strings.Contains(p.stderr.String(), "goroutine ") {
		t.Error("no crash dump was written, so nothing was looked at")
	}
}

// A password from a file counts from the first moment, and who is locked out comes back with a restart.
func TestPasswordsFromFiles(t *testing.T) {
	dir := t.TempDir()
	p := startServer(t, "--data-dir", dir, "--default-password-file", secretFile(t, "first"))
	addr, _ := p.ready(t)
	for _, s := range []struct {
		password string
		code     int
	}{{"", 1}, {"wrong", 1}, {"first", 0}} {
		if _, stderr, code := as(addr, "", s.password, "", "put", "k", "v"); code != s.code {
			t.Fatalf("with %q: exit %d, %s", s.password, code, stderr)
		}
	}
	_ = p.Process.Signal(syscall.SIGTERM)
	<-p.exited
	p = startServer(t, "--data-dir", dir, "--reset-admin-file", secretFile(t, "again"))
	addr, _ = p.ready(t)
	eventually(t, "the administrator is back", func() bool {
		_, _, code := as(addr, "admin", "again", "", "user", "list")
		return code == 0
	})
	if _, _, code := as(addr, "", "", "", "get", "k"); code == 0 {
		t.Error("the default user's password is forgotten")
	}
}

// On a terminal, where nobody sees it, a new password is typed twice.
func TestPasswordIsAskedForTwice(t *testing.T) {
	for _, tc := range []struct{ typed, want, fails string }{
		{"horse\nhorse\n", "horse", ""}, {"horse\nhouse\n", "", "not the same"}, {"horse\n", "", "not the same"},
		{"\n\n", "", "no password"},
	} {
		var shown bytes.Buffer
		got, err := askPassword(bufio.NewReader(strings.NewReader(tc.typed)), &shown)
		failed := err != nil && tc.fails != "" && strings.Contains(err.Error(), tc.fails)
		if got != tc.want || failed != (tc.fails != "") || strings.Contains(shown.String(), "hor") {
			t.Errorf("%q: %q, %v; shown %q", tc.typed, got, err, shown.String())
		}
	}
}

// A file that everybody can read is no place for a password, and a node does not start with one.
func TestSecretFilesAreLookedAt(t *testing.T) {
	open := secretFile(t, "x")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{open: "chmod 600", secretFile(t, ""): "empty",
		"/nonexistent": "no such file"} {
		if _, err := readSecret("password-file", path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

// Protected mode: while no password is set, only clients of this machine are let in, or those who have proved
// by a certificate who they are.
func TestProtectedMode(t *testing.T) {
	engine := raftfsm.New(raftfsm.Config{})
	defer engine.Release()
	d := commands.New(commands.Config{Engine: engine, Logger: slog.New(slog.DiscardHandler), Clock: time.Now})
	defer func() {
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	near, far := &net.TCPAddr{IP: net.IPv6loopback}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}
	for _, tc := range []struct {
		name           string
		from           net.Addr
		protected, tls bool
		auth           string
		refused        bool
	}{
		{"another machine", far, true, false, authNone, true},
		{"another machine, turned off", far, false, false, authNone, false},
		{"this machine", near, true, false, authNone, false},
		{"TLS without certificates", far, true, true, authNone, true},
		{"TLS with optional certificates", far, true, true, authOptional, true},
		{"TLS with certificates", far, true, true, authRequire, false},
		{"plain beside TLS with certificates", far, true, false, authRequire, true},
	} {
		n := &node{dispatcher: d}
		n.settings.protected, n.settings.tls.client.auth = tc.protected, tc.auth
		if refusal := n.admit(tc.from, tc.tls); (refusal != "") != tc.refused {
			t.Errorf("%s: %q", tc.name, refusal)
		}
	}
}

// The password at a mirror's destination comes from a file, for the user that the URL names.
func TestDestinationPassword(t *testing.T) {
	c, file := &client{}, secretFile(t, "horse")
	for _, tc := range []struct{ dest, user, fails string }{
		{"redis://app@h:1/0", "app", ""}, {"redis://h:1/0", "", ""}, {"h:1,g:2", "", ""},
		{"redis://app:secret@h:1/0", "app", "leave one out"},
	} {
		nodes, err := c.destination(tc.dest)
		if err == nil {
			err = withPassword(nodes, file)
		}
		if (err == nil) != (tc.fails == "") || err != nil && !strings.Contains(err.Error(), tc.fails) {
			t.Errorf("%s: %v", tc.dest, err)
		}
		for _, n := range nodes {
			if n.Username != tc.user || n.Password != "horse" {
				t.Errorf("%s: user %q, password %q", tc.dest, n.Username, n.Password)
			}
		}
	}
}

// The port for clients of Sentinel asks for the same password from the first moment, without a leader, too,
// and who comes in there is in the audit log.
func TestPasswordOfTheSentinelPort(t *testing.T) {
	audit := filepath.Join(t.TempDir(), "audit")
	p := startServer(t, "--name", "n1", "--peer-addr", "127.0.0.1:0", "--sentinel-addr", "127.0.0.1:0",
		"--initial-cluster", "n1=127.0.0.1:0,n2=127.0.0.1:1,n3=127.0.0.1:2", "--audit-file", audit,
		"--default-password-file", secretFile(t, "first"))
	var m []string
	eventually(t, "the listener is open", func() bool {
		m = sentinelLine.FindStringSubmatch(p.stderr.String())
		return m != nil
	})
	conn, err := net.Dial("tcp", m[1])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for _, s := range [][2]string{{"SENTINEL MYID", "-NOAUTH"}, {"AUTH wrong", "-WRONGPASS"},
		{"AUTH first", "+OK"}, {"SENTINEL MYID", "$40"}} {
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(conn, "%s\r\n", s[0])
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, s[1]) {
			t.Errorf("%s: %q, %v, want %s", s[0], line, err, s[1])
		}
	}
	lines, err := os.ReadFile(audit)
	if err != nil || !bytes.Contains(lines, []byte(`"msg":"login"`)) || !bytes.Contains(lines, []byte(
		`"refused"`)) {
		t.Errorf("the audit log is %s, %v", lines, err)
	}
}

var sentinelLine = regexp.MustCompile(`listening for clients of Sentinel.*?(127\.0\.0\.1:\d+)`)
