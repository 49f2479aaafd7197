// Package members tests changes of the membership on real processes, each on a machine of its own (a network
// namespace) with its own address, joined by links that the tests cut and heal.
//
// Types to know: stage (a cluster, spare machines for nodes that join, and the network between them) and
// writer (a client that keeps writing and remembers what was acknowledged).
//
// Goroutines: one per writer, ended and waited for by its test. There are no locks; what the test and a
// writer share is atomic or read after the writer has ended. The package refuses to look inside the product:
// what it says of the members is what MEMBER.LIST, CLUSTER.STATUS and the clients' commands say.
package members
