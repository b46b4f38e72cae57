package redlock

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestCancellingAContextEndsTheWait(t *testing.T) {
	f, name := factory(t), resource(t)
	take(t, f, name, WithTTL(60*time.Second))
	ctx, cancel := context.WithCancel(background())
	failed := make(chan error, 1)
	go func() {
		_, err := f.Lock(ctx, name)
		failed <- err
	}()
	eventually(t, "a call waits", func() bool { return f.port.waiting() == 1 })
	cancel()
	err := within(t, "the end of Lock", failed)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrCancelled) {
		t.Fatalf("%v", err)
	}
	if f.port.waiting() != 0 {
		t.Fatal("the operation is still under way")
	}
}

func TestADeadlineEndsTheWaitAndSaysWhoIsInTheWay(t *testing.T) {
	f, name := factory(t), resource(t)
	take(t, f, name, WithTTL(60*time.Second))
	ctx, cancel := context.WithTimeout(background(), 300*time.Millisecond)
	defer cancel()
	_, err := f.Lock(ctx, name)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v", err)
	}
	if !errors.Is(err, ErrContended) && !errors.Is(err, ErrCancelled) {
		t.Fatalf("%v", err)
	}
}

func TestAContextThatHasEndedLocksNothing(t *testing.T) {
	f, name := factory(t), resource(t)
	ctx, cancel := context.WithCancel(background())
	cancel()
	if _, err := f.Lock(ctx, name); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	if _, err := f.IsLocked(ctx, name); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	if !isFree(t, name) {
		t.Fatal("locked")
	}
}

func TestUnlockWithAnEndedContextGivesTheLockBack(t *testing.T) {
	f, name := factory(t), resource(t)
	lock := take(t, f, name, WithTTL(60*time.Second))
	ctx, cancel := context.WithCancel(background())
	cancel()
	if err := lock.Unlock(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	eventually(t, "no node has the key", func() bool { return isFree(t, name) })
	eventually(t, "nothing is under way", func() bool { return f.port.waiting() == 0 })
}

// Cancelling races with winning; whatever comes first, nothing may stay locked or under way.
func TestCancelledLocksLeaveNothingBehind(t *testing.T) {
	f, name := factory(t), resource(t)
	for i := range 300 {
		ctx, cancel := context.WithCancel(background())
		go func() {
			for range i % 30 {
				time.Sleep(10 * time.Microsecond)
			}
			cancel()
		}()
		lock, err := f.Lock(ctx, name, WithTTL(60*time.Second))
		switch {
		case err == nil:
			if err := lock.Unlock(background()); err != nil {
				t.Fatal(err)
			}
		case !errors.Is(err, context.Canceled):
			t.Fatalf("%v", err)
		}
		cancel()
	}
	eventually(t, "nothing is under way", func() bool { return f.port.waiting() == 0 })
	eventually(t, "no node has the key", func() bool { return isFree(t, name) })
}

func TestHungNodesDoNotHoldUpCancelling(t *testing.T) {
	f, name := plainFactory(t, WithNodeTimeout(time.Hour)), resource(t)
	take(t, f, resource(t))
	stopNodes(t, len(nodeURLs())/2+1)
	ctx, cancel := context.WithCancel(background())
	failed := make(chan error, 1)
	go func() {
		_, err := f.Lock(ctx, name)
		failed <- err
	}()
	eventually(t, "a call waits", func() bool { return f.port.waiting() == 1 })
	cancel()
	if err := within(t, "the end of Lock", failed); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
}
