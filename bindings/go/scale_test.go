package redlock

import (
	"context"
	"errors"
	"os"
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

func TestTenThousandWaitersHoldNoThreads(t *testing.T) {
	const waiters, limit = 10_000, 20
	if threads(t) >= limit {
		t.Skip("tests before have left too many threads")
	}
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
	if count := threads(t); count >= limit {
		t.Errorf("%d threads for %d waiters", count, waiters)
	}
	cancel()
	all.Wait()
	if count := threads(t); count >= limit {
		t.Errorf("%d threads after %d cancellations", count, waiters)
	}
	if lock.Validity() <= 0 {
		t.Error("the holder lost its lock")
	}
}

func TestManyLocksAtOnce(t *testing.T) {
	f := factory(t, WithNodeTimeout(10*time.Second))
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
