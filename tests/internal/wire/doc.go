// Package wire is a raw RESP client for tests: it shows the exact bytes of a reply and lets a test send any
// bytes.
//
// The types to know: Conn is one connection, Reply one parsed reply that remembers its raw bytes. Both speak
// RESP2 and RESP3; the decoder decides by the first byte and so needs no setting. The code here shares
// nothing with the production package resp on purpose: a fault in an encoder must not be hidden by its own
// decoder.
//
// A Conn belongs to one goroutine; there are no locks and no goroutines here. UseTLS names addresses that are
// spoken to with TLS, UsePassword those where Dial logs in. The package refuses to be
// clever: no pooling, no reconnecting, no retry, since each of these would blur what a test has seen.
package wire
