package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	redlock "github.com/libredlock/libredlock/bindings/go"
)

// open makes a factory over the masters of the tests; a program gives its own addresses.
func open() *redlock.Factory {
	factory, err := redlock.New(strings.Split(os.Getenv("REDLOCK_TEST_URLS"), ","))
	if err != nil {
		panic(err)
	}
	return factory
}

func ExampleFactory_Lock() {
	factory := open()
	defer factory.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	lock, err := factory.Lock(ctx, "example:lock", redlock.WithTTL(5*time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer lock.Unlock(ctx)
	fmt.Println(lock.Resource(), "is held:", lock.Validity() > 4*time.Second)
	// Output: example:lock is held: true
}

func ExampleFactory_TryLock() {
	factory := open()
	defer factory.Close()

	ctx := context.Background()
	lock, err := factory.Lock(ctx, "example:try")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer lock.Unlock(ctx)

	_, err = factory.TryLock(ctx, "example:try")
	fmt.Println("taken:", errors.Is(err, redlock.ErrContended))
	var failed *redlock.Error
	if errors.As(err, &failed) {
		fmt.Println("nodes asked:", len(failed.Nodes))
	}
	// Output:
	// taken: true
	// nodes asked: 5
}

func ExampleFactory_LockMany() {
	factory := open()
	defer factory.Close()

	ctx := context.Background()
	lock, err := factory.LockMany(ctx, []string{"account:from", "account:to"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer lock.Unlock(ctx)
	fmt.Println(lock.Resources(), len(lock.Fences()))
	// Output: [account:from account:to] 2
}

func ExampleLock_Context() {
	factory := open()
	defer factory.Close()

	ctx := context.Background()
	lock, err := factory.Lock(ctx, "example:context", redlock.WithKeepAlive())
	if err != nil {
		fmt.Println(err)
		return
	}
	work := lock.Context(ctx)
	fmt.Println("while it is held:", work.Err())
	if err := lock.Unlock(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println("afterwards:", work.Err(), "-", context.Cause(work))
	// Output:
	// while it is held: <nil>
	// afterwards: context canceled - the lock was already released through this handle
}

func ExampleFactory_Reentrant() {
	factory := open()
	defer factory.Close()

	ctx := context.Background()
	owner := factory.Reentrant("example:reentrant")
	outer := owner.Lock(ctx)
	inner := owner.Lock(ctx) // asks no node
	fmt.Println(outer, inner)
	fmt.Println(owner.Unlock(ctx), owner.Unlock(ctx))
	// Output:
	// <nil> <nil>
	// <nil> <nil>
}

func ExampleFactory_Mutex() {
	factory := open()
	defer factory.Close()

	mutex := factory.Mutex("example:mutex") // a sync.Locker
	mutex.Lock()
	defer mutex.Unlock()
	fmt.Println("held:", mutex.Held().Validity() > 0)
	// Output: held: true
}
