package faults

import "time"

// Profile is one way to make life hard: which faults, on how many nodes, under which load.
type Profile struct {
	Name   string
	Nodes  int
	Spares int // nodes that are no members at first; 1 at most
	Rounds int
	Faults string // names from faults, or "all"; every one strikes before any strikes twice
	Second int    // of a hundred rounds so many have a second fault on top of the first
	Flags  string // for the nodes, after shortTimes
	TLS    bool   // clients and members speak TLS, with certificates on both sides, and clients log in

	Clients int           // for each node
	Pace    time.Duration // between two pipelines of a client

	Calm time.Duration // after each round

	Comeback bool // in the middle of its rounds all nodes are lost and come back from their last backup

	Lockers   int // for each node, clients that take locks
	Lessees   int // for each node, clients that take leases
	Borrowers int // for each node, clients that use the lock libraries of Go
}

// profiles are the runs of a normal pass.
var profiles = []*Profile{
	{
		Name: "crash", Nodes: 3, Rounds: 22, Second: 30,
		Faults: `kill leader, kill follower, kill majority, kill all, power loss, power loss of all, pause leader,
			pause follower, pause leader and kill the next, restart leader, restart follower`,
		Clients: 3, Pace: 6 * time.Millisecond,
	},
	{
		Name: "network", Nodes: 3, Rounds: 24, Second: 30,
		Faults: `isolate leader, isolate follower, mute leader, deafen leader, mute follower, deafen follower,
			vanish leader, split in two, majority ring, cut one pair, cut one direction, cut all, slow links,
			lossy links, slow and lossy node, breaking connections`,
		Clients: 3, Pace: 6 * time.Millisecond,
	},
	{
		Name: "storage", Nodes: 3, Rounds: 22, Second: 30, Flags: "--snapshot-bytes 256KiB",
		Faults: `disk full, disk nearly full, disk of the leader hangs, disk of a follower hangs, disk slow,
			sync fails, compact, lag behind a snapshot, lag while cut off, power loss, kill leader, isolate leader`,
		Clients: 3, Pace: 6 * time.Millisecond,
	},
	{
		Name: "clock", Nodes: 3, Rounds: 10, Second: 50, Flags: "--snapshot-bytes 256KiB",
		Faults:  "clock of the leader jumps, all clocks jump, restart leader, kill leader, compact",
		Clients: 3, Pace: 6 * time.Millisecond,
	},
	{
		Name: "five", Nodes: 5, Rounds: 10, Second: 50,
		Faults:  "majority ring, split in two, kill majority, pause leader, cut one direction",
		Clients: 2, Pace: 8 * time.Millisecond,
	},
	{
		Name: "locks", Nodes: 3, Rounds: 8,
		Faults: `kill leader, kill follower, kill majority, pause leader, isolate leader, mute leader,
			restart leader, lossy links`,
		Clients: 1, Pace: 8 * time.Millisecond, Calm: 900 * time.Millisecond,
		Lockers: 3, Lessees: 4, Borrowers: 2,
	},
	{
		// Nobody is paused here: reads cannot wait in the socket of a process that cannot shake hands.
		Name: "tls", Nodes: 3, Rounds: 8, Second: 20, TLS: true,
		Faults: `kill leader, kill follower, deafen leader, isolate leader, mute leader, breaking connections,
			slow and lossy node, restart leader`,
		Clients: 3, Pace: 6 * time.Millisecond,
	},
	{
		Name: "members", Nodes: 3, Spares: 1, Rounds: 9, Second: 40, Flags: "--snapshot-bytes 256KiB",
		Faults: `add and remove member, replace member, move leader, kill leader, isolate leader,
			pause follower, restart leader`,
		Clients: 2, Pace: 8 * time.Millisecond,
	},
	{
		// Each half of the rounds has every fault once, so that there is a backup to come back from.
		Name: "restore", Nodes: 3, Rounds: 10, Second: 50, Flags: "--snapshot-bytes 256KiB", Comeback: true,
		Faults:  "back up, kill leader, isolate leader, power loss, compact",
		Clients: 3, Pace: 6 * time.Millisecond, Calm: 600 * time.Millisecond,
	},
}

// soakProfile is everything at once, for as long as it is asked for.
var soakProfile = &Profile{
	Name: "soak", Nodes: 3, Spares: 1, Faults: "all", Second: 40, Flags: "--snapshot-bytes 256KiB", Clients: 3,
	Pace: 6 * time.Millisecond, Lockers: 3, Lessees: 2, Comeback: true,
}

// profileNamed returns a profile, or nil.
func profileNamed(name string) *Profile {
	for _, p := range append(profiles, soakProfile) {
		if p.Name == name {
			return p
		}
	}
	return nil
}
