package redlock

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// logged collects what is written to it.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logged) contains(words string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), words)
}

func TestTheLogReachesALogger(t *testing.T) {
	var lines logged
	handler := slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug})
	if err := SetLogger(slog.New(handler), slog.LevelDebug); err != nil {
		t.Fatal(err)
	}
	defer SetLogger(nil, slog.LevelError)
	f, err := New([]string{"redis://127.0.0.1:1"}, WithConnectTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, _ = f.TryLock(background(), resource(t))
	eventually(t, "a message about the node", func() bool { return lines.contains("127.0.0.1:1") })
}
