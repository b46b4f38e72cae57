//go:build !redlock_static

package redlock

// How the library is linked by default: as a shared one, found by pkg-config.

// #cgo pkg-config: redlock
import "C"
