package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// answering is the address of a server that answers each connection with these bytes and hangs up.
func answering(t *testing.T, answer string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 100))
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}

// Whatever answers in place of a node, a save ends with a line that says so, and leaves no file.
func TestSnapshotSaveFromGarbage(t *testing.T) {
	about := "*2\r\n$5\r\nbytes\r\n:20\r\n"
	for _, c := range []struct{ answer, want string }{
		{"", "EOF"}, {"\r\n", "no stream"}, {"+OK\r\n", "no stream"}, {"*-1\r\n", "no stream"},
		{"*2\r\n*-5\r\n", "no stream"}, {"*2\r\n*2\r\n*-9\r\n:1\r\n", "no stream"}, {"*x\r\n", "no stream"},
		{"*2\r\n*2\r\n$-3\r\n", "no stream"}, {"*2\r\n*2\r\n$99999999999\r\n", "no stream"},
		{"*2\r\n*1\r\n$1\r\na\r\n", "no fields"}, {"-NOPERM not you\r\n", "NOPERM not you"},
		{"*3\r\n" + about + "-ERR the disk is gone\r\n", "ERR the disk is gone"},
		{"*3\r\n" + about + "$-1\r\n", "no piece"}, {"*3\r\n" + about + "$4\r\nREDK", "EOF"},
		{"*2\r\n" + about + "$20\r\nthis is no snapshot!\r\n", "not a Redkeep snapshot"},
		{"*1\r\n" + about, "ends early"}, {"HTTP/1.1 400 Bad Request\r\n\r\n", "no stream"},
	} {
		file := filepath.Join(t.TempDir(), "my.snap")
		addr := answering(t, c.answer)
		stdout, stderr, code := do(nil, "", "--endpoints", addr, "snapshot", "save", file)
		left, _ := os.ReadDir(filepath.Dir(file))
		if code == exitOK || stdout != "" || !strings.Contains(stderr, c.want) || len(left) > 0 {
			t.Errorf("%q: exit %d, %q, %q, left %v; want %q", c.answer, code, stdout, stderr, left, c.want)
		}
	}
}

// A save that another one overtakes would make the file the backup of neither: the second is refused and
// leaves the first one's file alone. What a save left that was killed is written over.
func TestSavesDoNotOverlap(t *testing.T) {
	file := filepath.Join(t.TempDir(), "my.snap")
	if err := os.WriteFile(file+".part", []byte("left behind"), 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := openPart(file + ".part")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.WriteString("half of it"); err != nil {
		t.Fatal(err)
	}
	node := answering(t, "-ERR the disk is gone\r\n")
	_, stderr, code := do(nil, "", "--endpoints", node, "snapshot", "save", file)
	if code != exitBadInput || !strings.Contains(stderr, errSaving.Error()) {
		t.Errorf("exit %d, %q", code, stderr)
	}
	if got, err := os.ReadFile(file + ".part"); err != nil || string(got) != "half of it" {
		t.Errorf("the first one's file holds %q, %v", got, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code = do(nil, "", "--endpoints", node, "snapshot", "save", file); code != exitFailure {
		t.Errorf("the first one is over: exit %d, %q", code, stderr)
	}
}

// A file that got its name while another save waited for it is a finished backup, and is not written over:
// whichever of many saves is first, each of their backups is whole.
func TestAFinishedSaveIsNotWrittenOver(t *testing.T) {
	const savers, each = 4, 300
	dir := t.TempDir()
	part := filepath.Join(dir, "my.snap.part")
	save := func(content string) error {
		for {
			f, err := openPart(part)
			if errors.Is(err, errSaving) {
				continue
			}
			if err == nil {
				_, err = f.WriteString(content)
			}
			if err == nil {
				err = os.Rename(part, filepath.Join(dir, content))
			}
			return errors.Join(err, f.Close())
		}
	}
	var all sync.WaitGroup
	for i := range savers {
		all.Go(func() {
			for j := range each {
				if err := save(fmt.Sprintf("%d-%03d", i, j)); err != nil {
					t.Errorf("save %d of %d: %v", j, i, err)
				}
			}
		})
	}
	all.Wait()
	saved, err := filepath.Glob(filepath.Join(dir, "?-???"))
	if err != nil || len(saved) != savers*each {
		t.Errorf("%d of %d backups, %v", len(saved), savers*each, err)
	}
	for _, path := range saved {
		if got, err := os.ReadFile(path); err != nil || string(got) != filepath.Base(path) {
			t.Errorf("%s holds %q, %v", path, got, err)
		}
	}
}

func TestDecimalSize(t *testing.T) {
	for size, want := range map[int64]string{
		0: "0 B", 293: "293 B", 999: "999 B", 1000: "1.0 kB", 24_600: "25 kB", 2_100_000: "2.1 MB",
		9_960_000: "10 MB", 159_000_000: "159 MB", 999_600_000: "1.0 GB", 3 << 40: "3.3 TB",
	} {
		if got := decimalSize(size); got != want {
			t.Errorf("%d bytes are %q, want %q", size, got, want)
		}
	}
}
