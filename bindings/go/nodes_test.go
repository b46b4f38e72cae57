package redlock

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// What the tests share: the masters that `testkit run` started, seen past the library, and waiting for conditions.

// patience is how long a test waits for what must come; a slow machine may take a part of it.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv("REDLOCK_TEST_URLS") == "" {
		fmt.Fprintln(os.Stderr, "these tests need real masters: run ./test, or go test under `testkit run -n 5 --`")
		os.Exit(2)
	}
	os.Exit(m.Run())
}

func nodeURLs() []string { return strings.Split(os.Getenv("REDLOCK_TEST_URLS"), ",") }

func background() context.Context { return context.Background() }

// factory is a new one over all nodes, closed at the test's end. Its nodes have much time to answer, as the machine may be
// busy; a goroutine that is alone calls the library itself all the same.
func factory(t testing.TB, options ...Option) *Factory {
	t.Helper()
	f := plainFactory(t, append([]Option{WithNodeTimeout(10 * time.Second)}, options...)...)
	f.port.direct.allowed = true
	return f
}

// plainFactory is one with the node timeout that it has by default.
func plainFactory(t testing.TB, options ...Option) *Factory {
	t.Helper()
	// A value of its own for an option of no consequence: what other tests do with their connections is not seen here.
	own := WithOption("ballot_retention_ms", strconv.FormatInt(86_400_000-names.Add(1), 10))
	f, err := New(nodeURLs(), append([]Option{own}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

var names atomic.Int64

// resource is a name that no other test uses, also none of another run on the same nodes.
func resource(t testing.TB) string {
	return fmt.Sprintf("go:%s:%d:%d", t.Name(), os.Getpid(), names.Add(1))
}

// take locks a resource; the lock is given back at the test's end, if it is not before.
func take(t testing.TB, f *Factory, name string, options ...LockOption) *Lock {
	t.Helper()
	ctx, cancel := context.WithTimeout(background(), patience)
	defer cancel()
	lock, err := f.Lock(ctx, name, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Unlock(background()) })
	return lock
}

// takeEverywhere locks a resource on all nodes. A majority is enough for a lock, so on a busy machine the first ones of a
// factory may lack a node that is not connected yet.
func takeEverywhere(t testing.TB, f *Factory, name, key string, options ...LockOption) *Lock {
	t.Helper()
	var lock *Lock
	eventually(t, "all nodes have the key", func() bool {
		lock = take(t, f, name, options...)
		if everywhere(t, key, lock.Token()) {
			return true
		}
		if err := lock.Unlock(background()); err != nil {
			t.Fatal(err)
		}
		return false
	})
	return lock
}

func everywhere(t testing.TB, key, token string) bool {
	t.Helper()
	for _, owner := range owners(t, key) {
		if owner != token {
			return false
		}
	}
	return true
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		runtime.Gosched()
		time.Sleep(time.Millisecond)
	}
}

// within waits for a channel.
func within[T any](t testing.TB, what string, channel <-chan T) T {
	t.Helper()
	select {
	case value := <-channel:
		return value
	case <-time.After(patience):
		t.Fatalf("never: %s", what)
		panic("unreachable")
	}
}

// redis sends one command to a node, past the library. An integer or a string comes back as text, nothing as "(nil)".
func redis(t testing.TB, nodeURL string, words ...string) string {
	t.Helper()
	address, err := url.Parse(nodeURL)
	if err != nil {
		t.Fatal(err)
	}
	connection, err := net.DialTimeout("tcp", address.Host, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(connection, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(connection, "$%d\r\n%s\r\n", len(word), word)
	}
	return reply(t, bufio.NewReader(connection))
}

func reply(t testing.TB, answer *bufio.Reader) string {
	t.Helper()
	line, err := answer.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSpace(line[1:])
	switch line[0] {
	case '$':
		length, err := strconv.Atoi(text)
		if err != nil || length < 0 {
			return "(nil)"
		}
		bytes := make([]byte, length)
		for read := 0; read < length; {
			n, err := answer.Read(bytes[read:])
			if err != nil {
				t.Fatal(err)
			}
			read += n
		}
		return string(bytes)
	case '-':
		t.Fatalf("a node answered: %s", text)
	}
	return text
}

// owners is the value of a key on each node.
func owners(t testing.TB, name string) []string {
	t.Helper()
	var values []string
	for _, node := range nodeURLs() {
		values = append(values, redis(t, node, "GET", name))
	}
	return values
}

// isFree says whether no node has the key.
func isFree(t testing.TB, name string) bool {
	t.Helper()
	for _, value := range owners(t, name) {
		if value != "(nil)" {
			return false
		}
	}
	return true
}

// deleteKey takes a lock away, as a node that lost its data does.
func deleteKey(t testing.TB, name string) {
	t.Helper()
	for _, node := range nodeURLs() {
		redis(t, node, "DEL", name)
	}
}

// stopNodes makes the first nodes hang, until the test's end or until they are told to go on.
func stopNodes(t testing.TB, count int) (goOn func()) {
	t.Helper()
	pids := strings.Split(os.Getenv("REDLOCK_TEST_PIDS"), ",")[:count]
	tell := func(signal syscall.Signal) {
		for _, text := range pids {
			pid, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(pid, signal); err != nil {
				t.Fatal(err)
			}
		}
	}
	tell(syscall.SIGSTOP)
	goOn = func() { tell(syscall.SIGCONT) }
	t.Cleanup(goOn)
	return goOn
}
