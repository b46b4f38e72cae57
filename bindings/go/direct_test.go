package redlock

import (
	"context"
	"testing"
	"time"
)

// Each operation that goes through the port takes a number.
func TestALonelyGoroutineCallsTheLibraryItself(t *testing.T) {
	f, name := factory(t), resource(t)
	pair := func() (numbers uint64) {
		before := f.port.lastID.Load()
		lock, err := f.Lock(background(), name)
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Unlock(background()); err != nil {
			t.Fatal(err)
		}
		return f.port.lastID.Load() - before
	}
	if numbers := pair(); numbers == 0 {
		t.Error("the first operation, which waits for connections, did not go through the port")
	}
	eventually(t, "a pair goes past the port", func() bool { return pair() == 0 })

	ctx, cancel := context.WithCancel(background())
	defer cancel()
	held := take(t, factory(t), resource(t), WithTTL(60*time.Second))
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		_, _ = f.Lock(ctx, held.Resource())
	}()
	eventually(t, "another goroutine waits", func() bool { return f.port.waiting() == 1 })
	for range 20 {
		if numbers := pair(); numbers != 2 {
			t.Fatalf("with company, %d operations went through the port", numbers)
		}
	}
	cancel()
	within(t, "the end of the wait", waiting)
}

func TestALongNodeTimeoutRulesOutBlockingCalls(t *testing.T) {
	for _, case_ := range []struct {
		options []Option
		allowed bool
	}{
		{nil, true},
		{[]Option{WithNodeTimeout(50 * time.Millisecond)}, true},
		{[]Option{WithOption("node_timeout_ms", "auto")}, true},
		{[]Option{WithNodeTimeout(51 * time.Millisecond)}, false},
	} {
		if f := plainFactory(t, case_.options...); f.port.direct.allowed != case_.allowed {
			t.Errorf("%d options: %v", len(case_.options), f.port.direct.allowed)
		}
	}
}
