// The Go binding in the benchmarks: N goroutines, each locking and unlocking its own resource over all nodes.
package main

import (
	"bufio"
	"context"
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

	redlock "github.com/libredlock/libredlock/bindings/go"
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
	flag.StringVar(&o.scenario, "scenario", "pair", "what to measure; only pair")
	flag.StringVar(&o.prefix, "resource-prefix", "bench", "begins every resource name")
	flag.IntVar(&o.callers, "callers", 1, "concurrent callers")
	flag.Float64Var(&o.seconds, "seconds", 2, "length of the measured window")
	flag.IntVar(&o.settleMS, "settle-ms", 200, "time before the window that does not count")
	flag.BoolVar(&o.handshake, "handshake", false, "say ready, and wait for a line")
	flag.Parse()
	if o.urls == "" || o.scenario != "pair" {
		flag.Usage()
		os.Exit(2)
	}
	return o
}

// caller locks and unlocks one resource.
type caller struct {
	factory  *redlock.Factory
	resource string
}

func callers(o options) []caller {
	factory, err := redlock.New(strings.Split(o.urls, ","))
	if err != nil {
		log.Fatal(err)
	}
	all := make([]caller, o.callers)
	for i := range all {
		all[i] = caller{factory, fmt.Sprintf("%s:go:%d", o.prefix, i)}
	}
	return all
}

func (c caller) pair() error {
	ctx := context.Background()
	lock, err := c.factory.Lock(ctx, c.resource)
	if err != nil {
		return err
	}
	return lock.Unlock(ctx)
}

// warm makes every caller do one pair at the same time, so that each has its connections.
func warm(callers []caller) {
	var all sync.WaitGroup
	for _, caller := range callers {
		all.Add(1)
		go func() {
			defer all.Done()
			if err := caller.pair(); err != nil {
				log.Fatal(err)
			}
		}()
	}
	all.Wait()
}

func (t *tally) run(caller caller, w window) {
	for {
		begun := time.Now()
		if !begun.Before(w.end) {
			return
		}
		err := caller.pair()
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

func main() {
	o := parse()
	all := callers(o)
	warm(all)
	if o.handshake {
		fmt.Println("ready")
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
			log.Fatal(err)
		}
	}
	start := time.Now().Add(time.Duration(o.settleMS) * time.Millisecond)
	w := window{start, start.Add(time.Duration(o.seconds * float64(time.Second)))}
	tallies := make([]tally, o.callers)
	var running sync.WaitGroup
	for i, caller := range all {
		running.Add(1)
		go func() { defer running.Done(); tallies[i].run(caller, w) }()
	}
	time.Sleep(time.Until(w.start))
	before, _ := usage()
	running.Wait()
	after, _ := usage()
	report(tallies, time.Since(w.start).Seconds(), after-before)
}
