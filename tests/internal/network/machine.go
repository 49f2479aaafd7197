package network

import (
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Machine is a network namespace with one address. A goroutine is locked to a thread inside it; whatever
// that thread starts lives there.
type Machine struct {
	Addr   netip.Addr
	device *os.File
	work   chan func()
	ended  chan struct{}
}

// newMachine makes the namespace and its device.
func newMachine(addr netip.Addr) (*Machine, error) {
	m := &Machine{Addr: addr, work: make(chan func()), ended: make(chan struct{})}
	ready := make(chan error)
	go m.live(ready)
	if err := <-ready; err != nil {
		return nil, err
	}
	return m, nil
}

// live owns the thread. It never unlocks it, so that the thread, and the namespace with it, ends here.
func (m *Machine) live(ready chan<- error) {
	defer close(m.ended)
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNET)
	if err == nil {
		err = raise("lo")
	}
	if err == nil {
		m.device, err = openDevice(m.Addr)
	}
	ready <- err
	if err != nil {
		return
	}
	for fn := range m.work {
		fn()
	}
}

// On runs fn on the machine's own thread and waits for it. A child that fn starts lives on the machine,
// and is killed when the machine ends.
func (m *Machine) On(fn func()) {
	done := make(chan struct{})
	m.work <- func() { defer close(done); fn() }
	<-done
}

func (m *Machine) close() {
	close(m.work)
	<-m.ended
}
