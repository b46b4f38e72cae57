//go:build redlock_static

package redlock

// How the library is linked with the tag redlock_static: into the program. pkg-config names the shared one too; as
// nothing needs it any more, the linker leaves it out.

// #cgo pkg-config: --static redlock
// #cgo LDFLAGS: -l:libredlock.a -Wl,--as-needed
import "C"
