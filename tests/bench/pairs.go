package main

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
