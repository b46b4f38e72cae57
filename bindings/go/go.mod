module redlock

go 1.24.0
