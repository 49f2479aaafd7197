package faults

import (
	"time"

	"github.com/redkeep/redkeep/tests/internal/network"
	"github.com/redkeep/redkeep/tests/internal/node"
)

// cutFaults cut links between nodes. Clients still reach every node, unless the fault says otherwise.
var cutFaults = []*Fault{
	cutOff("isolate leader", (*world).leader, true, true, false),
	cutOff("isolate follower", (*world).follower, true, true, false),
	cutOff("mute leader", (*world).leader, true, false, false),
	cutOff("deafen leader", (*world).leader, false, true, false),
	cutOff("mute follower", (*world).follower, true, false, false),
	cutOff("deafen follower", (*world).follower, false, true, false),
	cutOff("vanish leader", (*world).leader, true, true, true),
	cutSome("split in two", splitInTwo),
	cutSome("majority ring", majorityRing),
	cutSome("cut one pair", func(w *world) func(int, int) bool {
		a, b := pairOf(w)
		return func(from, to int) bool { return from == a && to == b || from == b && to == a }
	}),
	cutSome("cut one direction", func(w *world) func(int, int) bool {
		a, b := pairOf(w)
		return func(from, to int) bool { return from == a && to == b }
	}),
	cutSome("cut all", func(*world) func(int, int) bool {
		return func(int, int) bool { return true }
	}),
}

// cutOff cuts what one node sends, what it hears, or both; and from clients, too, if they shall not reach
// it.
func cutOff(name string, victim func(*world) *node.Node, mute, deaf, clients bool) *Fault {
	return &Fault{Name: name, Touches: true, Least: 600 * time.Millisecond, Spread: 1500 * time.Millisecond,
		Strike: func(w *world) func() {
			n := victim(w)
			if n == nil {
				return nil
			}
			i := w.index(n)
			w.note("cut off %s", n.Name)
			return cut(w, clients, i, func(from, to int) bool { return from == i && mute || to == i && deaf })
		}}
}

// cutSome cuts each link that the drawn rule names.
func cutSome(name string, rule func(w *world) func(from, to int) bool) *Fault {
	return &Fault{Name: name, Touches: true, Least: 600 * time.Millisecond, Spread: 1500 * time.Millisecond,
		Strike: func(w *world) func() { return cut(w, false, 0, rule(w)) }}
}

func cut(w *world, clients bool, victim int, rule func(from, to int) bool) (heal func()) {
	var links []*network.Link
	w.links(func(from, to int, l *network.Link) {
		if rule(from, to) {
			links = append(links, l)
		}
	})
	if clients {
		links = append(links, w.net.ToHost(victim), w.net.FromHost(victim))
	}
	for _, l := range links {
		l.Cut(true)
	}
	return func() {
		for _, l := range links {
			l.Cut(false)
		}
	}
}

// pairOf draws the leader and another node, in either order: followers have little to say to each other.
func pairOf(w *world) (a, b int) {
	order := w.rng.Perm(len(w.cluster.Nodes))
	a, b = order[0], order[1]
	leader := w.leader()
	if leader == nil {
		return a, b
	}
	if i := w.index(leader); i != a && i != b {
		a = i
	}
	return a, b
}

// splitInTwo cuts a random minority from the majority, its leader on either side.
func splitInTwo(w *world) func(from, to int) bool {
	order := w.rng.Perm(len(w.cluster.Nodes))
	minority := map[int]bool{}
	for _, i := range order[:len(order)/2] {
		minority[i] = true
	}
	return func(from, to int) bool { return minority[from] != minority[to] }
}

// majorityRing lets each node reach a majority, itself included, and no two nodes the same one: its
// neighbours on either side. With three nodes, links are open in one direction only instead.
func majorityRing(w *world) func(from, to int) bool {
	order := w.rng.Perm(len(w.cluster.Nodes))
	place := make([]int, len(order))
	for p, i := range order {
		place[i] = p
	}
	n := len(order)
	return func(from, to int) bool {
		far := (place[to] - place[from] + n) % n
		if n < 5 {
			return far > n/2
		}
		return min(far, n-far) > n/4
	}
}
