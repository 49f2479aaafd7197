//go:build race

package resp

// idleLimit is larger here: frames that the race detector instruments need the next size of stack.
const idleLimit = 12 << 10
