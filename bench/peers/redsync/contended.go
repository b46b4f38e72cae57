// The scenarios with a contended lock: one that this process takes again and again, or as it is told on stdin.
package main

import (
	"bufio"
	"fmt"
	"log"
	"math"
	"os"
	"strings"
	"time"

	"github.com/go-redsync/redsync/v4"
	"golang.org/x/sys/unix"
)

// inside is how long a turn lasts between acquire and release.
const inside = 2 * time.Millisecond

// turn is one turn, in microseconds of a clock that all processes of the machine share.
type turn struct{ begun, acquired, released int64 }

// now reads CLOCK_MONOTONIC. package time has it too, but counts from the start of the process.
func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		log.Fatal(err)
	}
	return t.Nano() / 1e3
}

// contended is the lock that all processes of the prefix want. It waits without end, with the delays of the defaults.
func contended(rs *redsync.Redsync, o options) *redsync.Mutex {
	return rs.NewMutex(o.prefix+":"+o.scenario, redsync.WithTries(math.MaxInt32))
}

func take(mutex *redsync.Mutex) {
	if err := mutex.Lock(); err != nil {
		log.Fatal(err)
	}
}

// give goes on when too few nodes have answered, as each of the programs does.
func give(mutex *redsync.Mutex) {
	if _, err := mutex.Unlock(); err != nil {
		log.Print(err)
	}
}

func takeTurn(mutex *redsync.Mutex) turn {
	t := turn{begun: now()}
	take(mutex)
	t.acquired = now()
	time.Sleep(inside)
	t.released = now()
	give(mutex)
	return t
}

// takeTurns takes turns until the window is over, and prints them.
func takeTurns(rs *redsync.Redsync, o options) {
	mutex := contended(rs, o)
	start := now() + int64(o.settleMS)*1e3
	end := start + int64(o.seconds*1e6)
	var turns []turn
	for now() < end {
		turns = append(turns, takeTurn(mutex))
	}
	var list []string
	for _, t := range turns {
		list = append(list, fmt.Sprintf("[%d,%d,%d]", t.begun, t.acquired, t.released))
	}
	fmt.Printf("{\"start_us\":%d,\"turns\":[%s]}\n", start, strings.Join(list, ","))
}

// handOver takes and gives the lock as the lines say, and prints when it had it, or called its release.
func handOver(rs *redsync.Redsync, o options, commands *bufio.Scanner) {
	mutex := contended(rs, o)
	for commands.Scan() {
		var when int64
		switch commands.Text() {
		case "take":
			take(mutex)
			when = now()
		case "give":
			when = now()
			give(mutex)
		default:
			log.Fatalf("neither take nor give: %q", commands.Text())
		}
		fmt.Println(when)
	}
}

// warmUp does a pair on a resource that only this process knows, so that the connections are there.
func warmUp(rs *redsync.Redsync, o options) {
	warm([]*redsync.Mutex{rs.NewMutex(fmt.Sprintf("%s:warm:%d", o.prefix, os.Getpid()))})
}
