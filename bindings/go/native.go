package redlock

// The library's functions in Go's types. Only the files that begin with native know C.

/*
#include <redlock.h>

// None of these keeps a pointer that it was given beyond the call, and none calls Go.
#cgo noescape redlock_release
#cgo nocallback redlock_release
#cgo noescape redlock_acquire
#cgo nocallback redlock_acquire
#cgo noescape redlock_lock_fence_at
#cgo nocallback redlock_lock_fence_at
#cgo noescape redlock_lock_keep_alive
#cgo nocallback redlock_lock_keep_alive
#cgo noescape redlock_submit_acquire_many
#cgo nocallback redlock_submit_acquire_many
#cgo noescape redlock_acquire_many
#cgo nocallback redlock_acquire_many
#cgo noescape redlock_cancel
#cgo nocallback redlock_cancel
#cgo noescape redlock_queue_next
#cgo nocallback redlock_queue_next
#cgo noescape redlock_submit_acquire
#cgo nocallback redlock_submit_acquire
#cgo noescape redlock_submit_extend
#cgo nocallback redlock_submit_extend
#cgo noescape redlock_submit_is_locked
#cgo nocallback redlock_submit_is_locked
#cgo noescape redlock_submit_release
#cgo nocallback redlock_submit_release
#cgo noescape redlock_lock_free
#cgo nocallback redlock_lock_free
#cgo noescape redlock_lock_detach
#cgo nocallback redlock_lock_detach
#cgo noescape redlock_lock_token
#cgo nocallback redlock_lock_token
#cgo noescape redlock_lock_validity_ms
#cgo nocallback redlock_lock_validity_ms
*/
import "C"

import (
	"sync"
	"time"
	"unsafe"
)

// Handles of the library. They have the type of pointers, but are numbers. That is safe in Go: their types are
// incomplete in C, so the compiler takes them for pointers that never lead to the heap of Go, and the garbage
// collector does not follow them. A handle that was freed is recognised by the library, so a race with a free is
// an error and never a crash.
type (
	factoryHandle = *C.redlock_factory
	lockHandle    = *C.redlock_lock
	queueHandle   = *C.redlock_queue
	errorHandle   = *C.redlock_error
)

// cText is the text as C wants it; the caller has made sure that there is no NUL in it.
func cText(text string) *C.char {
	bytes := make([]byte, len(text)+1)
	copy(bytes, text)
	return (*C.char)(unsafe.Pointer(unsafe.SliceData(bytes)))
}

// milliseconds is the duration in the library's unit, rounded down.
func milliseconds(d time.Duration) C.uint64_t {
	return C.uint64_t(d / time.Millisecond)
}

// failing is held while a failure is taken over, which is many short calls: so that thousands of goroutines that fail
// at once, because a context ended, do not each take a thread.
var failing sync.Mutex

// failure takes over what the library said about a failure; nil when there was none.
func failure(status C.redlock_status, handle errorHandle) *Error {
	if status == C.REDLOCK_OK {
		return nil
	}
	failing.Lock()
	defer failing.Unlock()
	defer C.redlock_error_free(handle)
	failed := &Error{Status: Status(status)}
	if handle == nil {
		failed.Message = failed.Status.Error()
		return failed
	}
	failed.Message = C.GoString(C.redlock_error_message(handle))
	for i := range C.redlock_error_node_count(handle) {
		failed.Nodes = append(failed.Nodes, NodeError{
			Address: C.GoString(C.redlock_error_node_address(handle, i)),
			Status:  Status(C.redlock_error_node_status(handle, i)),
			Message: C.GoString(C.redlock_error_node_message(handle, i)),
		})
	}
	return failed
}

// acquire tries once, and blocks meanwhile.
func acquire(factory factoryHandle, names []string, ttl time.Duration) (lockHandle, *Error) {
	var lock lockHandle
	var failed errorHandle
	var status C.redlock_status
	if len(names) == 1 {
		status = C.redlock_acquire(factory, cText(names[0]), milliseconds(ttl), 0, &lock, &failed)
	} else {
		list := newTextList(names)
		defer list.free()
		status = C.redlock_acquire_many(factory, list.first(), list.count(), milliseconds(ttl), 0, &lock, &failed)
	}
	return lock, failure(status, failed)
}

// release blocks until the lock is given back.
func release(lock lockHandle) *Error {
	var failed errorHandle
	return failure(C.redlock_release(lock, &failed), failed)
}

func submitAcquire(factory factoryHandle, names []string, ttl, wait time.Duration, to queueHandle, id uint64) *Error {
	var failed errorHandle
	var status C.redlock_status
	if len(names) == 1 {
		status = C.redlock_submit_acquire(
			factory, cText(names[0]), milliseconds(ttl), waitMilliseconds(wait), to, C.uint64_t(id), &failed)
	} else {
		list := newTextList(names)
		defer list.free()
		status = C.redlock_submit_acquire_many(
			factory, list.first(), list.count(), milliseconds(ttl), waitMilliseconds(wait), to, C.uint64_t(id), &failed)
	}
	return failure(status, failed)
}

// waitMilliseconds is a time to wait in the library's unit; whoever waits a fraction of a millisecond tries once.
func waitMilliseconds(wait time.Duration) C.int64_t {
	if wait == forever {
		return -1
	}
	return C.int64_t(wait / time.Millisecond)
}

func submitRelease(lock lockHandle, to queueHandle, id uint64) *Error {
	var failed errorHandle
	return failure(C.redlock_submit_release(lock, to, C.uint64_t(id), &failed), failed)
}

func submitExtend(lock lockHandle, ttl time.Duration, to queueHandle, id uint64) *Error {
	var failed errorHandle
	return failure(C.redlock_submit_extend(lock, milliseconds(ttl), to, C.uint64_t(id), &failed), failed)
}

func submitIsLocked(factory factoryHandle, resource string, to queueHandle, id uint64) *Error {
	var failed errorHandle
	return failure(C.redlock_submit_is_locked(factory, cText(resource), to, C.uint64_t(id), &failed), failed)
}

// cancelOperation cancels what is under way. That it has ended meanwhile is no failure.
func cancelOperation(of queueHandle, id uint64) {
	C.redlock_cancel(of, C.uint64_t(id), nil)
}

func lockValidity(lock lockHandle) time.Duration {
	return time.Duration(C.redlock_lock_validity_ms(lock)) * time.Millisecond
}

func lockToken(lock lockHandle) string {
	return C.GoString(C.redlock_lock_token(lock))
}

func lockFence(lock lockHandle, i int) uint64 {
	return uint64(C.redlock_lock_fence_at(lock, C.size_t(i)))
}

// keepAlive has the library extend the lock; that it is lost comes as an event with the number.
func keepAlive(lock lockHandle, to queueHandle, id uint64) *Error {
	var failed errorHandle
	return failure(C.redlock_lock_keep_alive(lock, to, C.uint64_t(id), &failed), failed)
}

// freeLock gives the lock back in the background when it is still held.
func freeLock(lock lockHandle) {
	C.redlock_lock_free(lock)
}

// detachLock frees the handle and leaves the lock held until its TTL ends.
func detachLock(lock lockHandle) {
	C.redlock_lock_detach(lock)
}

func newQueue() (queueHandle, *Error) {
	var queue queueHandle
	var failed errorHandle
	status := C.redlock_queue_new(&queue, &failed)
	return queue, failure(status, failed)
}

func queueDescriptor(queue queueHandle) int {
	return int(C.redlock_queue_fd(queue))
}

func freeQueue(queue queueHandle) {
	C.redlock_queue_free(queue)
}

// batch has room for the events that are taken at once.
type batch [64]C.redlock_event

// outcome is the end of one operation, or the loss of a lock.
type outcome struct {
	status C.redlock_status
	kind   C.uint32_t
	failed errorHandle
	lock   lockHandle
	value  uint64
}

// take moves events from the queue into the batch, without waiting; how many.
func (b *batch) take(queue queueHandle) int {
	var count C.size_t
	C.redlock_queue_next(queue, &b[0], C.size_t(len(b)), 0, &count, nil)
	return int(count)
}

// event is the i-th that was taken: its number and what it says.
func (b *batch) event(i int) (uint64, outcome) {
	event := &b[i]
	return uint64(event.id), outcome{
		status: event.status,
		kind:   event.kind,
		failed: event.error,
		lock:   event.lock,
		value:  uint64(event.value),
	}
}

// isLoss says whether this is the loss of a lock that was kept alive, and no operation's end.
func (o *outcome) isLoss() bool { return o.kind == C.REDLOCK_EVENT_LOST }

// asksForCredentials says whether connections wait for credentials; it is no operation's end.
func (o *outcome) asksForCredentials() bool { return o.kind == C.REDLOCK_EVENT_CREDENTIALS }

// failure takes over why the operation failed; nil when it did not.
func (o *outcome) failure() *Error {
	return failure(o.status, o.failed)
}

// discard frees what an outcome that nobody wants holds.
func (o *outcome) discard() {
	C.redlock_error_free(o.failed)
	C.redlock_lock_free(o.lock)
}
