//go:build cgo

package redlock

import (
	"math"
	"time"
)

// DefaultTTL is the time after which the nodes free a lock by themselves, unless [WithTTL] sets another.
const DefaultTTL = 10 * time.Second

// forever is the time to wait until the context ends.
const forever = time.Duration(math.MaxInt64)

// LockOption is a setting of one lock.
type LockOption func(*lockOptions)

type lockOptions struct {
	ttl  time.Duration
	wait time.Duration
	keep bool
}

// WithTTL sets the time, in whole milliseconds, after which the nodes free the lock by themselves: more than the work
// needs, or extended in time by [Lock.Extend]. At most 30 days; see [WithMaxTTL] for what is above
// the factory's longest TTL.
func WithTTL(ttl time.Duration) LockOption {
	return func(o *lockOptions) { o.ttl = ttl }
}

// WithWait sets how long to try while the lock is held by another or too few nodes vote; 0 tries once. Without it a
// call waits until its context ends. What ends first counts.
func WithWait(wait time.Duration) LockOption {
	return func(o *lockOptions) { o.wait = wait }
}

// WithKeepAlive has the lock kept alive as by [Lock.KeepAlive], from the beginning.
func WithKeepAlive() LockOption {
	return func(o *lockOptions) { o.keep = true }
}

func newLockOptions(options []LockOption) (lockOptions, *Error) {
	o := lockOptions{ttl: DefaultTTL, wait: forever}
	for _, option := range options {
		if option == nil {
			return o, invalid("an option is nil")
		}
		option(&o)
	}
	if o.wait < 0 {
		return o, invalid("the time to wait is negative: %v", o.wait)
	}
	return o, checkTTL(o.ttl)
}

// checkTTL refuses what the library's unsigned milliseconds cannot express; it checks the rest itself.
func checkTTL(ttl time.Duration) *Error {
	if ttl < time.Millisecond {
		return invalid("the TTL must be at least 1 ms, not %v", ttl)
	}
	return nil
}
