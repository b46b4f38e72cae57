//go:build redlock_pkgconfig && !redlock_static

package redlock

// How the library is linked with the tag redlock_pkgconfig: as an installed shared one, found by pkg-config.

// #cgo pkg-config: redlock
import "C"
