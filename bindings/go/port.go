//go:build cgo

package redlock

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// port is where a factory's operations end: the library's completion queue, and the goroutine that takes the events
// from it and wakes whoever waits for them. It lives as long as its set of nodes and the locks on them.
type port struct {
	queue queueHandle
	// file is a duplicate of the queue's descriptor, which Go's poller waits for.
	file   *os.File
	direct direct
	// underWay counts the operations that have begun and not ended.
	underWay atomic.Int64
	// users counts the set of nodes, its locks, and operations under way.
	users  atomic.Int64
	lastID atomic.Uint64

	// entry is held while something is handed to the library. There a thread may have to wait for another one for a
	// moment; here a goroutine waits instead, so that many of them at once do not each take a thread.
	entry sync.Mutex

	mu sync.Mutex
	// calls are those under way, nil where nobody waits for the outcome any more.
	calls map[uint64]*call
	// kept are the locks that are kept alive, by the numbers of their loss.
	kept map[uint64]*grant
	// provider answers for credentials; nil where nobody is asked.
	provider *provider
}

// call is an operation under way.
type call struct {
	// ended receives the outcome, exactly once for each operation; it has room for it.
	ended chan outcome
	// owner is the factory whose end is the end of the operation; nil where it goes on.
	owner *Factory
}

// calls are used again and again, with their channels.
var calls = sync.Pool{New: func() any { return &call{ended: make(chan outcome, 1)} }}

// newPort opens a port with one user.
func newPort() (*port, *Error) {
	queue, failed := newQueue()
	if failed != nil {
		return nil, failed
	}
	file, err := duplicate(queueDescriptor(queue))
	if err != nil {
		freeQueue(queue)
		return nil, &Error{Status: ErrSystem, Message: "no descriptor for a factory: " + err.Error()}
	}
	p := &port{queue: queue, file: file, calls: make(map[uint64]*call), kept: make(map[uint64]*grant)}
	p.users.Store(1)
	go p.deliver()
	return p, nil
}

// duplicate is the descriptor as a file of its own. It is non-blocking already, so that Go's poller takes it.
func duplicate(descriptor int) (*os.File, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	copied, err := syscall.Dup(descriptor)
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(copied)
	return os.NewFile(uintptr(copied), "redlock"), nil
}

func (p *port) answerWith(provider *provider) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.provider = provider
}

// use adds a user: somebody who is one already says that there is another.
func (p *port) use() { p.users.Add(1) }

// leave takes a user away; with the last one the port ends.
func (p *port) leave() {
	if p.users.Add(-1) == 0 {
		// Closing waits for the goroutine that delivers, which may be the one that is here.
		go p.close()
	}
}

func (p *port) close() {
	_ = p.file.Close()
	freeQueue(p.queue)
}

// deliver takes events until the port is closed.
func (p *port) deliver() {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return
	}
	var events batch
	// It ends with an error when the file is closed.
	_ = raw.Read(func(uintptr) bool {
		p.drain(&events)
		return false
	})
}

// drain delivers all events that wait. The poller tells only of events that come after the queue was seen empty.
func (p *port) drain(events *batch) {
	for {
		count := events.take(p.queue)
		for i := range count {
			id, outcome := events.event(i)
			switch {
			case outcome.isLoss():
				p.lose(id, outcome)
			case outcome.asksForCredentials():
				p.mu.Lock()
				provider := p.provider
				p.mu.Unlock()
				go provider.answer()
			default:
				p.end(id, outcome)
			}
		}
		if count < len(events) {
			return
		}
	}
}

func (p *port) end(id uint64, outcome outcome) {
	p.mu.Lock()
	call, known := p.calls[id]
	delete(p.calls, id)
	p.mu.Unlock()
	if call == nil {
		outcome.discard()
	} else {
		call.ended <- outcome
	}
	if known {
		p.underWay.Add(-1)
		p.leave()
	}
}

// lose tells of the loss of a lock that was kept alive.
func (p *port) lose(id uint64, loss outcome) {
	reason := loss.failure()
	p.mu.Lock()
	grant := p.kept[id]
	p.mu.Unlock()
	if grant != nil && reason != nil {
		grant.loss.declare(reason.of("keep alive", grant.name()))
	}
}

// operation is how something begins that will end at a port under the given number.
type operation func(to queueHandle, id uint64) *Error

// begin starts an operation. Its outcome has to be awaited or abandoned.
func (p *port) begin(owner *Factory, start operation) (uint64, *call, *Error) {
	id := p.lastID.Add(1)
	call := calls.Get().(*call)
	call.owner = owner
	p.use()
	p.underWay.Add(1)
	p.mu.Lock()
	p.calls[id] = call
	p.mu.Unlock()
	p.entry.Lock()
	failed := start(p.queue, id)
	p.entry.Unlock()
	if failed != nil {
		p.mu.Lock()
		delete(p.calls, id)
		p.mu.Unlock()
		p.underWay.Add(-1)
		p.leave()
		calls.Put(call)
		return 0, nil, failed
	}
	if owner != nil && owner.closed.Load() {
		// Closed meanwhile, maybe before the operation was registered.
		p.cancel(id)
	}
	return id, call, nil
}

// await waits for the outcome of a call. When the context ends first, it cancels the operation; the outcome, which then
// comes soon, tells whether that was in time.
func (p *port) await(ctx context.Context, id uint64, call *call) outcome {
	select {
	case outcome := <-call.ended:
		calls.Put(call)
		return outcome
	case <-ctx.Done():
		p.cancel(id)
		outcome := <-call.ended
		calls.Put(call)
		return outcome
	}
}

func (p *port) cancel(id uint64) {
	p.entry.Lock()
	defer p.entry.Unlock()
	cancelOperation(p.queue, id)
}

// cancelAll cancels what is under way of a factory.
func (p *port) cancelAll(owner *Factory) {
	var own []uint64
	p.mu.Lock()
	for id, call := range p.calls {
		if call != nil && call.owner == owner {
			own = append(own, id)
		}
	}
	p.mu.Unlock()
	for _, id := range own {
		p.cancel(id)
	}
}

// run carries out an operation of a factory that can be cancelled: an acquire or a question.
func (p *port) run(ctx context.Context, owner *Factory, start operation) (outcome, *Error) {
	id, call, failed := p.begin(owner, start)
	if failed != nil {
		return outcome{}, failed
	}
	return p.judge(p.await(ctx, id, call))
}

func (p *port) judge(ended outcome) (outcome, *Error) {
	failed := ended.failure()
	if failed == nil {
		p.direct.succeeded()
	}
	return ended, failed
}

// runToEnd carries out an operation that goes on in the background when the context ends first.
func (p *port) runToEnd(ctx context.Context, start operation) (outcome, *Error) {
	id, call, failed := p.begin(nil, start)
	if failed != nil {
		return outcome{}, failed
	}
	select {
	case ended := <-call.ended:
		calls.Put(call)
		return p.judge(ended)
	case <-ctx.Done():
		p.abandon(id, call)
		return outcome{}, cancelled(ctx)
	}
}

// abandon says that nobody waits for a call any more.
func (p *port) abandon(id uint64, call *call) {
	p.mu.Lock()
	_, underWay := p.calls[id]
	if underWay {
		p.calls[id] = nil
	}
	p.mu.Unlock()
	if underWay {
		return
	}
	// It is over: its outcome is in the channel, or about to be.
	ended := <-call.ended
	ended.discard()
	calls.Put(call)
}

// waiting is how many operations somebody waits for.
func (p *port) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	count := 0
	for _, call := range p.calls {
		if call != nil {
			count++
		}
	}
	return count
}
