package commands

import (
	"errors"
	"fmt"
	"strings"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/raftfsm"
)

// clientError is a text a client sees. Its first word is a contract: clients act on it, and it says whether a
// write is definitely not done or of unknown outcome (only UNCERTAIN). Everything a client can be told is in
// this file. No text quotes the value of a key.
type clientError string

func (e clientError) Error() string { return string(e) }

// Texts of Redis, byte for byte: client libraries compare some of them.
const (
	errSyntax        = clientError("ERR syntax error")
	errNotInteger    = clientError("ERR value is not an integer or out of range")
	errOverflow      = clientError("ERR increment or decrement would overflow")
	errDecrOverflow  = clientError("ERR decrement would overflow")
	errValueTooLong  = clientError("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
	errExpireNX      = clientError("ERR NX and XX, GT or LT options at the same time are not compatible")
	errExpireGTLT    = clientError("ERR GT and LT options at the same time are not compatible")
	errInvalidCursor = clientError("ERR invalid cursor")
	errDBIndex       = clientError("ERR DB index is out of range")
	errNoPassword    = clientError("ERR AUTH <password> called without any password configured for the " +
		"default user. Are you sure your configuration is correct?")
	errWrongPass    = clientError("WRONGPASS invalid username-password pair or user is disabled.")
	errProtoNotInt  = clientError("ERR Protocol version is not an integer or out of range")
	errNoProto      = clientError("NOPROTO unsupported protocol version")
	errClientName   = clientError("ERR Client names cannot contain spaces, newlines or special characters.")
	errNoSuchClient = clientError("ERR No such client")
	errClientID     = clientError("ERR client-id should be greater than 0")
	errListClientID = clientError("ERR Invalid client ID")
	errNoKeyArgs    = clientError("ERR The command has no key arguments")
	errGetKeysArity = clientError("ERR Invalid number of arguments specified for command")
	errGetKeysName  = clientError("ERR Invalid command specified")
	errNoCluster    = clientError("ERR This instance has cluster support disabled")
	errOOM          = clientError("OOM command not allowed when used memory > 'maxmemory'.")
	errSlowlogCount = clientError("ERR count should be greater than or equal to -1")
	errSlowlogArity = clientError("ERR unknown subcommand or wrong number of arguments for 'get'. " +
		"Try SLOWLOG HELP.")
	errConfigRewrite = clientError("ERR The server is running without a config file")
)

// Texts of our own.
const (
	errDiskFull = clientError("OOM command not allowed: the disk of this node is nearly full; " +
		"the command was not executed")
	errNoLeader = clientError("CLUSTERDOWN no leader is known; the command was not executed, try again")
	errBusy     = clientError("BUSY too many writes are waiting; the command was not executed, try again later")
	errClosing  = clientError("CLUSTERDOWN this node is shutting down; the command was not executed")
	errDoubtful = clientError("UNCERTAIN the outcome is not known: the command may or may not have been " +
		"executed; read the key before you repeat it")
	errReadFailed  = clientError("CLUSTERDOWN the read could not be confirmed by a majority in time, try again")
	errKeyNotFound = clientError("ERR key not found")
	errValueGiven  = clientError("ERR value is provided")
	errLeaseGiven  = clientError("ERR lease is provided")
	errLeaseID     = clientError("ERR invalid lease id")
	errNoLease     = clientError("NOLEASE lease not found")
	errLeaseTime   = clientError("ERR invalid lease time")
	errLeaseExists = clientError("ERR lease already exists")
	errLockLost    = clientError("LOCKLOST the token does not hold the lock")
	errPlaceLost   = clientError("LOCKLOST the place in the queue was removed while waiting")
	errNotLeading  = clientError("NOTLEADER the token does not lead the election")
	errQueueKey    = clientError("ERR the key is a place in the queue of a lock or an election; " +
		"it can only be deleted")
	errPlaceTaken   = clientError("ERR the key of this place in the queue is in use")
	errQueuedTwice  = clientError("ERR a transaction can ask for a lock once only")
	errWaitInTxn    = clientError("ERR WAIT is not allowed inside a transaction")
	errToken        = clientError("ERR invalid token")
	errFutureRev    = clientError("FUTUREREV required revision is a future revision")
	errRevision     = clientError("ERR revision is not an integer or out of range")
	errNegative     = clientError("ERR value is out of range, must not be negative")
	errInternal     = clientError("ERR internal error; the command was not executed")
	errSetImmutable = "can't set immutable config"
)

// quotedBytes bounds what an error text repeats of a client's own bytes, as in Redis.
const quotedBytes = 128

func errUnknownCommand(args [][]byte) error {
	var b strings.Builder
	fmt.Fprintf(&b, "ERR unknown command '%s', with args beginning with: ", cut(args[0], quotedBytes))
	for room, rest := quotedBytes, args[1:]; room > 0 && len(rest) > 0; rest = rest[1:] {
		n, _ := fmt.Fprintf(&b, "'%s' ", cut(rest[0], room))
		room -= n
	}
	return clientError(b.String())
}

// cut returns at most max bytes of b, and only up to a NUL byte, where C would end the text.
func cut(b []byte, max int) string {
	s := string(b[:min(len(b), max)])
	s, _, _ = strings.Cut(s, "\x00")
	return s
}

func errUnknownSub(container string, sub []byte) error {
	return clientError(fmt.Sprintf("ERR unknown subcommand '%s'. Try %s HELP.",
		cut(sub, quotedBytes), strings.ToUpper(container)))
}

func errArity(name string) error {
	return clientError("ERR wrong number of arguments for '" + name + "' command")
}

func errExpireTime(name string) error {
	return clientError("ERR invalid expire time in '" + name + "' command")
}

func errExpireOption(option []byte) error {
	return clientError("ERR Unsupported option " + cut(option, quotedBytes))
}

func errHelloOption(option []byte) error {
	return clientError("ERR Syntax error in HELLO option '" + cut(option, quotedBytes) + "'")
}

func errClientType(name []byte) error {
	return clientError("ERR Unknown client type '" + cut(name, quotedBytes) + "'")
}

func errNoSuchUser(name []byte) error {
	return clientError("ERR No such user '" + cut(name, quotedBytes) + "'")
}

func errClientAttribute(option string) error {
	return clientError("ERR " + option + " cannot contain spaces, newlines or special characters.")
}

func errUnknownAttribute(option []byte) error {
	return clientError("ERR Unrecognized option '" + cut(option, quotedBytes) + "'")
}

func errConfigUnknown(name []byte) error {
	quoted := cut(name, quotedBytes)
	return clientError("ERR Unknown option or number of arguments for CONFIG SET - '" + quoted + "'")
}

func errConfigFailed(name, why string) error {
	return clientError("ERR CONFIG SET failed (possibly related to argument '" + name + "') - " + why)
}

func errCompacted(e *mvcc.CompactedError) error {
	return clientError(fmt.Sprintf("COMPACTED %d required revision has been compacted", e.Revision))
}

func errTooLarge(bytes int, max int64) error {
	return clientError(fmt.Sprintf("ERR request is too large (%d bytes, --max-request-bytes is %d); "+
		"the command was not executed", bytes, max))
}

// opError is the text for what one operation of a request, or a read of the store, could not do.
func opError(err error) error {
	var compacted *mvcc.CompactedError
	switch {
	case errors.As(err, &compacted):
		return errCompacted(compacted)
	case errors.Is(err, mvcc.ErrNotInteger):
		return errNotInteger
	case errors.Is(err, mvcc.ErrOverflow):
		return errOverflow
	case errors.Is(err, mvcc.ErrValueTooLong):
		return errValueTooLong
	case errors.Is(err, mvcc.ErrKeyNotFound):
		return errKeyNotFound
	case errors.Is(err, mvcc.ErrNoLease):
		return errNoLease
	case errors.Is(err, mvcc.ErrLeaseExists):
		return errLeaseExists
	case errors.Is(err, mvcc.ErrQueueKey):
		return errQueueKey
	case errors.Is(err, mvcc.ErrPlaceTaken):
		return errPlaceTaken
	case errors.Is(err, mvcc.ErrQueuedTwice):
		return errQueuedTwice
	case errors.Is(err, mvcc.ErrNotHolder):
		return errLockLost
	case errors.Is(err, mvcc.ErrFutureRevision):
		return errFutureRev
	default:
		return errInternal
	}
}

// writeFate is the text for a submission that has no results.
func (d *Dispatcher) writeFate(err error, bytes int) error {
	switch {
	case errors.Is(err, raftfsm.ErrNoLeader):
		return errNoLeader
	case errors.Is(err, raftfsm.ErrBusy):
		return errBusy
	case errors.Is(err, raftfsm.ErrTooLarge):
		return errTooLarge(bytes, d.cfg.MaxRequestBytes)
	case errors.Is(err, raftfsm.ErrClosed):
		return errClosing
	default:
		return errDoubtful // the only safe thing to say of what is not known to be undone
	}
}

// readFate is the text for reads that could not be confirmed. A read changes nothing, so it may be repeated.
func readFate(err error) error {
	switch {
	case errors.Is(err, raftfsm.ErrNoLeader):
		return errNoLeader
	case errors.Is(err, raftfsm.ErrClosed):
		return errClosing
	default:
		return errReadFailed
	}
}

// refusal is the text for writes that grow the state while the node takes none.
func refusal(err error) error {
	if errors.Is(err, raftfsm.ErrDiskFull) {
		return errDiskFull
	}
	return errOOM
}
