// Package migrate carries keys from one store to another: the content of a file into a cluster (Import), or
// a cluster's keys, and then every change of them, into another store (Mirror).
//
// To know first: Target (where it goes; Target.Commit is the heart), Content (a file, read in the same order
// each time: OpenRDB, OpenEtcd), Source (where a mirror reads), Meter (how far it has come), bookmark (what
// is written beside the keys, in the same transaction, so that everything can be interrupted).
//
// Goroutines: the mirror's report, which Mirror waits for; the watch of package client, which is closed
// before Mirror returns. No lock: a Meter is atomic counters, everything else belongs to one goroutine.
//
// The package refuses to: write to a destination that somebody else writes bookmarks to, start on one that
// holds keys already unless told so, repeat a write without having looked whether it was done, guess what is
// in a damaged file.
package migrate
