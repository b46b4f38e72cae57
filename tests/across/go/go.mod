module redlock.across/go

go 1.24.0

require github.com/libredlock/libredlock/bindings/go v0.1.0

require (
	github.com/libredlock/libredlock-go-lib/linux-amd64 v0.1.0 // indirect
	github.com/libredlock/libredlock-go-lib/linux-arm64 v0.1.0 // indirect
)

replace (
	github.com/libredlock/libredlock-go-lib/linux-amd64 => ../../../bindings/go/lib/linux-amd64
	github.com/libredlock/libredlock-go-lib/linux-arm64 => ../../../bindings/go/lib/linux-arm64
	github.com/libredlock/libredlock/bindings/go => ../../../bindings/go
)
