//go:build !faults

package cluster

import "os"

// The disk floor: every step by which this package makes something durable goes through one of these
// functions. Built with the tag "faults" they are those of faultdisk.go, which a test can tell to hang, to
// fail, or to lose what was not synced; this file is all that a normal binary has.

// writeAt writes b at an offset.
func writeAt(f *os.File, b []byte, at int64) (int, error) { return f.WriteAt(b, at) }

// write writes b at the file's position.
func write(f *os.File, b []byte) (int, error) { return f.Write(b) }

// syncFile makes a file or folder durable, metadata included.
func syncFile(f *os.File) error { return f.Sync() }

// syncData makes the content durable, and of the metadata only what is needed to read it.
func syncData(f *os.File) error { return syncContent(f) }

// rename gives a file another name, which is durable once the folder has been synced.
func rename(from, to string) error { return os.Rename(from, to) }

// named is told of a new name that came about by other means than rename.
func named(string) {}

// settle runs a transaction that a library makes durable before it returns.
func settle(transaction func() error) error { return transaction() }
