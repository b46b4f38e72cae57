module github.com/libredlock/libredlock/bindings/go

go 1.24.0

require (
	github.com/libredlock/libredlock-go-lib/linux-amd64 v0.1.0
	github.com/libredlock/libredlock-go-lib/linux-arm64 v0.1.0
)

// In a clone; others get what `make dist` made.
replace (
	github.com/libredlock/libredlock-go-lib/linux-amd64 => ./lib/linux-amd64
	github.com/libredlock/libredlock-go-lib/linux-arm64 => ./lib/linux-arm64
)
