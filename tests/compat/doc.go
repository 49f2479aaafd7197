// Package compat sends the same calls to a real redis-server and to Redkeep and demands the same bytes back.
//
// The types to know (all in the test files): pair is two connections, one to each server, with the calls a
// case is made of; target is where Redkeep is reached (one node, or a follower of three); family is a named
// list of calls. Every family runs against every target in RESP2 and in RESP3.
//
// A call is compared byte by byte unless it uses a relaxation, and a relaxation is always a named method of
// pair: SameError (prefix only), Sorted (KEYS has no order), Approx (times move), SameShape (types, not
// contents). So a search for the method shows every place where Redkeep is allowed to differ.
//
// There are no goroutines or locks of its own. The package refuses to list what only Redkeep has; that is
// tested where it is built and in package integration.
package compat
