// A party of the tests across languages that uses redsync instead of ours: takes a lock and gives it back as standard
// input says. It is built in the module bench/peers/redsync.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"log"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	goredislib "github.com/redis/go-redis/v9"
)

func main() {
	party := worker{locks: connect(strings.Split(os.Getenv("REDLOCK_TEST_URLS"), ","))}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println(answer(party.obey(strings.Fields(lines.Text()))))
	}
}

func connect(urls []string) *redsync.Redsync {
	var pools []redis.Pool
	for _, url := range urls {
		options, err := goredislib.ParseURL(url)
		if err != nil {
			log.Fatal(err)
		}
		pools = append(pools, goredis.NewPool(goredislib.NewClient(options)))
	}
	return redsync.New(pools...)
}

type worker struct {
	locks *redsync.Redsync
	mutex *redsync.Mutex
}

// obey does what a line says: try RESOURCE TTL | wait RESOURCE TTL | release.
func (w *worker) obey(words []string) error {
	if words[0] == "release" {
		_, err := w.mutex.Unlock()
		return err
	}
	ttl, err := strconv.Atoi(words[2])
	if err != nil {
		return err
	}
	expiry := redsync.WithExpiry(time.Duration(ttl) * time.Millisecond)
	w.mutex = w.locks.NewMutex(words[1], expiry, redsync.WithTries(math.MaxInt))
	if words[0] == "try" {
		return w.mutex.TryLock()
	}
	return w.mutex.Lock()
}

func answer(err error) string {
	var taken *redsync.ErrTaken
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &taken):
		return "contended"
	default:
		return "error " + err.Error()
	}
}
