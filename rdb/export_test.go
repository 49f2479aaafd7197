package rdb

// Sum is the CRC-64 of Redis.
func Sum(b []byte) uint64 { return addSum(0, b) }
