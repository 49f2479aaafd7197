package main

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"pgregory.net/rapid"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/resp"
)

// readSettings reads settings as `redkeep server args…` would.
func readSettings(t *testing.T, file string, environ []string, args ...string) (settings, error) {
	t.Helper()
	flags := pflag.NewFlagSet("server", pflag.ContinueOnError)
	for _, o := range options {
		flags.Var(&textFlag{value: o.def, kind: o.kind}, o.name, o.help)
	}
	flags.Var(&textFlag{kind: "file"}, "config", "")
	if file != "" {
		path := filepath.Join(t.TempDir(), "redkeep.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return loadSettings(flags, environ)
}

var unexported = cmp.AllowUnexported(settings{}, tlsSettings{}, certSettings{})

func TestSettingsDefaults(t *testing.T) {
	s, err := readSettings(t, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := settings{
		name: "default", dataDir: "./redkeep.data", clientAddr: "127.0.0.1:6379", peerAddr: "127.0.0.1:16379",
		httpAddr: "127.0.0.1:8379", logStore: "wal", logFormat: "text", requestTimeout: 5 * time.Second,
		scriptTimeout: 5 * time.Second,
		historyAge:    time.Hour, heartbeatInterval: 60 * time.Millisecond, electionTime: 600 * time.Millisecond,
		maxRequestBytes: 8 << 20, quotaBytes: 2 << 30, historyBytes: 256 << 20, snapshotBytes: 64 << 20,
		diskReserveBytes: 128 << 20, maxClients: 10000, maxTxnOps: 128, watchBufferBytes: 1 << 20,
		trackingKeys: 1_000_000, lockTTL: time.Minute, slowerThan: 10_000, slowLogLength: 128, announcePeer: true,
		tls: tlsSettings{
			client: certSettings{auth: "none"}, peer: certSettings{auth: "none"}, minVersion: tls.VersionTLS12,
		},
		clusterProtocol: true, clusterName: "redkeep", protected: true, certificateUser: "off",
		pushLimits: resp.OutputLimits{Hard: 32 << 20, Soft: 8 << 20, For: time.Minute},
	}
	if diff := cmp.Diff(want, s, unexported); diff != "" {
		t.Error(diff)
	}
}

// TestSettingsPrecedence sets one option in each subset of the places; the strongest place must win.
func TestSettingsPrecedence(t *testing.T) {
	for places := range 8 {
		file, environ, args, want := "name: x", []string(nil), []string(nil), int64(10000)
		if places&1 != 0 {
			file, want = "max-clients: 11", 11
		}
		if places&2 != 0 {
			environ, want = []string{"REDKEEP_MAX_CLIENTS=22", "PATH=/bin"}, 22
		}
		if places&4 != 0 {
			args, want = []string{"--max-clients", "33"}, 33
		}
		s, err := readSettings(t, file, environ, args...)
		if err != nil || s.maxClients != want {
			t.Errorf("places %03b: max-clients is %d, want %d (%v)", places, s.maxClients, want, err)
		}
	}
}

// TestSettingsEverywhere: each option is read from a flag, a variable and a file, with the same meaning.
func TestSettingsEverywhere(t *testing.T) {
	values := map[string]string{
		"name": "n2", "data-dir": "/d", "client-addr": "h:1", "peer-addr": "h:2", "http-addr": "h:3",
		"advertise-client-addr": "h:4", "advertise-peer-addr": "h:5", "initial-cluster": "n1=a:1,n2=b:2",
		"request-timeout": "1m", "script-timeout": "2s", "max-request-bytes": "1MiB", "max-clients": "7",
		"max-txn-ops": "9", "quota-bytes": "1GiB", "lock-ttl": "5s",
		"history-bytes": "2MiB", "history-age": "2h", "disk-reserve-bytes": "0", "log-store": "boltdb",
		"heartbeat-interval": "20ms", "election-timeout": "3s", "snapshot-bytes": "1TiB", "log-level": "warn",
		"log-format": "json", "watch-buffer-bytes": "64KiB", "tracking-table-max-keys": "9",
		"notify-keyspace-events": "KEA", "join": "a:1,b:2", "join-as-learner": "true", "replace": "n9",
		"tls-addr": "h:6", "tls-cert-file": "a.pem", "tls-key-file": "b.pem", "tls-ca-file": "c.pem",
		"tls-crl-file": "d.pem", "tls-client-auth": "optional", "auto-tls": "false", "http-tls": "true",
		"tls-min-version": "1.2", "tls-cipher-suites": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
		"peer-tls-cert-file": "e.pem", "peer-tls-key-file": "f.pem", "peer-tls-ca-file": "g.pem",
		"peer-tls-crl-file": "h.pem", "peer-tls-allowed-name": "n1,*.peers", "peer-auto-tls": "false",
		"slowlog-log-slower-than": "-1", "slowlog-max-len": "9",
		"latency-monitor-threshold": "100", "cluster-protocol": "false", "cluster-name": "mymaster",
		"sentinel-addr": "h:6", "advertise-sentinel-addr": "h:7",
		"protected-mode": "no", "default-password-file": "/p",
		"reset-admin-file": "/r", "tls-auth-clients-user": "CN", "max-clients-per-addr": "5",
		"client-output-buffer-limit": "pubsub 2MiB 1MiB 30", "audit-file": "/a",
	}
	separately := []string{"peer-secret-file"} // excludes others
	var file strings.Builder
	var environ, args []string
	for _, o := range options {
		if slices.Contains(separately, o.name) {
			continue
		}
		v, ok := values[o.name]
		if !ok {
			t.Fatalf("option %s has no value in this test", o.name)
		}
		file.WriteString(o.name + ": " + v + "\n")
		environ = append(environ, variableName(o.name)+"="+v)
		args = append(args, "--"+o.name+"="+v)
	}
	var got [3]settings
	var errs [3]error
	got[0], errs[0] = readSettings(t, file.String(), nil)
	got[0].configFile = ""
	got[1], errs[1] = readSettings(t, "", environ)
	got[2], errs[2] = readSettings(t, "", nil, args...)
	for i, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got[2], got[i], unexported); diff != "" {
			t.Error(diff)
		}
	}
	if want := (cluster.Peer{Name: "n2", Addr: "b:2"}); got[0].initialCluster[1] != want || got[0].name != "n2" {
		t.Errorf("initial cluster %v of node %s", got[0].initialCluster, got[0].name)
	}
}

func TestSettingsYAMLForms(t *testing.T) {
	s, err := readSettings(t,
		"initial-cluster: [n1=a:1, n2=b:2]\nname: n1\nquota-bytes: 1073741824\npeer-addr:\n", nil)
	if err != nil || len(s.initialCluster) != 2 || s.quotaBytes != 1<<30 {
		t.Errorf("%+v, %v", s, err)
	}
	if s.advertisePeer != "a:1" || s.peerAddr != "127.0.0.1:16379" {
		t.Errorf("peer addresses %q and %q", s.advertisePeer, s.peerAddr)
	}
}

func TestSettingsRefused(t *testing.T) {
	for _, c := range []struct {
		file    string
		environ string
		args    string
		want    string
	}{
		{file: "quota-byte: 1GiB", want: `redkeep.yaml: unknown key "quota-byte"; the nearest is "quota-bytes"`},
		{file: "quota: {bytes: 1}", want: `unknown key "quota.bytes"; the nearest is "quota-bytes"`},
		{file: "name: [", want: "redkeep.yaml: not valid YAML"},
		{file: "quota-bytes: 1", want: `redkeep.yaml: quota-bytes: "1" must be 1MiB to 1TiB`},
		{environ: "REDKEEP_MAX_CLIENT=1",
			want: "unknown environment variable REDKEEP_MAX_CLIENT; the nearest is REDKEEP_MAX_CLIENTS"},
		{environ: "REDKEEP_MAX_CLIENT=", want: "unknown environment variable REDKEEP_MAX_CLIENT"},
		{environ: "REDKEEP_MAX_CLIENTS=0", want: `REDKEEP_MAX_CLIENTS: "0" must be a number from 1 to 1000000`},
		{args: "--quota-bytes=5GB", want: `--quota-bytes: "5GB" is not a size`},
		{args: "--quota-bytes=99999999999GiB", want: `is not a size`},
		{args: "--request-timeout=5", want: `--request-timeout: "5" must be a time from 100ms to 10m0s`},
		{args: "--cluster-protocol=yes", want: `--cluster-protocol: "yes" must be one of true, false`},
		{args: "--cluster-name=a@b", want: `--cluster-name: "a@b" must be 1 to 64 bytes without space, comma`},
		{args: "--sentinel-addr=h", want: `--sentinel-addr: "h" must be host:port`},
		{args: "--client-addr=localhost", want: `--client-addr: "localhost" must be host:port`},
		{args: "--client-addr=", want: `--client-addr and --tls-addr are both empty: no client could connect`},
		{args: "--client-addr=h:70000", want: `must be host:port with a port from 0 to 65535`},
		{args: "--client-addr=h:60000",
			want: `--peer-addr is needed: the port of --client-addr h:60000 plus 10000`},
		{args: "--name=a=b", want: `--name: "a=b" must be 1 to 64 bytes`},
		{args: "--data-dir=", want: `--data-dir: "" must not be empty`},
		{args: "--initial-cluster=n1", want: `--initial-cluster: "n1" must be name=host:port`},
		{args: "--initial-cluster=n1=h:1", want: `--name default is not in --initial-cluster`},
		{args: "--log-store=bolt", want: `--log-store: "bolt" must be one of wal, boltdb`},
		{args: "--log-level=loud", want: `--log-level: "loud" must be one of debug, info, warn, error`},
		{args: "--election-timeout=500ms", want: `must be at least ten times --heartbeat-interval 60ms`},
		{args: "--config=/nowhere.yaml", want: `--config /nowhere.yaml: no such file or directory`},
	} {
		var environ, args []string
		if c.environ != "" {
			environ = []string{c.environ}
		}
		if c.args != "" {
			args = []string{c.args}
		}
		_, err := readSettings(t, c.file, environ, args...)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q %q %q: %v, want %q on one line", c.file, c.environ, c.args, err, c.want)
		}
	}
}

func TestSettingsForeignVariables(t *testing.T) {
	environ := []string{"REDKEEP_ENDPOINTS=x", "REDKEEP_SERVICE_HOST=10.0.0.1", "REDKEEP_SERVICE_PORT_REDIS=1",
		"REDKEEP_PORT=tcp://10.0.0.1:1", "REDKEEP_PORT_6379_TCP_ADDR=10.0.0.1", "REDKEEP_NAME=",
		"REDKEEP_CLIENT_SERVICE_HOST=10.0.0.1", "REDKEEP_CLIENT_SERVICE_PORT=6379",
		"REDKEEP_CLIENT_SERVICE_PORT_REDIS=6379", "REDKEEP_CLIENT_PORT=tcp://10.0.0.1:6379",
		"REDKEEP_CLIENT_PORT_6379_TCP=tcp://10.0.0.1:6379", "REDKEEP_CLIENT_PORT_6379_TCP_PROTO=tcp",
		"REDKEEP_CLIENT_PORT_53_UDP_ADDR=10.0.0.1"}
	if s, err := readSettings(t, "", environ); err != nil || s.name != "default" {
		t.Errorf("name %q, %v", s.name, err)
	}
	mistakes := []string{"REDKEEP_PORT=6379", "REDKEEP_CLIENT_PORT=6379", "REDKEEP_CLIENT_PORT_X=1"}
	for _, mistake := range mistakes {
		if _, err := readSettings(t, "", []string{mistake}); err == nil {
			t.Errorf("%s is taken for another's", mistake)
		}
	}
}

func TestSizes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Min(0).Draw(t, "n")
		if got, err := parseSize(formatSize(n)); err != nil || got != n {
			t.Fatalf("%d is written as %s and read as %d (%v)", n, formatSize(n), got, err)
		}
	})
	for text, want := range map[string]int64{"0": 0, "12B": 12, "3KiB": 3072, "8 MiB": 8 << 20,
		"1TiB": 1 << 40} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%s is %d, want %d (%v)", text, got, want, err)
		}
	}
	for _, text := range []string{"", "-1", "1.5GiB", "1MB", "MiB", "8388608TiB", "1kib"} {
		if n, err := parseSize(text); err == nil {
			t.Errorf("%q is read as %d", text, n)
		}
	}
}

// slowDistance is the textbook recursion.
func slowDistance(a, b string) int {
	if a == "" || b == "" {
		return len(a) + len(b)
	}
	replace := slowDistance(a[1:], b[1:])
	if a[0] != b[0] {
		replace++
	}
	return min(replace, slowDistance(a[1:], b)+1, slowDistance(a, b[1:])+1)
}

func TestEditDistance(t *testing.T) {
	word := rapid.StringOfN(rapid.RuneFrom([]rune("abc")), 0, 6, -1)
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		if got, want := editDistance(a, b), slowDistance(a, b); got != want {
			t.Fatalf("%q to %q: %d, want %d", a, b, got, want)
		}
	})
	if got := nearest("quota", []string{"help", "name", "quota-bytes"}); got != "quota-bytes" {
		t.Errorf("nearest to quota is %s", got)
	}
}
