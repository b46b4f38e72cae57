// Two workers want to send the same invoice. One of them does, under a lock; the other one waits for its turn and then
// sees that there is nothing left to do.
//
//	go run . [URL...]    without any: redis://127.0.0.1:6379/0
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	redlock "github.com/libredlock/libredlock/bindings/go"
)

func main() {
	factory, err := redlock.New(os.Args[1:])
	if err != nil {
		log.Fatal(err)
	}
	defer factory.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var sent Outbox
	var workers sync.WaitGroup
	for range 2 {
		workers.Add(1)
		go func() {
			defer workers.Done()
			if err := sendInvoice(ctx, factory, &sent); err != nil {
				log.Fatal(err)
			}
		}()
	}
	workers.Wait()
}

// sendInvoice does its work while it holds the lock, and no longer.
func sendInvoice(ctx context.Context, factory *redlock.Factory, sent *Outbox) error {
	lock, err := factory.Lock(ctx, "invoice:17", redlock.WithTTL(5*time.Second), redlock.WithKeepAlive())
	switch {
	case errors.Is(err, redlock.ErrContended):
		return fmt.Errorf("another worker took too long: %w", err)
	case errors.Is(err, redlock.ErrNoQuorum):
		return fmt.Errorf("too few Redis servers: %w", err)
	case err != nil:
		return err
	}
	// Unlock gives the lock back even if the context has ended; it only stops waiting for the nodes' answers then.
	defer lock.Unlock(ctx)

	// This context ends when the lock is lost, so that the work does too.
	return sent.Send(lock.Context(ctx), "invoice:17", lock.Fence())
}

// Outbox stands for the storage that the lock protects. It refuses a writer whose fence is older than one that it saw.
type Outbox struct {
	mu    sync.Mutex
	fence uint64
	sent  bool
}

// Send sends what was not sent yet.
func (o *Outbox) Send(ctx context.Context, name string, fence uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if fence <= o.fence {
		return fmt.Errorf("fence %d is older than %d: another worker has been here", fence, o.fence)
	}
	o.fence = fence
	if o.sent {
		fmt.Println(name, "has been sent already")
		return nil
	}
	o.sent = true
	fmt.Println(name, "is sent")
	return nil
}
