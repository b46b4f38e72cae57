package redlock

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

func TestALockIsHeldOnTheNodesUntilUnlock(t *testing.T) {
	f, name := factory(t), resource(t)
	lock := takeEverywhere(t, f, name, name, WithTTL(60*time.Second))
	if lock.Resource() != name || len(lock.Token()) == 0 {
		t.Fatalf("resource %q, token %q", lock.Resource(), lock.Token())
	}
	if validity := lock.Validity(); validity <= 0 || validity > 60*time.Second {
		t.Fatalf("validity %v", validity)
	}
	if err := lock.Unlock(background()); err != nil {
		t.Fatal(err)
	}
	if lock.Validity() != 0 {
		t.Fatal("valid after Unlock")
	}
	eventually(t, "no node has the key", func() bool { return isFree(t, name) })
}

func TestATakenLockIsRefusedToOthers(t *testing.T) {
	f, other, name := factory(t), factory(t), resource(t)
	lock := take(t, f, name, WithTTL(60*time.Second))
	_, err := other.TryLock(background(), name)
	if !errors.Is(err, ErrContended) || errors.Is(err, ErrNoQuorum) {
		t.Fatalf("%v", err)
	}
	if err := lock.Unlock(background()); err != nil {
		t.Fatal(err)
	}
	take(t, other, name)
}

func TestAWaiterGetsTheLockWhenItIsGivenBack(t *testing.T) {
	f, name := factory(t), resource(t)
	lock := take(t, f, name, WithTTL(60*time.Second))
	got := make(chan error, 1)
	go func() {
		next, err := f.Lock(background(), name)
		if err == nil {
			err = next.Unlock(background())
		}
		got <- err
	}()
	eventually(t, "a call waits", func() bool { return f.port.waiting() == 1 })
	if err := lock.Unlock(background()); err != nil {
		t.Fatal(err)
	}
	if err := within(t, "the waiter's turn", got); err != nil {
		t.Fatal(err)
	}
}

func TestWaitingEndsWithItsTime(t *testing.T) {
	f, name := factory(t), resource(t)
	take(t, f, name, WithTTL(60*time.Second))
	_, err := f.Lock(background(), name, WithWait(20*time.Millisecond))
	if !errors.Is(err, ErrContended) || errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v", err)
	}
}

func TestExtendBeginsTheTTLAnew(t *testing.T) {
	f, name := factory(t), resource(t)
	lock := take(t, f, name, WithTTL(20*time.Second))
	if err := lock.Extend(background(), 100*time.Second); err != nil {
		t.Fatal(err)
	}
	if lock.Validity() <= 20*time.Second {
		t.Fatalf("validity %v", lock.Validity())
	}
}

func TestALockThatIsGoneIsNotExtendedAndNotTakenAgain(t *testing.T) {
	f, name := factory(t), resource(t)
	lock := take(t, f, name, WithTTL(60*time.Second))
	deleteKey(t, name)
	if err := lock.Extend(background(), 60*time.Second); !errors.Is(err, ErrExpired) {
		t.Fatalf("%v", err)
	}
	if !isFree(t, name) {
		t.Fatal("the extension took the lock again")
	}
	if err := lock.Unlock(background()); !errors.Is(err, ErrExpired) {
		t.Fatalf("%v", err)
	}
}

func TestALockIsGivenBackOnce(t *testing.T) {
	f, name := factory(t), resource(t)
	lock := take(t, f, name)
	if err := lock.Unlock(background()); err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(background()); !errors.Is(err, ErrReleased) {
		t.Fatalf("the second Unlock: %v", err)
	}
	if err := lock.Extend(background(), time.Second); !errors.Is(err, ErrReleased) {
		t.Fatalf("Extend after Unlock: %v", err)
	}
}

func TestOfManyUnlocksOneSucceeds(t *testing.T) {
	f, name := factory(t), resource(t)
	for range 50 {
		lock := take(t, f, name)
		results := make(chan error, 8)
		var all sync.WaitGroup
		for i := range cap(results) {
			all.Add(1)
			go func() {
				defer all.Done()
				if i%2 == 0 {
					results <- lock.Unlock(background())
				} else if err := lock.Extend(background(), time.Second); err != nil {
					results <- err
				}
			}()
		}
		all.Wait()
		close(results)
		succeeded := 0
		for err := range results {
			if err == nil {
				succeeded++
			} else if !errors.Is(err, ErrReleased) {
				t.Fatalf("%v", err)
			}
		}
		if succeeded != 1 {
			t.Fatalf("%d Unlocks succeeded", succeeded)
		}
	}
}

func TestIsLocked(t *testing.T) {
	f, name := factory(t), resource(t)
	ask := func() bool {
		locked, err := f.IsLocked(background(), name)
		if err != nil {
			t.Fatal(err)
		}
		return locked
	}
	if ask() {
		t.Fatal("locked before anybody locked it")
	}
	lock := take(t, f, name)
	if !ask() {
		t.Fatal("not locked")
	}
	if err := lock.Unlock(background()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "not locked any more", func() bool { return !ask() })
}

func TestLocksOutliveTheirFactory(t *testing.T) {
	f, name := factory(t), resource(t)
	lock := take(t, f, name, WithTTL(20*time.Second))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := lock.Extend(background(), 60*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(background()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no node has the key", func() bool { return isFree(t, name) })
}

// Each of many goroutines, with factories of their own, adds to a number in two steps. Without exclusion some are lost.
func TestMutualExclusionSeenFromOutside(t *testing.T) {
	const goroutines, turns = 16, 25
	name, counter := resource(t), 0
	var all sync.WaitGroup
	for range goroutines {
		f := factory(t)
		all.Add(1)
		go func() {
			defer all.Done()
			for range turns {
				lock, err := f.Lock(background(), name)
				if err != nil {
					t.Error(err)
					return
				}
				counter = addOne(counter)
				if err := lock.Unlock(background()); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	all.Wait()
	if counter != goroutines*turns {
		t.Fatalf("%d of %d", counter, goroutines*turns)
	}
}

// addOne gives others the opportunity to come in between.
func addOne(value int) int {
	time.Sleep(100 * time.Microsecond)
	return value + 1
}
