package commands

import (
	"fmt"
	"runtime/debug"

	"github.com/redkeep/redkeep/resp"
)

// What tools ask about single keys and about memory. A value here is one string of bytes; the encodings are
// those that Redis would choose for it when it is set.

var secondKey = Keys{First: 2, Last: 2, Step: 1, Access: "RO"}

var objectRows = []Command{
	{Name: "object", Arity: -2, Group: "generic", Since: "2.2.3", Complexity: "Depends on subcommand.",
		Summary: "A container for object introspection commands.", Subs: []Command{
			{Name: "encoding", Arity: 3, Kind: KindRead, Keys: secondKey, Since: "2.2.3", Complexity: "O(1)",
				Summary: "Returns how Redis would hold the value: int, embstr or raw.",
				Tips:    []string{"nondeterministic_output"}, Args: args(argKey("key")),
				read: keyRead(objectEncoding).read, planRead: keyRead(objectEncoding).plan},
			{Name: "freq", Arity: 3, Kind: KindRead, Keys: secondKey, Since: "4.0.0", Complexity: "O(1)",
				Summary: "Refused for an existing key: access frequencies are not counted.",
				Tips:    []string{"nondeterministic_output"}, Args: args(argKey("key")),
				read: keyRead(objectFreq).read, planRead: keyRead(objectFreq).plan},
			{Name: "idletime", Arity: 3, Kind: KindRead, Keys: secondKey, Since: "2.2.3", Complexity: "O(1)",
				Summary: "Returns 0: keys have no access times, and nothing is evicted by them.",
				Tips:    []string{"nondeterministic_output"}, Args: args(argKey("key")),
				read: objectNumber(0).read, planRead: objectNumber(0).plan},
			{Name: "refcount", Arity: 3, Kind: KindRead, Keys: secondKey, Since: "2.2.3", Complexity: "O(1)",
				Summary: "Returns 1: values are not shared.",
				Tips:    []string{"nondeterministic_output"}, Args: args(argKey("key")),
				read: objectNumber(1).read, planRead: objectNumber(1).plan},
			{Name: "help", Arity: 2, Flags: FlagLoading | FlagStale, Since: "6.2.0", Complexity: "O(1)",
				Summary: "Returns helpful text about the different subcommands.", session: help},
		}},
	{Name: "memory", Arity: -2, Group: "server", Since: "4.0.0", Complexity: "Depends on subcommand.",
		Summary: "A container for memory diagnostics commands.", Subs: []Command{
			{Name: "usage", Arity: -3, Kind: KindRead, Keys: secondKey, Since: "4.0.0", Complexity: "O(1)",
				Summary: "Returns the bytes that a key takes: its record and its place in the indexes.",
				Args:    args(argKey("key"), argInteger("count").after("SAMPLES").opt()),
				read:    keyRead(memoryUsage).read, planRead: keyRead(memoryUsage).plan},
			{Name: "stats", Arity: 2, Kind: KindAdmin, Since: "4.0.0", Complexity: "O(1)",
				Summary: "Returns what memory is used for.", Tips: []string{"nondeterministic_output"},
				session: memoryStats},
			{Name: "doctor", Arity: 2, Kind: KindAdmin, Since: "4.0.0", Complexity: "O(1)",
				Summary: "Tells about problems with memory.", Tips: []string{"nondeterministic_output"},
				session: memoryDoctor},
			{Name: "malloc-stats", Arity: 2, Kind: KindAdmin, Since: "4.0.0", Complexity: "O(1)",
				Summary: "Returns the state of the memory allocator.", Tips: []string{"nondeterministic_output"},
				session: memoryMalloc},
			{Name: "purge", Arity: 2, Kind: KindAdmin, Flags: FlagAdmin, Since: "4.0.0",
				Complexity: "O(N) where N is the memory in use.",
				Summary:    "Collects garbage and gives free memory back to the system.", session: memoryPurge},
			{Name: "help", Arity: 2, Flags: FlagLoading | FlagStale, Since: "4.0.0", Complexity: "O(1)",
				Summary: "Returns helpful text about the different subcommands.", session: help},
		}},
}

// embeddedBytes is the longest value that Redis allocates together with its header.
const embeddedBytes = 44

func objectEncoding(_ *call, found seen) (resp.Value, error) {
	if !found.one().Exists() {
		return resp.Null(), nil
	}
	value := found.value(0)
	if _, ok := parseInt([]byte(value)); ok && len(value) <= 20 {
		return resp.Bulk("int"), nil
	}
	if len(value) <= embeddedBytes {
		return resp.Bulk("embstr"), nil
	}
	return resp.Bulk("raw"), nil
}

func objectFreq(_ *call, found seen) (resp.Value, error) {
	if !found.one().Exists() {
		return resp.Null(), nil
	}
	return resp.Value{}, errNoLFU
}

func objectNumber(n int64) keyRead {
	return func(_ *call, found seen) (resp.Value, error) {
		if !found.one().Exists() {
			return resp.Null(), nil
		}
		return resp.Int(n), nil
	}
}

// indexBytes is what a key takes beside its record: in the hash map, the tree and the history.
const indexBytes = 160

func memoryUsage(c *call, found seen) (resp.Value, error) {
	for w := c.options(3); w.more(); {
		if !is(w.next(), "SAMPLES") || !w.more() {
			return resp.Value{}, errSyntax
		}
		n, err := integer(w.next())
		switch {
		case err != nil:
			return resp.Value{}, err
		case n < 0:
			return resp.Value{}, errSyntax
		}
	}
	r := found.one()
	if !r.Exists() {
		return resp.Null(), nil
	}
	return resp.Int(int64(len(r.Encoded())) + indexBytes), nil
}

func memoryStats(c *call, _ *session) (resp.Value, error) {
	st, u := c.d.engine.Status(), currentUsage()
	perKey := int64(0)
	if st.Keys > 0 {
		perKey = st.StateBytes / st.Keys
	}
	numbers := []struct {
		name string
		n    int64
	}{
		{"peak.allocated", max(u.rssPeak, u.heap)}, {"total.allocated", u.heap}, {"startup.allocated", 0},
		{"replication.backlog", 0}, {"clients.slaves", 0}, {"clients.normal", 0}, {"cluster.links", 0},
		{"aof.buffer", 0}, {"lua.caches", 0}, {"functions.caches", 0},
		{"overhead.total", max(u.heap-st.StateBytes, 0)}, {"keys.count", st.Keys}, {"keys.bytes-per-key", perKey},
		{"dataset.bytes", st.StateBytes}, {"history.bytes", st.HistoryBytes},
		{"allocator.allocated", u.heap}, {"allocator.resident", u.rss},
	}
	var out []resp.Value
	for _, f := range numbers {
		out = append(out, resp.Bulk(f.name), resp.Int(f.n))
	}
	out = append(out,
		resp.Bulk("dataset.percentage"), resp.Double(100*float64(st.StateBytes)/float64(max(u.heap, 1))),
		resp.Bulk("peak.percentage"), resp.Double(100*float64(u.heap)/float64(max(u.rssPeak, u.heap, 1))),
		resp.Bulk("fragmentation"), resp.Double(float64(u.rss)/float64(max(u.heap, 1))))
	return resp.Map(out...), nil
}

func memoryDoctor(c *call, _ *session) (resp.Value, error) {
	st := c.d.engine.Status()
	quota := c.d.cfg.QuotaBytes
	switch err := c.d.engine.AcceptsWrites(); {
	case err != nil:
		return resp.Verbatim("Writes that grow the state are refused: " + err.Error() + ".\n"), nil
	case quota > 0 && st.StateBytes > quota/10*8:
		return resp.Verbatim(fmt.Sprintf("The state takes %d of the %d bytes of its quota: soon writes that grow "+
			"it will be refused.\n", st.StateBytes, quota)), nil
	default:
		return resp.Verbatim("No problem with memory is known on this node.\n"), nil
	}
}

func memoryMalloc(*call, *session) (resp.Value, error) {
	u := currentUsage()
	return resp.Verbatim(fmt.Sprintf("Go's allocator: live heap %d bytes, resident %d bytes, peak %d bytes.\n",
		u.heap, u.rss, u.rssPeak)), nil
}

func memoryPurge(*call, *session) (resp.Value, error) {
	debug.FreeOSMemory()
	return resp.OK(), nil
}
