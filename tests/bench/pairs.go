package main

import "fmt"

// What is compared to itself, with something added, is compared round by round: both sides then have the same
// store behind them, as full and as warm, and the same neighbours on the machine.

const pairs = 7

// inTurn runs rounds of all sides, one after the other and around again, and returns the median of each.
func inTurn(rounds int, sides ...func(seed uint64) (float64, error)) ([]float64, error) {
	rates := make([][]float64, len(sides))
	for i := range rounds {
		for k, side := range sides {
			rate, err := side(uint64(i))
			if err != nil {
				return nil, err
			}
			rates[k] = append(rates[k], rate)
		}
	}
	medians := make([]float64, len(sides))
	for k := range sides {
		medians[k] = median(rates[k])
	}
	return medians, nil
}

const (
	multiName = "MULTI of 16 SETs, 64 clients"
	multiMost = 3 // times what one SET costs

	// overwrites of all keys fill the history up to its bound, as that of a cluster is that has run for a while:
	// from then on each write makes something old go.
	overwrites = 12
)

// measureMulti has clients write one key, and sixteen in one transaction, in turn.
func measureMulti(c config, ps *processes, t *table) error {
	s, err := startRedkeep(c, ps, "multi", 3)
	if err != nil {
		return err
	}
	defer ps.killAll()
	if err := s.settle(); err != nil {
		return err
	}
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
