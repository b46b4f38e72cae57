//go:build cgo

package redlock

import (
	"bufio"
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
)

// SetLogger sends the library's log, that of the whole process, to a logger: messages of the given level and more
// important ones. nil silences it, as it is in the beginning. When messages come faster than the logger takes them,
// some are lost; nothing waits for it.
func SetLogger(logger *slog.Logger, level slog.Level) error {
	logs.mu.Lock()
	defer logs.mu.Unlock()
	logs.logger.Store(logger)
	if logger == nil {
		logOff()
		return nil
	}
	if err := logs.open(); err != nil {
		return (&Error{Status: ErrSystem, Message: "no pipe for the log: " + err.Error()}).of("log", "")
	}
	logTo(logs.descriptor, libraryLevel(level))
	return nil
}

var logs logPipe

// logPipe brings messages from the library's threads to a goroutine. Once open it stays open: a thread of the library
// may be about to write.
type logPipe struct {
	mu         sync.Mutex
	write      *os.File
	descriptor uintptr
	logger     atomic.Pointer[slog.Logger]
}

func (p *logPipe) open() error {
	if p.write != nil {
		return nil
	}
	// os.Pipe makes both ends non-blocking; asking the file itself for its descriptor would change that.
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	raw, err := write.SyscallConn()
	if err != nil {
		return err
	}
	if err := raw.Control(func(descriptor uintptr) { p.descriptor = descriptor }); err != nil {
		return err
	}
	p.write = write
	go p.forward(read)
	return nil
}

func (p *logPipe) forward(read *os.File) {
	lines := bufio.NewScanner(read)
	for lines.Scan() {
		line, logger := lines.Text(), p.logger.Load()
		if logger != nil && line != "" {
			logger.Log(context.Background(), goLevel(line[0]), line[1:], "library", "redlock")
		}
	}
}

func libraryLevel(level slog.Level) int32 {
	switch {
	case level >= slog.LevelError:
		return logError
	case level >= slog.LevelWarn:
		return logWarn
	case level >= slog.LevelInfo:
		return logInfo
	default:
		return logDebug
	}
}

func goLevel(digit byte) slog.Level {
	switch int(digit - '0') {
	case logError:
		return slog.LevelError
	case logWarn:
		return slog.LevelWarn
	case logInfo:
		return slog.LevelInfo
	default:
		return slog.LevelDebug
	}
}
