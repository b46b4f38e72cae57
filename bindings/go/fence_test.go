package redlock

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestFencesRise(t *testing.T) {
	factories, name := []*Factory{factory(t), factory(t), factory(t)}, resource(t)
	last := uint64(0)
	for i := range 60 {
		lock := take(t, factories[i%len(factories)], name)
		if fence := lock.Fence(); fence <= last || fence >= 1<<53 {
			t.Fatalf("%d after %d", fence, last)
		}
		last = lock.Fence()
		if err := lock.Unlock(background()); err != nil {
			t.Fatal(err)
		}
		if lock.Fence() != last {
			t.Fatal("the fence is gone after Unlock")
		}
	}
}

func TestWithoutFencingThereIsNoFence(t *testing.T) {
	lock := take(t, factory(t, WithOption("fencing", "off")), resource(t))
	if lock.Fence() != 0 {
		t.Fatal(lock.Fence())
	}
}

func TestSeveralResourcesAreLockedAsOne(t *testing.T) {
	f, names := factory(t), []string{resource(t), resource(t), resource(t)}
	given := slices.Clone(names)
	lock, err := f.LockMany(background(), given, WithTTL(60*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	given[0] = "changed by the caller"
	if !slices.Equal(lock.Resources(), names) || lock.Resource() != names[0] {
		t.Fatal(lock.Resources())
	}
	fences := lock.Fences()
	if len(fences) != 3 || slices.Contains(fences, 0) || fences[0] != lock.Fence() {
		t.Fatal(fences)
	}
	for _, name := range names {
		if _, err := f.TryLock(background(), name); !errors.Is(err, ErrContended) {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if err := lock.Extend(background(), 60*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(background()); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		if next := take(t, f, name); next.Fence() <= fences[i] {
			t.Fatalf("%d after %d", next.Fence(), fences[i])
		}
	}
}

func TestAllOrNothing(t *testing.T) {
	f, free, taken := factory(t), resource(t), resource(t)
	take(t, f, taken)
	_, err := f.LockMany(background(), []string{free, taken}, WithWait(0))
	if !errors.Is(err, ErrContended) {
		t.Fatalf("%v", err)
	}
	eventually(t, "no node has the key", func() bool { return isFree(t, free) })
}

func TestSetsThatOverlapDoNotWaitForEachOtherForEver(t *testing.T) {
	f, a, b, c := factory(t), resource(t), resource(t), resource(t)
	var all sync.WaitGroup
	for _, set := range [][]string{{a, b}, {b, c}, {c, a}, {b, a}} {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 10 {
				lock, err := f.LockMany(background(), set)
				if err != nil {
					t.Error(err)
					return
				}
				if err := lock.Unlock(background()); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	within(t, "all sets' turns", done)
}

func TestTrustNodes(t *testing.T) {
	// The witness of this longest TTL means nothing to the other tests' factories. They would find it, and take a node that
	// was not connected when it was left on the others for one that has restarted.
	f, name := factory(t, WithOption("restart_guard", "strict"), WithMaxTTL(23*time.Hour)), resource(t)
	eventually(t, "enough nodes are vouched for", func() bool {
		err := f.TrustNodes()
		if err != nil && !errors.Is(err, ErrNoQuorum) {
			t.Fatal(err)
		}
		lock, err := f.TryLock(background(), name)
		if err == nil {
			_ = lock.Unlock(background())
		}
		return err == nil
	})
}
