package commands

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/raftfsm"
)

func backupsOf(t *testing.T, n *testNode) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(n.d.cfg.BackupDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A saved file is what the reply says it is, and has its name only when it is whole.
func TestSnapshotSave(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	for i := range 500 {
		c.do("SET", fmt.Sprint("k", i), strings.Repeat("x", 1000))
	}
	reply := c.do("SNAPSHOT.SAVE", "one")
	raw, err := os.ReadFile(filepath.Join(n.d.cfg.BackupDir, "one"))
	if err != nil {
		t.Fatal(err)
	}
	in, err := raftfsm.InspectSnapshot(bytes.NewReader(raw))
	if err != nil || in.Header.Keys != 500 || in.Header.Revision != 501 {
		t.Fatalf("%+v, %v", in.Header, err)
	}
	want := fmt.Sprintf(`["name" "one" "bytes" %d "revision" 501 "keys" 500 "sha256" "%x"]`, len(raw),
		sha256.Sum256(raw))
	if reply != want {
		t.Errorf("reply %s, want %s", reply, want)
	}
	long := strings.Repeat("n", 129)
	for _, bad := range []string{"one", "../one", "a/b", ".hidden", "x.part", "", long, "a b", "a\x00b"} {
		if got := c.do("SNAPSHOT.SAVE", bad); !strings.HasPrefix(got, "(ERR ") {
			t.Errorf("name %q: %s", bad, got)
		}
	}
	if got := backupsOf(t, n); len(got) != 1 {
		t.Errorf("left in the folder: %q", got)
	}
}

// A stream is a map and then the bytes of a file, which leaves nothing on the disk.
func TestSnapshotStream(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	for i := range 1200 {
		c.do("SET", fmt.Sprint("k", i), strings.Repeat("x", 1000))
	}
	about, file := c.stream()
	in, err := raftfsm.InspectSnapshot(strings.NewReader(file))
	if err != nil || in.Header.Keys != 1200 || len(file) < 2*streamPiece {
		t.Fatalf("%d bytes, %+v, %v", len(file), in.Header, err)
	}
	if !strings.Contains(about, fmt.Sprintf("%x", in.SHA256)) {
		t.Errorf("%s for a file of %x", about, in.SHA256)
	}
	if got := backupsOf(t, n); len(got) != 0 {
		t.Errorf("left in the folder: %q", got)
	}
}

// stream asks for a backup and returns what it says of itself and its bytes.
func (c *client) stream() (about, file string) {
	c.t.Helper()
	c.send("SNAPSHOT.STREAM\r\n")
	head, err := c.r.ReadString('\n')
	n, err2 := strconv.Atoi(strings.Trim(head, "*\r\n"))
	if err != nil || err2 != nil {
		c.t.Fatalf("the reply begins with %q, %v", head, err)
	}
	about = c.reply()
	var b strings.Builder
	for range n - 1 {
		piece, err := strconv.Unquote(c.reply())
		if err != nil {
			c.t.Fatal(err)
		}
		b.WriteString(piece)
	}
	return about, b.String()
}

// A client that asks for a stream and does not read holds up neither compaction nor other clients, and one
// that goes away in the middle leaves no file open.
func TestSnapshotStreamToASlowClient(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	for i := range 4000 {
		c.do("SET", fmt.Sprint("k", i%2000), strings.Repeat("x", 4000))
	}
	slow, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if _, err := slow.Write([]byte("SNAPSHOT.STREAM\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := slow.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	before := n.engine.Store().HistoryBytes()
	c.do("KV.COMPACT", fmt.Sprint(n.engine.Store().Revision()))
	waitFor(t, "the compaction of what a stream shows", func() bool {
		return n.engine.Store().HistoryBytes() < before/2
	})
	slow.Close()
	waitFor(t, "the file of the stream to be closed", func() bool { return openStreams(t) == 0 })
}

// openStreams counts the unlinked files of streams that this process has open.
func openStreams(t *testing.T) (n int) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil || len(links) == 0 {
		t.Fatal("this system does not show the open files of a process")
	}
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && strings.Contains(to, "stream-") {
			n++
		}
	}
	return n
}

// Without a majority only a backup that asks for no more than this node's state is made.
func TestSnapshotWithoutQuorum(t *testing.T) {
	n := loneNode(t, 200*time.Millisecond)
	c := n.dial(t)
	if got := c.do("SNAPSHOT.SAVE"); !strings.HasPrefix(got, "(CLUSTERDOWN ") {
		t.Errorf("without a majority: %s", got)
	}
	if got := c.do("SNAPSHOT.SAVE", "alone", "SERIALIZABLE"); !strings.Contains(got, `"alone"`) {
		t.Errorf("SERIALIZABLE: %s", got)
	}
	c.do("READONLY")
	if got := c.do("SNAPSHOT.SAVE", "local"); !strings.Contains(got, `"local"`) {
		t.Errorf("READONLY: %s", got)
	}
}

// A full disk is noticed before anything is written.
func TestSnapshotWithoutSpace(t *testing.T) {
	n := startNode(t, func(c *raftfsm.Config) { c.DiskReserveBytes = 1 << 62 })
	waitFor(t, "the guard of the disk", func() bool { return n.engine.AcceptsWrites() != nil })
	for _, command := range []string{"SNAPSHOT.SAVE", "SNAPSHOT.STREAM"} {
		if got := n.dial(t).do(command); got != "("+string(errBackupSpace)+")" {
			t.Errorf("%s: %s", command, got)
		}
	}
	if got := backupsOf(t, n); len(got) != 0 {
		t.Errorf("left in the folder: %q", got)
	}
}

// Whatever a backup is refused for, nothing of it is written, and the next one is taken.
func TestRefusedSnapshots(t *testing.T) {
	n := startNode(t)
	admin, c := n.dial(t), n.dial(t)
	admin.want("OK", "ACL", "SETUSER", "part", "on", "nopass", "~a*", "&*", "+@all")
	admin.want("OK", "ACL", "SETUSER", "writer", "on", "nopass", "%W~*", "&*", "+@all")
	for _, words := range []string{"SNAPSHOT.SAVE", "SNAPSHOT.STREAM"} {
		for _, user := range []string{"part", "writer"} {
			c.want("OK", "AUTH", user, "x")
			if got := c.do(words); !strings.HasPrefix(got, "(NOPERM ") {
				t.Errorf("%s by %s: %s", words, user, got)
			}
		}
		c.want("RESET", "RESET")
		c.want("OK", "MULTI")
		c.want("("+string(errNotInMulti)+")", words)
		if got := c.do("EXEC"); !strings.HasPrefix(got, "(EXECABORT ") {
			t.Errorf("EXEC behind %s: %s", words, got)
		}
		got := c.do("EVAL", "return redis.call('"+words+"')", "0")
		if !strings.Contains(got, "not allowed from script") {
			t.Errorf("%s in a script: %s", words, got)
		}
		c.want("("+string(errSyntax)+")", words, "SERIALIZABLE", "SERIALIZABLE")
	}
	c.want("("+string(errSyntax)+")", "SNAPSHOT.SAVE", "one", "two")
	c.want("("+string(errSyntax)+")", "SNAPSHOT.STREAM", "one")
	if got := backupsOf(t, n); len(got) != 0 {
		t.Errorf("left in the folder: %q", got)
	}
	if got := c.do("SNAPSHOT.SAVE", "one"); !strings.Contains(got, `"one"`) {
		t.Errorf("allowed: %s", got)
	}

	n.d.cfg.BackupDir = filepath.Join(n.d.cfg.BackupDir, "one") // a file
	for _, words := range []string{"SNAPSHOT.SAVE", "SNAPSHOT.STREAM"} {
		if got := c.do(words); !strings.HasPrefix(got, "(ERR ") || !strings.Contains(got, "not a directory") {
			t.Errorf("%s where nothing can be written: %s", words, got)
		}
	}
}

// A backup that nobody waits for any more is given up: no file stays, and none open; and so is one that is
// asked for while the node leaves.
func TestAbandonedSnapshots(t *testing.T) {
	n := startNode(t)
	n.dial(t).want("OK", "SET", "k", "v")
	for _, words := range []string{"SNAPSHOT.SAVE", "SNAPSHOT.STREAM"} {
		n.d.backups.turn <- struct{}{} // another one is being written
		before := len(n.d.sessions())
		c := n.dial(t)
		c.send(encode(words))
		waitFor(t, "the command", func() bool { return len(n.d.sessions()) > before })
		_ = c.conn.Close()
		waitFor(t, "the client to be missed", func() bool { return len(n.d.sessions()) == before })
		<-n.d.backups.turn
		n.d.backups.running.Wait()
		if got := backupsOf(t, n); len(got) != 0 {
			t.Errorf("%s: left in the folder: %q", words, got)
		}
	}
	tooLate := func(done <-chan struct{}) bool { <-done; return false }
	if b, err := n.d.backUp(backupRequest{local: true}, tooLate); b != nil || err != nil {
		t.Errorf("made for nobody: %+v, %v", b, err)
	}
	n.d.backups.running.Wait()
	if got := openStreams(t); got != 0 {
		t.Errorf("%d files are open", got)
	}
	c := n.dial(t)
	n.d.Interrupt()
	for _, words := range []string{"SNAPSHOT.SAVE", "SNAPSHOT.STREAM"} {
		if got := c.do(words); !strings.Contains(got, "given up") {
			t.Errorf("%s of a node that leaves: %s", words, got)
		}
	}
	if got := backupsOf(t, n); len(got) != 0 {
		t.Errorf("left in the folder: %q", got)
	}
}

// A node that leaves ends the backups that it is sending with an error: nobody takes a part for the whole.
func TestStreamOfANodeThatLeaves(t *testing.T) {
	const values, size = 32, 1 << 20 // more than sockets hold
	n := startNode(t)
	c := n.dial(t)
	for i := range values {
		c.want("OK", "SET", fmt.Sprint("k", i), strings.Repeat("x", size))
	}
	if err := c.conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	c.send(encode("SNAPSHOT.STREAM"))
	head, err := c.r.ReadString('\n')
	pieces, err2 := strconv.Atoi(strings.Trim(head, "*\r\n"))
	if err != nil || err2 != nil || pieces < values {
		t.Fatalf("%q, %v", head, err)
	}
	c.reply()
	n.d.Interrupt()
	last := ""
	for range pieces - 1 {
		last = c.reply()
	}
	if last != "("+string(errClosing)+")" {
		t.Errorf("the last piece: %.100s", last)
	}
}
