package mvcc

import "github.com/tidwall/btree"

// Leases knows which leases are granted; package lease does. The batch asks it while an entry is applied,
// under the store's lock, and tells it what the entry does.
type Leases interface {
	Granted(id LeaseID) bool
	Grant(id LeaseID, ttlMS int64) // REQUIRES: not granted
	End(id LeaseID)                // forgets it; one that is not granted is ignored
}

// anyLease stands in where nobody was attached: every lease is granted.
type anyLease struct{}

func (anyLease) Granted(LeaseID) bool { return true }
func (anyLease) Grant(LeaseID, int64) {}
func (anyLease) End(LeaseID)          {}

// Attach gives the store the parts that decide on leases and queues.
// REQUIRES: before the first Update; both outlive the store.
func (s *Store) Attach(leases Leases, queues Queues) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batch.leases, s.batch.queues = leases, queues
}

// attachments are the live keys that hang on a lease, ordered by lease and key: so the end of a lease finds
// its keys in an order that is the same on every member, and a lease of one key, which most are, costs one
// small item. It follows from the records alone, like the index, and is never stored.
type attachments struct{ tree *btree.BTreeG[attachment] }

// attachment aliases the key inside the live record.
type attachment struct {
	lease LeaseID
	key   string
}

func newAttachments() attachments {
	less := func(a, b attachment) bool {
		if a.lease != b.lease {
			return a.lease < b.lease
		}
		return a.key < b.key
	}
	return attachments{btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})}
}

func (a attachments) add(r Record) {
	if id := r.Lease(); id != 0 {
		a.tree.Set(attachment{id, r.Key()})
	}
}

func (a attachments) remove(r Record) {
	if id := r.Lease(); id != 0 {
		a.tree.Delete(attachment{id, r.Key()})
	}
}

func (a attachments) has(id LeaseID, key string) bool {
	_, ok := a.tree.Get(attachment{id, key})
	return ok
}

func (a attachments) len() int { return a.tree.Len() }

// each calls fn with the keys of a lease, in order.
func (a attachments) each(id LeaseID, fn func(key string)) {
	a.tree.Ascend(attachment{lease: id}, func(it attachment) bool {
		if it.lease != id {
			return false
		}
		fn(it.key)
		return true
	})
}

// Attached returns how many live keys hang on leases.
func (s *Store) Attached() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.at.leased.len()
}

// LeaseKeys returns the keys that hang on a lease now, in order.
func (s *Store) LeaseKeys(id LeaseID) (keys []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.mu.at.leased.each(id, func(key string) { keys = append(keys, key) })
	return keys
}

// LeaseLen returns how many keys hang on a lease now.
func (s *Store) LeaseLen(id LeaseID) (n int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.mu.at.leased.each(id, func(string) { n++ })
	return n
}

// GrantLease grants a lease; the error is ErrLeaseExists. It makes no revision.
func (b *Batch) GrantLease(id LeaseID, ttlMS int64) error {
	if b.leases.Granted(id) {
		return ErrLeaseExists
	}
	b.leases.Grant(id, ttlMS)
	return nil
}

// EndLease ends a lease and all its keys, in one revision if there are any; kind says what becomes of them.
// It returns how many there were. The error is ErrNoLease.
func (b *Batch) EndLease(id LeaseID, kind RecordKind) (keys int64, err error) {
	if !b.leases.Granted(id) {
		return 0, ErrNoLease
	}
	keys = b.endLease(id, kind)
	b.finish()
	return keys, nil
}

// endLease is EndLease inside a transaction.
func (b *Batch) endLease(id LeaseID, kind RecordKind) (n int64) {
	var keys []string
	b.st.leased.each(id, func(key string) { keys = append(keys, key) })
	b.leases.End(id)
	for _, key := range keys {
		if c, old := b.find(key); old.Exists() {
			b.end(c, kind)
			n++
		}
	}
	return n
}
