//go:build !race

package resp

// idleLimit is what an idle connection may cost, in bytes.
const idleLimit = 6 << 10
