module redlock.across/go

go 1.24.0

require redlock v0.0.0

replace redlock => ../../../bindings/go
