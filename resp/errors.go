package resp

import (
	"errors"
	"fmt"
)

// ErrServerClosed is returned by Serve when Close was called before it.
var ErrServerClosed = errors.New("resp: server closed")

// Inside the package only: why a connection's loop ends without a word to the client.
var (
	errStopping      = errors.New("resp: server is stopping")
	errCrossProtocol = errors.New("resp: a browser or an HTTP client is talking to the Redis port")
)

// violation is a breach of the protocol. The client is told and then the connection ends, because the
// position of the next command in the stream is no longer known.
type violation string

// Error is the exact reply without '-'; the texts are Redis's where Redis has one.
func (v violation) Error() string { return "ERR Protocol error: " + string(v) }

const (
	errMultibulkLength     violation = "invalid multibulk length"
	errBulkLength          violation = "invalid bulk length"
	errMultibulkHeader     violation = "too big mbulk count string"
	errBulkHeader          violation = "too big bulk count string"
	errInlineLength        violation = "too big inline request"
	errInlineQuotes        violation = "unbalanced quotes in request"
	errMultibulkBeforeAuth violation = "unauthenticated multibulk length"
	errBulkBeforeAuth      violation = "unauthenticated bulk length"
)

func errExpectedBulk(got byte) violation {
	return violation("expected '$', got '" + string([]byte{got}) + "'")
}

func errRequestLength(limits bounds) violation {
	if limits.BeforeAuth {
		return violation(fmt.Sprintf("unauthenticated request exceeds %d bytes", limits.RequestBytes))
	}
	return violation(fmt.Sprintf("request exceeds max-request-bytes (%d)", limits.RequestBytes))
}
