//go:build cgo

package redlock

import (
	"context"
	"fmt"
)

// Error is the failure of one operation. Passwords appear in no part of it.
type Error struct {
	// Op is the operation: "new", "lock", "unlock", "extend", "is locked" or "check".
	Op string
	// Resource is the name of what was to be locked; empty where there is none.
	Resource string
	// Status says why it failed. errors.Is(err, err.Status) is true.
	Status Status
	// Message is one line that says what failed, why, and what each failing node said.
	Message string
	// Nodes is each node's part, in the order of the factory's URLs; empty where no node was asked.
	Nodes []NodeError

	// cause is the error of the caller's context, if that is what ended the operation.
	cause error
}

// NodeError is what one node did in an operation that failed.
type NodeError struct {
	// Address is the node's URL, without user and password.
	Address string
	// Status is NodeOK, ErrContended, or one of the other Node constants.
	Status Status
	// Message says what happened, in one line; the server's own words where there are some.
	Message string
}

// Error is the message, and the context's error if that is what ended the operation.
func (e *Error) Error() string {
	if e.cause == nil {
		return "redlock: " + e.Message
	}
	return "redlock: " + e.Message + ": " + e.cause.Error()
}

// Unwrap gives the status, and the context's error if that is what ended the operation.
func (e *Error) Unwrap() []error {
	if e.cause != nil {
		return []error{e.Status, e.cause}
	}
	return []error{e.Status}
}

// of says which operation failed.
func (e *Error) of(op, resource string) *Error {
	e.Op, e.Resource = op, resource
	return e
}

// passing says whether waiting may help.
func (e *Error) passing() bool { return e.Status == ErrContended || e.Status == ErrNoQuorum }

func invalid(message string, values ...any) *Error {
	return &Error{Status: ErrInvalidArgument, Message: fmt.Sprintf(message, values...)}
}

// cancelled is the failure of an operation whose context ended.
func cancelled(ctx context.Context) *Error {
	return &Error{Status: ErrCancelled, Message: ErrCancelled.Error(), cause: ctx.Err()}
}
