// Package lib links libredlock.a, which lies beside this file, into a program; it has nothing to call.
//
// In a clone the archive is missing: `make dist` makes this module with it.
package lib

// #cgo LDFLAGS: -L${SRCDIR} -lredlock -lutil -lrt -lpthread -lm -ldl
import "C"
