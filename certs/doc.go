// Package certs holds the certificates of a node: it reads them from files, makes them when asked to, notices
// when the files change, and builds the configurations of crypto/tls that every port and every dial uses.
//
// Types to know:
//
//   - Store      one set of files (certificate, key, authorities, revocations) in its newest good state
//   - Files      where the set is
//   - Rules      what a port demands: protocol versions, client certificates, allowed names
//   - Authority  signs certificates and revocation lists; kept in files, or derived from a shared secret
//   - Auto       a set that a node makes for itself in its data directory, and renews
//
// Goroutines. Each Store has one, which looks at the files every few seconds; Store.Close waits for it.
//
// Locks. Store.mu guards what Status tells. What handshakes use is one immutable value behind an atomic
// pointer.
//
// Refused here: connections, commands, users (the caller decides what a name in a certificate may do), keys
// of other kinds than the standard library reads, protocol versions below TLS 1.2, and half a set: a file
// that cannot be used leaves the whole set that was in use before, and is reported until it is mended.
package certs
