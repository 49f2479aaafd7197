// Package script runs Lua 5.1 scripts as Redis does, in a box they cannot get out of: no clock, no
// randomness, no input or output, bounded time, steps and memory. What a script does to keys goes through
// the one function it is given.
//
// Types to know:
//
//	Program  a compiled script; immutable, shared by all who run it
//	Run      one execution: what a script may use, and what it has used
//	Caller   how redis.call reaches the commands; the caller of this package has it
//	Killer   ends a run from outside
//
// Where things are: program.go compiles, rewrite.go changes the syntax tree so that what allocates is
// counted, budget.go is time, steps and memory, sandbox.go the names a script finds, protect.go pcall,
// redislib.go redis.*, convert.go values between Lua and the protocol, the rest one library per file.
//
// Goroutines and locks: none. A run belongs to the goroutine that calls it; Killer alone is safe for
// concurrent use. A Lua state is made for each run and never used again, so that nothing leaks from one
// script to the next.
//
// The folder refuses to: read a clock for a script, draw a number that differs from run to run, start a
// goroutine, know a command or the store.
package script
