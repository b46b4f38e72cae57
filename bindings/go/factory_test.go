package redlock

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestCloseIsIdempotent(t *testing.T) {
	f := factory(t)
	var all sync.WaitGroup
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}()
	}
	all.Wait()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestAClosedFactorySaysSo(t *testing.T) {
	f := factory(t)
	_ = f.Close()
	_, err := f.Lock(background(), resource(t))
	if !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	if _, err := f.IsLocked(background(), resource(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	if _, err := f.Check(); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
}

func TestClosingEndsTheWait(t *testing.T) {
	f, name := factory(t), resource(t)
	take(t, factory(t), name, WithTTL(60*time.Second))
	failed := make(chan error, 1)
	go func() {
		_, err := f.Lock(background(), name)
		failed <- err
	}()
	eventually(t, "a call waits", func() bool { return f.port.waiting() == 1 })
	_ = f.Close()
	if err := within(t, "the end of Lock", failed); !errors.Is(err, ErrClosed) {
		t.Fatalf("%v", err)
	}
}

// Closing races with locking: each call ends in its own right way.
func TestClosingWhileOthersLock(t *testing.T) {
	for range 20 {
		f, name := factory(t), resource(t)
		take(t, f, name)
		var all sync.WaitGroup
		for i := range 8 {
			all.Add(1)
			go func() {
				defer all.Done()
				for {
					lock, err := f.Lock(background(), resource(t))
					if errors.Is(err, ErrClosed) {
						return
					}
					if err != nil {
						t.Errorf("%d: %v", i, err)
						return
					}
					if err := lock.Unlock(background()); err != nil {
						t.Errorf("%d: %v", i, err)
					}
				}
			}()
		}
		_ = f.Close()
		all.Wait()
	}
}

func TestCheckTellsOfEachNode(t *testing.T) {
	f := factory(t)
	take(t, f, resource(t))
	report, err := f.Check()
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(report), "\n"); len(lines) != len(nodeURLs()) {
		t.Fatalf("%d lines:\n%s", len(lines), report)
	}
}

func TestOptionsReachTheLibrary(t *testing.T) {
	name := resource(t)
	prefixed := factory(t, WithKeyPrefix("prefix:"), WithMaxTTL(5*time.Second), WithNodeTimeout(time.Second),
		WithConnectTimeout(10*time.Second), WithTLSFiles("", "", ""), WithTLSServerName("localhost"),
		WithTLSVerify("ca"), WithOption("retry_max_ms", "20"),
		WithOption("restart_guard", "strict"))
	if err := prefixed.TrustNodes(); err != nil {
		t.Fatal(err)
	}
	takeEverywhere(t, prefixed, name, "prefix:"+name, WithTTL(5*time.Second))
	if !isFree(t, name) {
		t.Error("the key has no prefix")
	}
	_, err := prefixed.Lock(background(), name, WithTTL(6*time.Second))
	refused(t, err, "max_ttl_ms")
}

func TestTheLibraryListsItsOptions(t *testing.T) {
	for _, option := range Options() {
		if option.Name == "node_timeout_ms" && option.Default != "" && option.Description != "" {
			return
		}
	}
	t.Fatalf("%v", Options())
}
