module github.com/libredlock/libredlock-go-lib/linux-arm64

go 1.24.0
