package redlock

// #include <redlock.h>
import "C"

// Status says how an operation ended, or what one node did. It is an error, so that [errors.Is] finds it in an
// [*Error]. Later versions of the library may have further ones.
type Status int32

// How operations end. Compare with [errors.Is].
const (
	// ErrContended: another owner holds the lock. Trying again later may succeed.
	ErrContended Status = C.REDLOCK_ERR_CONTENDED
	// ErrNoQuorum: too few nodes could be reached, answered in time or were willing to vote.
	ErrNoQuorum Status = C.REDLOCK_ERR_NO_QUORUM
	// ErrExpired: the lock is not held any more: its validity ended, or its keys are gone.
	ErrExpired Status = C.REDLOCK_ERR_EXPIRED
	// ErrCancelled: the caller's context ended; the context's own error is in the chain too.
	ErrCancelled Status = C.REDLOCK_ERR_CANCELLED
	// ErrReleased: the lock was already given back by [Lock.Unlock].
	ErrReleased Status = C.REDLOCK_ERR_RELEASED
	// ErrInvalidArgument: an argument is malformed or out of range; the message names it.
	ErrInvalidArgument Status = C.REDLOCK_ERR_INVALID_ARGUMENT
	// ErrForked: the lock belongs to the parent process.
	ErrForked Status = C.REDLOCK_ERR_FORKED
	// ErrClosed: the factory was closed.
	ErrClosed Status = C.REDLOCK_ERR_CLOSED
	// ErrSystem: the operating system refused a thread, a descriptor or memory.
	ErrSystem Status = C.REDLOCK_ERR_SYSTEM
	// ErrInternal: a defect of the library; please report the message.
	ErrInternal Status = C.REDLOCK_ERR_INTERNAL
)

// What single nodes do, besides [ErrContended]; only in [NodeError.Status].
const (
	// NodeOK: the node voted for the operation.
	NodeOK Status = C.REDLOCK_OK
	// NodeTimeout: it did not answer within the node timeout.
	NodeTimeout Status = C.REDLOCK_ERR_TIMEOUT
	// NodeUnreachable: there is no connection to it.
	NodeUnreachable Status = C.REDLOCK_ERR_UNREACHABLE
	// NodeServerError: it answered with an error, which its message quotes.
	NodeServerError Status = C.REDLOCK_ERR_SERVER
	// NodeNotAdmitted: it is connected but must not vote (yet).
	NodeNotAdmitted Status = C.REDLOCK_ERR_NOT_ADMITTED
	// NodeUnanswered: it had not answered when the outcome was already certain.
	NodeUnanswered Status = C.REDLOCK_ERR_UNANSWERED
)

// Error is one sentence that says what the status means.
func (s Status) Error() string {
	return C.GoString(C.redlock_status_message(C.redlock_status(s)))
}

// Name is the status's name in the library, such as "REDLOCK_ERR_CONTENDED".
func (s Status) Name() string {
	return C.GoString(C.redlock_status_name(C.redlock_status(s)))
}
