package rdb_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/redkeep/redkeep/rdb"
)

// sample was written by redis-server 7.0.15 and holds a key of every type and encoding that it writes.
func sample(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/redis-7.0.15.rdb")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func read(b []byte) (map[string]rdb.Entry, rdb.Summary, error) {
	found := map[string]rdb.Entry{}
	sum, err := rdb.Read(bytes.NewReader(b), int64(len(b)), func(e rdb.Entry) error {
		found[e.Key] = e
		return nil
	})
	return found, sum, err
}

func TestEveryTypeThatRedisWrites(t *testing.T) {
	found, sum, err := read(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	if sum.Version != 10 || sum.Redis != "7.0.15" || !sum.Summed || sum.Functions != 1 || sum.Strings != 17 {
		t.Errorf("summary %+v", sum)
	}
	want := map[string]int64{"list": 3, "set": 3, "zset": 4, "hash": 3, "stream": 1}
	if !maps.Equal(sum.Others, want) {
		t.Errorf("left out %v, want %v", sum.Others, want)
	}
	for key, value := range map[string]string{
		"s:plain": "Hello World!", "s:int8": "-7", "s:int16": "-1234", "s:int32": "123456789",
		"s:int64": "12345678901234", "s:empty": "", "s:lzf": strings.Repeat("abcabcabc", 200), "s:ttl": "later",
		"s:zeros": strings.Repeat("\x00", 70000) + "x", "s:binary": "a\x00b\r\n\xff", "00012": "zeros",
		"12345": "intkey", "other:db": "in database 3",
	} {
		if e, ok := found[key]; !ok || e.Value != value {
			t.Errorf("%s: %v, %.60q", key, ok, e.Value)
		}
	}
	if got := found["s:ttl"].Deadline; got != 4102444800000 || found["s:plain"].Deadline != 0 {
		t.Errorf("deadline %d", got)
	}
	if found["other:db"].DB != 3 || found["s:plain"].DB != 0 {
		t.Error("databases are mixed up")
	}
}

// seal adds the end and the sum to a head and records.
func seal(version int, records ...string) []byte {
	b := []byte(fmt.Sprintf("REDIS%04d%s\xff", version, strings.Join(records, "")))
	return binary.LittleEndian.AppendUint64(b, rdb.Sum(b))
}

// str is a string as a file has it, if it is short.
func str(s string) string { return string(byte(len(s))) + s }

const id16 = "0123456789abcdef"

// olds are values in encodings that today's Redis reads and no longer writes, and of newer ones than 7.0.
var olds = map[string]string{
	"list": "\x01" + str("k") + "\x02" + str("a") + "\xc0\x05",
	"hash": "\x04" + str("k") + "\x01" + str("f") + str("v"),
	"zset": "\x03" + str("k") + "\x04" + str("a") + str("1.5") + str("b") + "\xfd" + str("c") +
		"\xfe" + str("d") + "\xff",
	"zset 2": "\x05" + str("k") + "\x01" + str("a") + "01234567",
	"module": "\x07" + str("k") + "\x81-ModuleI" +
		"\x01\x05\x02\x40\x80\x03abcd\x0401234567\x05" + str("text") + "\x00",
	"hash 9":  "\x09" + str("k") + str("zipmap"),
	"list 10": "\x0a" + str("k") + "\xc3\x05\x05\x01ab\x20\x00",
	"list 14": "\x0e" + str("k") + "\x02" + str("ziplist") + str("ziplist"),
	"stream 15": "\x0f" + str("k") + "\x01" + str(id16) + str("lp") + "\x01\x02\x03" +
		"\x01" + str("g") + "\x01\x02\x01" + id16 + "01234567\x01" + "\x01" + str("c") + "01234567\x01" + id16,
	"stream 21": "\x15" + str("k") + "\x01" + str(id16) + str("lp") + "\x01\x02\x03\x04\x05\x06\x07\x08" +
		"\x01" + str("g") + "\x01\x02\x03\x01" + id16 + "01234567\x01" + "\x01" + str("c") +
		"0123456701234567\x01" + id16,
	"hash 22": "\x16" + str("k") + "\x01\x40\x80" + str("f") + str("v"),
	"hash 24": "\x18" + str("k") + "01234567\x01\x00" + str("f") + str("v"),
	"hash 25": "\x19" + str("k") + "01234567" + str("listpack"),
}

func TestEncodingsOfOtherVersions(t *testing.T) {
	for name, record := range olds {
		b := seal(12, "\xfa"+str("redis-ver")+str("x"), "\xf7\x05\x02\x01\x05"+str("aux")+"\x00",
			"\xf4\x01\x02\x03", "\xfd\x01\x00\x00\x00\xf8\x07\xf9\x09", record, "\x00"+str("after")+str("it"))
		found, sum, err := read(b)
		kind, _, _ := strings.Cut(name, " ")
		if err != nil || found["after"].Value != "it" || found["after"].Deadline != 0 || sum.Others[kind] != 1 {
			t.Errorf("%s: %v, %v, %+v", name, err, found, sum)
		}
	}
}

func TestDeadlinesInSeconds(t *testing.T) {
	b := seal(3, "\xfd\x10\x00\x00\x00\x00"+str("a")+str("1"), "\x00"+str("b")+str("2"))
	found, sum, err := read(b[:len(b)-8]) // version 3 had no sum
	if err != nil || sum.Summed || found["a"].Deadline != 16000 || found["b"].Deadline != 0 {
		t.Errorf("%v, %+v, %v", found, sum, err)
	}
	if _, _, err := read(b[:len(b)-9]); err == nil {
		t.Error("a cut file of version 3 passed")
	}
}

func TestEveryFlippedByteIsFound(t *testing.T) {
	small := seal(10, "\xfe\x00\xfb\x02\x00", olds["list"], olds["stream 15"], olds["module"], olds["list 10"],
		"\xfc01234567\x00"+str("key")+"\xc3\x05\x05\x01ab\x20\x00")
	real := sample(t)
	for _, c := range []struct {
		b    []byte
		step int
	}{{small, 1}, {real, 331}} {
		if _, _, err := read(c.b); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(c.b); i += c.step {
			bad := bytes.Clone(c.b)
			bad[i] ^= 0x41
			var damage rdb.Damage
			var version rdb.Unsupported
			_, _, err := read(bad)
			if !errors.As(err, &damage) && !(i < 9 && errors.As(err, &version)) {
				t.Errorf("byte %d of %d: %v", i, len(c.b), err)
			}
			if i >= 9 && (err == nil || !strings.Contains(err.Error(), "CRC64")) {
				t.Errorf("byte %d of %d: the sum is not named: %v", i, len(c.b), err)
			}
		}
	}
}

func TestEveryCutIsFound(t *testing.T) {
	whole := sample(t)
	for n := 0; n < len(whole); n += 1 + n/50 {
		var damage rdb.Damage
		if _, _, err := read(whole[:n]); !errors.As(err, &damage) {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
	if _, _, err := read(append(bytes.Clone(whole), "tail of an AOF"...)); err == nil {
		t.Error("a tail was not noticed")
	}
}

func TestUnknownIsNamed(t *testing.T) {
	for want, b := range map[string][]byte{
		"RDB version 14":               seal(14),
		"a value of type 26":           seal(12, "\x1a"+str("k")+"whatever"),
		"a value of type 6":            seal(9, "\x06"+str("k")+"whatever"),
		"a record of kind 243":         seal(12, "\xf3whatever"),
		"it does not begin with REDIS": []byte("SQLite format 3\x00 and more"),
		"no RDB file":                  nil,
		"malformed":                    seal(10, "\x00"+str("k")+"\xc3\x02\x7f\x01a"),
		"the content ends here":        seal(10, "\xff"+str("k")),
	} {
		if _, _, err := read(b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Lengths that no file backs cost nothing.
func TestLyingLengths(t *testing.T) {
	for name, record := range map[string]string{
		"string": "\x00" + str("k") + "\x81\x00\x00\x00\xff\x00\x00\x00\x00", "key": "\x00\x80\xff\xff\xff\xff",
		"lzf":    "\x00" + str("k") + "\xc3\x80\xff\xff\xff\xff\x80\xff\xff\xff\xff",
		"list":   "\x01" + str("k") + "\x81\xff\xff\xff\xff\xff\xff\xff\xff",
		"bomb":   "\x00" + str("k") + "\xc3\x05\x80\x1f\xff\xff\xffabcde",
		"stream": "\x0f" + str("k") + "\x81\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := read(seal(10, record))
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; err == nil || grown > 4<<20 {
			t.Errorf("%s: %v, %d bytes allocated", name, err, grown)
		}
	}
}

// What each returns ends the reading and comes back as it is.
func TestReaderStops(t *testing.T) {
	b, stop, calls := sample(t), errors.New("enough"), 0
	_, err := rdb.Read(bytes.NewReader(b), int64(len(b)), func(rdb.Entry) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(sample(f)[9:])
	for _, record := range olds {
		f.Add([]byte(record))
	}
	f.Fuzz(func(t *testing.T, records []byte) {
		b := seal(12, string(records)) // with a good sum, so that the parser is reached
		total := 0
		_, err := rdb.Read(bytes.NewReader(b), int64(len(b)), func(e rdb.Entry) error {
			total += len(e.Key) + len(e.Value)
			return nil
		})
		if total > 132*len(b)+1024 {
			t.Errorf("%d bytes of strings from a file of %d, %v", total, len(b), err)
		}
	})
}

func FuzzUndump(f *testing.F) {
	f.Add([]byte("\x00\xc3\x05\x05\x01ab\x20\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		b := append(bytes.Clone(body), 10, 0)
		value, err := rdb.Undump(binary.LittleEndian.AppendUint64(b, rdb.Sum(b)))
		if err != nil {
			return
		}
		if again, err := rdb.Undump([]byte(rdb.Dump(value))); err != nil || again != value {
			t.Errorf("%q became %q, %v", value, again, err)
		}
	})
}
