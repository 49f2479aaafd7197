package cluster

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// How a new node joins a running cluster.
//
// Idea. A node without data asks any member's peer port, as a guest, for the cluster's id, and is told at
// once if its name or address is taken. It draws an id of its own, writes both into meta.json, and from then
// on is an ordinary node with an empty log that is in no configuration. What is left to do (being added as a
// learner, being promoted) is asked for again and again by its owner until the configuration shows it
// (raftfsm/joining.go). So a crash anywhere on the way is mended by starting the node again.
//
// Invariants:
//
//	J1  A member id is never used twice, not even for the same name: whoever comes back without its data
//	    comes as somebody else. A member that forgot what it voted could otherwise vote a second time.
//	J2  A guest (a hello with cluster 0 and member 0) is served greetings and nothing else, and is never
//	    handed to raft.
//	J3  A node that has data keeps its cluster. --join is then only compared with it: a member of another
//	    cluster at that address refuses the start.
//
// Rejected: a special process that joins and then starts the node (two identities to hand over), and ids made
// from names (J1). The drawback: a guest needs no password to learn the cluster's id; it is no secret.

// Greeting is what a guest tells of itself.
type Greeting struct {
	Name, Addr string
	Replace    string // name of the member whose place it wants; "" for a new place
}

// Welcome is the answer to a greeting that is not refused.
type Welcome struct {
	Cluster  ClusterID
	Reserved MemberID // the id that MEMBER.ADD gave this name and address; 0: the guest draws its own
	Learner  bool     // it was added as a learner: it does not ask for promotion
	Replace  MemberID // the member whose place it takes; 0 for none
}

// joinState is the part of meta.json that is there until a node that joins has become what it is to be.
type joinState struct {
	Seeds   []string `json:"seeds"`
	Learner bool     `json:"learner,omitempty"`
	Replace string   `json:"replace,omitempty"`
}

// Joining is what a node that joins still has to ask for.
type Joining struct {
	Seeds   []string // peer addresses to ask
	Learner bool     // it stays a learner
	Replace MemberID // 0 for nobody
}

const (
	joinRetry   = 250 * time.Millisecond
	joinTimeout = 10 * time.Second
	helloGuest  = 0 // cluster and member of a guest's hello
)

func (h hello) guest() bool {
	return h.lead == leadPeer && h.cluster == helloGuest && h.member == helloGuest
}

// join gives a node without data its identity. It tries the seeds until one of them answers, for at most
// Config.JoinTimeout or until Config.Stop; a refusal is final.
func (n *Node) join() error {
	if n.mux.advertise == "" || isUnspecified(n.mux.advertise) {
		return fmt.Errorf("%w: --join needs --advertise-peer-addr: nobody can dial %s", ErrConfig, n.mux.advertise)
	}
	hi := Greeting{Name: n.cfg.Name, Addr: n.mux.advertise, Replace: n.cfg.Replace}
	var last error
	for end := time.Now().Add(n.cfg.JoinTimeout); ; {
		for _, seed := range n.cfg.Join {
			w, err := n.greet(seed, hi)
			if err == nil {
				return n.accepted(w)
			}
			if errors.Is(err, ErrJoinRefused) {
				return err
			}
			last = fmt.Errorf("%s: %w", seed, err)
		}
		if time.Now().After(end) {
			return fmt.Errorf("%w: %w; give --join the peer address of a running member", ErrNoSeed, last)
		}
		select {
		case <-time.After(joinRetry):
		case <-n.cfg.Stop:
			return ErrStopped
		}
	}
}

func (n *Node) accepted(w Welcome) error {
	id := w.Reserved
	for id == 0 {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return err
		}
		id = MemberID(binary.BigEndian.Uint64(b[:]))
	}
	j := &joinState{Seeds: n.cfg.Join, Learner: n.cfg.JoinAsLearner || w.Learner}
	if w.Replace != 0 {
		j.Replace = w.Replace.String()
	}
	n.dir.meta = metaData{
		Format: metaFormat, ClusterID: w.Cluster.String(), MemberID: id.String(), Name: n.cfg.Name,
		LogStore: n.cfg.LogStore, Bootstrapped: true, Join: j, Joined: true,
	}
	return nil
}

// greet asks one seed.
func (n *Node) greet(seed string, hi Greeting) (Welcome, error) {
	answer, reply, err := n.mux.ask(seed, 0, kindGreet, hi.encode())
	if err != nil {
		return Welcome{}, err
	}
	w, err := decodeWelcome(reply)
	w.Cluster = answer.cluster
	if err == nil && w.Cluster == 0 {
		err = errBadHello
	}
	return w, err
}

// compareSeeds refuses to start a node that has data when --join names a member of another cluster. A seed
// that does not answer proves nothing.
func (n *Node) compareSeeds() error {
	for _, seed := range n.cfg.Join {
		if seed == n.mux.advertise {
			continue
		}
		h, err := n.mux.whoIs(seed)
		if err == nil && h.cluster != n.cluster && h.cluster != 0 {
			return fmt.Errorf("%w: %s is of cluster %s, the member at %s is of cluster %s; to join that one, "+
				"give --data-dir an empty directory", ErrOtherCluster, n.dir.path, n.cluster, seed, h.cluster)
		}
		if err == nil {
			return nil
		}
	}
	return nil
}

func isUnspecified(addr string) bool {
	host, port, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err != nil || port == "0" || host == "" || ip != nil && ip.IsUnspecified()
}

// OnGreet sets who answers guests. f must not block; it calls answer once, at any time. The text of the error
// is told to the guest.
func (n *Node) OnGreet(f func(hi Greeting, answer func(Welcome, error))) {
	n.peers.handle(kindGreet, func(_ MemberID, payload []byte, reply func([]byte)) {
		hi, err := decodeGreeting(payload)
		if err != nil {
			reply(Welcome{}.encode(err))
			return
		}
		f(hi, func(w Welcome, err error) { reply(w.encode(err)) })
	})
}

// Joining returns what this node still has to ask for; nil once it is what it was started to be.
// REQUIRES: only the goroutine that calls Joined and Retire calls it.
func (n *Node) Joining() *Joining {
	j := n.dir.meta.Join
	if j == nil {
		return nil
	}
	seeds := j.Seeds
	if len(n.cfg.Join) > 0 {
		seeds = n.cfg.Join
	}
	return &Joining{Seeds: seeds, Learner: j.Learner, Replace: MemberID(parseHex(j.Replace))}
}

// Joined notes for good that there is nothing left to ask for.
func (n *Node) Joined() error {
	n.dir.meta.Join = nil
	return n.keepMeta()
}

func (n *Node) keepMeta() error {
	if err := n.dir.saveMeta(); err != nil {
		return n.fatal.trip(fmt.Errorf("%s: %w", n.dir.file(metaFile), err))
	}
	return nil
}

// Ask makes one call to an address rather than to a member, over a connection of its own; it waits about
// two seconds at most. The address must be of this cluster.
func (n *Node) Ask(addr string, kind byte, payload []byte) ([]byte, error) {
	answer, reply, err := n.mux.ask(addr, 0, kind, payload)
	if err == nil && answer.cluster != n.cluster {
		err = fmt.Errorf("%w: %s is of cluster %s", errBadHello, addr, answer.cluster)
	}
	return reply, err
}

// visit connects to addr and returns what it calls itself, whoever that is.
func (m *peerMux) visit(addr string) (*muxConn, hello, error) {
	d := net.Dialer{Timeout: dialTimeout}
	raw, err := d.DialContext(m.dialing, "tcp", addr)
	if err != nil {
		return nil, hello{}, err
	}
	c := m.track(raw)
	if c == nil {
		return nil, hello{}, net.ErrClosed
	}
	answer, err := m.introduce(c, leadPeer, addr)
	if err != nil {
		c.Close()
		return nil, hello{}, err
	}
	return c, answer, nil
}

// whoIs returns who answers at addr.
func (m *peerMux) whoIs(addr string) (hello, error) {
	c, answer, err := m.visit(addr)
	if err == nil {
		c.Close()
	}
	return answer, err
}

// ask makes one call on a connection of its own.
func (m *peerMux) ask(addr string, seq uint64, kind byte, payload []byte) (hello, []byte, error) {
	c, answer, err := m.visit(addr)
	if err != nil {
		return answer, nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return answer, nil, err
	}
	if _, err := c.Write(appendFrame(nil, frame{frameRequest, kind, seq, payload})); err != nil {
		return answer, nil, err
	}
	f, err := readFrame(bufio.NewReader(c))
	switch {
	case err != nil:
		return answer, nil, err
	case f.typ == frameError:
		return answer, nil, ErrPeerRefused
	case f.typ != frameReply || f.kind != kind:
		return answer, nil, errBadFrame
	}
	return answer, f.payload, nil
}

// A greeting is three strings, each behind its length in two bytes. A welcome is a byte, 0, then the reserved
// id (8), a byte, 1 for a learner, and the replaced id (8); a refusal is a byte, 1, and its text.
func (g Greeting) encode() (b []byte) {
	for _, s := range []string{g.Name, g.Addr, g.Replace} {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
	}
	return b
}

func decodeGreeting(b []byte) (g Greeting, err error) {
	for _, s := range []*string{&g.Name, &g.Addr, &g.Replace} {
		if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
			return g, errBadFrame
		}
		end := 2 + int(binary.BigEndian.Uint16(b))
		*s, b = string(b[2:end]), b[end:]
	}
	return g, nil
}

const welcomeLen = 18

func (w Welcome) encode(refused error) []byte {
	if refused != nil {
		return append([]byte{1}, refused.Error()...)
	}
	b := binary.BigEndian.AppendUint64([]byte{0}, uint64(w.Reserved))
	if w.Learner {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return binary.BigEndian.AppendUint64(b, uint64(w.Replace))
}

func decodeWelcome(b []byte) (w Welcome, err error) {
	switch {
	case len(b) > 0 && b[0] == 1:
		return w, fmt.Errorf("%w: %s", ErrJoinRefused, strconv.QuoteToGraphic(string(b[1:])))
	case len(b) != welcomeLen || b[0] != 0:
		return w, errBadFrame
	}
	w.Reserved = MemberID(binary.BigEndian.Uint64(b[1:]))
	w.Learner = b[9] == 1
	w.Replace = MemberID(binary.BigEndian.Uint64(b[10:]))
	return w, nil
}
