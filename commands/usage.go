package commands

import (
	"bytes"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what the operating system and the runtime say of this process. A number that cannot be had is 0.
type usage struct {
	pid                int
	os, executable     string
	heap, rss, rssPeak int64
	systemMemory       int64
	cpuUser, cpuSystem time.Duration
}

func currentUsage() usage {
	u := usage{pid: os.Getpid(), os: osName(), heap: heapBytes()}
	u.executable, _ = os.Executable()
	status := procFields("/proc/self/status")
	u.rss, u.rssPeak = status["VmRSS"], status["VmHWM"]
	u.systemMemory = procFields("/proc/meminfo")["MemTotal"]
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) == nil {
		u.cpuUser, u.cpuSystem = time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano())
	}
	return u
}

// heapBytes is the memory of live objects and those not yet swept.
func heapBytes() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int64(sample[0].Value.Uint64())
}

// procFields reads the lines "Name: number kB" of a file, in bytes.
func procFields(path string) map[string]int64 {
	out := map[string]int64{}
	text, _ := os.ReadFile(path)
	for line := range bytes.Lines(text) {
		name, rest, _ := strings.Cut(string(line), ":")
		number, unit, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil && strings.HasPrefix(unit, "kB") {
			out[name] = n << 10
		}
	}
	return out
}

func osName() string {
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	kernel := strings.ToUpper(runtime.GOOS[:1]) + runtime.GOOS[1:]
	return strings.Join(strings.Fields(kernel+" "+string(release)+" "+runtime.GOARCH), " ")
}
