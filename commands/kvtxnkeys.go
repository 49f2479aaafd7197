package commands

import "cmp"

// keysInside finds the keys that KV.TXN names: those of its guards, and those of the commands in it, as they
// are found outside.

// namedKey is a key among the words of a command.
type namedKey struct {
	at     int    // its word
	access string // as in Keys.Access
}

// namedKeys returns the keys of a command. ok is false if its words make no sense.
func (t *Table) namedKeys(row *Command, words [][]byte, depth int) (keys []namedKey, ok bool) {
	if row.nests {
		return t.keysInside(words, depth)
	}
	access := row.Keys.Access
	if row.accessOf != nil {
		access = row.accessOf(words)
	}
	for _, at := range row.keys(words) {
		keys = append(keys, namedKey{at, access})
		access = cmp.Or(row.Keys.Later, access)
	}
	return keys, true
}

func (t *Table) keysInside(args [][]byte, depth int) (keys []namedKey, ok bool) {
	w := words{args: args, at: 1}
	n, err := w.count()
	if err != nil || n > int64(len(args)) || depth >= maxTxnDepth {
		return nil, false
	}
	for range n {
		keys = append(keys, namedKey{w.at + 1, "RO"})
		if _, err := w.guard(); err != nil {
			return nil, false
		}
	}
	for range 2 { // then, else
		list, err := w.commandList(len(args))
		if err != nil {
			return nil, false
		}
		at := w.at
		for i := range list {
			at -= len(list[i]) + 1
		}
		for _, inner := range list {
			at++ // the number of words
			found, ok := t.keysOf(inner, depth+1)
			if !ok {
				return nil, false
			}
			for _, k := range found {
				keys = append(keys, namedKey{at + k.at, k.access})
			}
			at += len(inner)
		}
	}
	return keys, !w.more()
}

// keysOf is namedKeys of a command that stands inside another.
func (t *Table) keysOf(inner [][]byte, depth int) (keys []namedKey, ok bool) {
	row := t.Lookup(inner[0])
	if row == nil || !row.fits(len(inner)) {
		return nil, false
	}
	return t.namedKeys(row, inner, depth)
}
