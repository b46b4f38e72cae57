//go:build cgo

package redlock

import (
	"context"
	"sync/atomic"
)

// Reentrant is one owner of a resource that may lock it again while it holds it, as often as it likes: only the first
// Lock and the last Unlock ask the nodes. The owner is the object, not a goroutine: whoever shares it shares the lock.
// Any number of goroutines may use it at once.
type Reentrant struct {
	factory  *Factory
	resource string
	options  []LockOption
	// state has one element, which whoever changes it takes out meanwhile.
	state chan reentrantState
	// held is the lock in the state, for those that only look.
	held atomic.Pointer[Lock]
}

type reentrantState struct {
	held  *Lock
	depth int
}

// Reentrant makes an owner of a resource. The options are those of [Factory.Lock].
func (f *Factory) Reentrant(resource string, options ...LockOption) *Reentrant {
	r := &Reentrant{factory: f, resource: resource, options: options, state: make(chan reentrantState, 1)}
	r.state <- reentrantState{}
	return r
}

// Lock takes the lock, or counts one more when it is held by this owner. It fails with [ErrExpired] when this owner
// held it and lost it: then each Lock that succeeded still wants its Unlock.
func (r *Reentrant) Lock(ctx context.Context) error {
	state, failed := r.enter(ctx, "lock")
	if failed != nil {
		return failed
	}
	defer func() { r.leave(state) }()
	if state.depth > 0 {
		if state.held.loss.known() || state.held.Validity() <= 0 {
			return (&Error{Status: ErrExpired, Message: ErrExpired.Error()}).of("lock", r.resource)
		}
		state.depth++
		return nil
	}
	lock, err := r.factory.Lock(ctx, r.resource, r.options...)
	if err != nil {
		return err
	}
	state = reentrantState{lock, 1}
	return nil
}

// Unlock counts one less, and gives the lock back with the last. Its errors are those of [Lock.Unlock]; it fails with
// [ErrReleased] when this owner does not hold the lock.
func (r *Reentrant) Unlock(ctx context.Context) error {
	// It must be possible to give back what is held when the context has ended.
	state, failed := r.enter(withoutEnd(ctx), "unlock")
	if failed != nil {
		return failed
	}
	defer func() { r.leave(state) }()
	switch state.depth {
	case 0:
		message := "this owner does not hold the lock"
		return (&Error{Status: ErrReleased, Message: message}).of("unlock", r.resource)
	case 1:
		lock := state.held
		state = reentrantState{}
		return lock.Unlock(ctx)
	default:
		state.depth--
		return nil
	}
}

// Held is the lock while this owner holds it, for its validity, its context and the like; nil otherwise.
func (r *Reentrant) Held() *Lock {
	if r == nil {
		return nil
	}
	return r.held.Load()
}

// enter takes the state out, to be put back.
func (r *Reentrant) enter(ctx context.Context, op string) (reentrantState, error) {
	if r == nil || r.state == nil {
		return reentrantState{}, invalid("the owner is nil or was not made by a factory").of(op, "")
	}
	if ctx == nil {
		return reentrantState{}, invalid("the context is nil").of(op, r.resource)
	}
	select {
	case state := <-r.state:
		return state, nil
	case <-ctx.Done():
		return reentrantState{}, cancelled(ctx).of(op, r.resource)
	}
}

func (r *Reentrant) leave(state reentrantState) {
	r.held.Store(state.held)
	r.state <- state
}

func withoutEnd(ctx context.Context) context.Context {
	if ctx == nil {
		return nil
	}
	return context.WithoutCancel(ctx)
}
