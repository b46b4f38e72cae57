package redlock

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// threads is how many threads of the operating system this process has.
func threads(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	for line := range strings.Lines(string(status)) {
		if count, found := strings.CutPrefix(line, "Threads:"); found {
			number, err := strconv.Atoi(strings.TrimSpace(count))
			if err != nil {
				t.Fatal(err)
			}
			return number
		}
	}
	t.Fatal("no Threads in /proc/self/status")
	return 0
}

// In a process of its own, since threads that Go once started for other tests stay; and with the cores of a small
// machine, since Go has threads for all.
func TestTenThousandWaitersHoldNoThreads(t *testing.T) {
	const mark = "REDLOCK_TEST_ALONE"
	if os.Getenv(mark) == "" {
		alone := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		alone.Env = append(os.Environ(), mark+"=1", "GOMAXPROCS=4")
		if output, err := alone.CombinedOutput(); err != nil || !strings.Contains(string(output), "threads for") {
			t.Fatalf("%v\n%s", err, strings.ReplaceAll(string(output), "---", "alone:"))
		}
		return
	}
	tenThousandWaiters(t)
}

func tenThousandWaiters(t *testing.T) {
	const waiters, limit = 10_000, 20
	f, name := factory(t), resource(t)
	lock := take(t, f, name, WithTTL(120*time.Second))
	ctx, cancel := context.WithCancel(background())
	defer cancel()
	var all sync.WaitGroup
	for range waiters {
		all.Add(1)
		go func() {
			defer all.Done()
			if _, err := f.Lock(ctx, name); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		}()
	}
	eventually(t, "all wait", func() bool { return f.port.waiting() == waiters })
	waiting := threads(t)
	cancel()
	all.Wait()
	t.Logf("%d threads for %d waiters, %d after their cancellations", waiting, waiters, threads(t))
	if waiting >= limit || threads(t) >= limit {
		t.Errorf("%d and more are too many", limit)
	}
	if lock.Validity() <= 0 {
		t.Error("the holder lost its lock")
	}
}

func TestManyLocksAtOnce(t *testing.T) {
	f := factory(t)
	var all sync.WaitGroup
	for range 2_000 {
		name := resource(t)
		all.Add(1)
		go func() {
			defer all.Done()
			lock, err := f.Lock(background(), name, WithTTL(100*time.Second))
			if err != nil {
				t.Error(err)
				return
			}
			if err := lock.Extend(background(), 100*time.Second); err != nil {
				t.Error(err)
			}
			if err := lock.Unlock(background()); err != nil {
				t.Error(err)
			}
		}()
	}
	all.Wait()
	if f.port.waiting() != 0 {
		t.Error("operations are left")
	}
}

// After factories are closed and their locks given back, neither goroutines nor descriptors of theirs are left.
func TestNothingIsLeftBehind(t *testing.T) {
	round := func() {
		f, err := New(nodeURLs())
		if err != nil {
			t.Fatal(err)
		}
		lock, err := f.Lock(background(), resource(t))
		if err != nil {
			t.Fatal(err)
		}
		_ = lock.Context(background())
		_ = f.Close()
		if err := lock.Unlock(background()); err != nil {
			t.Fatal(err)
		}
	}
	round()
	debug.FreeOSMemory()
	goroutines, descriptors := runtime.NumGoroutine(), openDescriptors(t)
	for range 50 {
		round()
	}
	eventually(t, "no goroutines are left", func() bool { return runtime.NumGoroutine() <= goroutines })
	eventually(t, "no descriptors are left", func() bool { return openDescriptors(t) <= descriptors })
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	return len(files)
}
