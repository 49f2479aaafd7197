package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/redkeep/redkeep/commands"
)

func settingsNow(slower, notify string) []commands.Setting {
	return []commands.Setting{{Name: "notify-keyspace-events", Value: notify},
		{Name: "slowlog-log-slower-than", Value: slower}, {Name: "slowlog-max-len", Value: "128"}}
}

// Only the lines of what has changed are touched; comments, order and forms of the others stay.
func TestRewriteKeepsTheRest(t *testing.T) {
	for _, c := range []struct{ name, old, want string }{
		{"empty", "", "notify-keyspace-events: \"KEA\"\nslowlog-log-slower-than: \"5\"\n"},
		{"no line end", "name: n1", "name: n1\nnotify-keyspace-events: \"KEA\"\nslowlog-log-slower-than: \"5\"\n"},
		{"replaced, comments kept",
			"# mine\nslowlog-log-slower-than: 100   # a tenth\nname: n1\nquota-bytes: 1GiB\n" +
				"notify-keyspace-events: 'Kx'\n",
			"# mine\nslowlog-log-slower-than: \"5\"   # a tenth\nname: n1\nquota-bytes: 1GiB\n" +
				"notify-keyspace-events: \"KEA\"\n"},
		{"as it is", "slowlog-log-slower-than: 5\nnotify-keyspace-events: KEA\n# end\n",
			"slowlog-log-slower-than: 5\nnotify-keyspace-events: KEA\n# end\n"},
		{"default is kept where it stands", "slowlog-max-len: 7\nnotify-keyspace-events: KEA\n",
			"slowlog-max-len: \"128\"\nnotify-keyspace-events: KEA\nslowlog-log-slower-than: \"5\"\n"},
		{"named in a comment", "# slowlog-log-slower-than: 3\n",
			"# slowlog-log-slower-than: 3\nnotify-keyspace-events: \"KEA\"\nslowlog-log-slower-than: \"5\"\n"},
		{"CRLF", "slowlog-log-slower-than: 3\r\nnotify-keyspace-events: KEA\r\n",
			"slowlog-log-slower-than: \"5\"\r\nnotify-keyspace-events: KEA\r\n"},
	} {
		got, err := rewritten(c.old, settingsNow("5", "KEA"))
		if err != nil || got != c.want {
			t.Errorf("%s: %v\n%q, want\n%q", c.name, err, got, c.want)
		}
		if again, err := rewritten(got, settingsNow("5", "KEA")); err != nil || again != got {
			t.Errorf("%s: rewritten once more: %v\n%q", c.name, err, again)
		}
	}
}

// A file whose settings are not lines is left alone, and so is one that cannot be written.
func TestRewriteRefuses(t *testing.T) {
	for _, old := range []string{"{slowlog-log-slower-than: 3}\n", "\"slowlog-log-slower-than\": 3\n",
		"slowlog-log-slower-than:\n  3\n", "slowlog-log-slower-than: |\n  3\n"} {
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := rewriteConfig(path)(settingsNow("5", "")); err == nil {
			t.Errorf("%q: rewritten", old)
		}
		if now, _ := os.ReadFile(path); string(now) != old {
			t.Errorf("%q became %q", old, now)
		}
	}
	if err := rewriteConfig(filepath.Join(t.TempDir(), "none"))(nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if rewriteConfig("") != nil {
		t.Error("something to rewrite without a file")
	}
}

// What was rewritten is what the next start reads; mode and link of the file stay.
func TestRewriteIsReadBack(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "real.yaml"), filepath.Join(dir, "link.yaml")
	if err := os.WriteFile(path, []byte("name: n1 # first\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := rewriteConfig(link)(settingsNow("-1", "Ex")); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(path)
	s, err := readSettings(t, string(text), nil)
	if err != nil || s.name != "n1" || s.notifyEvents != "Ex" || s.slowerThan != -1 {
		t.Errorf("%q is read as %+v, %v", text, s, err)
	}
	if info, _ := os.Lstat(link); info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link is gone")
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v", info.Mode())
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
}
