package commands

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

// TestTopologyScript plays changes of a cluster through testdata/topology.txt. Each block is a roster, a
// member a line: id, address, and words of: leads led learner down sentinel=<addr> self. Directives print
// what clients are then told: watch the messages since the last watch, the others a reply.
func TestTopologyScript(t *testing.T) {
	seen := newSentinelView()
	datadriven.RunTest(t, "testdata/topology.txt", func(t *testing.T, td *datadriven.TestData) string {
		topo := newTopology(parseRoster(t, td.Input))
		c := &call{d: &Dispatcher{cfg: Config{Sentinel: &SentinelConfig{Name: "redkeep"}}}}
		serve := map[string]aboutTopology{"slots": clusterSlots, "shards": clusterShards, "nodes": clusterNodes,
			"info": clusterInfo, "master": sentinelMaster, "replicas": sentinelReplicas,
			"sentinels": sentinelSentinels, "role": func(*call, *topology) (resp.Value, error) {
				return roleReplicas(&topo), nil
			}}
		if td.Cmd == "watch" {
			var out strings.Builder
			for _, m := range seen.follow(&topo, "redkeep") {
				fmt.Fprintf(&out, "%s %s\n", m.Channel, m.Payload)
			}
			return out.String()
		}
		v, err := serve[td.Cmd](c, &topo)
		if err != nil {
			return err.Error() + "\n"
		}
		return shown(v) + "\n"
	})
}

func parseRoster(t *testing.T, text string) (r raftfsm.Roster) {
	r.Cluster, r.Term = 0xc, 7
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		m := raftfsm.RosterMember{Up: true, ClientAddr: words[1], PeerAddr: "peer:16379", Applied: 9}
		if _, err := fmt.Sscanf(words[0], "%x", &m.ID); err != nil {
			t.Fatal(err)
		}
		if m.ClientAddr == "-" {
			m.ClientAddr = ""
		}
		for _, word := range words[2:] {
			switch word {
			case "leads", "led":
				r.Leader, r.HasLeader = m.ID, word == "leads"
			case "learner":
				m.Learner = true
			case "down":
				m.Up = false
			case "self":
				r.Self = m.ID
			default:
				m.SentinelAddr = strings.TrimPrefix(word, "sentinel=")
			}
		}
		r.Members = append(r.Members, m)
	}
	return r
}

// shown is a value on as few lines as it has.
func shown(v resp.Value) string {
	switch v.Kind() {
	case resp.KindArray, resp.KindMap:
		var parts []string
		for _, e := range v.Elems() {
			parts = append(parts, shown(e))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case resp.KindInt:
		return fmt.Sprint(v.Num())
	default:
		return strings.TrimSpace(strings.ReplaceAll(v.Text(), "\r", ""))
	}
}

// Ids have 40 hex digits, differ between members, clusters and uses, and never change.
func TestWideIDs(t *testing.T) {
	seen := map[string]bool{}
	for member := range cluster.MemberID(3) {
		for in := range cluster.ClusterID(3) {
			for _, what := range []uint32{idOfNode, idOfSentinel} {
				id := wideID(member, in, what)
				if len(id) != 40 || strings.Trim(id, "0123456789abcdef") != "" || seen[id] {
					t.Errorf("id %q", id)
				}
				seen[id] = true
			}
		}
	}
	if got := wideID(0x544cfcc52378fe5f, 0xbf8e5876794d7cbc, idOfNode); got !=
		"544cfcc52378fe5fbf8e5876794d7cbc00000000" {
		t.Errorf("an id has changed: %s", got)
	}
}

// slotTwin computes a slot bit by bit, with the hash tag found by searching text.
func slotTwin(key string) int {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, closed := strings.Cut(rest, "}"); closed && tag != "" {
			key = tag
		}
	}
	crc := uint32(0)
	for _, b := range []byte(key) {
		for bit := 7; bit >= 0; bit-- {
			top := crc >> 15 & 1
			crc = crc << 1 & 0xffff
			if top^uint32(b>>bit&1) != 0 {
				crc ^= 0x1021
			}
		}
	}
	return int(crc) % 16384
}

func TestSlotMatchesTwin(t *testing.T) {
	if got := crc16([]byte("123456789")); got != 0x31c3 { // the check value of CRC-16/XMODEM
		t.Errorf("crc16 of the check is %04x", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringOf(rapid.SampledFrom([]rune("{}ab\x00ü"))).Draw(t, "key")
		if got, want := slotOf([]byte(key)), slotTwin(key); got != want {
			t.Fatalf("slot of %q is %d, want %d", key, got, want)
		}
	})
}
