package commands

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A guess whose address is barred while it waits for its turn is not looked at: ten thousand that come at
// once, all before the first is found wrong, cost no more than ten thousand in a row.
func TestGuessesThatWaitAreBarred(t *testing.T) {
	n := startNode(t)
	n.dial(t).want("OK", "ACL", "SETUSER", "u", "on", ">right")
	waiting := n.dial(t)
	waiting.do("PING")
	s := n.d.sessions()[0]
	c := &call{d: n.d, s: s}
	c.begin([][]byte{[]byte("AUTH")})
	c.row = n.d.table.Lookup(c.args[0])
	meanwhile := func(slot <-chan struct{}) bool {
		for range strikesMost + 1 {
			n.d.users.strikes.add(addrOf(s.conn.RemoteAddr()), time.Now())
		}
		<-slot
		return true
	}
	for _, password := range []string{"wrong", "right"} {
		err, there := n.d.login(c, s, "u", password, meanwhile)
		if !there || err == nil || !strings.HasPrefix(err.Error(), "BUSY ") {
			t.Errorf("%s: %v", password, err)
		}
	}
	if got := n.d.users.denials[0].Load(); got != 0 {
		t.Errorf("%d passwords were looked at", got)
	}
}

// Of guesses sent at once by many connections of one address few are looked at.
func TestManyGuessesAtOnce(t *testing.T) {
	n := startNode(t)
	n.dial(t).want("OK", "ACL", "SETUSER", "u", "on", ">right")
	const guesses = 4 * strikesMost
	conns := make([]*client, guesses)
	for i := range conns {
		conns[i] = n.dial(t)
		conns[i].send(encode("AUTH", "u", fmt.Sprint("wrong", i)))
	}
	looked := 0
	for _, c := range conns {
		switch got := c.reply(); {
		case strings.HasPrefix(got, "(WRONGPASS "):
			looked++
		case !strings.HasPrefix(got, "(BUSY "):
			t.Errorf("replied %s", got)
		}
	}
	// One is forgiven each few seconds, and this machine may be slow.
	if most := int64(strikesMost + 10); int64(looked) > most {
		t.Errorf("%d of %d guesses were looked at, want at most %d", looked, guesses, most)
	}
}

// Addresses by which guesses are counted: of IPv6 it is the network, of which one machine has all addresses.
func TestAddressesOfGuesses(t *testing.T) {
	for addr, want := range map[string]string{
		"10.0.0.1:6379": "10.0.0.1", "[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::1]:99": "2001:db8:1:2::/64", "[2001:db8:1:3::1]:1": "2001:db8:1:3::/64",
		"[::ffff:10.0.0.1]:1": "10.0.0.1", "[fe80::1%eth0]:1": "fe80::/64", "[::1]:6379": "::/64", "pipe": "pipe",
	} {
		if got := addrOf(addr); got != want {
			t.Errorf("%s counts as %s, want %s", addr, got, want)
		}
	}
}

// However many addresses guess, one that is barred stays so: others with less against them are forgotten.
func TestStrikesOutliveManyAddresses(t *testing.T) {
	var k strikes
	at := time.Now()
	for range strikesMost + 1 {
		k.add("guesser", at)
	}
	for i := range 2 * strikeHosts {
		k.add(strconv.Itoa(i), at)
	}
	if k.barred("guesser", at) == 0 {
		t.Error("an address was forgiven because many others came")
	}
	if got := len(k.mu.byHost); got > strikeHosts {
		t.Errorf("%d addresses are remembered", got)
	}
	if k.barred("guesser", at.Add((strikesMost+2)*strikeForgiven)) != 0 {
		t.Error("nothing is forgiven in time")
	}
}
