package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/spf13/cobra"
)

// eavesdropper accepts connections, reads one byte of each and hangs up: the first byte of a TLS connection
// is that of a handshake record, and anything else was said in the clear.
type eavesdropper struct {
	addr            string
	secret, inClear atomic.Int64
}

func eavesdrop(t *testing.T) *eavesdropper {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &eavesdropper{addr: ln.Addr().String()}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				b := make([]byte, 1)
				if _, err := conn.Read(b); err != nil {
					return
				}
				if b[0] == 0x16 {
					e.secret.Add(1)
				} else {
					e.inClear.Add(1)
				}
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); serving.Wait() })
	return e
}

// networked are the verbs that talk to a node, with arguments that make them do so. FILE is a name of a file
// to be made, RDB an empty dump of Redis, SECRET a file with a password and NODE the node's address.
var networked = map[string]string{
	"put": "k v", "get": "k", "del": "k", "history": "k", "compact": "5", "watch": "k", "txn": "",
	"lease grant": "60", "lease revoke": "ab", "lease timetolive": "ab", "lease keep-alive": "--once ab",
	"lease list": "", "lock": "m", "elect": "e p",
	"endpoint status": "", "endpoint health": "", "endpoint hashkv": "", "endpoint move-leader": "ab",
	"move-leader": "ab", "member list": "", "member add": "n4 --peer-urls 127.0.0.1:1", "member promote": "ab",
	"member remove": "ab", "member update": "ab --peer-urls 127.0.0.1:1", "member move-leader": "ab",
	"user add": "u", "user passwd": "u --new-password-file SECRET", "user grant": "u ~*", "user enable": "u",
	"user disable": "u", "user delete": "u", "user list": "", "user get": "u",
	"alarm list": "", "alarm disarm": "", "snapshot save": "FILE", "import rdb": "RDB",
	"mirror": "rediss://NODE", "bench": "set --requests 1 --clients 1",
}

// local are the verbs that ask no node, and one that asks as "import rdb" does.
var local = []string{"server", "version", "docs", "check", "recover", "snapshot status", "snapshot restore",
	"cert create", "cert node", "cert client", "cert renew", "cert revoke", "cert show", "cert secret",
	"import etcd"}

// Whoever asks for TLS says nothing in the clear, with any verb: least of all a password.
func TestEveryVerbSpeaksTLS(t *testing.T) {
	rdb := filepath.Join(t.TempDir(), "dump.rdb")
	if err := os.WriteFile(rdb, []byte("REDIS0009\xff\x00\x00\x00\x00\x00\x00\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := secretFile(t, "correct-horse")
	seen := map[string]bool{}
	everyVerb(newRoot(streams{}, nil), func(cmd *cobra.Command) {
		verb := strings.TrimPrefix(cmd.CommandPath(), "redkeep ")
		if cmd.HasSubCommands() {
			return
		}
		seen[verb] = true
		args, ok := networked[verb]
		if !ok {
			return
		}
		t.Run(verb, func(t *testing.T) {
			node := eavesdrop(t)
			words := strings.NewReplacer("FILE", filepath.Join(t.TempDir(), "x"), "RDB", rdb, "SECRET", secret,
				"NODE", node.addr).Replace(verb + " " + args)
			line := append([]string{"--tls", "--endpoints", node.addr, "--user", "u", "--password-file", secret},
				strings.Fields(words)...)
			stdout, stderr, code := do(nil, "\nput a b\n\n\n", line...)
			if code == exitOK || node.secret.Load() == 0 || node.inClear.Load() > 0 {
				t.Errorf("%d connections with TLS, %d in the clear; exit %d, %q %q", node.secret.Load(),
					node.inClear.Load(), code, stdout, stderr)
			}
		})
	})
	for _, verb := range local {
		delete(seen, verb)
	}
	for verb := range networked {
		if !seen[verb] {
			t.Errorf("there is no verb %s", verb)
		}
		delete(seen, verb)
	}
	for verb := range seen {
		t.Errorf("%s: does it talk to a node? It belongs into one of the lists", verb)
	}
}
