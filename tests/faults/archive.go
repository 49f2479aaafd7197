package faults

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

// The archive is the history of every key as the nodes themselves keep it, read with KV.HISTORY before a
// compaction and at the end. It decides what clients could not know: whether a write without an answer
// was done. And it is a second opinion on what they were told: an acknowledged write must be in it, a
// refused one must not, and the answer of a local read must be the state at its revision. What is only in
// the heads of the nodes cannot be checked this way; that is what the linear order of the answers is for.

// version is one change of one key.
type version struct {
	revision int64
	exists   bool
	value    string
	expires  int64  // Unix milliseconds, or 0
	text     string // as a watcher is told it
}

// archive holds the versions of each key in order of revision.
type archive struct {
	versions map[string][]version
}

// collect reads the history of the partitions from first to before last through a node and adds what is
// new. All changes up to the revision it returns are then in the archive: it asks last when it knows the
// revision, because others may begin to write to further partitions until then.
func (a *archive) collect(addr string, first int, last func() int) (through int64, err error) {
	conn, err := wire.Dial(addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	conn.Timeout = 10 * time.Second
	r, err := conn.Do("KV.RANGE", "p", "COUNTONLY")
	if err != nil {
		return 0, err
	}
	rev, ok := r.Field("revision")
	if !ok {
		return 0, fmt.Errorf("KV.RANGE: %s", r)
	}
	for p, end := first, last(); p < end; p++ {
		if err := a.collectPartition(conn, p); err != nil {
			return 0, err
		}
	}
	return rev.Int(), nil
}

func (a *archive) collectPartition(conn *wire.Conn, partition int) error {
	var request strings.Builder
	for k := range keysPerPartition {
		request.WriteString(wire.Encode("KV.HISTORY", keyName(partition, k)))
	}
	if err := conn.Send(request.String()); err != nil {
		return err
	}
	for k := range keysPerPartition {
		r, err := conn.Read()
		if err != nil {
			return err
		}
		if r.IsErr() {
			return fmt.Errorf("KV.HISTORY: %s", r.Text)
		}
		a.add(keyName(partition, k), r)
	}
	return nil
}

// add merges one key's history, newest first on the wire, into what is known.
func (a *archive) add(key string, r wire.Reply) {
	if a.versions == nil {
		a.versions = map[string][]version{}
	}
	known := a.versions[key]
	last := int64(0)
	if len(known) > 0 {
		last = known[len(known)-1].revision
	}
	for i := len(r.Elems) - 1; i >= 0; i-- {
		if v := readVersion(r.Elems[i]); v.revision > last {
			known = append(known, v)
		}
	}
	a.versions[key] = known
}

func readVersion(r wire.Reply) version {
	value, _ := r.Field("value")
	revision, _ := r.Field("mod_revision")
	expires, _ := r.Field("expires")
	kind, _ := r.Field("type")
	ms, _ := strconv.ParseInt(expires.Text, 10, 64)
	return version{revision: revision.Int(), exists: kind.Text == "put", value: value.Text, expires: ms,
		text: changeOf(kind.Text, r).text()}
}

// at returns the version of a key that a revision shows; ok is false if there is none yet. One revision may
// have several: a write to a key past its deadline first ends it.
func (a *archive) at(key string, revision int64) (v version, ok bool) {
	all := a.versions[key]
	i := sort.Search(len(all), func(i int) bool { return all[i].revision > revision })
	if i == 0 {
		return version{}, false
	}
	return all[i-1], true
}

// has reports whether a mark was ever written.
func (a *archive) has(partition int, m Mark) bool {
	_, ok := a.firstOf(partition, m)
	return ok
}

// firstOf returns the revision that wrote a mark.
func (a *archive) firstOf(partition int, m Mark) (revision int64, ok bool) {
	for _, v := range a.versions[keyName(partition, m.Key)] {
		if v.exists && marked(v.value, m) {
			return v.revision, true
		}
	}
	return 0, false
}

// marked reports whether a value ends with a mark; numbers must be equal, since one may be the end of
// another.
func marked(value string, m Mark) bool {
	if strings.HasPrefix(m.Value, "[") {
		return strings.HasSuffix(value, m.Value)
	}
	return value == m.Value
}

// size counts the versions.
func (a *archive) size() (n int) {
	for _, v := range a.versions {
		n += len(v)
	}
	return n
}
