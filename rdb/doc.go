// Package rdb reads what Redis writes to disk: the payload of DUMP, and whole RDB files.
//
// To know first: Dump and Undump (one value), Read (a file: its strings are handed out, everything else is
// passed over and counted), Entry (one string of a file), Summary (what a file held), Damage (why a file
// was refused).
//
// The files: payload (one value), reader (lengths, strings and LZF, from memory or from a file), file (the
// records of a file), shapes (what every other type of value looks like, so that it can be passed over).
//
// No goroutine, no lock; nothing is shared between two calls. The package refuses to: understand any value
// but a string, write files, know the store, trust a length.
package rdb
