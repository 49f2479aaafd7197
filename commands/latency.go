package commands

import (
	"fmt"
	"strings"

	"github.com/redkeep/redkeep/resp"
)

func slowlogGet(c *call, _ *session) (resp.Value, error) {
	n := int64(10)
	if len(c.args) > 3 {
		return resp.Value{}, errSubWords(c)
	}
	if len(c.args) == 3 {
		var ok bool
		if n, ok = parseInt(c.args[2]); !ok || n < -1 {
			return resp.Value{}, errSlowlogCount
		}
		if n == -1 {
			n = slowLogMostRoom
		}
	}
	out := []resp.Value{}
	for _, e := range c.d.slow.newest(n) {
		words := make([]resp.Value, len(e.ends))
		for i, word := range e.args() {
			words[i] = resp.Bulk(word)
		}
		out = append(out, resp.Array(resp.Int(e.id), resp.Int(e.at.Unix()), resp.Int(e.took.Microseconds()),
			resp.ArrayOf(words), resp.Bulk(e.addr), resp.Bulk(e.name)))
	}
	return resp.ArrayOf(out), nil
}

func slowlogLen(c *call, _ *session) (resp.Value, error) { return resp.Int(c.d.slow.size()), nil }

func slowlogReset(c *call, _ *session) (resp.Value, error) {
	c.d.slow.clear()
	return resp.OK(), nil
}

func latencyLatest(c *call, _ *session) (resp.Value, error) {
	out := []resp.Value{}
	for _, name := range c.d.latency.names() {
		e := c.d.latency.event(name)
		if len(e.samples) == 0 {
			continue
		}
		last := e.samples[len(e.samples)-1]
		out = append(out, resp.Array(resp.Bulk(name), resp.Int(last.second), resp.Int(last.ms), resp.Int(e.most)))
	}
	return resp.ArrayOf(out), nil
}

func latencyHistory(c *call, _ *session) (resp.Value, error) {
	out := []resp.Value{}
	for _, s := range c.d.latency.event(string(c.args[2])).samples {
		out = append(out, resp.Array(resp.Int(s.second), resp.Int(s.ms)))
	}
	return resp.ArrayOf(out), nil
}

func latencyReset(c *call, _ *session) (resp.Value, error) {
	names := c.d.latency.names()
	if len(c.args) > 2 {
		names = nil
		for _, word := range c.args[2:] {
			names = append(names, string(word))
		}
	}
	n := int64(0)
	for _, name := range names {
		n += yes(c.d.latency.forget(name)).Num()
	}
	return resp.Int(n), nil
}

// latencyGraph draws each sample as a column, the oldest left, as high as it took of the slowest.
func latencyGraph(c *call, _ *session) (resp.Value, error) {
	const rows, columns = 8, 80
	name := string(c.args[2])
	e := c.d.latency.event(name)
	if len(e.samples) == 0 {
		return resp.Value{}, errNoLatency(c.args[2])
	}
	samples := e.samples[max(len(e.samples)-columns, 0):]
	low, high := samples[0].ms, samples[0].ms
	for _, s := range samples {
		low, high = min(low, s.ms), max(high, s.ms)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s - high %d ms, low %d ms (all time high %d ms)\n%s\n", name, high, low, e.most,
		strings.Repeat("-", columns))
	for row := int64(rows); row > 0; row-- {
		for _, s := range samples {
			if s.ms*rows > (row-1)*high {
				b.WriteByte('#')
			} else {
				b.WriteByte(' ')
			}
		}
		b.WriteByte('\n')
	}
	return resp.Verbatim(b.String()), nil
}

func latencyDoctor(c *call, _ *session) (resp.Value, error) {
	if c.d.latency.threshold.Load() == 0 {
		return resp.Verbatim("Latency is not monitored on this node. CONFIG SET latency-monitor-threshold " +
			"<milliseconds> begins it.\n"), nil
	}
	var b strings.Builder
	for _, name := range c.d.latency.names() {
		e := c.d.latency.event(name)
		sum := int64(0)
		for _, s := range e.samples {
			sum += s.ms
		}
		fmt.Fprintf(&b, "%s: %d slow seconds, average %d ms, worst %d ms.\n", name, len(e.samples),
			sum/max(int64(len(e.samples)), 1), e.most)
	}
	if b.Len() == 0 {
		return resp.Verbatim("No command on this node took as long as latency-monitor-threshold.\n"), nil
	}
	b.WriteString("A command's time holds the wait for a majority to store it: look at the disks and the " +
		"network of the members first (INFO raft, /metrics), then at SLOWLOG GET for large commands.\n")
	return resp.Verbatim(b.String()), nil
}
