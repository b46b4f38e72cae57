package redlock

// Whether the library that runs is one that this package was compiled for.

// #include <redlock.h>
import "C"

import (
	"fmt"
	"sync"
)

// Version is that of the library that runs, such as "0.1.0".
func Version() string {
	return C.GoString(C.redlock_version())
}

// libraryFits says why the library that runs cannot be used.
var libraryFits = sync.OnceValue(func() *Error {
	return checkVersion(C.REDLOCK_VERSION, C.REDLOCK_VERSION_NUMBER, Version(), uint32(C.redlock_version_number()))
})

// checkVersion compares the versions, as text and as major*10000 + minor*100 + patch. Later libraries of the same major
// version have all that earlier ones have.
func checkVersion(compiled string, compiledNumber uint32, runs string, runsNumber uint32) *Error {
	if runsNumber/10000 == compiledNumber/10000 && runsNumber >= compiledNumber {
		return nil
	}
	return &Error{Status: ErrSystem, Message: fmt.Sprintf(
		"the library libredlock that runs is version %s, but this program was compiled for version %s: "+
			"install that version or a later one of the same major version, or compile the program anew", runs, compiled)}
}
