//go:build cgo

package redlock

import (
	"strconv"
	"sync/atomic"
	"time"
)

// direct lets a goroutine that is alone call the library's blocking functions, instead of handing its operation to
// another thread and being woken by it: a pair of lock and unlock then takes half the time, and one thread for as long.
// As soon as there is company, or a call was slow or failed, operations go through the port, where waiting takes no
// thread and can be cancelled at once.
type direct struct {
	// allowed is false when a blocking call could notice an ended context too late.
	allowed bool
	// busy is true while somebody is in a blocking call.
	busy atomic.Bool
	// wanted is how many operations have to succeed through the port before the next blocking call.
	wanted atomic.Int32
}

const (
	// directPatience is the longest node timeout with which blocking calls are made: the default.
	directPatience = 50
	// directPause is what is wanted after a blocking call that was of no use. At first it is 1: the first operation may
	// have to wait for connections.
	directPause = 32
	// directSlow is when a call takes so long that the way through the port adds next to nothing.
	directSlow = 2 * time.Millisecond
)

// prepare reads the node timeout from the settings.
func (d *direct) prepare(settings []setting) {
	d.allowed = true
	for _, setting := range settings {
		if setting.name == "node_timeout_ms" {
			timeout, err := strconv.Atoi(setting.value)
			d.allowed = setting.value == "auto" || err == nil && timeout <= directPatience
		}
	}
	d.wanted.Store(1)
}

// succeeded says that an operation succeeded through the port.
func (d *direct) succeeded() {
	if d.wanted.Load() > 0 {
		d.wanted.Add(-1)
	}
}

// try makes a blocking call if this is the time for it. It says whether it did; the call says whether it succeeded.
func (d *direct) try(p *port, call func() bool) bool {
	if !d.allowed || d.wanted.Load() > 0 || p.underWay.Load() > 0 || !d.busy.CompareAndSwap(false, true) {
		return false
	}
	begun := time.Now()
	if !call() || time.Since(begun) > directSlow {
		d.wanted.Store(directPause)
	}
	d.busy.Store(false)
	return true
}
