package main

import (
	"maps"

	"github.com/redkeep/redkeep/resp"
)

const (
	liveLease = "00000000000000ab"
	deadLease = "00000000000000dd"
)

// The replies to the lease verbs, for TestOutput.
func init() {
	none := resp.Err("NOLEASE lease not found")
	ttl := []resp.Value{resp.Bulk("id"), resp.Bulk(liveLease), resp.Bulk("granted"), resp.Int(300_000),
		resp.Bulk("remaining"), resp.Int(299_400)}
	withKeys := append(ttl[:len(ttl):len(ttl)], resp.Bulk("keys"), resp.Array(resp.Bulk("a"), resp.Bulk("b")))
	listed := append(ttl[:len(ttl):len(ttl)], resp.Bulk("keys"), resp.Int(2))
	maps.Copy(cannedReplies, map[string]resp.Value{
		"LEASE.GRANT 300000":               resp.Bulk(liveLease),
		"LEASE.GRANT 500":                  resp.Bulk(liveLease),
		"LEASE.GRANT 0":                    resp.Err("ERR invalid lease time"),
		"LEASE.REVOKE " + liveLease:        resp.Int(1),
		"LEASE.REVOKE " + deadLease:        none,
		"LEASE.TTL " + liveLease:           resp.Map(ttl...),
		"LEASE.TTL " + liveLease + " KEYS": resp.Map(withKeys...),
		"LEASE.TTL " + deadLease:           none,
		"LEASE.LIST":                       resp.Array(resp.Map(listed...)),
		"LEASE.KEEPALIVE " + liveLease:     resp.Int(300_000),
		"LEASE.KEEPALIVE " + deadLease:     none,
		"KV.PUT k v LEASE " + liveLease:    resp.Int(7),
	})
}
