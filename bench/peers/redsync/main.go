// The redsync side of the benchmarks. Scenario pair: N goroutines, each with a mutex of its own over all nodes.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	goredislib "github.com/redis/go-redis/v9"
)

// options is the command line that all benchmark programs share.
type options struct {
	urls      string
	scenario  string
	prefix    string
	callers   int
	seconds   float64
	settleMS  int
	handshake bool
}

// window is the time in which pairs count: those that begin before its end and are over after its start.
type window struct{ start, end time.Time }

// tally is what one caller measured.
type tally struct {
	durations []time.Duration
	failures  int
}

func parse() options {
	var o options
	flag.StringVar(&o.urls, "urls", "", "comma separated redis:// addresses")
	flag.StringVar(&o.scenario, "scenario", "pair", "what to measure: pair, turns, handover or first")
	flag.StringVar(&o.prefix, "resource-prefix", "bench", "begins every resource name")
	flag.IntVar(&o.callers, "callers", 1, "concurrent callers")
	flag.Float64Var(&o.seconds, "seconds", 2, "length of the measured window")
	flag.IntVar(&o.settleMS, "settle-ms", 200, "time before the window that does not count")
	flag.BoolVar(&o.handshake, "handshake", false, "say ready, and wait for a line")
	flag.Parse()
	if o.urls == "" || !slices.Contains([]string{"pair", "turns", "handover", "first"}, o.scenario) {
		flag.Usage()
		os.Exit(2)
	}
	return o
}

func connect(urls string) *redsync.Redsync {
	rs, _ := connectClients(urls)
	return rs
}

func connectClients(urls string) (*redsync.Redsync, []*goredislib.Client) {
	var pools []redis.Pool
	var clients []*goredislib.Client
	for _, url := range strings.Split(urls, ",") {
		parsed, err := goredislib.ParseURL(url)
		if err != nil {
			log.Fatal(err)
		}
		client := goredislib.NewClient(parsed)
		clients = append(clients, client)
		pools = append(pools, goredis.NewPool(client))
	}
	return redsync.New(pools...), clients
}

// firstLocks measures from making clients to the first lock, again and again.
func firstLocks(o options) {
	var t tally
	start := time.Now().Add(time.Duration(o.settleMS) * time.Millisecond)
	end := start.Add(time.Duration(o.seconds * float64(time.Second)))
	time.Sleep(time.Until(start))
	before, _ := usage()
	for i := 0; time.Now().Before(end); i++ {
		begun := time.Now()
		rs, clients := connectClients(o.urls)
		mutex := rs.NewMutex(fmt.Sprintf("%s:first:%d", o.prefix, i))
		if err := mutex.Lock(); err != nil {
			t.failures++
		} else {
			t.durations = append(t.durations, time.Since(begun))
			_, _ = mutex.Unlock()
		}
		for _, client := range clients {
			_ = client.Close()
		}
	}
	after, _ := usage()
	report([]tally{t}, time.Since(start).Seconds(), after-before)
}

func pair(mutex *redsync.Mutex) error {
	if err := mutex.Lock(); err != nil {
		return err
	}
	_, err := mutex.Unlock()
	return err
}

// warm makes every caller do one pair at the same time, so that each has its connections.
func warm(mutexes []*redsync.Mutex) {
	var all sync.WaitGroup
	for _, mutex := range mutexes {
		all.Add(1)
		go func() {
			defer all.Done()
			if err := pair(mutex); err != nil {
				log.Fatal(err)
			}
		}()
	}
	all.Wait()
}

func (t *tally) run(mutex *redsync.Mutex, w window) {
	for {
		begun := time.Now()
		if !begun.Before(w.end) {
			return
		}
		err := pair(mutex)
		switch {
		case time.Now().Before(w.start):
		case err != nil:
			t.failures++
		default:
			t.durations = append(t.durations, time.Since(begun))
		}
	}
}

func usage() (cpuMicros float64, maxRSSKB int64) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e3, int64(u.Maxrss)
}

func report(tallies []tally, seconds, cpu float64) {
	var durations []time.Duration
	failures := 0
	for _, t := range tallies {
		durations = append(durations, t.durations...)
		failures += t.failures
	}
	slices.Sort(durations)
	percentile := func(share float64) float64 {
		if len(durations) == 0 {
			return 0
		}
		return float64(durations[int(share*float64(len(durations)-1))].Nanoseconds()) / 1e3
	}
	_, rss := usage()
	line, err := json.Marshal(map[string]any{
		"pairs": len(durations), "failures": failures, "seconds": seconds,
		"p50_us": percentile(0.50), "p90_us": percentile(0.90), "p99_us": percentile(0.99),
		"cpu_us_per_pair": cpu / float64(max(1, len(durations))), "max_rss_kb": rss,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
}

// shakeHands says ready, and waits for the line that lets the measuring begin.
func shakeHands(lines *bufio.Scanner) {
	fmt.Println("ready")
	if !lines.Scan() {
		log.Fatal("stdin ended")
	}
}

func measurePairs(mutexes []*redsync.Mutex, o options) {
	start := time.Now().Add(time.Duration(o.settleMS) * time.Millisecond)
	w := window{start, start.Add(time.Duration(o.seconds * float64(time.Second)))}
	tallies := make([]tally, o.callers)
	var all sync.WaitGroup
	for i, mutex := range mutexes {
		all.Add(1)
		go func() { defer all.Done(); tallies[i].run(mutex, w) }()
	}
	time.Sleep(time.Until(w.start))
	before, _ := usage()
	all.Wait()
	after, _ := usage()
	report(tallies, time.Since(w.start).Seconds(), after-before)
}

func main() {
	o := parse()
	rs := connect(o.urls)
	var mutexes []*redsync.Mutex
	if o.scenario == "pair" {
		for i := range o.callers {
			mutexes = append(mutexes, rs.NewMutex(fmt.Sprintf("%s:redsync:%d", o.prefix, i)))
		}
		warm(mutexes)
	} else {
		warmUp(rs, o)
	}
	lines := bufio.NewScanner(os.Stdin)
	if o.handshake {
		shakeHands(lines)
	}
	switch o.scenario {
	case "turns":
		takeTurns(rs, o)
	case "handover":
		handOver(rs, o, lines)
	case "first":
		firstLocks(o)
	default:
		measurePairs(mutexes, o)
	}
}
