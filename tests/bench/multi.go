package main

import "fmt"

// What a transaction costs: clients write one key, and sixteen together, in turn, on a store that has run for
// a while. Rows of the throughput table cannot be compared for this: the first is measured on a fresh store,
// which keeps everything and gives nothing back yet.

const (
	multiName = "MULTI of 16 SETs, 64 clients"
	multiMost = 3 // times what one SET costs

	// overwrites of all keys fill the history up to its bound, as that of a cluster is that has run for a while:
	// from then on each write makes something old go.
	overwrites = 12
)

func measureMulti(c config, ps *processes, t *table) error {
	s, err := startRedkeep(c, ps, "multi", 3)
	if err != nil {
		return err
	}
	defer ps.killAll()
	for range overwrites {
		if err := load(s, 0, keySpace); err != nil {
			return err
		}
	}
	of := func(sc scenario) func(uint64) (float64, error) {
		return func(seed uint64) (float64, error) { return round(s, sc, c.round, false, seed) }
	}
	one, many := scenario{clients: 64, op: setOne}, scenario{clients: 64, op: setTogether}
	rates, err := inTurn(pairs, of(one), of(many))
	if err != nil {
		return fmt.Errorf("%s: %w", multiName, err)
	}
	t.multi = rates[0] / rates[1]
	fmt.Printf("64 clients: %.0f SET/s, %.0f MULTI/s of 16 (%.2f × the cost)\n", rates[0], rates[1], t.multi)
	return nil
}

func (t *table) multiVerdict(add func(met bool, format string, args ...any)) {
	if t.multi > 0 {
		add(t.multi <= multiMost, "a MULTI of 16 SETs, 64 clients, in turn with one SET: %.2f × the cost, at "+
			"most %d ×", t.multi, multiMost)
	}
}
