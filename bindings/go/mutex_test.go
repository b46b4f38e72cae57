package redlock

import (
	"errors"
	"sync"
	"testing"
	"time"
)

func TestAMutexIsASyncLocker(t *testing.T) {
	f, name := factory(t), resource(t)
	mutex := f.Mutex(name, WithTTL(60*time.Second))
	var locker sync.Locker = mutex
	locker.Lock()
	if mutex.Held() == nil || mutex.Held().Validity() <= 0 {
		t.Fatal("not held")
	}
	if mutex.TryLock() || f.Mutex(name).TryLock() {
		t.Fatal("locked twice")
	}
	locker.Unlock()
	if mutex.Held() != nil {
		t.Fatal("held after Unlock")
	}
	eventually(t, "locked again", mutex.TryLock)
	mutex.Unlock()
}

func TestAMutexExcludes(t *testing.T) {
	f, name, counter := factory(t), resource(t), 0
	shared := f.Mutex(name)
	var all sync.WaitGroup
	for i := range 16 {
		mutex := shared
		if i%2 == 0 {
			mutex = f.Mutex(name)
		}
		all.Add(1)
		go func() {
			defer all.Done()
			for range 20 {
				mutex.Lock()
				counter = addOne(counter)
				mutex.Unlock()
			}
		}()
	}
	all.Wait()
	if counter != 16*20 {
		t.Fatal(counter)
	}
}

func TestAConditionVariableWorksWithAMutex(t *testing.T) {
	condition := sync.NewCond(factory(t).Mutex(resource(t)))
	ready, done := false, make(chan struct{})
	go func() {
		condition.L.Lock()
		for !ready {
			condition.Wait()
		}
		condition.L.Unlock()
		close(done)
	}()
	condition.L.Lock()
	ready = true
	condition.L.Unlock()
	condition.Broadcast()
	within(t, "the condition", done)
}

func TestUnlockingALostMutexDoesNotPanic(t *testing.T) {
	name := resource(t)
	mutex := factory(t).Mutex(name, WithTTL(time.Second))
	mutex.Lock()
	deleteKey(t, name)
	within(t, "the loss", mutex.Held().Lost())
	mutex.Unlock()
}

func TestMisuseOfAMutexPanics(t *testing.T) {
	f := factory(t)
	panics := func(what string, call func()) error {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("no panic: %s", what)
			}
		}()
		call()
		return nil
	}
	panics("Unlock of an unlocked mutex", f.Mutex("x").Unlock)
	panics("a name that is empty", f.Mutex("").Lock)
	panics("a name that is empty", func() { f.Mutex("").TryLock() })
	closed := f.Mutex("x")
	_ = f.Close()
	panics("a closed factory", closed.Lock)
	// The turn is given back, so that the next call panics too, and does not hang.
	panics("a closed factory", closed.Lock)
}

func TestAnInnerLockTouchesNoNode(t *testing.T) {
	f, name := factory(t), resource(t)
	owner := f.Reentrant(name, WithTTL(60*time.Second))
	for range 3 {
		if err := owner.Lock(background()); err != nil {
			t.Fatal(err)
		}
		// With all nodes hung, whatever asks them could not succeed.
		stopNodes(t, len(nodeURLs()))
	}
	for range 2 {
		if err := owner.Unlock(background()); err != nil {
			t.Fatal(err)
		}
	}
	if owner.Held() == nil || owner.Held().Validity() <= 0 {
		t.Fatal("given back too early")
	}
}

func TestTheLastUnlockGivesTheLockBack(t *testing.T) {
	f, name := factory(t), resource(t)
	owner := f.Reentrant(name)
	for range 3 {
		if err := owner.Lock(background()); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if _, err := f.TryLock(background(), name); !errors.Is(err, ErrContended) {
			t.Fatalf("%v", err)
		}
		if err := owner.Unlock(background()); err != nil {
			t.Fatal(err)
		}
	}
	if owner.Held() != nil {
		t.Fatal("still held")
	}
	if err := owner.Unlock(background()); !errors.Is(err, ErrReleased) {
		t.Fatalf("%v", err)
	}
	take(t, f, name)
}

func TestAnInnerLockAfterTheLossFails(t *testing.T) {
	f, name := factory(t), resource(t)
	owner := f.Reentrant(name, WithTTL(100*time.Millisecond))
	if err := owner.Lock(background()); err != nil {
		t.Fatal(err)
	}
	within(t, "the loss", owner.Held().Lost())
	eventually(t, "the end of the validity", func() bool { return owner.Held().Validity() == 0 })
	if err := owner.Lock(background()); !errors.Is(err, ErrExpired) {
		t.Fatalf("%v", err)
	}
	eventually(t, "the nodes have forgotten the lock", func() bool { return isFree(t, name) })
	if err := owner.Unlock(background()); !errors.Is(err, ErrExpired) {
		t.Fatalf("%v", err)
	}
	if err := owner.Lock(background()); err != nil {
		t.Fatalf("after the Unlock: %v", err)
	}
	if err := owner.Unlock(background()); err != nil {
		t.Fatal(err)
	}
}
