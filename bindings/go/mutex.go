//go:build cgo

package redlock

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Mutex is a lock on a resource with the methods of [sync.Mutex], for code that wants a [sync.Locker]. Goroutines that
// share one Mutex exclude each other without asking the nodes, and in turn exclude all other owners of the resource.
//
// A [sync.Locker] has no room for errors. So Lock tries until it holds the lock, whatever the nodes do, and has it kept
// alive; it panics only when it could never succeed: when the arguments are wrong or the factory was closed. A lock that
// was lost meanwhile does not make Unlock panic; whoever wants to know asks [Mutex.Held].
type Mutex struct {
	factory  *Factory
	resource string
	options  []LockOption
	// turn holds a token while a goroutine has its turn at the resource.
	turn chan struct{}

	mu   sync.Mutex
	held *Lock
}

var _ sync.Locker = (*Mutex)(nil)

// Mutex makes a mutex on a resource. The options are those of [Factory.Lock], but for [WithWait], which has no effect.
func (f *Factory) Mutex(resource string, options ...LockOption) *Mutex {
	return &Mutex{factory: f, resource: resource, options: options, turn: make(chan struct{}, 1)}
}

// Lock waits until the lock is held.
func (m *Mutex) Lock() {
	m.turn <- struct{}{}
	for {
		lock, err := m.factory.Lock(context.Background(), m.resource, m.with(forever)...)
		if err == nil {
			m.keep(lock)
			return
		}
		if hopeless(err) {
			<-m.turn
			panic(err)
		}
		time.Sleep(retryPause)
	}
}

// TryLock takes the lock if it is free, and says whether it did.
func (m *Mutex) TryLock() bool {
	select {
	case m.turn <- struct{}{}:
	default:
		return false
	}
	lock, err := m.factory.Lock(context.Background(), m.resource, m.with(0)...)
	if err == nil {
		m.keep(lock)
		return true
	}
	<-m.turn
	if hopeless(err) {
		panic(err)
	}
	return false
}

// Unlock gives the lock back. It panics when the mutex is not locked, as [sync.Mutex] does.
func (m *Mutex) Unlock() {
	lock := m.take()
	if lock == nil {
		panic("redlock: Unlock of an unlocked Mutex on " + m.resource)
	}
	// That it was lost, or that some nodes could not be told, changes nothing for whoever unlocks.
	_ = lock.Unlock(context.Background())
	<-m.turn
}

// Held is the lock while the mutex is locked, for its validity, its context and the like; nil otherwise.
func (m *Mutex) Held() *Lock {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held
}

func (m *Mutex) keep(lock *Lock) {
	m.mu.Lock()
	m.held = lock
	m.mu.Unlock()
}

func (m *Mutex) take() *Lock {
	m.mu.Lock()
	defer m.mu.Unlock()
	lock := m.held
	m.held = nil
	return lock
}

func (m *Mutex) with(wait time.Duration) []LockOption {
	return append(m.options[:len(m.options):len(m.options)], WithWait(wait), WithKeepAlive())
}

// retryPause is how long Lock rests after what the library does not wait out itself, such as a lack of descriptors.
const retryPause = 20 * time.Millisecond

// hopeless says whether to try again would fail in the same way.
func hopeless(err error) bool {
	for _, passing := range []Status{ErrContended, ErrNoQuorum, ErrExpired, ErrSystem} {
		if errors.Is(err, passing) {
			return false
		}
	}
	return true
}
