//go:build cgo

package redlock

import (
	"context"
	"sync"
	"time"
)

// loss tells whoever asked when a lock is lost or given back. Until somebody asks it costs nothing.
type loss struct {
	mu  sync.Mutex
	ttl time.Duration
	// lost is made when somebody asks, and closed when the lock is lost.
	lost chan struct{}
	// reason says why the lock is not held any more.
	reason  error
	isLost  bool
	timer   *time.Timer
	cancels []context.CancelCauseFunc
}

// Lost is closed when the lock can no longer be proven held: shortly before its validity ends, or when the library
// learns that its keys are gone or that it cannot be kept alive. To give the lock back does not close it; for a
// goroutine that shall end in either case, use [Lock.Context].
func (l *Lock) Lost() <-chan struct{} {
	if !l.usable() {
		return closedChannel
	}
	defer l.watch()
	return l.loss.channel()
}

// Context is a context that ends when the lock is lost, as [Lock.Lost] tells, or given back; [context.Cause] then says
// which: [ErrExpired], [ErrNoQuorum] where it could not be kept alive, or [ErrReleased]. It ends with its parent too. As long as something refers to it, the lock counts
// as referred to.
func (l *Lock) Context(parent context.Context) context.Context {
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithCancelCause(parent)
	if !l.usable() {
		cancel(invalid("the lock is nil or was not made by a factory").of("context", ""))
		return ctx
	}
	l.loss.onEnd(cancel)
	l.watch()
	return lockContext{ctx, l}
}

// lockContext keeps its lock reachable. The parent knows only of the context inside, and so keeps no lock reachable.
type lockContext struct {
	context.Context
	lock *Lock
}

var closedChannel = func() chan struct{} {
	closed := make(chan struct{})
	close(closed)
	return closed
}()

func (l *loss) known() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.isLost
}

func (l *loss) setTTL(ttl time.Duration) {
	l.mu.Lock()
	l.ttl = ttl
	l.mu.Unlock()
}

func (l *loss) channel() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == nil {
		l.lost = make(chan struct{})
		if l.isLost {
			close(l.lost)
		}
	}
	return l.lost
}

// onEnd has a context cancelled when the lock is lost or given back.
func (l *loss) onEnd(cancel context.CancelCauseFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reason != nil {
		cancel(l.reason)
		return
	}
	l.cancels = append(l.cancels, cancel)
}

// watch sees to it that the loss is noticed: by a timer, which runs until the lock is not held any more.
func (g *grant) watch() {
	l := &g.loss
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer == nil && l.reason == nil {
		l.timer = time.AfterFunc(max(lockValidity(g.handle)-l.margin(), 0), g.look)
	}
}

// extended says that an extension has succeeded. One that nobody waited for any more shows when the timer looks.
func (g *grant) extended(ttl time.Duration) {
	l := &g.loss
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ttl = ttl
	g.armLocked()
}

// armLocked sets the timer, if there is one, to when the lock would be lost.
func (g *grant) armLocked() {
	l := &g.loss
	if l.timer == nil || l.reason != nil {
		return
	}
	l.timer.Reset(max(lockValidity(g.handle)-l.margin(), 0))
}

// margin is how long before the end of the validity a lock is given up for lost.
func (l *loss) margin() time.Duration {
	return min(max(l.ttl/50, time.Millisecond), 10*time.Millisecond)
}

// look declares the lock lost, or looks again later when it has been extended.
func (g *grant) look() {
	l := &g.loss
	l.mu.Lock()
	lost := lockValidity(g.handle) <= l.margin()
	if !lost {
		g.armLocked()
	}
	l.mu.Unlock()
	// One that was given back has no validity either. It is asked for that afterwards, as it may be happening now.
	if lost && !g.ended.Load() {
		l.declare((&Error{Status: ErrExpired, Message: ErrExpired.Error()}).of("hold", g.name()))
	}
}

// declare says that the lock is lost, unless it was known to be lost or given back.
func (l *loss) declare(reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isLost {
		return
	}
	l.isLost = true
	if l.lost != nil {
		close(l.lost)
	}
	l.endLocked(reason)
}

// end says that the lock was given back.
func (l *loss) end(reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLocked(reason)
}

func (l *loss) endLocked(reason error) {
	if l.reason != nil {
		return
	}
	l.reason = reason
	if l.timer != nil {
		l.timer.Stop()
	}
	for _, cancel := range l.cancels {
		cancel(reason)
	}
	l.cancels = nil
}
