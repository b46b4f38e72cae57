package redlock

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"
)

func TestADetachedLockStaysHeld(t *testing.T) {
	f, name := factory(t), resource(t)
	lock := take(t, f, name, WithTTL(60*time.Second))
	ctx, token := lock.Context(background()), lock.Token()
	lock.Detach()
	if !errors.Is(context.Cause(ctx), ErrReleased) || lock.Validity() != 0 {
		t.Fatalf("%v, valid for %v", context.Cause(ctx), lock.Validity())
	}
	for _, err := range []error{lock.Unlock(background()), lock.Extend(background(), time.Second), lock.KeepAlive()} {
		if !errors.Is(err, ErrReleased) {
			t.Fatal(err)
		}
	}
	lock.Detach()
	// A lock that was released in the background would be free when the factory is closed.
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if holders := len(nodesWith(t, name, token)); holders <= len(nodeURLs())/2 {
		t.Fatalf("%d nodes hold it", holders)
	}
	if _, err := factory(t).TryLock(background(), name); !errors.Is(err, ErrContended) {
		t.Fatal(err)
	}
}

func TestADetachedLockIsNotKeptAlive(t *testing.T) {
	f, name := factory(t), resource(t)
	lock := take(t, f, name, WithTTL(time.Second), WithKeepAlive())
	lock.Detach()
	eventually(t, "its TTL has ended", func() bool { return isFree(t, name) })
	select {
	case <-lock.Lost():
		t.Fatal("a detached lock is not lost")
	default:
	}
}

func TestTheCollectorDoesNotReleaseADetachedLock(t *testing.T) {
	f, name := factory(t), resource(t)
	collected := make(chan struct{})
	func() {
		lock, err := f.Lock(background(), name, WithTTL(60*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		runtime.AddCleanup(lock, func(done chan struct{}) { close(done) }, collected)
		lock.Detach()
	}()
	eventually(t, "the lock is collected", func() bool {
		runtime.GC()
		select {
		case <-collected:
			return true
		default:
			return false
		}
	})
	if _, err := f.TryLock(background(), name); !errors.Is(err, ErrContended) {
		t.Fatal(err)
	}
}

func TestANilLockIsDetachedWithoutAPanic(*testing.T) {
	var none *Lock
	none.Detach()
	(&Lock{}).Detach()
}

// nodesWith are the nodes on which a key has this value.
func nodesWith(t testing.TB, key, token string) []string {
	t.Helper()
	var holding []string
	for _, owner := range owners(t, key) {
		if owner == token {
			holding = append(holding, owner)
		}
	}
	return holding
}
