package compat

import (
	"slices"
	"strings"
	"testing"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

// subscriberCalls are sent on a connection that subscribes, each with the number of its replies.
var subscriberCalls = []struct {
	line    string
	replies int
}{
	{"SUBSCRIBE a b a", 3}, {"PSUBSCRIBE a* b?", 2}, {"SSUBSCRIBE a", 1}, {"SUBSCRIBE", 1},
	{"PING", 1}, {"PING x", 1}, {"PING x y", 1}, {"GET k", 1}, {"CLIENT ID x", 1},
	{"UNSUBSCRIBE none", 1}, {"UNSUBSCRIBE a a", 2}, {"RESET x", 1}, {"PUNSUBSCRIBE none a*", 2},
	{"SUNSUBSCRIBE none", 1}, {"PUNSUBSCRIBE", 1}, {"SUNSUBSCRIBE", 1}, {"UNSUBSCRIBE", 1},
	{"UNSUBSCRIBE", 1}, {"PUNSUBSCRIBE", 1}, {"SUNSUBSCRIBE", 1}, {"PING", 1}, {"GET k", 1},
	{"PSUBSCRIBE *", 1}, {"SSUBSCRIBE s", 1}, {"SUBSCRIBE b", 1},
}

func TestPubSub(t *testing.T) {
	for _, tg := range targets {
		for _, proto := range []string{"2", "3"} {
			t.Run(tg.name+" RESP"+proto, func(t *testing.T) {
				redis, keep := startRedis(t), tg.start(t)
				sub, writer := newPair(t, redis, keep, proto), newPair(t, redis, keep, proto)
				for _, c := range subscriberCalls {
					sub.Pipeline(wire.Encode(strings.Split(c.line, " ")...), c.replies)
				}
				writer.SameLine(
					"PUBLISH b 1", "PUBLISH none 2", "SPUBLISH s 3", "SPUBLISH b 4", "PUBLISH b",
					"PUBSUB CHANNELS", "PUBSUB CHANNELS x*", "PUBSUB NUMSUB a b", "PUBSUB NUMSUB",
					"PUBSUB NUMPAT", "PUBSUB SHARDCHANNELS", "PUBSUB SHARDNUMSUB s b", "PUBSUB NOSUCH",
					"PUBSUB CHANNELS x y", "pubsub shardChannels x y",
					"PUBSUB", "PUBSUB NUMPAT x")
				sub.Pipeline("", 4)
				writer.Same("PUBLISH", "b", strings.Repeat("x", 100_000))
				sub.Pipeline("", 2)
			})
		}
	}
}

// notifying are the calls whose notifications are compared. Expiry is left out: its moment differs.
var notifying = []string{
	"SET k 1", "SET k 2 EX 100", "SET k 3 KEEPTTL", "SET k 3 XX GET", "SET k 1 NX", "INCR k",
	"DECRBY k 3", "INCRBY n 5", "APPEND k x", "APPEND new y", "MSET a 1 b 2", "MSETNX a 1 c 2",
	"MSETNX c 1 d 2", "EXPIRE k 100", "PEXPIRE k 100000", "EXPIRE none 100", "PERSIST k",
	"PERSIST k", "EXPIRE b -1", "DEL a c none d", "INCR x", "SET x abc", "INCR x",
}

func TestKeyspaceNotifications(t *testing.T) {
	redis, keep := startRedis(t), targets[0].start(t)
	for _, classes := range []string{"KEA", "K$", "Eg", "Kn", "A", "Ex$"} {
		t.Run(classes, func(t *testing.T) {
			sub, writer := newPair(t, redis, keep, "2"), newPair(t, redis, keep, "2")
			writer.Same("CONFIG", "SET", "notify-keyspace-events", "")
			writer.Same("FLUSHALL")
			writer.Same("CONFIG", "SET", "notify-keyspace-events", classes)
			writer.Same("CONFIG", "GET", "notify-keyspace-events")
			writer.Same("CONFIG", "SET", "notify-keyspace-events", "Q")
			sub.Same("PSUBSCRIBE", "__key*__:*")
			sub.Pipeline(wire.Encode("SUBSCRIBE", "end"), 1)
			writer.SameLine(notifying...)
			writer.Same("PUBLISH", "end", "")
			want, got := untilEnd(t, sub.redis), untilEnd(t, sub.keep)
			if !slices.Equal(want, got) {
				t.Errorf("redis   %q\nredkeep %q", want, got)
			}
			if len(want) == 0 && classes != "A" {
				t.Error("nothing was told: the test shows nothing")
			}
		})
	}
}

// untilEnd reads messages up to the one on the channel end.
func untilEnd(t *testing.T, c *wire.Conn) (told []string) {
	t.Helper()
	for {
		m, err := c.Read()
		if err != nil {
			t.Fatal(err)
		}
		words := m.Strings()
		if len(words) > 1 && words[1] == "end" {
			return told
		}
		told = append(told, strings.Join(words, " "))
	}
}
