//go:build cgo && !redlock_pkgconfig && !redlock_static && !(linux && (amd64 || arm64))

package redlock

// #cgo CFLAGS: -I${SRCDIR}
import "C"

// What the compiler says where no module has the library for this system.
const _ int = "redlock has no built library for this system: install libredlock and build with -tags redlock_pkgconfig"
