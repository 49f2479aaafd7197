package migrate

import "sync/atomic"

// Meter is how far a run has come. It is safe for concurrent use.
type Meter struct {
	Total    atomic.Int64 // keys of the file, or of the source when copying began
	Done     atomic.Int64 // of these, dealt with
	Written  atomic.Int64
	Deleted  atomic.Int64
	Revision atomic.Int64 // of the source, that the destination is at; 0 while it is copied
	Source   atomic.Int64 // that the source was at when it was last asked
}

func (m *Meter) add(o Outcome) {
	m.Written.Add(o.Written)
	m.Deleted.Add(o.Deleted)
}
