package faults

// watchedKind is optimistic locking: WATCH in one round trip, MULTI … EXEC in another. EXEC is done iff the
// key has not changed between.
var watchedKind = &Kind{
	Name: "WATCH EXEC", Weight: 8,
	Draw: func(d *dice, op *Op) {
		op.Key = []int{keyA, keyB, counter}[d.IntN(3)]
		op.Parts = d.block(op.Partition, op.Key)
	},
	Look:     func(op *Op) *Op { return &Op{Kind: watchKind, Key: op.Key} },
	Args:     multiKind.Args,
	Commands: multiCommands,
	Answer:   execAnswer,
	Marks:    func(op *Op) []Mark { return unlessNotDone(op, blockMarks(op.Parts)) },
	Turn: func(s *State, op *Op) string {
		if s.Watched[op.Client%maxPipelining] != s.version(op.Key) {
			return notDone
		}
		return stepBlock(&s.Cells, op.Parts)
	},
}

// watchKind notes what a key is. A key that was missing and is missing again counts as unchanged.
var watchKind = &Kind{
	Name: "WATCH", Reads: true,
	Args: func(op *Op) []string { return []string{"WATCH", op.key()} },
	Turn: func(s *State, op *Op) string {
		s.Watched[op.Client%maxPipelining] = s.version(op.Key)
		return "OK"
	},
}
