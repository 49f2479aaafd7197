// Package network gives each process of a test a machine of its own as far as the network goes: a Linux
// network namespace with its own address, joined by a switch that lives in the test process and can cut,
// slow down or lose what goes over each link, in each direction alone.
//
// The types to know:
//   - Isolate re-runs the test binary inside a network and mount namespace of its own.
//   - Network: the switch; one port per machine and one for the test process itself.
//   - Machine: one namespace; On runs a function, such as the start of a child, inside it.
//   - Link: what happens to packets from one machine to another.
//
// The idea. Each namespace has one TUN device, and the other end of that device is a file in this
// process. A goroutine reads IP packets from it and writes them to the device of the machine they are
// meant for. So a cut, a delay and a loss are a few lines of Go that work on any kernel with TUN, and
// what was dropped is counted: a fault that hit nothing can be told from one that did. Rejected: veth
// pairs on a bridge with nftables and tc netem, which need tools and kernel modules that are often
// missing (netem is, where this was written); a TCP proxy before each peer port, which ends connections
// where a network would only be silent, and needs the addresses rewritten. The drawback is speed: a
// packet costs two system calls and a wake-up here.
//
// Nothing is left behind by construction. Namespaces have no names: they end with the threads and
// processes in them, and the mounts made inside Isolate end with its mount namespace, after a kill -9 of
// the tests too.
//
// Goroutines: Machine has one, locked to its thread, ended by Machine's part of Network.Close; Network
// has a reader per port and a courier per link, ended by Close, which waits for them. Locks: none; what
// the two sides share is atomic. The package refuses to know what runs on a machine.
package network
