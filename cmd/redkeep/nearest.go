package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// nearest returns the name that takes the fewest single-letter edits to reach from typed; the first in
// order on a tie. A name that begins with typed costs only one edit: half a name was probably meant as the
// whole. REQUIRES: names is not empty.
func nearest(typed string, names []string) string {
	best, cost := names[0], math.MaxInt
	for _, name := range names {
		d := editDistance(typed, name)
		if strings.HasPrefix(name, typed) {
			d = min(d, 1)
		}
		if d < cost {
			best, cost = name, d
		}
	}
	return best
}

// editDistance is Levenshtein's: the number of letters to insert, drop or replace.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// flagError adds the nearest flag to pflag's "unknown flag".
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	slices.Sort(names)
	return fmt.Errorf("unknown flag --%s; the nearest is --%s",
		unknown.GetSpecifiedName(), nearest(strings.ToLower(unknown.GetSpecifiedName()), names))
}
