package redlock

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestAKeptLockOutlivesItsTTL(t *testing.T) {
	f, name := factory(t), resource(t)
	kept := take(t, f, name, WithTTL(2*time.Second), WithKeepAlive())
	later := take(t, f, resource(t), WithTTL(2*time.Second))
	if err := later.KeepAlive(); err != nil {
		t.Fatal(err)
	}
	ctx := kept.Context(background())
	// Three other locks run out, one after the other.
	for range 3 {
		within(t, "the loss of another", take(t, f, resource(t), WithTTL(time.Second)).Lost())
	}
	if ctx.Err() != nil || kept.Validity() == 0 || later.Validity() == 0 {
		t.Fatalf("lost: %v", context.Cause(ctx))
	}
	for _, lock := range []*Lock{kept, later} {
		if err := lock.Unlock(background()); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "no node has the key", func() bool { return isFree(t, name) })
}

func TestTheLossOfAKeptLockIsTold(t *testing.T) {
	f, name := factory(t), resource(t)
	lock := take(t, f, name, WithTTL(3*time.Second), WithKeepAlive())
	ctx := lock.Context(background())
	deleteKey(t, name)
	within(t, "the loss", lock.Lost())
	within(t, "the end of the context", ctx.Done())
	if !errors.Is(context.Cause(ctx), ErrExpired) {
		t.Fatalf("%v", context.Cause(ctx))
	}
	if !isFree(t, name) {
		t.Fatal("the lost lock was taken again")
	}
	if err := lock.KeepAlive(); !errors.Is(err, ErrExpired) {
		t.Fatalf("%v", err)
	}
}

func TestAKeptLockIsLostWhenTheNodesHang(t *testing.T) {
	lock := take(t, plainFactory(t), resource(t), WithTTL(time.Second), WithKeepAlive())
	ctx := lock.Context(background())
	stopNodes(t, len(nodeURLs())/2+1)
	within(t, "the end of the context", ctx.Done())
	if cause := context.Cause(ctx); !errors.Is(cause, ErrNoQuorum) && !errors.Is(cause, ErrExpired) {
		t.Fatalf("%v", cause)
	}
}

func TestAReleasedLockIsNotKept(t *testing.T) {
	f := factory(t)
	lock := take(t, f, resource(t), WithKeepAlive())
	if err := lock.Unlock(background()); err != nil {
		t.Fatal(err)
	}
	if err := lock.KeepAlive(); !errors.Is(err, ErrReleased) {
		t.Fatalf("%v", err)
	}
	if len(f.port.kept) != 0 {
		t.Fatal("still registered")
	}
}
