package puppet

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// The peer port: a hello of 32 bytes each way, then raft's own protocol ('R') or frames ('P').
const (
	leadRaft = 'R'
	leadPeer = 'P'

	helloLen = 32

	frameRequest = 1
	frameReply   = 2

	// Kinds of requests.
	AskTerm    = 0x01
	AskReadAt  = 0x10
	AskStatus  = 0x11
	AskForward = 0x90

	callLimit = 10 * time.Second
)

// Answers to a forwarded batch.
const (
	NotLeader = 0
	Refused   = 1
	Accepted  = 2
)

func hash64(kind, s string) uint64 {
	sum := sha256.Sum256([]byte("redkeep " + kind + "\x00" + s))
	return binary.BigEndian.Uint64(sum[:8])
}

// clusterID is what every member derives from the list it was given.
func clusterID(members []string) uint64 {
	members = slices.Clone(members)
	slices.Sort(members)
	return hash64("cluster", strings.Join(members, ","))
}

func memberID(cluster uint64, name string) uint64 {
	return hash64("member", fmt.Sprintf("%016x/%s", cluster, name))
}

func (p *Puppet) hello(lead byte) []byte {
	b := make([]byte, helloLen)
	b[0] = lead
	copy(b[1:], "redkeep")
	binary.BigEndian.PutUint32(b[8:], 1)
	binary.BigEndian.PutUint64(b[16:], p.stage.cluster)
	binary.BigEndian.PutUint64(b[24:], p.id)
	return b
}

// dial connects to the real node.
func (p *Puppet) dial(lead byte) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", p.stage.Real.PeerAddr, callLimit)
	if err != nil {
		return nil, err
	}
	var theirs [helloLen]byte
	_, err = c.Write(p.hello(lead))
	if err == nil {
		_, err = io.ReadFull(c, theirs[:])
	}
	if err == nil && binary.BigEndian.Uint64(theirs[16:]) != p.stage.cluster {
		err = errors.New("the real node is of another cluster")
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// welcome answers the hello of a connection that the real node made.
func (p *Puppet) welcome(c net.Conn) (lead byte, err error) {
	var theirs [helloLen]byte
	if _, err := io.ReadFull(c, theirs[:]); err != nil {
		return 0, err
	}
	_, err = c.Write(p.hello(theirs[0]))
	return theirs[0], err
}

type frame struct {
	typ, kind byte
	seq       uint64
	payload   []byte
}

func (f frame) encode() []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(10+len(f.payload)))
	b = binary.BigEndian.AppendUint64(append(b, f.typ, f.kind), f.seq)
	return append(b, f.payload...)
}

func readFrame(r io.Reader) (f frame, err error) {
	var h [14]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return f, err
	}
	f = frame{typ: h[4], kind: h[5], seq: binary.BigEndian.Uint64(h[6:])}
	f.payload = make([]byte, binary.BigEndian.Uint32(h[:])-10)
	_, err = io.ReadFull(r, f.payload)
	return f, err
}

// serve answers the peer requests of one connection until it breaks.
func (p *Puppet) serve(c net.Conn) {
	for r := bufio.NewReader(c); ; {
		f, err := readFrame(r)
		if err != nil {
			return
		}
		answer, ok := p.answer(f.kind, f.payload)
		if !ok {
			continue // for ever
		}
		if _, err := c.Write(frame{frameReply, f.kind, f.seq, answer}.encode()); err != nil {
			return
		}
	}
}

// Ask sends the real node one peer request and returns its answer.
func (p *Puppet) Ask(kind byte, payload []byte) ([]byte, error) {
	c, err := p.dial(leadPeer)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(callLimit)); err != nil {
		return nil, err
	}
	if _, err := c.Write(frame{frameRequest, kind, 1, payload}.encode()); err != nil {
		return nil, err
	}
	f, err := readFrame(c)
	if err == nil && f.typ != frameReply {
		err = fmt.Errorf("kind %#x was refused", kind)
	}
	return f.payload, err
}
