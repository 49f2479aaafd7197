//go:build faults

package cluster

import (
	"os"
	"strconv"
)

// LogBytesEnv makes a node take snapshots more often and keep less of the log: behind a snapshot, in memory,
// and in one segment, from which raft-wal reads entries that it has removed as long as the segment is the
// last. A test would otherwise have to write 64 MiB before a member that was away is given a snapshot.
const LogBytesEnv = "REDKEEP_FAULT_LOG_BYTES"

func init() {
	if n, err := strconv.ParseInt(os.Getenv(LogBytesEnv), 10, 64); err == nil && n > 0 {
		minTrailingBytes, defaultCacheBytes, defaultSegmentBytes, mostExtra = n, n, int(n), 0
	}
}
