package commands

// MONITOR shows the commands this node executes, as they come, to those who asked. It is at most once: a
// monitor that does not keep up misses lines and then its connection, by the rule of the connection's push
// queue. Nobody waits for it: where nobody monitors, the cost is one atomic load for each command.
//
// Commands whose arguments hold passwords are not shown.

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/redkeep/redkeep/resp"
)

// pusher is a connection that takes frames outside of replies, and is cut when it is too slow.
type pusher interface{ Post(frame []byte) }

// monitors are the connections that watch all commands.
type monitors struct {
	count atomic.Int32

	mu struct {
		sync.Mutex
		byID map[uint64]pusher
	}
}

func (m *monitors) add(id uint64, p pusher) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.byID == nil {
		m.mu.byID = map[uint64]pusher{}
	}
	m.mu.byID[id] = p
	m.count.Store(int32(len(m.mu.byID)))
}

func (m *monitors) remove(id uint64) {
	if m.count.Load() == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.mu.byID, id)
	m.count.Store(int32(len(m.mu.byID)))
}

func (m *monitors) all() map[uint64]pusher {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[uint64]pusher, len(m.mu.byID))
	for id, p := range m.mu.byID {
		out[id] = p
	}
	return out
}

func monitor(c *call, s *session) (resp.Value, error) {
	c.d.monitors.add(s.id, s.open(c.d))
	s.unstakeAll(listMonitor)
	s.stake(c.d, claim{kind: listMonitor})
	return resp.OK(), nil
}

// feed shows a command to the monitors.
func (d *Dispatcher) feed(s *session, c *call) {
	if c.row.hidden || c.row.Flags&FlagAdmin != 0 {
		return
	}
	frame := []byte("+" + d.monitorLine(s.conn.RemoteAddr(), c.args) + "\r\n")
	for _, p := range d.monitors.all() {
		p.Post(frame)
	}
}

// monitorLine is Redis's form: time, database and client, then each word quoted.
func (d *Dispatcher) monitorLine(client string, args [][]byte) string {
	now := d.cfg.Clock()
	var b strings.Builder
	fmt.Fprintf(&b, "%d.%06d [0 %s]", now.Unix(), now.Nanosecond()/1000, client)
	for _, word := range args {
		b.WriteByte(' ')
		quoteInto(&b, word)
	}
	return b.String()
}

// quoteInto writes bytes between quotation marks with everything else than printable ASCII escaped.
func quoteInto(b *strings.Builder, word []byte) {
	b.WriteByte('"')
	for _, c := range word {
		switch {
		case c == '\\' || c == '"':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c >= ' ' && c <= '~':
			b.WriteByte(c)
		case strings.IndexByte("\n\r\t\a\b", c) >= 0:
			b.WriteByte('\\')
			b.WriteByte("nrtab"[strings.IndexByte("\n\r\t\a\b", c)])
		default:
			fmt.Fprintf(b, "\\x%02x", c)
		}
	}
	b.WriteByte('"')
}
