package commands

// Redirection: MOVED for connections of cluster clients.
//
// Idea. Any node serves any command, so nobody needs to be sent away. But a client of Redis Cluster keeps a
// table of who owns what, and MOVED is how it learns that the leader has changed; each of its commands then
// saves the way between the members. So a connection that has shown itself to be a cluster client's (WIRE:
// READONLY, READWRITE, ASKING or a CLUSTER command) is redirected, and all others are served.
//
// Invariants.
//  1. MOVED is answered in a gate: nothing of the command has been proposed, so the client may repeat it.
//     A command whose outcome is in doubt is never answered so.
//  2. Only to another member that is known to lead, in the term that has begun here, and whose address is
//     known. Without a leader a command takes its usual way: it waits for one, and is told CLUSTERDOWN if
//     none comes in time. A redirection to the old leader would only be a loop.
//  3. Only commands with keys: the others go to any node by the rules of Redis Cluster, too, and are served.
//     Reads of a READONLY connection and messages of shard channels are served by every node.
//  4. Inside MULTI the queued command gets MOVED and EXEC then EXECABORT, as in Redis. EXEC itself is not
//     redirected: what is queued here goes to the leader as any write does.
//
// Rejected: redirecting every connection (a plain client shows MOVED to its user); a setting for it (a
// listener serves both sorts at once).
//
// Drawback: a person who types CLUSTER NODES at a follower with redis-cli, but without -c, sees MOVED for
// what is typed next. RESET takes a connection back.

// gateHome sends a cluster client's command to the leader.
func gateHome(s *session, c *call) error {
	if !s.follows || !c.row.redirected(c, s) {
		return nil
	}
	keys := c.row.keys(c.args)
	if len(keys) == 0 {
		return nil
	}
	if addr, ok := c.d.engine.LeaderElsewhere(); ok {
		return errMoved(slotOf(c.args[keys[0]]), plainAddr(addr))
	}
	return nil
}

// redirected reports whether the command is one that only the leader serves at first hand.
func (row *Command) redirected(c *call, s *session) bool {
	switch {
	case row.Flags&FlagPubSub != 0:
		return false
	case row.Kind == KindWrite:
		return true
	case row.Kind == KindRead:
		return !s.local && (row.local == nil || !row.local(c))
	default:
		return row.Kind == KindScript && !s.local
	}
}

// slotCount is the number of slots in Redis Cluster.
const slotCount = 16384

// slotOf returns the slot of a key: the CRC-16 (XMODEM) of the key, or of the first part of it in braces that
// is not empty, modulo slotCount. Redis Cluster specification, "Hash tags".
func slotOf(key []byte) int {
	return int(crc16(hashTag(key)) % slotCount)
}

func hashTag(key []byte) []byte {
	for i, b := range key {
		if b != '{' {
			continue
		}
		for j, e := range key[i+1:] {
			if e == '}' && j > 0 {
				return key[i+1 : i+1+j]
			}
			if e == '}' {
				return key
			}
		}
		return key
	}
	return key
}

func crc16(b []byte) uint16 {
	crc := uint16(0)
	for _, x := range b {
		crc = crc<<8 ^ crc16Table[byte(crc>>8)^x]
	}
	return crc
}

// crc16Table is for the polynomial x^16 + x^12 + x^5 + 1.
var crc16Table = func() (table [256]uint16) {
	const polynomial = 0x1021
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			high := crc & 0x8000
			crc <<= 1
			if high != 0 {
				crc ^= polynomial
			}
		}
		table[i] = crc
	}
	return table
}()
