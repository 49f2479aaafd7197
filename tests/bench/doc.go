// Command bench puts Redkeep beside etcd and Redis on this machine, in one run, and writes
// docs/BENCHMARKS.md.
//
// The types to know: system is one server or cluster under measurement with the client its users use
// (go-redis for Redkeep and Redis, etcd's own Go client for etcd); scenario is one workload; table collects
// what was measured and knows the thresholds. Data of all systems lies on the same disk; all run while one is
// measured, so that none has the machine to itself. Each scenario runs in short rounds that go from system to
// system and around again, so that noise of the machine meets all of them; the median of the rounds counts.
//
// It is a module of its own because etcd's client brings gRPC, which the product does not depend on.
// Goroutines: the clients of one round, waited for by that round. Locks: none. It refuses to compare numbers
// of different runs or machines: a row is made from one run or not at all.
package main
