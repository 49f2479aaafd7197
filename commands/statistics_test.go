package commands

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestStatisticsScript(t *testing.T) { runScript(t, "statistics") }

// TestSlowLogIsARing: the newest entries are kept, in order, through any change of room.
func TestSlowLogIsARing(t *testing.T) {
	var l slowLog
	l.room.Store(3)
	want := []string{}
	add := func(word string) {
		l.add(slowEntry{}, [][]byte{[]byte(word)})
		want = append([]string{word}, want...)
	}
	check := func(room int) {
		t.Helper()
		want = want[:min(len(want), room)]
		got := []string{}
		for _, e := range l.newest(100) {
			got = append(got, e.args()...)
		}
		if !slices.Equal(got, want) || l.size() != int64(len(want)) {
			t.Fatalf("%d entries %q, want %q", l.size(), got, want)
		}
	}
	for _, room := range []int{3, 5, 2, 0, 4} {
		l.resize(int64(room))
		check(room)
		for i := range 9 {
			add(strings.Repeat("w", i) + strconv.Itoa(room))
			check(room)
		}
	}
	l.clear()
	if l.size() != 0 || len(l.newest(1)) != 0 {
		t.Error("not cleared")
	}
}

func TestSlowLogAllocatesNothing(t *testing.T) {
	var l slowLog
	l.room.Store(4)
	args := [][]byte{[]byte("set"), []byte("key"), []byte("value")}
	for range 8 {
		l.add(slowEntry{}, args)
	}
	if n := testing.AllocsPerRun(100, func() { l.add(slowEntry{}, args) }); n != 0 {
		t.Errorf("%v allocations for an entry", n)
	}
}
