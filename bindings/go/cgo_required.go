//go:build !cgo

package redlock

// Without cgo nothing else of the package is compiled, and this is what the compiler says, in one line.
const _ int = "redlock needs cgo: set CGO_ENABLED=1 and install a C compiler (for another GOOS or GOARCH: set CC to one for it)"
