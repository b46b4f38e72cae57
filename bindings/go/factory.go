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

// Factory is a set of nodes, independent Redis masters, from which locks are taken. Any number of goroutines may use
// it at once. All factories of a process with the same URLs and options share one connection to each node.
type Factory struct {
	_      noCopy
	nodes  *nodeSet
	handle factoryHandle
	port   *port
	// closed becomes true once; it is shared with the cleanup.
	closed  atomic.Bool
	cleanup runtime.Cleanup
}

// noCopy makes go vet report copies of what it is in.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// New makes a factory over the masters at urls, at most 64, each redis://[user:password@]host[:port][/database],
// rediss://... for TLS, or unix:///path/to/socket. Use an odd number, 3 or 5, that do not replicate each other. None at
// all stands for redis://127.0.0.1:6379/0.
//
// It does not wait for the nodes: connections are made in the background, and the first lock waits for them.
func New(urls []string, options ...Option) (*Factory, error) {
	factory, failed := newWith(urls, options)
	if failed != nil {
		return nil, failed.of("new", "")
	}
	return factory, nil
}

func newWith(urls []string, options []Option) (*Factory, *Error) {
	if failed := libraryFits(); failed != nil {
		return nil, failed
	}
	chosen, failed := newSettings(urls, options)
	if failed != nil {
		return nil, failed
	}
	nodes, failed := joinNodes(urls, chosen)
	if failed != nil {
		return nil, failed
	}
	f := &Factory{nodes: nodes, handle: nodes.handle, port: nodes.port}
	// It may block for the node timeout, which other cleanups need not wait for.
	f.cleanup = runtime.AddCleanup(f, func(nodes *nodeSet) { go nodes.leave() }, nodes)
	return f, nil
}

func newSettings(urls []string, options []Option) (*factoryOptions, *Error) {
	o := new(factoryOptions)
	for _, option := range options {
		if option == nil {
			return nil, invalid("an option is nil")
		}
		option(o)
	}
	for _, url := range urls {
		if failed := checkText("a URL", url); failed != nil {
			return nil, failed
		}
	}
	return o, o.check()
}

// Close ends the factory. Locks under way fail with [ErrClosed]; those that are held stay held and usable. The last
// factory of its nodes and options waits for releases in the background, at most for the node timeout, and closes the
// connections. To close a factory again does nothing. The error is always nil; it makes a factory an io.Closer.
func (f *Factory) Close() error {
	if !f.usable() || !f.closed.CompareAndSwap(false, true) {
		return nil
	}
	f.cleanup.Stop()
	f.port.cancelAll(f)
	f.nodes.leave()
	return nil
}

// usable says whether New made the factory; a nil or empty one gives errors instead of panics.
func (f *Factory) usable() bool { return f != nil && f.handle != nil }

// ready says why an operation cannot begin.
func (f *Factory) ready(ctx context.Context) *Error {
	switch {
	case !f.usable():
		return invalid("the factory is nil or was not made by New")
	case ctx == nil:
		return invalid("the context is nil")
	case ctx.Err() != nil:
		return cancelled(ctx)
	case f.closed.Load():
		return closed()
	}
	return nil
}

func closed() *Error {
	return &Error{Status: ErrClosed, Message: "the factory was closed"}
}

// SetCredentials sets the user and the password by which all nodes are logged in to from now on, in place of those in their
// URLs and of [WithPasswordFile]: for all factories that share these connections. Connections that there are stay as they are. An
// empty user name is that of each URL. See [WithCredentialsProvider] for tokens that run out.
func (f *Factory) SetCredentials(username, password string) error {
	failed := f.ready(context.Background())
	if failed == nil {
		failed = checkCredentials(username, password)
	}
	if failed == nil {
		failed = setCredentials(f.handle, username, password)
		runtime.KeepAlive(f)
	}
	if failed != nil {
		return f.explain(context.Background(), failed, false).of("set credentials", "")
	}
	return nil
}

// Lock takes the lock on a resource, whose name is 1 to 512 bytes of UTF-8. It waits until the lock is held, the
// context ends, the time of [WithWait] has passed, or the factory is closed. After a failure nothing stays locked.
//
// The lock is held until [Lock.Unlock], or until its TTL ends. Keep a reference to it for as long: a lock that nothing
// refers to is given back when the garbage collector finds it. [Lock.Detach] leaves it held until its TTL ends.
func (f *Factory) Lock(ctx context.Context, resource string, options ...LockOption) (*Lock, error) {
	return f.lockAll(ctx, []string{resource}, options)
}

// TryLock is as Lock, but tries once: when another holds the lock, it fails with [ErrContended] at once.
func (f *Factory) TryLock(ctx context.Context, resource string, options ...LockOption) (*Lock, error) {
	return f.lockAll(ctx, []string{resource}, append(options[:len(options):len(options)], WithWait(0)))
}

// LockMany takes the locks on up to 128 resources as one lock, or none of them. One try takes one round trip, however
// many resources there are, and sets that overlap never wait for each other for ever, in whichever order they are named.
// The lock is lost when it is lost on any of them.
func (f *Factory) LockMany(ctx context.Context, resources []string, options ...LockOption) (*Lock, error) {
	return f.lockAll(ctx, slices.Clone(resources), options)
}

func (f *Factory) lockAll(ctx context.Context, names []string, options []LockOption) (*Lock, error) {
	lock, failed := f.lock(ctx, names, options)
	if failed != nil {
		return nil, failed.of("lock", strings.Join(names, ", "))
	}
	return lock, nil
}

func (f *Factory) lock(ctx context.Context, names []string, options []LockOption) (*Lock, *Error) {
	if failed := f.ready(ctx); failed != nil {
		return nil, failed
	}
	o, failed := newLockOptions(options)
	if failed != nil {
		return nil, failed
	}
	if failed := checkNames(names); failed != nil {
		return nil, failed
	}
	// The factory must not be collected before the operation has ended.
	defer runtime.KeepAlive(f)
	wait, byContext := waitWithin(ctx, o.wait)
	handle, failed := f.acquire(ctx, names, o.ttl, wait)
	switch {
	case failed != nil:
		return nil, f.explain(ctx, failed, byContext)
	case ctx.Err() != nil:
		// Won in the same moment; the caller has been told that the context decides.
		freeLock(handle)
		return nil, cancelled(ctx)
	}
	return newLock(f.port, handle, names, o)
}

func checkNames(names []string) *Error {
	for _, name := range names {
		if failed := checkText("the resource's name", name); failed != nil {
			return failed
		}
	}
	return nil
}

// acquire tries at once if it is alone, and else, or when that was in vain, waits at the port.
func (f *Factory) acquire(ctx context.Context, names []string, ttl, wait time.Duration) (lockHandle, *Error) {
	var handle lockHandle
	var failed *Error
	tried := f.port.direct.try(f.port, func() bool {
		handle, failed = acquire(f.handle, names, ttl)
		return failed == nil
	})
	if tried && (failed == nil || wait == 0 || !failed.passing()) {
		return handle, failed
	}
	ended, failed := f.port.run(ctx, f, func(to queueHandle, id uint64) *Error {
		return submitAcquire(f.handle, names, ttl, wait, to, id)
	})
	return ended.lock, failed
}

// waitWithin is how long the library shall try when the context has a deadline, and whether that is the deadline's
// doing. It is a little less than the context allows: so the library's own last try comes in time, and the error says
// who held the lock or which nodes were missing, and not just that time ran out.
func waitWithin(ctx context.Context, wait time.Duration) (time.Duration, bool) {
	deadline, has := ctx.Deadline()
	if !has {
		return wait, false
	}
	left := max(time.Until(deadline), 0)
	left -= min(left/10, 10*time.Millisecond)
	if wait <= left {
		return wait, false
	}
	return left, true
}

// explain adds what only the caller's side knows: that the context ended, or that the factory was closed meanwhile.
func (f *Factory) explain(ctx context.Context, failed *Error, byContext bool) *Error {
	switch failed.Status {
	case ErrCancelled:
		if ctx.Err() == nil {
			// By Close.
			return closed()
		}
		failed.cause = ctx.Err()
	case ErrContended, ErrNoQuorum:
		if byContext {
			failed.cause = context.DeadlineExceeded
		}
	case ErrInvalidArgument:
		if f.usable() && f.closed.Load() {
			return closed()
		}
	}
	return failed
}

// IsLocked says whether a resource is locked, by anybody, on a majority of the nodes. The answer may be out of date when
// it arrives: for display and diagnosis, not for deciding.
func (f *Factory) IsLocked(ctx context.Context, resource string) (bool, error) {
	locked, failed := f.isLocked(ctx, resource)
	if failed != nil {
		return false, failed.of("is locked", resource)
	}
	return locked, nil
}

func (f *Factory) isLocked(ctx context.Context, resource string) (bool, *Error) {
	if failed := f.ready(ctx); failed != nil {
		return false, failed
	}
	if failed := checkNames([]string{resource}); failed != nil {
		return false, failed
	}
	ended, failed := f.port.run(ctx, f, func(to queueHandle, id uint64) *Error {
		return submitIsLocked(f.handle, resource, to, id)
	})
	runtime.KeepAlive(f)
	if failed != nil {
		return false, f.explain(ctx, failed, false)
	}
	return ended.value != 0, nil
}

// Check reports the health of each node, for a person to read: one line a node. It tells what the library knows
// of each, and asks the connected nodes about their fences, for a quarter of a second at most.
func (f *Factory) Check() (string, error) {
	if failed := f.ready(context.Background()); failed != nil {
		return "", failed.of("check", "")
	}
	report, failed := checkFactory(f.handle)
	runtime.KeepAlive(f)
	if failed != nil {
		return "", f.explain(context.Background(), failed, false).of("check", "")
	}
	return report, nil
}

// TrustNodes gives the operator's word that the nodes have forgotten no lock: those that are connected vote at once. It is for
// a fresh set of nodes with the option "restart_guard" set to "strict", after making sure that nobody can hold a lock on
// them. A new factory contacts all nodes first. It fails with [ErrNoQuorum] when none can be reached; [Factory.Check] tells
// why.
func (f *Factory) TrustNodes() error {
	failed := f.ready(context.Background())
	if failed == nil {
		failed = trustNodes(f.handle)
		runtime.KeepAlive(f)
	}
	if failed != nil {
		return f.explain(context.Background(), failed, false).of("trust nodes", "")
	}
	return nil
}
