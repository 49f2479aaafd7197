package linear

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

// fate is what is known about an operation once its call has ended.
type fate uint8

const (
	done    fate = iota // answered
	refused             // definitely did not take effect
	unknown             // may have taken effect, or may yet
)

// definite are the error prefixes that promise that nothing was done.
var definite = []string{"CLUSTERDOWN ", "BUSY ", "TRYAGAIN ", "OOM ", "LOADING ", "MOVED "}

// Client sends one operation at a time to one node and records what became of it.
type Client struct {
	Recorder
	addr    string
	timeout time.Duration
	rng     *rand.Rand
	conn    *wire.Conn
	serial  int
	seen    map[string]string // the last value read of a key: what a compare-and-set expects
	problem error             // an answer that no operation may get; ends the run as a failure
}

// args renders an operation as a command.
func args(in Input) []string {
	key := keyName(in.Partition, in.Key)
	switch in.Kind {
	case Get, Del, Incr:
		return []string{in.Kind.String(), key}
	case KVRange:
		return []string{"KV.RANGE", keyName(in.Partition, -1), "PREFIX"}
	case Cas:
		return []string{"KV.TXN", "1", "value", key, "=", in.Expect,
			"2", "3", "SET", keyName(in.Partition, 0), in.Value, "3", "SET", keyName(in.Partition, 1), in.Value,
			"1", "2", "GET", key}
	case Mset:
		out := []string{"MSET"}
		for i, v := range in.Values {
			out = append(out, keyName(in.Partition, i), v)
		}
		return out
	}
	return []string{in.Kind.String(), key, in.Value}
}

// keyName names a key of a partition; -1 gives the prefix of all its keys.
func keyName(partition, key int) string {
	if key < 0 {
		return fmt.Sprintf("p%d:", partition)
	}
	return fmt.Sprintf("p%d:%d", partition, key)
}

// Do runs one operation and records it.
func (c *Client) Do(in Input) { c.ask(in, func() {}) }

// ask is Do that tells when the request is on its way, answered or not.
func (c *Client) ask(in Input, sent func()) {
	if c.conn == nil {
		conn, err := wire.Dial(c.addr)
		if err != nil {
			sent()
			return // no byte of the request left, so nothing is recorded
		}
		conn.Timeout = c.timeout
		c.conn = conn
	}
	call := c.now()
	err := c.conn.Send(wire.Encode(args(in)...))
	sent()
	var r wire.Reply
	if err == nil {
		r, err = c.conn.Read()
	}
	out, f := c.read(in, r, err)
	if f == done {
		c.learn(in, out)
	}
	c.record(in, out, f, call, c.now())
	if err != nil {
		c.Close()
	}
}

// Close drops the connection.
func (c *Client) Close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// read turns a reply into an output and a fate.
func (c *Client) read(in Input, r wire.Reply, err error) (Output, fate) {
	if err != nil {
		return Output{}, unknown
	}
	if r.IsErr() {
		return c.readError(in, r.Text)
	}
	switch in.Kind {
	case Get:
		return Output{Cell: Cell{!r.Null, r.Text}}, done
	case KVRange:
		return c.readRange(in, r)
	case Cas:
		return c.readCas(in, r)
	case Set, Mset:
		if r.Text != "OK" {
			c.complain(in, r)
		}
		return Output{}, done
	}
	if r.Kind != ':' {
		c.complain(in, r)
	}
	return Output{N: r.Int()}, done
}

func (c *Client) readError(in Input, text string) (Output, fate) {
	for _, prefix := range definite {
		if strings.HasPrefix(text, prefix) {
			return Output{}, refused
		}
	}
	if strings.HasPrefix(text, "UNCERTAIN ") {
		return Output{}, unknown
	}
	if in.Kind == Incr && strings.HasPrefix(text, "ERR value is not an integer") {
		return Output{NotInt: true}, done
	}
	c.complain(in, text)
	return Output{}, unknown
}

func (c *Client) readRange(in Input, r wire.Reply) (Output, fate) {
	rev, _ := r.Field("revision")
	kvs, ok := r.Field("kvs")
	if !ok {
		c.complain(in, r)
		return Output{}, unknown
	}
	out := Output{N: rev.Int()}
	for _, kv := range kvs.Elems {
		key, _ := kv.Field("key")
		value, _ := kv.Field("value")
		for i := range KeysPerPartition {
			if key.Text == keyName(in.Partition, i) {
				out.Snapshot[i] = Cell{true, value.Text}
			}
		}
	}
	return out, done
}

func (c *Client) readCas(in Input, r wire.Reply) (Output, fate) {
	held, _ := r.Field("succeeded")
	responses, ok := r.Field("responses")
	if !ok || len(responses.Elems) != 1+int(held.Int()) {
		c.complain(in, r)
		return Output{}, unknown
	}
	if held.Int() == 1 {
		return Output{N: 1}, done
	}
	return Output{Cell: Cell{!responses.Elems[0].Null, responses.Elems[0].Text}}, done
}

// learn remembers what was read, so that some compare-and-set finds what it expects.
func (c *Client) learn(in Input, out Output) {
	if c.seen == nil {
		c.seen = map[string]string{}
	}
	switch {
	case in.Kind == Cas && out.N == 1:
		c.seen[keyName(in.Partition, 0)], c.seen[keyName(in.Partition, 1)] = in.Value, in.Value
	case in.Kind == Get, in.Kind == Cas:
		c.seen[keyName(in.Partition, in.Key)] = out.Cell.Value
	case in.Kind == KVRange:
		for i, cell := range out.Snapshot {
			c.seen[keyName(in.Partition, i)] = cell.Value
		}
	case in.Kind == Set, in.Kind == KVPut:
		c.seen[keyName(in.Partition, in.Key)] = in.Value
	}
}

func (c *Client) complain(in Input, got any) {
	if c.problem == nil {
		c.problem = fmt.Errorf("%v was answered %v", args(in), got)
	}
}

// next draws an operation on a partition. Every value written is unique, so that a read names its writer;
// only counters hold numbers, and now and then an operation meets a key of the other sort.
func (c *Client) next(partition int) Input {
	c.serial++
	in := Input{Kind: drawKind(c.rng), Partition: partition, Key: c.rng.IntN(KeysPerPartition - 1)}
	in.Value = fmt.Sprintf("%d.%d,", c.id, c.serial)
	counter := KeysPerPartition - 1
	number := fmt.Sprintf("%d%04d00", c.id+1, c.serial)
	switch in.Kind {
	case Incr:
		in.Key = counter
	case Get, Del:
		in.Key = c.rng.IntN(KeysPerPartition)
	case Mset:
		for i := range in.Values {
			in.Values[i] = fmt.Sprintf("%s%d,", in.Value, i)
		}
		in.Values[counter] = number
	}
	if c.rng.IntN(20) == 0 {
		in.Key = KeysPerPartition - 1 - in.Key
	}
	if in.Kind == Cas {
		in.Expect = c.seen[keyName(partition, in.Key)]
	}
	return in
}

// weights are the shares of the operations out of 100, in the order of the kinds.
var weights = [KindCount]int{22, 12, 6, 12, 10, 6, 6, 14, 12}

func drawKind(rng *rand.Rand) Kind {
	n := rng.IntN(100)
	for k, w := range weights {
		if n -= w; n < 0 {
			return Kind(k)
		}
	}
	return Get
}
