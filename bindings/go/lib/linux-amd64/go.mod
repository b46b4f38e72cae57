module github.com/libredlock/libredlock-go-lib/linux-amd64

go 1.24.0
