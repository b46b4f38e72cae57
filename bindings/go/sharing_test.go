package redlock

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"time"
)

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// likeAll is a factory as a careless program makes it for each request: nobody closes it.
func likeAll(t testing.TB, options ...Option) *Factory {
	t.Helper()
	f, err := New(nodeURLs(), options...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func lockAndUnlock(t testing.TB, f *Factory) {
	t.Helper()
	if err := take(t, f, resource(t)).Unlock(background()); err != nil {
		t.Fatal(err)
	}
}

func TestFactoriesOfTheSameNodesShareConnections(t *testing.T) {
	first := likeAll(t)
	defer first.Close()
	lockAndUnlock(t, first)
	before := descriptors(t)
	for range 200 {
		lockAndUnlock(t, likeAll(t))
	}
	if now := descriptors(t); now > before {
		t.Fatalf("%d descriptors more", now-before)
	}
	one := likeAll(t, WithKeyPrefix("a:"), WithMaxTTL(time.Minute))
	other := likeAll(t, WithMaxTTL(time.Minute), WithKeyPrefix("b:"), WithKeyPrefix("a:"))
	if one.nodes != other.nodes || one.nodes == first.nodes {
		t.Fatal("options tell sets apart, and their order does not")
	}
}

func TestFactoriesThatAreCollectedCloseTheirConnections(t *testing.T) {
	before := descriptors(t)
	for range 20 {
		// The last one of its nodes and options.
		lockAndUnlock(t, likeAll(t, WithOption("ballot_retention_ms", "86000000")))
		runtime.GC()
	}
	eventually(t, "the descriptors are closed", func() bool {
		runtime.GC()
		nodeSets.Lock()
		open := len(nodeSets.open)
		nodeSets.Unlock()
		return open == 0 && descriptors(t) <= before
	})
}

func TestAClosedFactoryIsClosedThoughOthersShareItsNodes(t *testing.T) {
	own := WithOption("ballot_retention_ms", "85000000")
	closing, staying, name := likeAll(t, own), likeAll(t, own), resource(t)
	defer staying.Close()
	lock := take(t, closing, name, WithTTL(time.Minute))
	waiting := make(chan error, 1)
	go func() {
		_, err := closing.Lock(background(), name)
		waiting <- err
	}()
	eventually(t, "a call waits", func() bool { return closing.port.waiting() == 1 })
	if err := closing.Close(); err != nil {
		t.Fatal(err)
	}
	if err := within(t, "the end of the wait", waiting); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if _, err := closing.TryLock(background(), resource(t)); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if err := lock.Extend(background(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(background()); err != nil {
		t.Fatal(err)
	}
	lockAndUnlock(t, staying)
}
