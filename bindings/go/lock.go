//go:build cgo

package redlock

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Lock is one grant of the lock on a resource, or on several, made by [Factory.Lock] or [Factory.LockMany]. Any number of goroutines may use it at once;
// operations on one lock follow one after another. It does not need its factory to stay open.
type Lock struct {
	_ noCopy
	*grant
	cleanup runtime.Cleanup
}

// grant is what of a lock outlives it: what a cleanup, timers and contexts refer to without keeping the lock itself
// reachable.
type grant struct {
	handle lockHandle
	port   *port
	names  []string
	fences []uint64
	token  string
	// keptAs is the number of the loss, once the lock is kept alive.
	keptAs atomic.Uint64
	// ended becomes true when the lock is given back.
	ended atomic.Bool
	loss  loss
}

// newLock takes a handle over. It fails when the lock is lost before it could be kept alive.
func newLock(port *port, handle lockHandle, names []string, o lockOptions) (*Lock, *Error) {
	port.use()
	g := &grant{handle: handle, port: port, names: names, token: lockToken(handle), fences: make([]uint64, len(names))}
	for i := range g.fences {
		g.fences[i] = lockFence(handle, i)
	}
	g.loss.setTTL(o.ttl)
	if o.keep {
		if failed := g.keep(); failed != nil {
			g.forget()
			return nil, failed
		}
	}
	lock := &Lock{grant: g}
	lock.cleanup = runtime.AddCleanup(lock, (*grant).forget, g)
	return lock, nil
}

// name is what errors call it.
func (g *grant) name() string { return strings.Join(g.names, ", ") }

// forget gives back a lock that was collected while held.
func (g *grant) forget() {
	if g.ended.CompareAndSwap(false, true) {
		g.free(ErrReleased)
	}
}

// free gives the lock back in the background, unless that is under way, and ends its contexts.
func (g *grant) free(reason error) {
	freeLock(g.handle)
	g.unkeep()
	g.loss.end(reason)
	g.port.leave()
}

func (l *Lock) usable() bool { return l != nil && l.grant != nil }

func (l *Lock) ready(ctx context.Context) *Error {
	switch {
	case !l.usable():
		return invalid("the lock is nil or was not made by a factory")
	case ctx == nil:
		return invalid("the context is nil")
	}
	return nil
}

// Unlock gives the lock back, and waits until a majority of the nodes has freed it. Whatever the outcome, the lock is
// not held any more, and its contexts have ended.
//
// When the context ends, also when it had ended before, Unlock stops waiting, but the lock is given back all the same.
//
// It fails with [ErrExpired] when the lock had been lost before, which is worth knowing: another owner may have been at
// work. [ErrNoQuorum] says that too few nodes could be told; each is told when it is back, and the TTL frees the lock at
// the latest. [ErrReleased] says that it was given back before.
func (l *Lock) Unlock(ctx context.Context) error {
	if failed := l.ready(ctx); failed != nil {
		return failed.of("unlock", "")
	}
	failed := l.unlock(ctx)
	runtime.KeepAlive(l)
	if failed != nil {
		return failed.of("unlock", l.name())
	}
	return nil
}

func (l *Lock) unlock(ctx context.Context) *Error {
	if !l.ended.CompareAndSwap(false, true) {
		return l.released()
	}
	l.cleanup.Stop()
	failed := l.release(ctx)
	if failed != nil && failed.Status == ErrExpired {
		l.loss.declare(failed)
	}
	return failed
}

func (l *Lock) release(ctx context.Context) (failed *Error) {
	tried := ctx.Err() == nil && l.port.direct.try(l.port, func() bool {
		failed = release(l.handle)
		return failed == nil
	})
	if tried {
		l.free(ErrReleased)
		return failed
	}
	_, failed = l.port.runToEnd(ctx, func(to queueHandle, id uint64) *Error {
		failed := submitRelease(l.handle, to, id)
		// The handle is of no use any more. Where the release could not begin, this begins one.
		l.free(ErrReleased)
		return failed
	})
	return failed
}

// Detach lets go of the lock without giving it back: it stays held on the nodes until its TTL ends, and is not kept alive
// any more. It is for work that is to be done at most once in a period; whoever comes within the TTL is refused. Its
// contexts end with [ErrReleased], and so does every operation on the lock from now on. A lock that was given back before
// is left as it is. Detach asks no node.
func (l *Lock) Detach() {
	if !l.usable() || !l.ended.CompareAndSwap(false, true) {
		return
	}
	l.cleanup.Stop()
	detachLock(l.handle)
	// The handle is freed already, so that this only ends what belongs to it here.
	l.free(ErrReleased)
	runtime.KeepAlive(l)
}

func (g *grant) released() *Error {
	return &Error{Status: ErrReleased, Message: "the lock was already given back or detached"}
}

// Extend has the lock last for at least ttl from now; it never ends earlier by that than it would. A lock that is lost is not taken again: that is [ErrExpired]. A failed extension
// leaves the lock as it is, held until its validity ends.
//
// When the context ends, Extend stops waiting; whether the lock was extended then shows in [Lock.Validity].
func (l *Lock) Extend(ctx context.Context, ttl time.Duration) error {
	if failed := l.ready(ctx); failed != nil {
		return failed.of("extend", "")
	}
	failed := l.extend(ctx, ttl)
	runtime.KeepAlive(l)
	if failed != nil {
		return failed.of("extend", l.name())
	}
	return nil
}

func (l *Lock) extend(ctx context.Context, ttl time.Duration) *Error {
	if failed := checkTTL(ttl); failed != nil {
		return failed
	}
	if ctx.Err() != nil {
		return cancelled(ctx)
	}
	if l.ended.Load() {
		return l.released()
	}
	_, failed := l.port.runToEnd(ctx, func(to queueHandle, id uint64) *Error {
		return submitExtend(l.handle, ttl, to, id)
	})
	switch {
	case failed == nil:
		l.extended(ttl)
		return nil
	case l.ended.Load():
		// Another goroutine gave the lock back meanwhile.
		return l.released()
	case failed.Status == ErrExpired:
		l.loss.declare(failed)
	}
	return failed
}

// Validity is the time for which the lock is still proven to be held, rounded down to milliseconds; 0 when it was lost
// or given back. It asks no node.
func (l *Lock) Validity() time.Duration {
	if !l.usable() {
		return 0
	}
	defer runtime.KeepAlive(l)
	return lockValidity(l.handle)
}

// KeepAlive has the library extend the lock in time, at a third of its TTL, until it is given back or lost, or the last
// factory of its nodes is closed. The TTL is that of the lock, or of the last [Lock.Extend]. [Lock.Lost] and [Lock.Context] tell when
// it cannot be extended any more: a tenth of the TTL before the validity ends at the latest.
func (l *Lock) KeepAlive() error {
	failed := l.ready(context.Background())
	if failed != nil {
		return failed.of("keep alive", "")
	}
	failed = l.keep()
	runtime.KeepAlive(l)
	if failed != nil {
		return failed.of("keep alive", l.name())
	}
	return nil
}

func (g *grant) keep() *Error {
	if g.ended.Load() {
		return g.released()
	}
	g.keptAs.CompareAndSwap(0, g.port.lastID.Add(1))
	id := g.keptAs.Load()
	g.port.mu.Lock()
	g.port.kept[id] = g
	g.port.mu.Unlock()
	failed := keepAlive(g.handle, g.port.queue, id)
	if g.ended.Load() {
		// Given back meanwhile, maybe before it was registered.
		g.unkeep()
		return g.released()
	}
	if failed != nil && failed.Status == ErrExpired {
		g.loss.declare(failed)
	}
	return failed
}

func (g *grant) unkeep() {
	if id := g.keptAs.Load(); id != 0 {
		g.port.mu.Lock()
		delete(g.port.kept, id)
		g.port.mu.Unlock()
	}
}

// Resource is the name of what is locked; of several, the first.
func (l *Lock) Resource() string {
	if !l.usable() {
		return ""
	}
	return l.names[0]
}

// Resources are the names of all that is locked, in the order in which they were given.
func (l *Lock) Resources() []string {
	if !l.usable() {
		return nil
	}
	return slices.Clone(l.names)
}

// Fence is the lock's fencing token: a number below 2^53 that is larger than that of every lock on the same resource
// whose Lock had succeeded before this one's began. Send it along with each write to what the lock protects, and have
// the storage refuse a number below the highest that it has seen: so a writer that does not know yet that it lost its
// lock does no harm. It is 0 with the option "fencing" set to "off". Of several resources it is the first one's.
func (l *Lock) Fence() uint64 {
	if !l.usable() {
		return 0
	}
	return l.fences[0]
}

// Fences are the fencing tokens of all resources, in the order of [Lock.Resources].
func (l *Lock) Fences() []uint64 {
	if !l.usable() {
		return nil
	}
	return slices.Clone(l.fences)
}

// Token is the owner's token: the value that the lock's key has on the nodes, unique to this grant.
func (l *Lock) Token() string {
	if !l.usable() {
		return ""
	}
	return l.token
}
