package faults

import (
	"time"

	"github.com/redkeep/redkeep/tests/internal/network"
)

// linkFaults make links between nodes bad without cutting them.
var linkFaults = []*Fault{
	links("slow links", func(w *world) func(l *network.Link) {
		delay := time.Duration(10+w.rng.IntN(40)) * time.Millisecond
		w.note("links slow by %v", delay)
		return func(l *network.Link) { l.Slow(delay, delay/2) }
	}),
	links("lossy links", func(w *world) func(l *network.Link) {
		percent := 5 + w.rng.IntN(25)
		w.note("links lose %d%%", percent)
		return func(l *network.Link) { l.Lose(percent) }
	}),
	links("breaking connections", func(w *world) func(l *network.Link) {
		perMille := 20 + w.rng.IntN(40)
		w.note("%d of 1000 packets break their connection", perMille)
		return func(l *network.Link) { l.Break(perMille) }
	}),
	{Name: "slow and lossy node", Touches: true, Least: time.Second, Spread: 1500 * time.Millisecond,
		Strike: func(w *world) func() {
			victim := w.rng.IntN(len(w.cluster.Nodes))
			w.note("bad links at %s", w.cluster.Nodes[victim].Name)
			return spoil(w, func(from, to int) bool { return from == victim || to == victim },
				func(l *network.Link) { l.Slow(30*time.Millisecond, 60*time.Millisecond); l.Lose(15) })
		}},
}

// links spoils all links in the drawn manner.
func links(name string, manner func(w *world) func(l *network.Link)) *Fault {
	return &Fault{Name: name, Touches: true, Least: time.Second, Spread: 1500 * time.Millisecond,
		Strike: func(w *world) func() {
			return spoil(w, func(int, int) bool { return true }, manner(w))
		}}
}

func spoil(w *world, which func(from, to int) bool, how func(l *network.Link)) (heal func()) {
	var spoiled []*network.Link
	w.links(func(from, to int, l *network.Link) {
		if which(from, to) {
			how(l)
			spoiled = append(spoiled, l)
		}
	})
	return func() {
		for _, l := range spoiled {
			l.Lose(0)
			l.Break(0)
			l.Slow(0, 0)
		}
	}
}
