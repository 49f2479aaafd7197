package network

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// insideEnv marks the process that Isolate has started.
const insideEnv = "RKTEST_ISOLATED"

// Inside reports whether this process runs in the namespaces that Isolate makes.
func Inside() bool { return os.Getenv(insideEnv) != "" }

// Able returns why this process could not make namespaces, or nil.
func Able() error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("/dev/net/tun: %w", err)
	}
	unix.Close(fd)
	probe := exec.Command("/bin/true")
	probe.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	if err := probe.Run(); err != nil {
		return fmt.Errorf("a network namespace (needs root): %w", err)
	}
	return nil
}

// Isolate runs this program once more, with more environment variables, inside new network and mount
// namespaces, and returns its exit code. Signals to stop are passed on; the child dies with this process.
func Isolate(env ...string) (int, error) {
	runtime.LockOSThread() // the child is bound to the thread that starts it
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(append(os.Environ(), env...), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
	}
	stop := make(chan os.Signal, 4)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(stop)
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-stop:
			cmd.Process.Signal(s)
		case err := <-ended:
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return 1, err
			}
			return cmd.ProcessState.ExitCode(), nil
		}
	}
}

// Settle makes the fresh namespaces usable: mounts made from now on stay private, and loopback is up.
func Settle() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return raise("lo")
}

// MountTmpfs mounts a file system of at most this many bytes at dir, which it makes.
func MountTmpfs(dir string, bytes int64) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes))
}

// Unmount undoes MountTmpfs, files in use or not.
func Unmount(dir string) error { return unix.Unmount(dir, unix.MNT_DETACH) }
