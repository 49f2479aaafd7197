package locks

import (
	"testing"

	"github.com/redkeep/redkeep/mvcc"
)

// Every change once, in the order of the log, with the words of locks or of elections.
func TestChangesAsMessages(t *testing.T) {
	s, book := mvcc.New(), NewBook()
	defer s.Close()
	s.Attach(granted{1: true, 2: true, 3: true}, book)
	r := &room{store: s}
	lock, election := mvcc.Queue{Name: "m"}, mvcc.Queue{Name: "o\xff", Election: true}
	join := func(q mvcc.Queue, id mvcc.LeaseID, value string) {
		op := opOn(q, mvcc.ModifyQueueJoin)
		op.Lease, op.Value = id, value
		r.do(op)
	}
	token := func(q mvcc.Queue, kind mvcc.ModifyKind, n int64, value string) {
		op := opOn(q, kind)
		op.Delta, op.Value = n, value
		r.do(op)
	}
	join(lock, 1, "a")
	join(lock, 2, "")
	join(lock, 3, "")
	token(lock, mvcc.ModifyQueueRelease, 2, "")
	r.store.Update(1, func(b *mvcc.Batch) { _, _ = b.EndLease(3, mvcc.KindExpire) })
	r.store.Update(1, func(b *mvcc.Batch) { _, _ = b.EndLease(2, mvcc.KindExpire) })
	join(election, 1, "p\xfe")
	token(election, mvcc.ModifyQueueValue, 8, "q")
	token(election, mvcc.ModifyQueueRelease, 8, "")
	want := []string{
		`lock:m {"type":"acquired","name":"m","key":"m/0000000000000001","token":2,"lease":"0000000000000001",` +
			`"value":"a","shared":false,"revision":2}`,
		`lock:m {"type":"released","name":"m","key":"m/0000000000000001","token":2,"lease":"0000000000000001",` +
			`"value":"a","shared":false,"revision":5}`,
		`lock:m {"type":"acquired","name":"m","key":"m/0000000000000002","token":3,"lease":"0000000000000002",` +
			`"value":"","shared":false,"revision":5}`,
		`lock:m {"type":"lost","name":"m","key":"m/0000000000000002","token":3,"lease":"0000000000000002",` +
			`"value":"","shared":false,"revision":7}`,
		"election:o\xff " + `{"type":"elected","name_b64":"b/8=","key_b64":"b/8vMDAwMDAwMDAwMDAwMDAwMQ==",` +
			`"token":8,"lease":"0000000000000001","value_b64":"cP4=","revision":8}`,
		"election:o\xff " + `{"type":"proclaimed","name_b64":"b/8=","key_b64":"b/8vMDAwMDAwMDAwMDAwMDAwMQ==",` +
			`"token":8,"lease":"0000000000000001","value":"q","revision":9}`,
		"election:o\xff " + `{"type":"resigned","name_b64":"b/8=","key_b64":"b/8vMDAwMDAwMDAwMDAwMDAwMQ==",` +
			`"token":8,"lease":"0000000000000001","value":"q","revision":10}`,
	}
	var got []string
	for _, c := range book.Take() {
		if c.Published() {
			got = append(got, c.Channel()+" "+string(c.JSON()))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d messages, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("message %d:\n%s\nwant\n%s", i, got[i], want[i])
		}
	}
}
