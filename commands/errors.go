package commands

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/script"
)

// clientError is a text a client sees. Its first word is a contract: clients act on it, and it says
// whether a write is definitely not done or of unknown outcome (only UNCERTAIN). Everything a client can
// be told is in this file. No text quotes the value of a key.
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
	errWrongPass        = clientError("WRONGPASS invalid username-password pair or user is disabled.")
	errProtoNotInt      = clientError("ERR Protocol version is not an integer or out of range")
	errNoProto          = clientError("NOPROTO unsupported protocol version")
	errClientName       = clientError("ERR Client names cannot contain spaces, newlines or special characters.")
	errNoSuchClient     = clientError("ERR No such client")
	errClientID         = clientError("ERR client-id should be greater than 0")
	errListClientID     = clientError("ERR Invalid client ID")
	errNoKeyArgs        = clientError("ERR The command has no key arguments")
	errGetKeysArity     = clientError("ERR Invalid number of arguments specified for command")
	errGetKeysName      = clientError("ERR Invalid command specified")
	errFailoverHere     = clientError("ERR You should send CLUSTER FAILOVER to a replica")
	errNoGoodReplica    = clientError("NOGOODSLAVE No suitable replica to promote")
	errNoCluster        = clientError("ERR This instance has cluster support disabled")
	errInvalidSlot      = clientError("ERR Invalid slot")
	errNoSuchMaster     = clientError("ERR No such master with that name")
	errNotMaster        = clientError("ERR The specified node is not a master")
	errOOM              = clientError("OOM command not allowed when used memory > 'maxmemory'.")
	errInvalidSlotCount = clientError("ERR Invalid slot or number of keys")
	errSlowlogCount     = clientError("ERR count should be greater than or equal to -1")
	errNotInMulti       = clientError("ERR Command not allowed inside a transaction")
	errNestedMulti      = clientError("ERR MULTI calls can not be nested")
	errWatchInMulti     = clientError("ERR WATCH inside MULTI is not allowed")
	errNoMulti          = clientError("ERR EXEC without MULTI")
	errNoDiscard        = clientError("ERR DISCARD without MULTI")
	errExecAbort        = clientError("EXECABORT Transaction discarded because of previous errors.")
	errNoBcast          = clientError("ERR PREFIX option requires BCAST mode to be enabled")
	errOptinOptout      = clientError("ERR You can't specify both OPTIN mode and OPTOUT mode")
	errBcastOpt         = clientError("ERR OPTIN and OPTOUT are not compatible with BCAST")
	errRedirectID       = clientError("ERR The client ID you want redirect to does not exist")
	errRedirectTwice    = clientError("ERR A client can only redirect to a single other client")
	errSwitchBcast      = clientError("ERR You can't switch BCAST mode on/off before disabling tracking for " +
		"this client, and then re-enabling it with a different mode.")
	errSwitchOpt = clientError("ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this " +
		"client, and then re-enabling it with a different mode.")
	errCaching = clientError("ERR CLIENT CACHING can be called only when the client is in tracking mode with " +
		"OPTIN or OPTOUT mode enabled")
	errCachingYes = clientError("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN " +
		"mode.")
	errCachingNo = clientError("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT " +
		"mode.")
	errConfigRewrite = clientError("ERR The server is running without a config file")
)

// Texts of our own.
const (
	errDiskFull = clientError("OOM command not allowed: the disk of this node is nearly full; " +
		"the command was not executed")
	errLeaderDiskFull = clientError("OOM command not allowed: the leader's disk is nearly full; " +
		"the command was not executed")
	errCorrupt = clientError("CORRUPT the state of this node differs from the other members', so it serves " +
		"nothing; the command was not executed, use another node (ALARM.LIST has the details)")
	errCorruptReason = "corrupt"
	errAlarmKind     = clientError("ERR unknown alarm, must be CORRUPT, NOSPACE, DISKFULL, HUNGDISK, " +
		"SLOWDISK, SNAPSHOTLOOP or CLOCK")
	errNoLeader = clientError("CLUSTERDOWN no leader is known; the command was not executed, try again")
	errBusy     = clientError("BUSY too many writes are waiting; the command was not executed, try again later")
	errCopied   = clientError("BUSY too much of long values was copied at once; the command was not executed, " +
		"try again later, or with fewer of them in one transaction")
	errClosing  = clientError("CLUSTERDOWN this node is shutting down; the command was not executed")
	errDoubtful = clientError("UNCERTAIN the outcome is not known: the command may or may not have been " +
		"executed; read the key before you repeat it")
	errRemoved = clientError("CLUSTERDOWN this member was removed from the cluster and serves no more; " +
		"the command was not executed, connect to another member")
	errDoubtfulChange = clientError("UNCERTAIN the change of the membership may or may not have been made; " +
		"look at MEMBER.LIST before you repeat it")
	errTakeover = clientError("ERR CLUSTER FAILOVER TAKEOVER is not supported: a leader needs a majority, and " +
		"with one is elected by itself; nothing was changed")
	errMemberID   = clientError("ERR invalid member id: 16 hex digits, as MEMBER.LIST shows them")
	errReadFailed = clientError("CLUSTERDOWN the read could not be confirmed by a majority in time, try again")
	errBehind     = clientError("CLUSTERDOWN this node is behind and did not catch up in time with what the " +
		"others have committed; try again, or read from another node")
	errRenewal = clientError("UNCERTAIN the renewal could not be confirmed in time: it may or may not have " +
		"been made; repeat it, that does no harm")
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
	errQueueKeys = clientError("ERR one of the keys is a place in the queue of a lock or an election, which " +
		"can only be deleted; nothing was written")
	errPlaceDoubtful = clientError("UNCERTAIN the place in the queue was entered, and giving it up is not " +
		"confirmed: it may still come to hold; look who holds (LOCK.INFO, ELECTION.LEADER) before you repeat it")
	errPlaceTaken  = clientError("ERR the key of this place in the queue is in use")
	errPlaceShared = clientError("ERR the lease has a SHARED place in this queue already: release that first, " +
		"or ask with another lease; the place is as it was")
	errQueuedTwice  = clientError("ERR a transaction can ask for a lock once only")
	errWaitInTxn    = clientError("ERR WAIT is not allowed inside a transaction")
	errToken        = clientError("ERR invalid token")
	errFutureRev    = clientError("FUTUREREV required revision is a future revision")
	errRevision     = clientError("ERR revision is not an integer or out of range")
	errNegative     = clientError("ERR value is out of range, must not be negative")
	errTxnOutside   = clientError("ERR TXN.IF and TXN.ELSE are only allowed inside MULTI")
	errTxnLate      = clientError("ERR TXN.IF must come before the other commands of a transaction")
	errTxnNoIf      = clientError("ERR TXN.ELSE without TXN.IF")
	errTxnElseTwice = clientError("ERR TXN.ELSE twice in one transaction")
	errTxnTarget    = clientError("ERR unknown target of a guard, must be version, create, mod, value, " +
		"lease or lock")
	errTxnOperator  = clientError("ERR unknown operator of a guard, must be =, !=, < or >")
	errTxnOps       = clientError("ERR too many operations in txn request")
	errTxnDuplicate = clientError("ERR duplicate key given in txn request")
	errTxnDepth     = clientError("ERR transactions are nested too deep")
	errNotifyClass  = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."
	errWatchRange   = clientError("ERR watcher range is empty")
	errProgress     = clientError("ERR PROGRESS must be from 100 ms to one day")
	errBackupName   = clientError("ERR a backup's name has 1 to 128 of the characters a-z A-Z 0-9 . _ -, and " +
		"does neither begin with a dot nor end in .part; nothing was written")
	errBackupSpace = clientError("ERR not enough free disk for a backup on this node; nothing was written: " +
		"free some, or ask another node")
	errBackupEnded = clientError("ERR the backup was given up: this node is shutting down, or nobody " +
		"waits for it")
	errInternal     = clientError("ERR internal error; the command was not executed")
	errSetImmutable = "can't set immutable config"
)

// Texts of Redis for the rest of strings and keys, and for the server's own commands.
const (
	errNotFloat    = clientError("ERR value is not a valid float")
	errNotFinite   = clientError("ERR increment would produce NaN or Infinity")
	errOffset      = clientError("ERR offset is out of range")
	errBitOffset   = clientError("ERR bit offset is not an integer or out of range")
	errBitValue    = clientError("ERR bit is not an integer or out of range")
	errBitArgument = clientError("ERR The bit argument must be 1 or 0.")
	errBitType     = clientError("ERR Invalid bitfield type. Use something like i16 u8. " +
		"Note that u64 is not supported but i64 is.")
	errBitOverflow = clientError("ERR Invalid OVERFLOW type specified")
	errBitReadOnly = clientError("ERR BITFIELD_RO only supports the GET subcommand")
	errBitNot      = clientError("ERR BITOP NOT must be called with a single source key.")
	errNoSuchKey   = clientError("ERR no such key")
	errSameObject  = clientError("ERR source and destination objects are the same")
	errLCSBoth     = clientError("ERR If you want both the length and indexes, please just use IDX.")
	errNoLFU       = clientError("ERR An LFU maxmemory policy is not selected, access frequency not tracked. " +
		"Please note that when switching between policies at runtime LRU and LFU data will take some time to " +
		"adjust.")
	errBusyKey     = clientError("BUSYKEY Target key name already exists.")
	errDumpVersion = clientError("ERR DUMP payload version or checksum are wrong")
	errDumpFormat  = clientError("ERR Bad data format")
	errRestoreTTL  = clientError("ERR Invalid TTL value, must be >= 0")
	errRestoreIdle = clientError("ERR Invalid IDLETIME value, must be >= 0")
	errRestoreFreq = clientError("ERR Invalid FREQ value, must be >= 0 and <= 255")
	errNumKeys     = clientError("ERR invalid numkeys value")
	errKeyPairs    = clientError("ERR wrong number of key-value pairs")
	errCondition   = clientError("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE")
	errDigest      = clientError("ERR digest must be exactly 16 hexadecimal characters")
	errTimeout     = clientError("ERR timeout is not an integer or out of range")
	errNegTimeout  = clientError("ERR timeout is negative")
	errNumReplicas = clientError("ERR value is out of range, must be positive")
	errUnblocked   = clientError("UNBLOCKED client unblocked via CLIENT UNBLOCK")
	errUnblockWhy  = clientError("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
	errNoShutdown  = clientError("ERR No shutdown in progress.")
	errShutdown    = clientError("ERR Errors trying to SHUTDOWN. Check logs.")
	errDebug       = clientError("ERR DEBUG command not allowed: this server has no debugging commands, and " +
		"no setting that allows them; nothing was done")
	errPauseMode = clientError("ERR CLIENT PAUSE mode must be WRITE or ALL")
	errNoSamples = "ERR No samples available for event '%s'"
)

// Texts of our own for the same.
const (
	errSetInteger  = "argument couldn't be parsed into an integer"
	errSetRange    = "argument must be between %d and %d inclusive"
	errSetTwice    = "duplicate parameter"
	errSwapDB      = clientError("ERR SWAPDB is not supported: there is one database, 0")
	errLCSTooLarge = clientError("ERR Insufficient memory, the values are too long for LCS")
	errDumpType    = clientError("ERR Bad data format: only strings can be restored here")
	errSourcesLong = clientError("ERR the values to be combined have more than 1 GiB together; " +
		"the command was not executed")
)

// Texts of scripts. The first group is Redis's.
const (
	errNoScript        = clientError("NOSCRIPT No matching script. Please use EVAL.")
	errTooManyKeys     = clientError("ERR Number of keys can't be greater than number of args")
	errNegativeKeys    = clientError("ERR Number of keys can't be negative")
	errScriptFlush     = clientError("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
	errScriptDebug     = clientError("ERR Use SCRIPT DEBUG YES/SYNC/NO")
	errNotBusy         = clientError("NOTBUSY No scripts in execution right now.")
	errScriptUnknown   = clientError("ERR Unknown Redis command called from script")
	errScriptArity     = clientError("ERR Wrong number of args calling Redis command from script")
	errScriptForbidden = clientError("ERR This Redis command is not allowed from script")
	errScriptReadOnly  = clientError("ERR Write commands are not allowed from read-only scripts.")
	errScriptKilled    = clientError("ERR Script killed by user with SCRIPT KILL...")

	errNoFunctions    = clientError("ERR functions are not supported: send the script with EVAL")
	errNoDebugger     = clientError("ERR there is no script debugger")
	errScriptConflict = clientError("TRYAGAIN what the script read was changed by others each time before its " +
		"writes could be made; nothing was changed, try again")
	errScriptSlots  = clientError("BUSY too many scripts are running; this one was not started, try again later")
	errScriptWrites = clientError("ERR the script writes too much; nothing was changed.")
)

func errScriptReads(max int) error {
	return clientError(fmt.Sprintf("ERR the script reads more than %d keys; nothing was changed.", max))
}

func errScriptCompile(e *script.CompileError) error { return clientError("ERR " + e.Text) }

func errScriptTimeout(limit time.Duration) error {
	return clientError(fmt.Sprintf("ERR the script ran for longer than --script-timeout (%v) and was ended; "+
		"nothing was changed.", limit))
}

func errScriptMemory(limit int64) error {
	return clientError(fmt.Sprintf("ERR the script allocated more than %d MiB and was ended; "+
		"nothing was changed.", limit>>20))
}

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

func errUnknownNode(id []byte) error {
	return clientError("ERR Unknown node " + cut(id, quotedBytes))
}

// errMoved sends a cluster client to the leader; nothing of the command has been done.
func errMoved(slot int, addr string) error {
	return clientError(fmt.Sprintf("MOVED %d %s", slot, addr))
}

// errManagedSub refuses what would manage a Redis Cluster by hand.
func errManagedSub(sub string) error {
	return clientError("ERR CLUSTER " + sub + " is not supported: all slots are the leader's, and members are " +
		"managed with the MEMBER commands; nothing was changed")
}

func errSentinelSub(sub string) error {
	return clientError("ERR SENTINEL " + sub + " is not supported: the members elect the leader, and are " +
		"managed with the MEMBER commands on the data port; nothing was changed")
}

func errNoQuorum(usable int) error {
	return clientError(fmt.Sprintf("NOQUORUM %d usable Sentinels. Not enough available Sentinels to reach the "+
		"specified quorum for this master", usable))
}

func errSubscriber(name string) error {
	return clientError("ERR Can't execute '" + name + "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / " +
		"QUIT / RESET are allowed in this context")
}

func errWatchChannel(channel, why string) error {
	return clientError("ERR invalid watch channel '" + cut([]byte(channel), quotedBytes) + "': " + why)
}

func errPrefixOverlap(prefix, other, which string) error {
	return clientError(fmt.Sprintf("ERR Prefix '%s' overlaps with %s prefix '%s'. Prefixes for a single client "+
		"must not overlap.", prefix, which, other))
}

func errArity(name string) error {
	return clientError("ERR wrong number of arguments for '" + name + "' command")
}

func errExecAborted(why error) error {
	return clientError("EXECABORT Transaction discarded because of: " + strings.TrimPrefix(why.Error(), "ERR "))
}

// errTxnRanges stands behind "EXECABORT Transaction discarded because of".
func errTxnRanges(most int) error {
	return clientError(fmt.Sprintf("more than %d operations on ranges of keys or on the past (KEYS, SCAN, "+
		"DBSIZE, RANDOMKEY, FLUSHALL, KV.RANGE and the like; --max-txn-ops); nothing was done, use several "+
		"transactions", most))
}

func errNotInTxn(name string) error {
	return clientError("ERR command '" + name + "' is not allowed in KV.TXN")
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
	case errors.Is(err, mvcc.ErrNoSuchKey):
		return errNoSuchKey
	case errors.Is(err, mvcc.ErrNotFloat):
		return errNotFloat
	case errors.Is(err, mvcc.ErrNotFinite):
		return errNotFinite
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
	case errors.Is(err, mvcc.ErrQuota):
		return errOOM
	case errors.Is(err, mvcc.ErrCopied):
		return errCopied
	case errors.Is(err, mvcc.ErrSourcesLong):
		return errSourcesLong
	default:
		return errInternal
	}
}

func errConfigUnwritten(err error) error {
	return clientError("ERR Rewriting config file: " + err.Error())
}

func errBitSources(operation string) error {
	return clientError("ERR BITOP " + operation + " must be called with at least two source keys.")
}

func errNoLatency(event []byte) error {
	return clientError(fmt.Sprintf(errNoSamples, cut(event, quotedBytes)))
}

// moreOf stands for what the slow log does not keep.
func moreOf(n int, what string) string { return fmt.Sprintf("... (%d more %s)", n, what) }

func errBackup(err error) error {
	var own clientError
	if errors.As(err, &own) {
		return own
	}
	return clientError("ERR the backup failed, nothing is left of it: " + err.Error())
}

func errBackupExists(name string) error {
	return clientError("ERR there is a backup " + name + " already; nothing was written: choose another name")
}
