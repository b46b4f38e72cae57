package redlock

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

func TestALockThatRunsOutIsLost(t *testing.T) {
	f, name := factory(t), resource(t)
	lock := take(t, f, name, WithTTL(200*time.Millisecond))
	ctx := lock.Context(background())
	within(t, "the loss", lock.Lost())
	within(t, "the end of the context", ctx.Done())
	if cause := context.Cause(ctx); !errors.Is(cause, ErrExpired) {
		t.Fatalf("%v", cause)
	}
	if ctx.Err() != context.Canceled {
		t.Fatalf("%v", ctx.Err())
	}
	// Whoever asks afterwards learns it at once.
	within(t, "the end of a later context", lock.Context(background()).Done())
	within(t, "the loss, told again", lock.Lost())
}

func TestExtendPutsTheLossOff(t *testing.T) {
	f, name := factory(t), resource(t)
	lock := take(t, f, name, WithTTL(2*time.Second))
	lost := lock.Lost()
	if err := lock.Extend(background(), 60*time.Second); err != nil {
		t.Fatal(err)
	}
	// The first TTL passes, as an outside lock of the same length shows.
	other := take(t, f, resource(t), WithTTL(2*time.Second))
	within(t, "the loss of the other", other.Lost())
	select {
	case <-lost:
		t.Fatal("lost though extended")
	default:
	}
	// A shorter TTL takes nothing back.
	if err := lock.Extend(background(), 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if left := lock.Validity(); left < 30*time.Second {
		t.Fatalf("valid for %v", left)
	}
	brief := take(t, f, resource(t), WithTTL(100*time.Millisecond))
	within(t, "the loss of a brief one", brief.Lost())
	select {
	case <-lost:
		t.Fatal("lost by a shorter extension")
	default:
	}
}

func TestAnExtensionThatFindsTheKeysGoneTellsOfTheLoss(t *testing.T) {
	f, name := factory(t), resource(t)
	lock := take(t, f, name, WithTTL(60*time.Second))
	ctx := lock.Context(background())
	deleteKey(t, name)
	if err := lock.Extend(background(), 60*time.Second); !errors.Is(err, ErrExpired) {
		t.Fatalf("%v", err)
	}
	within(t, "the loss", lock.Lost())
	var cause *Error
	if !errors.As(context.Cause(ctx), &cause) || cause.Status != ErrExpired || len(cause.Nodes) != len(nodeURLs()) {
		t.Fatalf("%v", context.Cause(ctx))
	}
}

func TestUnlockEndsTheContextButIsNoLoss(t *testing.T) {
	f, name := factory(t), resource(t)
	lock := take(t, f, name)
	ctx, lost := lock.Context(background()), lock.Lost()
	if err := lock.Unlock(background()); err != nil {
		t.Fatal(err)
	}
	within(t, "the end of the context", ctx.Done())
	if !errors.Is(context.Cause(ctx), ErrReleased) {
		t.Fatalf("%v", context.Cause(ctx))
	}
	select {
	case <-lost:
		t.Fatal("lost")
	default:
	}
	within(t, "the end of a later context", lock.Context(background()).Done())
}

func TestALocksContextEndsWithItsParent(t *testing.T) {
	lock := take(t, factory(t), resource(t))
	type key struct{}
	parent, cancel := context.WithCancel(context.WithValue(background(), key{}, "value"))
	ctx := lock.Context(parent)
	if ctx.Value(key{}) != "value" {
		t.Fatal("the parent's values are gone")
	}
	cancel()
	within(t, "the end of the context", ctx.Done())
}

func TestAForgottenLockIsGivenBack(t *testing.T) {
	f, name := factory(t), resource(t)
	func() {
		lock, err := f.Lock(background(), name, WithTTL(60*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		// What watches a lock must not keep it.
		_ = lock.Lost()
		_ = lock.Context(background())
	}()
	eventually(t, "no node has the key", func() bool {
		runtime.GC()
		return isFree(t, name)
	})
}

func TestALockIsNotForgottenWhileItsContextIsUsed(t *testing.T) {
	f, name := factory(t), resource(t)
	lock, err := f.Lock(background(), name, WithTTL(60*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(lock.Context(background()))
	defer cancel()
	var collected atomic.Bool
	runtime.AddCleanup(lock, func(collected *atomic.Bool) { collected.Store(true) }, &collected)
	lock = nil
	for range 5 {
		runtime.GC()
	}
	if collected.Load() || ctx.Err() != nil {
		t.Fatal("the lock was collected while its context was in use")
	}
	runtime.KeepAlive(ctx)
}

func TestAForgottenFactoryIsClosed(t *testing.T) {
	ended := make(chan struct{})
	func() {
		f, err := New(nodeURLs())
		if err != nil {
			t.Fatal(err)
		}
		lock, err := f.Lock(background(), resource(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Unlock(background()); err != nil {
			t.Fatal(err)
		}
		port := f.port
		go func() {
			for port.users.Load() > 0 {
				time.Sleep(time.Millisecond)
			}
			close(ended)
		}()
	}()
	eventually(t, "the factory's port has no users", func() bool {
		runtime.GC()
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
}
