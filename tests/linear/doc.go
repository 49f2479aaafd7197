// Package linear checks that Redkeep is linearizable while its nodes are killed, paused and restarted.
//
// The types to know: Input and Output describe one operation; Model is the sequential specification that
// porcupine checks a history against; Recorder collects the history; Client drives one connection; Nemesis
// injects faults.
//
// What a reply means decides everything. An answered operation took effect between call and return. A
// definite refusal (CLUSTERDOWN, BUSY, OOM, …) must not have taken effect: it leaves the history, and since
// each written value is unique, its value turning up later is a read of something nobody wrote. UNCERTAIN, a
// broken connection and a timeout are "maybe": the operation may take effect at any later time or never,
// which is the same as returning at the end of time. A read without an answer says nothing and is dropped.
//
// Keys live in partitions of three (two strings and a counter), which the multi-key operations span; each
// partition is a history of its own. A partition is used for a short epoch only, so that the maybes in it
// stay few and the search ends; all partitions are read once more at the end, so that a write lost later is
// still seen.
//
// Goroutines: one per client, started and waited for by Run. Locks: none; a client owns its part of the
// history. The package refuses to pass without work: a run with too few operations of a kind, or too few
// faults, fails.
package linear
