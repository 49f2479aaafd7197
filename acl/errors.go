package acl

import "errors"

// Why a rule cannot be applied; the texts are Redis's.
var (
	ErrSyntax   = errors.New("Syntax error")
	ErrUnknown  = errors.New("Unknown command or category name in ACL")
	ErrSubOfSub = errors.New("Allowing first-arg of a subcommand is not supported")
	ErrNoSecret = errors.New("The password you are trying to remove from the user does not exist")
	ErrBadHash  = errors.New("The password hash must be exactly 64 characters and contain only lowercase " +
		"hexadecimal characters")
	ErrAfterAllKeys = errors.New(
		"Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and " +
			"does not have any effect. Try 'resetkeys' to start with an empty list of patterns")
	ErrAfterAllChannels = errors.New("Adding a pattern after the * pattern (or the 'allchannels' flag) is not " +
		"valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels")
)
