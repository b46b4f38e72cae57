// Package redlock gives distributed locks over N independent Redis masters (Redlock).
//
// A lock is held when more than half of the masters granted it, so it survives the loss of a minority of them. The
// package is a thin layer over the library libredlock, which asks all masters at once, answers as soon as a majority
// has decided, and never leaves anything locked after a failure.
//
//	factory, err := redlock.New([]string{"redis://a:6379", "redis://b:6379", "redis://c:6379"})
//	if err != nil {
//		return err
//	}
//	defer factory.Close()
//
//	lock, err := factory.Lock(ctx, "invoice:17", redlock.WithTTL(10*time.Second))
//	if err != nil {
//		return err
//	}
//	defer lock.Unlock(context.WithoutCancel(ctx))
//
//	work(lock.Context(ctx)) // ends early if the lock is lost
//
// # Waiting
//
// A goroutine that waits for a lock is parked like one that waits for a socket: it holds no thread of the operating
// system. One goroutine of each factory takes the outcomes from the library. When a context ends, the operation is
// cancelled in the library too, and what it may have won is given back.
//
// # Errors
//
// Every failure is an [*Error], found by [errors.As], which carries a [Status], a message and what each node said. A
// status is an error itself, for [errors.Is]:
//
//	if errors.Is(err, redlock.ErrContended) { ... another owner holds the lock
//	if errors.Is(err, redlock.ErrNoQuorum)  { ... too few nodes could be reached
//	if errors.Is(err, context.Canceled)     { ... the caller's context ended
//
// # Linking
//
// On Linux with glibc, on x86-64 and arm64, a module with the built library comes with the package and is linked into the
// program. With the build tag redlock_pkgconfig the package links an installed shared libredlock, with redlock_static an
// installed static one; pkg-config finds both.
package redlock
