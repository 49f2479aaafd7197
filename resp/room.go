package resp

// growStep is more than the longest incomplete header, which may follow a request that is at its limit.
const growStep = 2 * maxHeader

// How the read buffer grows and shrinks. Sizes: none at rest, 4 KiB for ordinary requests, 64 KiB while a
// client fills more than that at once, more only for a request that is itself larger, and then at most
// twice its bytes received so far. A partial command at the end of the buffer is moved to the front before
// the next read, so an endless pipeline that never ends on a command border stays in 64 KiB.

// tail returns the free part of the buffer for the next read; it is never empty.
// Commands returned by parse are no longer valid.
func (p *parser) tail() []byte {
	if p.work == nil {
		p.work = borrow(false)
	}
	if p.begin == p.end {
		p.rewind()
		p.shrink()
	}
	if free := len(p.work.buf) - p.end; free == 0 || p.wasteful() || p.begin > len(p.work.buf)/2 {
		p.move()
	}
	return p.work.buf[p.end:]
}

// filled adds n bytes, read into tail, to the unread bytes.
func (p *parser) filled(n int) {
	p.end += n
	p.lastRead = n
}

// shrink goes back to a small buffer when the last read did not need a large one: a connection that cannot
// wait without a buffer (see rawReader) should wait with a small one. REQUIRES: nothing unread.
func (p *parser) shrink() {
	if len(p.work.buf) > smallBuffer && p.lastRead <= smallBuffer {
		giveBack(p.work)
		p.work = borrow(false)
	}
}

// adopt makes w, whose buffer holds n fresh bytes, the workspace. REQUIRES: at rest.
func (p *parser) adopt(w *workspace, n int) {
	p.work = w
	p.begin, p.pos, p.end = 0, 0, n
}

// rest gives the workspace back if nothing is unread, and reports whether it did.
func (p *parser) rest() bool {
	if p.begin != p.end {
		return false
	}
	p.release()
	return true
}

// release gives the workspace back and forgets what is unread.
func (p *parser) release() {
	if p.work != nil {
		giveBack(p.work)
		p.work = nil
	}
	p.rewind()
}

func (p *parser) rewind() { p.begin, p.pos, p.end = 0, 0, 0 }

// wasteful is true when a buffer that grew for one request now holds little of the next.
func (p *parser) wasteful() bool {
	return len(p.work.buf) > largeBuffer && p.unread() < largeBuffer/2 && p.known() < largeBuffer/2
}

// known is how many bytes the command in progress will certainly have, as far as its headers were read.
func (p *parser) known() int {
	if p.bulk == noBulk {
		return p.unread()
	}
	return p.pos - p.begin + p.bulk + terminator
}

// move brings the unread bytes to the front of a buffer with room for more: the same one if it has enough.
func (p *parser) move() {
	old := p.work
	kept := old.buf[p.begin:p.end]
	switch size := p.nextSize(); {
	case size == len(old.buf):
		copy(old.buf, kept)
	case size <= largeBuffer:
		p.work = borrow(size > smallBuffer)
		p.takeOver(old, kept)
		giveBack(old)
	default:
		grown := make([]byte, size)
		copy(grown, kept)
		old.buf = grown
	}
	p.pos -= p.begin
	p.end -= p.begin
	p.begin = 0
}

func (p *parser) takeOver(old *workspace, kept []byte) {
	copy(p.work.buf, kept)
	p.work.spans = append(p.work.spans[:0], old.spans...)
	p.work.out = append(p.work.out[:0], old.out...)
}

// nextSize decides the size of the buffer that the unread bytes go to; it always leaves room to read.
func (p *parser) nextSize() int {
	have, kept := len(p.work.buf), p.unread()
	switch {
	case p.wasteful(), have < largeBuffer && p.end == have:
		return largeBuffer
	case p.known() <= have && kept < have:
		return have
	case p.bulk >= have/2 && p.known() < 2*have:
		return p.known() // exactly: the end of a big value is the usual end of a request
	default:
		return max(have+growStep, min(2*have, p.limits.RequestBytes+growStep))
	}
}
