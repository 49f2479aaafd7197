package cluster

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// A guest is answered its greeting, and nothing else.
func TestGuestsAreOnlyGreeted(t *testing.T) {
	host := single(t, t.TempDir(), nil)
	host.OnGreet(func(hi Greeting, answer func(Welcome, error)) {
		if hi.Name == "bad" {
			answer(Welcome{}, Refusef("no %s", hi.Addr))
			return
		}
		answer(Welcome{Reserved: 7, Learner: true, Replace: 9}, nil)
	})
	cfg, _, _ := testConfig(t, t.TempDir())
	ln, err := listenPeer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	guest := newPeerMux(ln, "", hello{}, cfg)
	defer func() { guest.hangUp(); guest.wait() }()
	answer, reply, err := guest.ask(host.PeerAddr(), 0, kindGreet, Greeting{"n", "h:1", "old"}.encode())
	if err != nil || answer.cluster != host.ClusterID() || answer.member != host.Self() {
		t.Fatalf("greeted by %+v, %v", answer, err)
	}
	w, err := decodeWelcome(reply)
	if err != nil || w != (Welcome{Reserved: 7, Learner: true, Replace: 9}) {
		t.Errorf("welcome %+v, %v", w, err)
	}
	_, reply, err = guest.ask(host.PeerAddr(), 0, kindGreet, Greeting{"bad", "h:1", ""}.encode())
	if _, refused := decodeWelcome(reply); err != nil || !errors.Is(refused, ErrJoinRefused) {
		t.Errorf("%v, %v", refused, err)
	}
	for _, kind := range []byte{kindTerm, ownKinds, bulkKinds} {
		if kind >= ownKinds {
			host.Handle(kind, func(MemberID, []byte, func([]byte)) { t.Errorf("kind %#x was served", kind) })
		}
		if _, _, err := guest.ask(host.PeerAddr(), 0, kind, nil); !errors.Is(err, ErrPeerRefused) {
			t.Errorf("kind %#x: %v", kind, err)
		}
	}
	if c, err := guest.dial(leadRaft, host.PeerAddr(), 0, dialTimeout); err == nil {
		c.Close()
		t.Error("a guest was let in to raft")
	}
	for _, cut := range []int{1, 3, 5} {
		if _, err := decodeGreeting(Greeting{"n", "h:1", ""}.encode()[:cut]); err == nil {
			t.Errorf("a greeting of %d bytes was taken", cut)
		}
	}
}

// raft can come back from a leadership transfer refusing every entry (hashicorp/raft issue 696). When that
// lasts, the process ends; refusals during a transfer that ends are nothing.
func TestStuckTransferEndsTheProcess(t *testing.T) {
	told := make(chan error, 1)
	p := &proposals{fatal: &fatalSwitch{tell: func(err error) { told <- err }}, stuck: 50 * time.Millisecond}
	p.watchTransfer(raft.ErrLeadershipTransferInProgress)
	p.watchTransfer(nil) // one that went through starts the count again
	if p.mu.transfer != (refusals{}) {
		t.Error("a transfer that ended is still counted")
	}
	began := time.Now()
	eventually(t, "a refusal that lasts is fatal", func() bool {
		p.watchTransfer(raft.ErrLeadershipTransferInProgress)
		return p.fatal.tripped()
	})
	if took := time.Since(began); took < p.stuck {
		t.Errorf("fatal after %v, allowed %v", took, p.stuck)
	}
	if err := <-told; !errors.Is(err, raft.ErrLeadershipTransferInProgress) {
		t.Error(err)
	}
}

// A transfer whose target hangs refuses for as long as raft waits for its answer; and one that failed long
// ago has nothing to do with the next, though no entry went through in between.
func TestTransfersThatEndAreNotStuck(t *testing.T) {
	cfg := Config{HeartbeatTimeout: 600 * time.Millisecond}.withDefaults()
	limit := newProposals(nil, nil, cfg).stuck
	at := func(s float64) int64 { return int64(s * float64(time.Second)) }
	var r refusals
	for s := 100.0; s < 100+rpcTimeout.Seconds(); s += 0.5 {
		if lasts := r.note(true, at(s), limit); lasts > limit {
			t.Fatalf("stuck after %v of a target that hangs", lasts)
		}
	}
	if lasts := r.note(true, at(200), limit); lasts != 0 {
		t.Errorf("a refusal of another transfer counts for %v", lasts)
	}
	lasts := time.Duration(0)
	for s := 201.0; s < 300; s++ {
		lasts = r.note(true, at(s), limit)
	}
	if lasts <= limit {
		t.Errorf("refusals of %v in a row are no sign", lasts)
	}
	if r.note(false, at(300), limit) != 0 || r.note(true, at(301), limit) != 0 {
		t.Error("an entry that went through does not count")
	}
}
