package network

import (
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// mtu is large, so that a batch of writes is few packets; a lost packet is the more noticeable.
const mtu = 9000

// deviceName is the same on each machine: each has a namespace of its own.
const deviceName = "rk0"

// openDevice makes a TUN device with this address in the namespace of the calling thread. Packets sent to
// the network come out of the file, and what is written to the file arrives on the machine.
func openDevice(addr netip.Addr) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	ifr, err := unix.NewIfreq(deviceName)
	if err != nil {
		return nil, err
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make a TUN device: %w", err)
	}
	file := os.NewFile(uintptr(fd), deviceName)
	if err := configure(addr); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// configure gives the device its address in a /24 and brings it up.
func configure(addr netip.Addr) error {
	sock, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(sock)
	ip := addr.As4()
	for _, step := range []struct {
		request uint
		fill    func(*unix.Ifreq) error
	}{
		{unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(ip[:]) }},
		{unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr([]byte{255, 255, 255, 0}) }},
		{unix.SIOCSIFMTU, func(r *unix.Ifreq) error { r.SetUint32(mtu); return nil }},
	} {
		ifr, err := unix.NewIfreq(deviceName)
		if err != nil {
			return err
		}
		if err := step.fill(ifr); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(sock, step.request, ifr); err != nil {
			return fmt.Errorf("configure %s as %s: %w", deviceName, addr, err)
		}
	}
	return raise(deviceName)
}

// raise brings an interface of the calling thread's namespace up.
func raise(name string) error {
	sock, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(sock)
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(sock, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("bring %s up: %w", name, err)
	}
	return nil
}
