package network

import (
	"fmt"
	"net/netip"
	"os"
	"sync"
)

// hostPort is the number of the test process's own port; machines are numbered from 0.
const hostPort = -1

// addrOf returns the address of a port. The range is private to this process: its namespace has no other
// interface, so nothing can be in the way.
func addrOf(port int) netip.Addr {
	if port == hostPort {
		return netip.AddrFrom4([4]byte{10, 77, 0, 254})
	}
	return netip.AddrFrom4([4]byte{10, 77, 0, byte(port + 1)})
}

// portOf is the inverse of addrOf; ok is false for an address that nobody has.
func (n *Network) portOf(packet []byte) (port int, ok bool) {
	if len(packet) < 20 || packet[0]>>4 != 4 || packet[16] != 10 || packet[17] != 77 || packet[18] != 0 {
		return 0, false
	}
	if packet[19] == 254 {
		return len(n.Machines), true
	}
	port = int(packet[19]) - 1
	return port, port >= 0 && port < len(n.Machines)
}

// Network joins machines and the test process. Inside, the test process has the last port.
type Network struct {
	Machines []*Machine
	devices  []*os.File
	links    [][]*Link // [from][to]
	readers  sync.WaitGroup
	couriers sync.WaitGroup
}

// New makes a network of this many machines.
//
// REQUIRES: this process is Inside, and no other Network is open in it.
func New(machines int) (*Network, error) {
	n := &Network{}
	for i := range machines {
		m, err := newMachine(addrOf(i))
		if err != nil {
			n.Close()
			return nil, fmt.Errorf("machine %d: %w", i, err)
		}
		n.Machines = append(n.Machines, m)
		n.devices = append(n.devices, m.device)
	}
	host, err := openDevice(addrOf(hostPort))
	if err != nil {
		n.Close()
		return nil, fmt.Errorf("the test's own port: %w", err)
	}
	n.devices = append(n.devices, host)
	n.join()
	return n, nil
}

// join starts the readers and the couriers.
func (n *Network) join() {
	for from := range n.devices {
		row := make([]*Link, len(n.devices))
		for to := range row {
			row[to] = &Link{queue: make(chan parcel, queueLength)}
			n.couriers.Go(func() { row[to].carry(n.deliver(to)) })
		}
		n.links = append(n.links, row)
		n.readers.Go(func() { n.read(n.devices[from], row) })
	}
}

// read passes on what a machine sends until its device is closed.
func (n *Network) read(device *os.File, row []*Link) {
	buf := make([]byte, mtu)
	for {
		size, err := device.Read(buf)
		if err != nil {
			return
		}
		if to, ok := n.portOf(buf[:size]); ok {
			row[to].send(buf[:size], n.deliver(to))
		}
	}
}

// deliver returns what hands packets to a port. A device that is closing, or full, loses them.
func (n *Network) deliver(to int) func([]byte) {
	return func(packet []byte) {
		if len(packet) > 0 {
			n.devices[to].Write(packet)
		}
	}
}

// Link returns the direction from one machine to another.
func (n *Network) Link(from, to int) *Link { return n.links[from][to] }

// ToHost and FromHost are the directions between a machine and the test process.
func (n *Network) ToHost(from int) *Link { return n.links[from][len(n.Machines)] }

// FromHost is the other direction of ToHost.
func (n *Network) FromHost(to int) *Link { return n.links[len(n.Machines)][to] }

// Heal undoes every cut, loss and delay.
func (n *Network) Heal() {
	for _, row := range n.links {
		for _, l := range row {
			l.Heal()
		}
	}
}

// Touched counts the packets that faults have dropped or held back so far.
func (n *Network) Touched() (count int64) {
	for _, row := range n.links {
		for _, l := range row {
			count += l.Dropped.Load() + l.Slowed.Load()
		}
	}
	return count
}

// Close ends the machines and with them every process on them.
func (n *Network) Close() {
	for _, d := range n.devices {
		d.Close()
	}
	n.readers.Wait()
	for _, row := range n.links {
		for _, l := range row {
			close(l.queue)
		}
	}
	n.couriers.Wait()
	for _, m := range n.Machines {
		m.close()
	}
}
