package resp

import "bytes"

// The parser turns the bytes of one connection into commands.
//
// Idea. One state machine over one buffer that the connection owns. All progress is kept between reads in a
// few integers (begin, pos, scanned, argsLeft, bulk), so no byte is looked at twice however the client cuts
// its packets, and nothing recurses. Bodies of bulk strings are skipped, not scanned. Arguments of the
// command in progress are kept as offsets, because the buffer may move before the command is complete; the
// finished batch is slices of the buffer, which then stays where it is until the handler returns.
//
// Invariants.
//  1. begin <= pos <= end <= len(buf); [begin, pos) is the parsed part of an incomplete command.
//  2. argsLeft > 0 iff the header of the command in progress has been read; then len(spans) + argsLeft is
//     its count. bulk >= 0 iff the length of the next argument has been read.
//  3. What the parser says depends on the bytes alone, never on how they were cut into reads.
//  4. No header makes the buffer grow: it grows with bytes that have arrived, by doubling, never past the
//     request limit, so a client pays for every byte it makes us hold.
//  5. Errors are final: the end of the broken command is unknown, so nothing after it is parsed.
//
// Limits are checked at the first byte that shows the breach: the count of arguments, the length of each
// bulk string, the sum of a request (both smaller before authentication), the length of a header and of an
// inline line.
//
// Rejected. Scanning for a complete request and parsing it afterwards (quadratic for slow senders; this is
// how redcon's reader could be made to burn a core); a copy per command (garbage; replies of a batch are
// built before the buffer is used again anyway).
//
// Stricter than Redis in one point: Redis skips the two bytes after a header or a bulk string without
// looking, we insist on CR LF. A wrong length is thus found where it happens instead of being executed as a
// wrong command.
//
// Drawback. Arguments are valid only until the handler returns; who keeps one must copy it.

// Command is one request: its name and its arguments, at least one.
type Command struct {
	Args [][]byte // alias the read buffer; valid until ServePipeline returns
}

// bounds limit one request.
type bounds struct {
	RequestBytes int  // whole request with its framing, 64 KiB .. 1 GiB
	BeforeAuth   bool // also apply Redis's small limits for clients that have not authenticated
}

const (
	maxArgs           = 1 << 20
	maxArgsBeforeAuth = 10
	maxBulk           = 512 << 20 // Redis's proto-max-bulk-len: above it a length is nonsense, not merely large
	maxBulkBeforeAuth = 16 << 10
	maxInline         = 64 << 10
	maxHeader         = 32 // digits, sign and CR of a header; anything longer is not a number
	maxBatch          = 8 << 10
	maxBatchBytes     = 1 << 20
	requestFloor      = maxInline
	requestCeiling    = 1 << 30 // offsets are 32 bits wide
	noBulk            = -1
	crossProtocolPost = "post"
	crossProtocolHost = "host:"
	terminator        = 2 // CR LF
)

// span is an argument of the command in progress, relative to its begin.
type span struct{ from, to uint32 }

// parser is the state machine; the zero value is not ready, see newParser. Not safe for concurrent use.
type parser struct {
	limits   bounds
	work     *workspace // nil iff there are no unread bytes and the connection is at rest
	begin    int        // first byte of the command in progress
	pos      int        // first byte not parsed
	end      int        // end of the bytes read
	scanned  int        // inline only: so many bytes from pos on hold no newline
	argsLeft int
	bulk     int
	lastRead int
}

func newParser(limits bounds) parser { return parser{limits: limits, bulk: noBulk} }

// unread is the number of bytes received that no command has been made of yet.
func (p *parser) unread() int { return p.end - p.begin }

// parse returns the commands that are complete, at most max. They are valid until the next call of any
// method. A breach of the protocol is returned together with the commands that precede it.
func (p *parser) parse(max int) ([]Command, error) {
	w := p.work
	if w == nil {
		return nil, nil
	}
	w.batch, w.args = w.batch[:0], w.args[:0]
	start := p.pos
	for p.pos < p.end && len(w.batch) < max && p.pos-start < maxBatchBytes {
		complete, err := p.command()
		if !complete || err != nil {
			return w.batch, err
		}
		p.begin = p.pos
	}
	return w.batch, nil
}

// command goes on with the command in progress; complete is also true for one that is ignored.
func (p *parser) command() (complete bool, err error) {
	if p.argsLeft == 0 {
		if p.work.buf[p.pos] != '*' {
			return p.inline()
		}
		ready, err := p.count()
		if !ready || p.argsLeft == 0 {
			return ready, err
		}
	}
	for p.argsLeft > 0 {
		ready, err := p.argument()
		if !ready {
			return false, err
		}
	}
	return true, p.emit()
}

// count reads the header of a command. Zero and negative counts are no command, as in Redis.
func (p *parser) count() (ready bool, err error) {
	n, ready, err := p.header(errMultibulkHeader, errMultibulkLength)
	switch {
	case !ready:
		return false, err
	case n > maxArgs:
		return false, errMultibulkLength
	case n > maxArgsBeforeAuth && p.limits.BeforeAuth:
		return false, errMultibulkBeforeAuth
	case n > 0:
		p.argsLeft = n
		p.work.spans = p.work.spans[:0]
	}
	return true, nil
}

// argument reads one bulk string of the command in progress.
func (p *parser) argument() (ready bool, err error) {
	if p.bulk == noBulk {
		if p.pos == p.end {
			return false, nil
		}
		if ready, err = p.bulkHeader(); !ready {
			return false, err
		}
	}
	stop := p.pos + p.bulk
	if p.end < stop+terminator {
		return false, nil
	}
	buf := p.work.buf
	if buf[stop] != '\r' || buf[stop+1] != '\n' {
		return false, errBulkLength
	}
	p.work.spans = append(p.work.spans, span{uint32(p.pos - p.begin), uint32(stop - p.begin)})
	p.pos = stop + terminator
	p.bulk = noBulk
	p.argsLeft--
	return true, nil
}

func (p *parser) bulkHeader() (ready bool, err error) {
	if got := p.work.buf[p.pos]; got != '$' {
		return false, errExpectedBulk(got)
	}
	n, ready, err := p.header(errBulkHeader, errBulkLength)
	switch {
	case !ready:
		return false, err
	case n < 0 || n > maxBulk:
		return false, errBulkLength
	case n > maxBulkBeforeAuth && p.limits.BeforeAuth:
		return false, errBulkBeforeAuth
	case p.pos-p.begin+n+terminator > p.limits.RequestBytes:
		return false, errRequestLength(p.limits)
	}
	p.bulk = n
	return true, nil
}

// header reads "<mark><integer>\r\n" at pos. At most maxHeader bytes are looked at again when the line was
// cut.
func (p *parser) header(tooLong, invalid violation) (n int, ready bool, err error) {
	line := p.work.buf[p.pos+1 : p.end]
	window := line
	if len(window) > maxHeader {
		window = window[:maxHeader]
	}
	stop := bytes.IndexByte(window, '\r')
	switch {
	case stop < 0 && len(window) == maxHeader:
		return 0, false, tooLong
	case stop < 0 || stop+1 == len(line):
		return 0, false, nil
	}
	n, canonical := canonicalInt(line[:stop])
	if !canonical || line[stop+1] != '\n' {
		return 0, false, invalid
	}
	p.pos += 1 + stop + terminator
	return n, true, nil
}

// emit appends the command in progress, now complete, to the batch.
func (p *parser) emit() error {
	w := p.work
	first := len(w.args)
	for _, s := range w.spans {
		from, to := p.begin+int(s.from), p.begin+int(s.to)
		w.args = append(w.args, w.buf[from:to:to])
	}
	return p.finish(first)
}

// finish makes w.args[first:] a command, if there is anything.
func (p *parser) finish(first int) error {
	w := p.work
	args := w.args[first:len(w.args):len(w.args)]
	if len(args) == 0 {
		return nil
	}
	if isCrossProtocol(args[0]) {
		return errCrossProtocol
	}
	w.batch = append(w.batch, Command{Args: args})
	return nil
}

// inline reads a command typed by hand: one line.
func (p *parser) inline() (complete bool, err error) {
	window := p.work.buf[p.pos+p.scanned : min(p.end, p.pos+maxInline+1)]
	at := bytes.IndexByte(window, '\n')
	if at < 0 {
		p.scanned += len(window)
		if p.scanned > maxInline {
			return false, errInlineLength
		}
		return false, nil
	}
	line := p.work.buf[p.pos : p.pos+p.scanned+at]
	p.pos += len(line) + 1
	p.scanned = 0
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	first := len(p.work.args)
	words, balanced := splitInline(p.work.args, line)
	if !balanced {
		return false, errInlineQuotes
	}
	p.work.args = words
	return true, p.finish(first)
}

// isCrossProtocol knows the first words of an HTTP request, which a web page can make a browser send here.
// The connection is closed at them, so that no line of the body is taken for a command (as Redis does).
func isCrossProtocol(name []byte) bool {
	switch len(name) {
	case len(crossProtocolPost):
		return equalFold(name, crossProtocolPost)
	case len(crossProtocolHost):
		return equalFold(name, crossProtocolHost)
	default:
		return false
	}
}

// equalFold compares with a lower-case ASCII word.
func equalFold(b []byte, lower string) bool {
	for i := range b {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// canonicalInt reads a decimal integer in its only spelling: no plus sign, no leading zero, no "-0", at
// most eighteen digits. Larger numbers are above every limit, so they need no value.
func canonicalInt(b []byte) (n int, ok bool) {
	digits := b
	if len(b) > 0 && b[0] == '-' {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 18 || (digits[0] == '0' && len(b) > 1) {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	if len(digits) < len(b) {
		n = -n
	}
	return n, true
}
