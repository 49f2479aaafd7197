package commands

import (
	"slices"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/pubsub"
	"github.com/redkeep/redkeep/resp"
)

const publishFlags = FlagPubSub | FlagLoading | FlagStale | FlagFast

const subscribeFlags = FlagPubSub | FlagNoScript | FlagNoMulti | FlagLoading | FlagStale

// shardChannels tells that the words are channels of a shard, which is how Redis marks them: no keys.
var shardChannels = Keys{First: 1, Last: -1, Step: 1, Access: notKey}

var pubsubRows = []Command{
	{Name: "subscribe", Arity: -2, Flags: subscribeFlags, Group: "pubsub", Since: "2.0.0", subscribed: true,
		Complexity: "O(N) where N is the number of channels to subscribe to.",
		Summary:    "Listens for messages published to channels, or to the changes of keys (watch: channels).",
		Args:       args(argString("channel").many()), session: subscribe, also: reachSubscribe(listChannels)},
	{Name: "psubscribe", Arity: -2, Flags: subscribeFlags, Group: "pubsub", Since: "2.0.0", subscribed: true,
		Complexity: "O(N) where N is the number of patterns to subscribe to.",
		Summary:    "Listens for messages published to channels that match one or more patterns.",
		Args:       args(argBlock("pattern", argPattern("pattern")).many()), session: psubscribe,
		also: reachSubscribe(listPatterns)},
	{Name: "ssubscribe", Arity: -2, Flags: subscribeFlags, Group: "pubsub", Since: "7.0.0", subscribed: true,
		Keys: shardChannels, Complexity: "O(N) where N is the number of shard channels to subscribe to.",
		Summary: "Listens for messages published to shard channels.",
		Args:    args(argString("shardchannel").many()), session: ssubscribe, also: reachSubscribe(listShards)},
	{Name: "unsubscribe", Arity: -1, Flags: subscribeFlags, Group: "pubsub", Since: "2.0.0", subscribed: true,
		Complexity: "O(N) where N is the number of channels to unsubscribe.",
		Summary:    "Stops listening to messages posted to channels.",
		Args:       args(argString("channel").opt().many()), session: unsubscribe},
	{Name: "punsubscribe", Arity: -1, Flags: subscribeFlags, Group: "pubsub", Since: "2.0.0", subscribed: true,
		Complexity: "O(N) where N is the number of patterns to unsubscribe.",
		Summary:    "Stops listening to messages published to channels that match one or more patterns.",
		Args:       args(argPattern("pattern").opt().many()), session: punsubscribe},
	{Name: "sunsubscribe", Arity: -1, Flags: subscribeFlags, Group: "pubsub", Since: "7.0.0", subscribed: true,
		Keys: shardChannels, Complexity: "O(N) where N is the number of shard channels to unsubscribe.",
		Summary: "Stops listening to messages posted to shard channels.",
		Args:    args(argString("shardchannel").opt().many()), session: sunsubscribe},
	{Name: "publish", Arity: 3, Kind: KindWrite, Flags: publishFlags,
		Group: "pubsub", Since: "2.0.0",
		Complexity: "O(N+M) where N is the number of subscribers of the channel and M of matching patterns.",
		Summary:    "Posts a message to a channel, on all members; counts the receivers on this one.",
		Args:       args(argString("channel"), argString("message")), plan: publish, also: reachPublish},
	{Name: "spublish", Arity: 3, Kind: KindWrite, Flags: publishFlags,
		Keys: Keys{First: 1, Last: 1, Step: 1, Access: notKey}, Group: "pubsub", Since: "7.0.0",
		Complexity: "O(N) where N is the number of subscribers of the shard channel.",
		Summary:    "Posts a message to a shard channel, on all members; counts the receivers on this one.",
		Args:       args(argString("shardchannel"), argString("message")), plan: spublish, also: reachPublish},
	{Name: "pubsub", Arity: -2, Group: "pubsub", Since: "2.8.0", Complexity: "Depends on subcommand.",
		Summary: "A container for Pub/Sub commands.", Subs: []Command{
			{Name: "channels", Arity: -2, Flags: FlagPubSub | FlagLoading | FlagStale, Since: "2.8.0",
				Complexity: "O(N) where N is the number of active channels.",
				Summary:    "Returns the active channels of this member.",
				Args:       args(argPattern("pattern").opt()), session: pubsubChannels},
			{Name: "numsub", Arity: -2, Flags: FlagPubSub | FlagLoading | FlagStale, Since: "2.8.0",
				Complexity: "O(N) where N is the number of requested channels.",
				Summary:    "Returns the number of subscribers of channels on this member.",
				Args:       args(argString("channel").opt().many()), session: pubsubNumSub},
			{Name: "numpat", Arity: 2, Flags: FlagPubSub | FlagLoading | FlagStale, Since: "2.8.0",
				Complexity: "O(N) where N is the number of patterns.",
				Summary:    "Returns the number of unique patterns on this member.", session: pubsubNumPat},
			{Name: "shardchannels", Arity: -2, Flags: FlagPubSub | FlagLoading | FlagStale, Since: "7.0.0",
				Complexity: "O(N) where N is the number of active shard channels.",
				Summary:    "Returns the active shard channels of this member.",
				Args:       args(argPattern("pattern").opt()), session: pubsubShardChannels},
			{Name: "shardnumsub", Arity: -2, Flags: FlagPubSub | FlagLoading | FlagStale, Since: "7.0.0",
				Complexity: "O(N) where N is the number of requested shard channels.",
				Summary:    "Returns the number of subscribers of shard channels on this member.",
				Args:       args(argString("shardchannel").opt().many()), session: pubsubShardNumSub},
			{Name: "help", Arity: 2, Flags: FlagLoading | FlagStale, Since: "6.2.0", Complexity: "O(1)",
				Summary: "Returns helpful text about the different subcommands.", session: help},
		}},
}

func subscribe(c *call, s *session) (resp.Value, error) {
	return c.subscribe(s, listChannels, "subscribe")
}
func psubscribe(c *call, s *session) (resp.Value, error) {
	return c.subscribe(s, listPatterns, "psubscribe")
}
func ssubscribe(c *call, s *session) (resp.Value, error) {
	return c.subscribe(s, listShards, "ssubscribe")
}

// subscribe starts what is not running yet. Nothing is, if one of the names cannot be understood.
func (c *call) subscribe(s *session, kind int, word string) (resp.Value, error) {
	watches := make([]*pubsub.Watch, len(c.args))
	for i := 1; i < len(c.args) && kind != listShards && c.d.cfg.Sentinel == nil; i++ {
		var err error
		if watches[i], err = parseWatchChannel(string(c.args[i]), kind == listPatterns); err != nil {
			return resp.Value{}, err
		}
	}
	if c.d.master != nil {
		c.d.lookAtMaster()
	}
	out := make([]resp.Value, 0, len(c.args)-1)
	for i := 1; i < len(c.args); i++ {
		name := string(c.args[i])
		if s.names[kind][name] == nil {
			sub := c.listen(s, kind, name, watches[i])
			s.remember(kind, name, sub)
			s.stake(c.d, claim{sub: sub, kind: kind, name: name, gone: revokedChannel(watches[i])})
		}
		out = append(out, resp.Push(resp.Bulk(word), resp.Bulk(name), resp.Int(s.listening(kind))))
	}
	return resp.Replies(out...), nil
}

func (c *call) listen(s *session, kind int, name string, w *pubsub.Watch) *pubsub.Subscription {
	hub, k := c.d.hub, s.open(c.d)
	if w != nil {
		return hub.Watch(w, k)
	}
	l := pubsub.Listener{Name: name, Owed: c.d.cfg.Sentinel == nil && tellsQueues(kind, name)}
	span := mvcc.KeySpan(name)
	switch kind {
	case listChannels:
		l.Kind, l.Frame = pubsub.KindChannel, messageFrame
	case listShards:
		l.Kind, l.Frame = pubsub.KindShard, shardFrame
	case listPatterns:
		l.Kind, l.Match, l.Frame = pubsub.KindPattern, globMatcher(name), patternFrame(name)
		span = globSpan(name)
	}
	return hub.Listen(l, span, k)
}

func globMatcher(pattern string) func(string) bool {
	return func(text string) bool { return matchGlob(pattern, text) }
}

func messageFrame(proto int, channel, payload string) []byte {
	return appendMessage(nil, proto, "message", channel, payload)
}

func shardFrame(proto int, channel, payload string) []byte {
	return appendMessage(nil, proto, "smessage", channel, payload)
}

func patternFrame(pattern string) func(int, string, string) []byte {
	return func(proto int, channel, payload string) []byte {
		return appendMessage(nil, proto, "pmessage", pattern, channel, payload)
	}
}

func appendMessage(b []byte, proto int, words ...string) []byte {
	b = resp.AppendPush(b, proto, len(words))
	for _, w := range words {
		b = resp.AppendBulk(b, w)
	}
	return b
}

func unsubscribe(c *call, s *session) (resp.Value, error) {
	return c.unsubscribe(s, listChannels, "unsubscribe")
}

func punsubscribe(c *call, s *session) (resp.Value, error) {
	return c.unsubscribe(s, listPatterns, "punsubscribe")
}

func sunsubscribe(c *call, s *session) (resp.Value, error) {
	return c.unsubscribe(s, listShards, "sunsubscribe")
}

// unsubscribe ends the named subscriptions, or all of a kind. Each name is confirmed, known or not.
func (c *call) unsubscribe(s *session, kind int, word string) (resp.Value, error) {
	names := s.sorted(kind)
	if len(c.args) > 1 {
		names = names[:0]
		for _, a := range c.args[1:] {
			names = append(names, string(a))
		}
	}
	left := s.listening(kind)
	out, ended := make([]resp.Value, 0, len(names)), make(map[string]bool, len(names))
	for _, name := range names {
		if s.names[kind][name] != nil && !ended[name] {
			ended[name] = true
			left--
		}
		out = append(out, resp.Push(resp.Bulk(word), resp.Bulk(name), resp.Int(left)))
	}
	s.drop(c.d, kind, names)
	if len(names) == 0 {
		out = append(out, resp.Push(resp.Bulk(word), resp.Null(), resp.Int(left)))
	}
	return resp.Replies(out...), nil
}

// pong is PING's reply where only messages are expected.
func pong(c *call) resp.Value {
	text := ""
	if len(c.args) == 2 {
		text = string(c.args[1])
	}
	return resp.Array(resp.Bulk("pong"), resp.Bulk(text))
}

func publish(c *call) (render, error)  { return c.publish(pubsub.KindChannel) }
func spublish(c *call) (render, error) { return c.publish(pubsub.KindShard) }

// publish goes through the log, so every subscriber on every member sees one order. The reply counts the
// receivers on this member, as Redis's does.
func (c *call) publish(kind pubsub.Kind) (render, error) {
	hub, channel := c.d.hub, string(c.args[1])
	c.publishes = true
	c.message = pubsub.Message{Kind: kind, Channel: channel, Payload: c.str(2)}
	return func(*mvcc.Result) resp.Value { return resp.Int(hub.Receivers(kind, channel)) }, nil
}

func pubsubChannels(c *call, _ *session) (resp.Value, error) { return c.channels(pubsub.KindChannel) }

func pubsubShardChannels(c *call, _ *session) (resp.Value, error) {
	return c.channels(pubsub.KindShard)
}

func (c *call) channels(kind pubsub.Kind) (resp.Value, error) {
	pattern := "*"
	switch {
	case len(c.args) == 3:
		pattern = string(c.args[2])
	case len(c.args) > 3:
		return resp.Value{}, errSubWords(c)
	}
	names := c.d.hub.Names(kind)
	slices.Sort(names)
	out := []resp.Value{}
	for _, name := range names {
		if matchGlob(pattern, name) {
			out = append(out, resp.Bulk(name))
		}
	}
	return resp.ArrayOf(out), nil
}

func pubsubNumSub(c *call, _ *session) (resp.Value, error) { return c.numSub(pubsub.KindChannel) }

func pubsubShardNumSub(c *call, _ *session) (resp.Value, error) { return c.numSub(pubsub.KindShard) }

func (c *call) numSub(kind pubsub.Kind) (resp.Value, error) {
	out := []resp.Value{}
	for _, channel := range c.args[2:] {
		out = append(out, resp.BulkBytes(channel), resp.Int(c.d.hub.Listeners(kind, string(channel))))
	}
	return resp.ArrayOf(out), nil
}

func pubsubNumPat(c *call, _ *session) (resp.Value, error) {
	return resp.Int(int64(len(c.d.hub.Names(pubsub.KindPattern)))), nil
}
