// A party of the tests across languages, in Go: takes a lock and gives it back as standard input says.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	redlock "github.com/libredlock/libredlock/bindings/go"
)

func main() {
	factory, err := redlock.New(strings.Split(os.Getenv("REDLOCK_TEST_URLS"), ","), settings(os.Args[1:])...)
	if err != nil {
		log.Fatal(err)
	}
	defer factory.Close()
	party := worker{factory: factory}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println(party.obey(context.Background(), strings.Fields(lines.Text())))
	}
}

// settings reads the arguments: NAME=VALUE...
func settings(arguments []string) []redlock.Option {
	var options []redlock.Option
	for _, argument := range arguments {
		name, value, _ := strings.Cut(argument, "=")
		options = append(options, redlock.WithOption(name, value))
	}
	return options
}

type worker struct {
	factory *redlock.Factory
	lock    *redlock.Lock
}

// obey does what a line says: try RESOURCE TTL | wait RESOURCE TTL | release. It returns the answer.
func (w *worker) obey(ctx context.Context, words []string) string {
	switch {
	case len(words) == 3 && words[0] == "try":
		return w.hold(w.factory.TryLock(ctx, words[1], ttl(words[2])))
	case len(words) == 3 && words[0] == "wait":
		return w.hold(w.factory.Lock(ctx, words[1], ttl(words[2])))
	case len(words) == 1 && words[0] == "release":
		return answer("ok", w.lock.Unlock(ctx))
	default:
		return fmt.Sprint("error: what is ", words)
	}
}

func ttl(text string) redlock.LockOption {
	milliseconds, err := strconv.Atoi(text)
	if err != nil {
		log.Fatal(err)
	}
	return redlock.WithTTL(time.Duration(milliseconds) * time.Millisecond)
}

func (w *worker) hold(lock *redlock.Lock, err error) string {
	w.lock = lock
	return answer(fmt.Sprint("ok ", lock.Fence()), err)
}

func answer(good string, err error) string {
	switch {
	case err == nil:
		return good
	case errors.Is(err, redlock.ErrContended):
		return "contended"
	default:
		return "error " + err.Error()
	}
}
