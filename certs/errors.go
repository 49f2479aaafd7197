package certs

import "errors"

// Why a set of files cannot be used.
var (
	ErrNoCertificate = errors.New("no certificate in PEM form")
	ErrWrongKey      = errors.New("the private key cannot be used with the certificate")
	ErrExpired       = errors.New("the certificate has expired")
	ErrNotYet        = errors.New("the certificate is not valid yet")
	ErrForeign       = errors.New("the certificate does not come from the authorities beside it")
	ErrBadList       = errors.New("revocation list")
	ErrAuthority     = errors.New("this node's own authority cannot be read")
	ErrWeakSecret    = errors.New("a peer secret needs at least 32 characters that nobody can guess")
)

// Why a connection is refused, beside the reasons of crypto/x509.
var (
	ErrRevoked     = errors.New("the certificate has been revoked")
	ErrNameRefused = errors.New("no name in the certificate is allowed")
)

// ErrExists keeps files of keys and certificates from being overwritten.
var ErrExists = errors.New("already there, and not overwritten")
