// Package tests holds everything that looks at Redkeep from outside: the tests below drive the real binary
// over real sockets, or read the source tree as data. No production package imports anything from here, and
// nothing here (except style, which only reads files) depends on how a production package is built inside.
//
//   - style: the layering and style rules of the project, as tests over go/ast and go list.
//   - compat: the same calls sent to a real redis-server and to Redkeep; replies compared byte by byte.
//   - integration: whole flows on one node and on three, faults and bad input included.
//   - members: changes of the membership, each node on a machine of its own.
//   - faults: real clusters under faults drawn from a seed; every promise checked on what clients saw.
//   - faults/directed, faults/puppet: one narrow schedule each, made on purpose beside played members.
//   - faults/seam, faults/mutants: a binary that breaks on demand; defects planted to see who catches them.
//   - bench: a module of its own; Redkeep beside etcd and Redis on the same machine.
//   - internal/node, internal/wire, internal/network: real processes, a raw RESP client, machines.
//
// The folder itself owns no goroutine and no lock.
package tests
