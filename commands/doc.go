// Package commands turns client commands into requests and results into replies.
//
// The one table (table.go) has a row per command; its columns hold all policy: arity, flags, key
// positions, ACL categories, kind. Gates (gates.go) read columns and let a call pass or refuse it. The
// Dispatcher (dispatcher.go) walks a pipeline, packs runs of writes into submissions and runs of reads
// into one barrier round, and sends the replies in order. Each family file holds handlers and their rows.
//
// Types to know:
//
//	Dispatcher  implements resp.Handler; one for the node
//	Command     one row of the table
//	call        one command being served: its arguments and the request it plans
//	session     what a connection remembers between commands
//	view        local reads that never show a key past its deadline
//	render      the function that makes a reply of a write's result
//	directory   the users as this node sees them; identity is who a connection is (access.go)
//	evaluation  one EVAL: a script runs against a scratch, its writes become one request
//
// A handler has no connection and cannot write to one. There are four shapes, and a row has one of them:
//
//	plan    write    arguments -> call.txn and a render; REQUIRES nothing of the store
//	read    read     arguments -> reply, through a view, after the barrier
//	session session, admin   arguments -> reply, from the node's own state; answers without a quorum
//	script  script   arguments -> a compiled script, its keys and arguments (evaluation.go does the rest)
//	block   session   as session, and it may wait; a client that vanishes ends the wait
//
// A read that can be part of a request has a planRead, too (keyread.go): in a run of writes it joins them,
// and a transaction can hold it. Those that meet all keys (wide) are for transactions alone.
//
// A plan never looks at the store, so the transaction it makes means the same wherever it is put: alone, or
// concatenated with others into the one transaction of MULTI, where its render gets its own part of the
// result.
//
// Goroutines: the dispatcher owns two (one samples rates for INFO, one is the guard that ends what users may
// not do any more), one per backup being written (backup.go), one per place in a queue that is being given up
// (departure.go), and Sentinel's one more, with a hub; Close waits for them. A script, and a
// script's wait for its turn, have one each, which the connection's goroutine waits for, so that a client
// that goes away ends them. All else runs on the goroutine of the connection served. Locks: Dispatcher.mu
// guards the list of sessions; session.mu what CLIENT LIST shows of a session; scripts.mu the cache of
// scripts; users.mu the making of the directory; ACL log, memory of passwords, strikes, slow log, latency
// monitor, pause (which has a timer) and monitors have one each. None is held
// while another is taken, over I/O or over a wait.
//
// The cluster as clients see it: topology.go makes the view, slots.go answers for Redis Cluster, sentinel.go
// for Sentinel (a second Dispatcher with a table of its own, and one goroutine more: sentinelwatch.go),
// redirect.go says MOVED.
//
// The folder refuses to: write to a socket, keep a client's bytes after the pipeline that brought them, apply
// anything to the store, start a goroutine for any command but a script, a backup or a departure, or register
// a command anywhere but in the table.
package commands
