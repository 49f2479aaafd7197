package integration

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// marked is a value that can be found again in a file: its own name, many times.
func marked(name string, bytes int) string { return strings.Repeat("<"+name+">", bytes/(len(name)+2)) }

// findFile returns the file below dir that holds text, and where.
func findFile(t *testing.T, dir, text string) (path string, at int64) {
	t.Helper()
	err := filepath.Walk(dir, func(p string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() || path != "" {
			return err
		}
		b, err := os.ReadFile(p)
		if i := bytes.Index(b, []byte(text)); i >= 0 {
			path, at = p, int64(i)
		}
		return err
	})
	if err != nil || path == "" {
		t.Fatalf("no file below %s holds %.40q: %v", dir, text, err)
	}
	return path, at
}

func flipByte(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	must(t, err)
	b[0] ^= 0x10
	_, err = f.WriteAt(b, at)
	must(t, err)
}

var offsetInText = regexp.MustCompile(`offset (\d+)`)

// refusedAt demands a refusal that names the file and an offset within reach of the flipped byte.
func refusedAt(t *testing.T, n *node.Node, path string, at int64) {
	t.Helper()
	refused(t, n, "CORRUPT", path, "offset")
	m := offsetInText.FindStringSubmatch(lastErrorLine(n.Proc.Output()))
	if m == nil {
		t.Fatalf("no offset in %q", lastErrorLine(n.Proc.Output()))
	}
	if got, _ := strconv.ParseInt(m[1], 10, 64); got > at || got < at-(2<<20) {
		t.Errorf("offset %d is named for a byte flipped at %d", got, at)
	}
}

func TestFlippedByteInLog(t *testing.T) {
	eachStore(t, func(t *testing.T, flags []string) {
		n := node.Start(t, node.Options{Flags: flags}).Nodes[0]
		c := raw(t, n)
		for i := range 20 {
			expect(t, c, "+OK\r\n", "SET", key(i), marked(key(i), 2000))
		}
		n.Kill9()
		for _, i := range []int{0, 7, 19} {
			path, at := findFile(t, n.Dir, marked(key(i), 1000))
			flipByte(t, path, at+500)
			if filepath.Base(path) == "log.db" { // a page of a B-tree: the key says where
				refused(t, n, "CORRUPT", path, "key")
			} else {
				refusedAt(t, n, path, at+500)
			}
			flipByte(t, path, at+500)
		}
		n.Start()
		for i := range 20 {
			expect(t, raw(t, n), "$"+fmt.Sprint(len(marked(key(i), 2000)))+"\r\n"+marked(key(i), 2000)+"\r\n", "GET",
				key(i))
		}
	})
}

func TestFlippedByteInSnapshot(t *testing.T) {
	n := node.Start(t, node.Options{Flags: []string{"--snapshot-bytes", "64KiB"}}).Nodes[0]
	c := raw(t, n)
	for i := range 200 {
		expect(t, c, "+OK\r\n", "SET", key(i%50), marked(key(i%50), 2000))
	}
	node.Eventually(t, 20*time.Second, "a snapshot", func() error {
		if path, _ := newestSnapshot(n); path == "" {
			return errors.New("none")
		}
		return nil
	})
	n.Kill9()
	path, info := newestSnapshot(n)
	for _, at := range []int64{0, info.Size() / 3, info.Size() / 2, info.Size() - 1} {
		flipByte(t, path, at)
		refusedAt(t, n, path, at)
		flipByte(t, path, at)
	}
	n.Start()
	expect(t, raw(t, n), ":50\r\n", "DBSIZE")
}

// newestSnapshot returns the file of the last finished snapshot of a node, "" if there is none.
func newestSnapshot(n *node.Node) (path string, info os.FileInfo) {
	found, _ := filepath.Glob(filepath.Join(n.Dir, "snapshots", "*[0-9]", "state.bin"))
	for _, f := range found {
		if fi, err := os.Stat(f); err == nil && (info == nil || fi.ModTime().After(info.ModTime())) {
			path, info = f, fi
		}
	}
	return path, info
}

// A tail that was not synced when the power went is not corruption: it was never acknowledged, and goes.
func TestTornLogTail(t *testing.T) {
	n := node.Start(t, node.Options{Flags: []string{"--log-store", "wal"}}).Nodes[0]
	c := raw(t, n)
	for i := range 50 {
		expect(t, c, "+OK\r\n", "SET", key(i), marked(key(i), 500))
	}
	expect(t, c, "+OK\r\n", "SET", "torn", marked("torn", 20_000))
	n.Kill9()
	path, at := findFile(t, filepath.Join(n.Dir, "log"), marked("torn", 10_000))
	zeroFrom(t, path, at+5_000)
	n.Start()
	c = raw(t, n)
	for i := range 50 {
		expect(t, c, "$"+fmt.Sprint(len(marked(key(i), 500)))+"\r\n"+marked(key(i), 500)+"\r\n", "GET", key(i))
	}
	expect(t, c, "$-1\r\n", "GET", "torn")
	expect(t, c, "+OK\r\n", "SET", "torn", "again")
	n.Restart()
	expect(t, raw(t, n), "$5\r\nagain\r\n", "GET", "torn")
}

// zeroFrom blanks the rest of a file, as blocks that never reached the disk read.
func zeroFrom(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	info, err := f.Stat()
	must(t, err)
	_, err = f.WriteAt(make([]byte, info.Size()-at), at)
	must(t, err)
}
