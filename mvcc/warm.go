package mvcc

// Looking ahead. Among many keys nearly each step of a write is a miss of the processor's caches: the slot in
// the key table, the chain, its record, its past. One request after the other waits for each of them. Looked
// at together, first all slots, then all chains, then all records, within a step nothing waits for anything
// else, and the processor fetches a dozen at once. That took two thirds off a write among a million keys.
//
// It changes nothing, and what it looks at may be wrong or gone when it is used; then it was for nothing.

// warmKeys is how many keys Warm takes at once: what it fetches for them fits into the first cache.
const warmKeys = 64

// warming is the scratch of Warm.
type warming struct {
	hash   [warmKeys]uint64
	first  [warmKeys]*slot
	chain  [warmKeys]*chain
	head   [warmKeys]string
	past   [warmKeys]*[]Record
	record [warmKeys]Record // of sweep
	sum    uint64           // of what was looked at, so that it is not left out
}

// Warm looks at what requests for keys are going to look at. Keys may be any.
func (b *Batch) Warm(keys []string) {
	w, t := &b.warming, &b.st.index.table
	for len(keys) > 0 {
		n := min(len(keys), warmKeys)
		w.slots(t, keys[:n])
		w.records(n)
		keys = keys[n:]
	}
}

func (w *warming) slots(t *keyTable, keys []string) {
	for i, key := range keys {
		hash := t.hashOf(key)
		s := t.segmentOf(hash)
		w.hash[i], w.first[i] = hash, &s.slots[s.home(hash)]
	}
	for i := range keys {
		w.sum += w.first[i].hash
	}
	for i := range keys {
		s := t.segmentOf(w.hash[i])
		at := s.home(w.hash[i])
		for s.slots[at].chain != nil && s.slots[at].hash != w.hash[i] {
			at = s.next(at)
		}
		w.chain[i] = s.slots[at].chain
	}
}

// chains looks at what moving the records of keys is going to look at.
func (w *warming) chains(t *keyTable, keys []string) {
	for len(keys) > 0 {
		n := min(len(keys), warmKeys)
		w.slots(t, keys[:n])
		for _, c := range w.chain[:n] {
			if c != nil {
				w.sum += uint64(len(c.head.enc))
			}
		}
		keys = keys[n:]
	}
}

func (w *warming) records(n int) {
	for i, c := range w.chain[:n] {
		w.head[i], w.past[i] = "", nil
		if c != nil {
			w.head[i], w.past[i] = c.head.enc, c.past
		}
	}
	for _, enc := range w.head[:n] {
		if len(enc) > 0 {
			w.sum += uint64(enc[0]) + uint64(enc[min(len(enc)-1, 48)])
		}
	}
	for _, past := range w.past[:n] {
		if past != nil {
			w.sum += uint64(len(*past))
		}
	}
	for _, past := range w.past[:n] {
		if past != nil {
			w.sum += uint64(len((*past)[len(*past)-1].enc))
		}
	}
}

// garbage looks at what the removal of entries is going to look at, and returns how many they are.
func (w *warming) garbage(entries []garbageEntry) int {
	for i := range entries {
		w.past[i] = entries[i].chain.past
	}
	n := len(entries)
	for i, past := range w.past[:n] {
		w.head[i] = ""
		if past != nil {
			w.sum += uint64(len(*past))
		}
	}
	for i, past := range w.past[:n] {
		if past != nil {
			w.head[i] = (*past)[0].enc
		}
	}
	for _, enc := range w.head[:n] {
		if len(enc) > 0 {
			w.sum += uint64(enc[0])
		}
	}
	return n
}
