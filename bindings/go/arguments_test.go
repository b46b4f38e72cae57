package redlock

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// refused checks that an argument is refused with a message that names what is wrong.
func refused(t *testing.T, err error, words string) {
	t.Helper()
	if !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("not refused as an argument: %v", err)
	} else if !strings.Contains(err.Error(), words) {
		t.Errorf("%q does not say %q", err.Error(), words)
	}
}

func TestWrongNamesAreRefused(t *testing.T) {
	f := factory(t)
	for _, wrong := range []struct{ name, words string }{
		{"", "empty"},
		{strings.Repeat("x", 513), "513 bytes"},
		{strings.Repeat("x", 1<<20), "bytes"},
		{"in\x00between", "NUL"},
		{"\xff\xfe", "UTF-8"},
	} {
		_, err := f.Lock(background(), wrong.name)
		refused(t, err, wrong.words)
		_, err = f.IsLocked(background(), wrong.name)
		refused(t, err, wrong.words)
	}
	take(t, f, strings.Repeat("x", 512))
	take(t, f, "Schloß 锁 🔒 "+resource(t))
}

func TestWrongSetsOfNamesAreRefused(t *testing.T) {
	f := factory(t)
	for _, wrong := range []struct {
		names []string
		words string
	}{
		{nil, ""}, {[]string{}, ""}, {[]string{"a", "a"}, "a"}, {make([]string, 129), "129"}, {[]string{"a", ""}, "empty"},
		{[]string{"a", "\x00"}, "NUL"}, {[]string{"a", "\xff"}, "UTF-8"},
	} {
		_, err := f.LockMany(background(), wrong.names)
		refused(t, err, wrong.words)
	}
}

func TestWrongTimesAreRefused(t *testing.T) {
	f, name := factory(t), resource(t)
	for _, ttl := range []time.Duration{0, -time.Second, 999 * time.Microsecond, math.MinInt64, math.MaxInt64, 31 * 24 * time.Hour} {
		_, err := f.Lock(background(), name, WithTTL(ttl))
		refused(t, err, "TTL")
	}
	_, err := f.Lock(background(), name, WithWait(-1))
	refused(t, err, "wait")
	lock := take(t, f, name)
	for _, ttl := range []time.Duration{0, -time.Second, math.MaxInt64} {
		refused(t, lock.Extend(background(), ttl), "TTL")
	}
	if lock.Validity() == 0 {
		t.Error("a refused extension ended the lock")
	}
}

func TestWrongURLsAreRefused(t *testing.T) {
	for _, url := range []string{"", "nonsense", "http://127.0.0.1:6379", "redis://127.0.0.1:notaport", "redis://\x00"} {
		_, err := New([]string{url})
		refused(t, err, "")
	}
	_, err := New([]string{"redis://127.0.0.1:6379", "redis://127.0.0.1:6379"})
	refused(t, err, "twice")
	_, err = New([]string{"rediss://127.0.0.1"}, WithTLSFiles("/no/such/file", "", ""))
	refused(t, err, "/no/such/file")
	_, err = New(make([]string, 65))
	refused(t, err, "65")
}

func TestWrongOptionsAreRefused(t *testing.T) {
	for _, wrong := range []struct {
		option Option
		words  string
	}{
		{WithOption("no_such_option", "1"), "no_such_option"},
		{WithOption("node_timeout_ms", "soon"), "node_timeout_ms"},
		{WithOption("key_prefix", "a\x00b"), "NUL"},
		{WithOption("a\x00b", ""), "NUL"},
		{WithNodeTimeout(-time.Second), "node_timeout_ms"},
		{WithConnectTimeout(0), "connect_timeout_ms"},
		{WithMaxTTL(-1), "max_ttl_ms"},
		{nil, "nil"},
	} {
		_, err := New(nodeURLs(), wrong.option)
		refused(t, err, wrong.words)
	}
	_, err := factory(t).Lock(background(), resource(t), nil)
	refused(t, err, "nil")
}

// What a program does after it forgot to look at an error must not crash it.
func TestNilAndEmptyObjectsGiveErrors(t *testing.T) {
	for _, f := range []*Factory{nil, {}} {
		_, err := f.Lock(background(), "x")
		refused(t, err, "New")
		_, err = f.TryLock(background(), "x")
		refused(t, err, "New")
		_, err = f.IsLocked(background(), "x")
		refused(t, err, "New")
		_, err = f.LockMany(background(), []string{"x", "y"})
		refused(t, err, "New")
		refused(t, f.TrustNodes(), "New")
		_, err = f.Check()
		refused(t, err, "New")
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, lock := range []*Lock{nil, {}} {
		refused(t, lock.Unlock(background()), "lock")
		refused(t, lock.Extend(background(), time.Second), "lock")
		refused(t, lock.KeepAlive(), "lock")
		if lock.Validity() != 0 || lock.Resource() != "" || lock.Token() != "" || lock.Fence() != 0 ||
			lock.Resources() != nil || lock.Fences() != nil {
			t.Error("an empty lock says something")
		}
		within(t, "the loss of an empty lock", lock.Lost())
		within(t, "the end of an empty lock's context", lock.Context(background()).Done())
	}
	for _, owner := range []*Reentrant{nil, {}} {
		refused(t, owner.Lock(background()), "owner")
		refused(t, owner.Unlock(background()), "owner")
	}
}

func TestNilContextsGiveErrors(t *testing.T) {
	var none context.Context
	f := factory(t)
	lock := take(t, f, resource(t))
	_, err := f.Lock(none, "x")
	refused(t, err, "context")
	refused(t, lock.Unlock(none), "context")
	refused(t, lock.Extend(none, time.Second), "context")
	refused(t, f.Reentrant("x").Lock(none), "context")
	refused(t, f.Reentrant("x").Unlock(none), "context")
	if lock.Context(none).Err() != nil {
		t.Error("a context without a parent has ended")
	}
}
