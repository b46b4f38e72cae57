//go:build !redlock_pkgconfig && !redlock_static

package redlock

// How the library is linked without a tag: the module that is imported here has it, built before.

// #cgo CFLAGS: -I${SRCDIR}
import "C"

import _ "github.com/libredlock/libredlock-go-lib/linux-arm64" // for its flags to the linker
