package raftfsm

import (
	"strings"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/pubsub"
)

// What the machine tells the hub of each entry: its events, the messages it publishes, and which
// connection of this member wrote what. It does so before it answers those who wait for the entry, and
// never waits itself.
//
// A message is delivered at most once. At a start the log is applied again, and its messages were
// delivered by the process that applied it first; so messages and notifications up to the last index that
// was in the log at start are not told. Some of those may not have been committed then, and are lost: at
// most once.

// applied gathers what one entry is going to tell.
type applied struct {
	messages []pubsub.Message
	writers  []pubsub.Writer
	tracking bool // somebody wants to know who wrote
}

func (a *applied) reset(hub *pubsub.Hub) {
	clear(a.messages)
	a.messages, a.writers = a.messages[:0], a.writers[:0]
	a.tracking = hub != nil && hub.Tracker().Active()
}

// wrote notes that the request just applied, the last that f handed out, made the events up to n.
func (a *applied) wrote(n int, f *filler) {
	if a.tracking {
		a.writers = append(a.writers, pubsub.Writer{Upto: n, ID: f.owner()})
	}
}

// owner returns the connection that sent the last request handed out; 0 if it is not of this member.
func (f *filler) owner() uint64 {
	if f.batch == nil || f.batch.subs[f.sub] == nil {
		return 0
	}
	return f.batch.subs[f.sub].Owner
}

// tell tells the hub. Changes of locks and elections are among the messages: see observeQueues.
func (m *machine) tell(index uint64, events []mvcc.Event) {
	if m.hub == nil {
		return
	}
	m.hub.Tracker().Changed(events, m.told.writers)
	m.hub.Applied(pubsub.Applied{
		Revision: m.store.Revision(), Events: events, Messages: m.told.messages, Quiet: index <= m.quiet.Load(),
	})
}

// publish applies a Publish request. It changes nothing in the store.
func (m *machine) publish(b *mvcc.Batch, body *reader, res *mvcc.Result) {
	m.told.messages = append(m.told.messages, body.message())
	if res != nil {
		res.Succeeded, res.Revision, res.Ops = true, b.Revision(), res.Ops[:0]
	}
}

// publishAll tells the messages of a transaction.
func (m *machine) publishAll(ops []mvcc.Op) {
	for i := range ops {
		kind := pubsub.KindChannel
		if ops[i].Delta == publishShard {
			kind = pubsub.KindShard
		}
		m.told.messages = append(m.told.messages, pubsub.Message{
			Kind: kind, Channel: strings.Clone(ops[i].Span.From), Payload: strings.Clone(ops[i].Value),
		})
	}
}

// PublishOp is a message as a part of a transaction: it is sent if its turn comes.
func PublishOp(m pubsub.Message) mvcc.Op {
	op := mvcc.Op{Kind: mvcc.OpPublish, Span: mvcc.KeySpan(m.Channel), Value: m.Payload}
	if m.Kind == pubsub.KindShard {
		op.Delta = publishShard
	}
	return op
}

// The kinds of a published message in the log, as a request and as Op.Delta.
const (
	publishChannel = iota
	publishShard
)

// message decodes the body of a Publish request. The hub keeps it, so it does not alias the entry.
func (r *reader) message() (m pubsub.Message) {
	m.Kind = pubsub.KindChannel
	if r.enum("message", publishChannel, publishShard) == publishShard {
		m.Kind = pubsub.KindShard
	}
	m.Channel, m.Payload = strings.Clone(r.bytes()), strings.Clone(r.bytes())
	return m
}

// AddPublish adds a message to all subscribers on all members. Its result has no operations.
func (s *Submission) AddPublish(m pubsub.Message) {
	kind := byte(publishChannel)
	if m.Kind == pubsub.KindShard {
		kind = publishShard
	}
	s.add(ReqPublish, func(b []byte) []byte {
		return appendBytes(appendBytes(append(b, kind), m.Channel), m.Payload)
	})
}

// Hub returns the hub of this member's subscriptions.
func (e *Engine) Hub() *pubsub.Hub { return e.machine.hub }

// openHub makes the hub. REQUIRES: nothing has been applied.
func (e *Engine) openHub() { e.machine.hub = pubsub.New(e.machine.store) }

// startTelling ends the silence that the log of the last run is applied in.
func (e *Engine) startTelling(last cluster.Index) { e.machine.quiet.Store(uint64(last)) }
