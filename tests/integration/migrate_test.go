package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// What is moved, is compared with what the real redis-server and the real etcd say they have.

// redkeep runs one command line to its end.
func redkeep(t testing.TB, args ...string) (out string, code int) {
	t.Helper()
	p := node.Launch(t, "redkeep "+args[0], append([]string{node.Binary(t)}, args...), nil)
	code, err := p.WaitExit(120 * time.Second)
	must(t, err)
	return p.Output(), code
}

// mustRun is redkeep that has to succeed.
func mustRun(t testing.TB, args ...string) string {
	t.Helper()
	out, code := redkeep(t, args...)
	if code != 0 {
		t.Fatalf("redkeep %q: exit %d\n%s", args, code, out)
	}
	return out
}

// refuses demands that a command line fails with these words.
func refuses(t testing.TB, words string, args ...string) {
	t.Helper()
	out, code := redkeep(t, args...)
	if code == 0 || !strings.Contains(out, words) {
		t.Errorf("redkeep %q: exit %d, want %q in\n%s", args, code, words, out)
	}
}

func dial(t testing.TB, addr string, change ...func(*redis.Options)) *redis.Client {
	t.Helper()
	o := &redis.Options{Addr: addr, MaxRetries: -1, ReadTimeout: 20 * time.Second}
	for _, fn := range change {
		fn(o)
	}
	c := redis.NewClient(o)
	t.Cleanup(func() { c.Close() })
	return c
}

// held is a value and its deadline.
type held struct {
	value    string
	deadline time.Duration
}

// strings are the strings that a store has, bookmarks left out.
func stringsOf(t testing.TB, c *redis.Client) map[string]held {
	t.Helper()
	all := map[string]held{}
	for it := c.ScanType(bg, 0, "", 1000, "string").Iterator(); it.Next(bg); {
		if !strings.HasPrefix(it.Val(), "redkeep:") {
			all[it.Val()] = held{}
		}
	}
	for part := range slices.Chunk(slices.Collect(maps.Keys(all)), 1000) {
		pipe := c.Pipeline()
		for _, k := range part {
			pipe.Get(bg, k)
			pipe.PExpireTime(bg, k)
		}
		replies, err := pipe.Exec(bg)
		if !errors.Is(err, redis.Nil) {
			must(t, err)
		}
		for i, k := range part {
			if errors.Is(replies[2*i].Err(), redis.Nil) {
				delete(all, k) // it has ended since
				continue
			}
			all[k] = held{replies[2*i].(*redis.StringCmd).Val(), replies[2*i+1].(*redis.DurationCmd).Val()}
		}
	}
	return all
}

// same demands that two stores have the same strings.
func same(t testing.TB, want, got map[string]held) {
	t.Helper()
	wrong := 0
	for k, v := range want {
		if g, ok := got[k]; !ok || g != v {
			if wrong++; wrong < 5 {
				t.Errorf("%q: there %v, %.80q until %v; want %.80q until %v",
					k, ok, g.value, g.deadline, v.value, v.deadline)
			}
		}
	}
	if wrong > 0 || len(want) != len(got) || len(want) == 0 {
		t.Errorf("%d of %d keys differ, and there are %d", wrong, len(want), len(got))
	}
}

// fillRedis writes random strings of every encoding that Redis has for them, and some of every other type.
func fillRedis(t testing.TB, c *redis.Client, keys int) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	pipe := c.Pipeline()
	for i := range keys {
		pipe.Set(bg, fmt.Sprintf("k:%d", i), randomValue(r), 0)
		if i%10 == 0 {
			pipe.PExpireAt(bg, fmt.Sprintf("k:%d", i), time.UnixMilli(4102444800000+int64(i)))
		}
	}
	for i := range 300 {
		name := strconv.Itoa(i % 20)
		pipe.RPush(bg, "l"+name, randomValue(r))
		pipe.SAdd(bg, "s"+name, randomValue(r))
		pipe.SAdd(bg, "i"+name, i)
		pipe.ZAdd(bg, "z"+name, redis.Z{Score: r.NormFloat64(), Member: randomValue(r)})
		pipe.HSet(bg, "h"+name, randomValue(r), randomValue(r))
		pipe.XAdd(bg, &redis.XAddArgs{Stream: "x" + name, Values: []any{"f", randomValue(r)}})
	}
	pipe.XGroupCreate(bg, "x1", "g", "0")
	read := redis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{"x1", ">"}, Count: 3, Block: -1}
	pipe.XReadGroup(bg, &read)
	_, err := pipe.Exec(bg)
	must(t, err)
}

func randomValue(r *rand.Rand) string {
	b := make([]byte, r.IntN(300))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	switch r.IntN(6) {
	case 0:
		return strconv.FormatInt(int64(r.Uint64())>>r.IntN(64), 10)
	case 1:
		return strings.Repeat(string(b[:len(b)/20]), 1+r.IntN(200))
	case 2:
		return strings.Repeat("x", r.IntN(20000))
	}
	return string(b)
}

func TestImportRDB(t *testing.T) {
	dir := t.TempDir()
	addr, _ := node.Redis(t, "--dir", dir, "--dbfilename", "dump.rdb")
	real := dial(t, addr)
	fillRedis(t, real, 5000)
	must(t, real.Do(bg, "PEXPIREAT", "k:1", time.Now().Add(time.Hour).UnixMilli()).Err())
	must(t, real.Save(bg).Err())
	file := filepath.Join(dir, "dump.rdb")
	eachSize(t, func(t *testing.T, c *node.Cluster, via *node.Node) {
		spoiledRDB(t, via, file)
		out := mustRun(t, "import", "rdb", file, "--endpoints", via.ClientAddr)
		for _, line := range []string{"imported 5000 keys", "20 list", "40 set", "20 zset", "20 hash",
			"20 stream"} {
			if !strings.Contains(out, line) {
				t.Errorf("no %q in\n%s", line, out)
			}
		}
		keep := dial(t, via.ClientAddr)
		same(t, stringsOf(t, real), stringsOf(t, keep))
		if n := keep.Exists(bg, "redkeep:import").Val(); n != 0 {
			t.Error("the bookmark is still there")
		}
		refuses(t, "holds keys already", "import", "rdb", file, "--endpoints", via.ClientAddr)
		must(t, keep.Set(bg, "k:7", "mine", 0).Err())
		mustRun(t, "import", "rdb", file, "--keep", "--endpoints", via.ClientAddr)
		if got := keep.Get(bg, "k:7").Val(); got != "mine" {
			t.Errorf("--keep wrote over a key: %.40q", got)
		}
		mustRun(t, "import", "rdb", file, "--replace", "--endpoints", via.ClientAddr)
		same(t, stringsOf(t, real), stringsOf(t, keep))
		mustRun(t, "import", "rdb", file, "--prefix", "k:1", "--dest-prefix", "moved/",
			"--endpoints", via.ClientAddr)
		if a, b := keep.Get(bg, "moved/23").Val(), real.Get(bg, "k:123").Val(); a != b {
			t.Errorf("renamed: %.40q, want %.40q", a, b)
		}
		sameState(t, c)
	})
}

// spoiledRDB gives files that are cut, changed, or something else; nothing of them may arrive.
func spoiledRDB(t *testing.T, via *node.Node, file string) {
	t.Helper()
	whole, err := os.ReadFile(file)
	must(t, err)
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"flipped": {flipped, "CRC64"}, "cut": {whole[:len(whole)-100], "CRC64"}, "empty": {nil, "no RDB file"},
		"garbage": {bytes.Repeat([]byte("garbage"), 999), "no RDB file"},
	} {
		bad := filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(bad, c.b, 0o600))
		refuses(t, c.want, "import", "rdb", bad, "--endpoints", via.ClientAddr)
	}
	if n := via.Do("DBSIZE").Int(); n != 0 {
		t.Errorf("%d keys arrived of spoiled files", n)
	}
}

// An import that is killed, whose node is killed, and that finds the store full, goes on where it was.
func TestImportInterrupted(t *testing.T) {
	dir := t.TempDir()
	addr, _ := node.Redis(t, "--dir", dir, "--dbfilename", "dump.rdb", "--enable-debug-command", "yes")
	real := dial(t, addr)
	must(t, real.Do(bg, "DEBUG", "POPULATE", 100_000, "pop", 300).Err())
	must(t, real.Save(bg).Err())
	c := node.Start(t, node.Options{Flags: []string{"--quota-bytes", "25MiB"}})
	n := c.Nodes[0]
	file := filepath.Join(dir, "dump.rdb")
	args := []string{"import", "rdb", file, "--endpoints", n.ClientAddr, "--wait", "2s"}
	keys := func(least int64) func() error {
		return func() error {
			if have := dial(t, n.ClientAddr).DBSize(bg).Val(); have < least {
				return fmt.Errorf("%d keys", have)
			}
			return nil
		}
	}
	first := node.Launch(t, "import 1", append([]string{node.Binary(t)}, args...), nil)
	node.Eventually(t, 60*time.Second, "keys arrive", keys(5000))
	first.Kill()
	second := node.Launch(t, "import 2", append([]string{node.Binary(t)}, args...), nil)
	node.Eventually(t, 60*time.Second, "more keys arrive", keys(dial(t, n.ClientAddr).DBSize(bg).Val()+2000))
	n.Restart() // the import waits for it
	if code, err := second.WaitExit(120 * time.Second); err != nil || code != 1 {
		t.Fatalf("exit %d, %v\n%s", code, err, second.Output())
	}
	for _, words := range []string{"going on behind string", "OOM", "the same command goes on from there"} {
		if !strings.Contains(second.Output(), words) {
			t.Errorf("no %q in\n%s", words, second.Output())
		}
	}
	n.Stop()
	n.Flags = append(n.Flags, "--quota-bytes", "1GiB")
	n.Start()
	out := mustRun(t, args...)
	var done, total, imported int64
	if _, err := fmt.Sscanf(out, "going on behind string %d of %d", &done, &total); err != nil || done < 7000 {
		t.Errorf("went on behind %d: %v\n%s", done, err, out)
	}
	_, after, _ := strings.Cut(out, "\n")
	if _, err := fmt.Sscanf(after, "imported %d keys", &imported); err != nil || imported != total-done {
		t.Errorf("imported %d, want %d - %d, %v\n%s", imported, total, done, err, out)
	}
	same(t, stringsOf(t, real), stringsOf(t, dial(t, n.ClientAddr)))
	onceEach(t, n)
}

// onceEach demands that every key was written exactly once.
func onceEach(t *testing.T, n *node.Node) {
	t.Helper()
	r := n.Do("KV.RANGE", "", "FROMKEY", "SORT", "version", "DESC", "LIMIT", "3", "KEYSONLY")
	kvs, _ := r.Field("kvs")
	if len(kvs.Elems) != 3 {
		t.Fatalf("KV.RANGE: %s", r)
	}
	for _, kv := range kvs.Elems {
		if v, _ := kv.Field("version"); v.Int() != 1 {
			t.Errorf("written more than once: %s", kv)
		}
	}
}

// cutter passes bytes on between clients and a server, and cuts every connection after so many bytes of the
// server's answers, the last of which are lost.
func cutter(t *testing.T, server string, after int64) (addr string, cuts *atomic.Int64) {
	cuts = &atomic.Int64{}
	addr = node.FreeAddr(t)
	ln, err := net.Listen("tcp", addr)
	must(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", server)
			if err != nil {
				in.Close()
				continue
			}
			wg.Go(func() { _, _ = io.Copy(out, in); out.Close() })
			wg.Go(func() {
				_, _ = io.CopyN(in, out, after)
				_, _ = out.Read(make([]byte, 1)) // what the next answer begins with: the request was served
				cuts.Add(1)
				in.Close()
				out.Close()
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return addr, cuts
}

// Every connection breaks after a few transactions, in the middle of an answer: each key is written once.
func TestImportOverBreakingConnections(t *testing.T) {
	dir := t.TempDir()
	addr, _ := node.Redis(t, "--dir", dir, "--dbfilename", "dump.rdb", "--enable-debug-command", "yes")
	real := dial(t, addr)
	must(t, real.Do(bg, "DEBUG", "POPULATE", 20_000, "pop", 50).Err())
	must(t, real.Save(bg).Err())
	n := node.Start(t, node.Options{}).Nodes[0]
	via, cuts := cutter(t, n.ClientAddr, 20_000)
	mustRun(t, "import", "rdb", filepath.Join(dir, "dump.rdb"), "--endpoints", via)
	if cuts.Load() < 10 {
		t.Errorf("only %d connections were cut", cuts.Load())
	}
	same(t, stringsOf(t, real), stringsOf(t, dial(t, n.ClientAddr)))
	onceEach(t, n)
}

// A value that no request may be as large as is refused with its key, and the rest can be had.
func TestImportTooLarge(t *testing.T) {
	dir := t.TempDir()
	addr, _ := node.Redis(t, "--dir", dir, "--dbfilename", "dump.rdb")
	real := dial(t, addr)
	for i := range 300 {
		must(t, real.Set(bg, key(i), strings.Repeat("v", 1000), 0).Err())
	}
	must(t, real.SetRange(bg, "huge", 3<<20, "x").Err())
	must(t, real.Save(bg).Err())
	n := node.Start(t, node.Options{Flags: []string{"--max-request-bytes", "64KiB"}}).Nodes[0]
	args := []string{"import", "rdb", filepath.Join(dir, "dump.rdb"), "--endpoints", n.ClientAddr}
	refuses(t, `the key "huge" has a value of 3145729 bytes, and the destination takes requests up to 65536`,
		args...)
	n.Stop()
	n.Flags = append(n.Flags, "--max-request-bytes", "8MiB")
	n.Start()
	mustRun(t, args...)
	same(t, stringsOf(t, real), stringsOf(t, dial(t, n.ClientAddr)))
	onceEach(t, n)
}

// etcdctl runs one command line against an etcd.
func etcdctl(t testing.TB, endpoint, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command("etcdctl", append([]string{"--endpoints", endpoint}, args...)...)
	cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("etcdctl %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// etcd starts a real etcd of one member and returns its address and data folder.
func etcd(t testing.TB) (addr, dir string) {
	t.Helper()
	for _, program := range []string{"etcd", "etcdctl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is needed (Debian packages etcd-server and etcd-client): %v", program, err)
		}
	}
	dir = t.TempDir()
	addr, peer := node.FreeAddr(t), "http://"+node.FreeAddr(t)
	node.Launch(t, "etcd", []string{"etcd", "--data-dir", dir,
		"--listen-client-urls", "http://" + addr, "--advertise-client-urls", "http://" + addr,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
		"--initial-cluster", "default=" + peer}, nil)
	node.Eventually(t, 30*time.Second, "etcd answers", func() error {
		cmd := exec.Command("etcdctl", "--endpoints", addr, "get", "none")
		cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
		return cmd.Run()
	})
	return addr, dir
}

// etcdKeys are the keys that etcd says it has, with the ids of their leases.
func etcdKeys(t testing.TB, addr string) (kvs map[string]held, leases map[string]string) {
	t.Helper()
	var reply struct {
		Kvs []struct {
			Key, Value []byte
			Lease      uint64
		}
	}
	must(t, json.Unmarshal([]byte(etcdctl(t, addr, "", "get", "", "--prefix", "-w", "json")), &reply))
	kvs, leases = map[string]held{}, map[string]string{}
	for _, kv := range reply.Kvs {
		kvs[string(kv.Key)] = held{string(kv.Value), -1}
		if kv.Lease != 0 {
			leases[string(kv.Key)] = fmt.Sprintf("%016x", kv.Lease)
		}
	}
	return kvs, leases
}

// grantEtcd grants a lease and puts keys on it.
func grantEtcd(t testing.TB, addr, ttl string, keys ...string) {
	t.Helper()
	id := strings.Fields(etcdctl(t, addr, "", "lease", "grant", ttl))[1]
	for _, k := range keys {
		etcdctl(t, addr, "on a lease", "put", k, "--lease", id)
	}
}

func TestImportEtcd(t *testing.T) {
	addr, dir := etcd(t)
	for i := range 60 {
		etcdctl(t, addr, "", "put", fmt.Sprintf("config/%d", i%40), strconv.Itoa(i))
	}
	etcdctl(t, addr, "\x00\xff binary\n", "put", "bin\xfe")
	etcdctl(t, addr, "", "del", "config/7")
	etcdctl(t, addr, "", "put", "config/7", "again")
	etcdctl(t, addr, "", "del", "config/8")
	grantEtcd(t, addr, "3600", "a/leased", "z/leased", "config/9")
	grantEtcd(t, addr, "1200")
	etcdctl(t, addr, strings.Repeat("0123456789", 30000), "put", "big")
	etcdctl(t, addr, "", "user", "add", "someone:secret")
	etcdctl(t, addr, "", "compact", "20")
	file := filepath.Join(t.TempDir(), "snapshot.db")
	etcdctl(t, addr, "", "snapshot", "save", file)
	want, leased := etcdKeys(t, addr)
	eachSize(t, func(t *testing.T, _ *node.Cluster, via *node.Node) {
		spoiledEtcd(t, via, file)
		refuses(t, "in use by a running etcd", "import", "etcd", filepath.Join(dir, "member/snap/db"),
			"--endpoints", via.ClientAddr)
		out := mustRun(t, "import", "etcd", file, "--endpoints", via.ClientAddr)
		if !strings.Contains(out, fmt.Sprintf("imported %d keys", len(want))) ||
			!strings.Contains(out, "2 leases") || !strings.Contains(out, "1 user") {
			t.Errorf("said\n%s", out)
		}
		keep := dial(t, via.ClientAddr)
		got := stringsOf(t, keep)
		for k, id := range leased {
			if lease, _ := via.Do("KV.GET", k).Field("lease"); lease.Text != id {
				t.Errorf("%s is on lease %q, want %q", k, lease.Text, id)
			}
			if ttl := keep.PTTL(bg, k).Val(); ttl < 3500*time.Second || ttl > 3600*time.Second {
				t.Errorf("%s lives for %v", k, ttl)
			}
			got[k] = held{got[k].value, -1}
		}
		same(t, want, got)
		if n := len(via.Do("LEASE.LIST").Elems); n != 2 {
			t.Errorf("%d leases", n)
		}
		refuses(t, "there is a lease", "import", "etcd", file, "--replace", "--endpoints", via.ClientAddr)
		mustRun(t, "import", "etcd", file, "--replace", "--no-leases", "--endpoints", via.ClientAddr)
		same(t, want, stringsOf(t, keep))
	})
}

func spoiledEtcd(t *testing.T, via *node.Node, file string) {
	t.Helper()
	whole, err := os.ReadFile(file)
	must(t, err)
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/3] ^= 1
	unsummed := whole[:len(whole)-32]
	holes := bytes.Clone(unsummed)
	for i := 4 * 4096; i < len(holes); i += 512 {
		copy(holes[i:], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
	}
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"flipped": {flipped, "SHA-256"}, "cut": {whole[:len(whole)-4096], "SHA-256"},
		"cut without sum": {unsummed[:12288], "cut"}, "holes": {holes, "damaged"}, "empty": {nil, "no snapshot"},
		"garbage": {bytes.Repeat([]byte("garbage "), 9999), "no snapshot of etcd"},
	} {
		bad := filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(bad, c.b, 0o600))
		refuses(t, c.want, "import", "etcd", bad, "--endpoints", via.ClientAddr)
	}
	if n := via.Do("DBSIZE").Int(); n != 0 {
		t.Errorf("%d keys arrived of spoiled files", n)
	}
}
