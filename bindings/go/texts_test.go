package redlock

import (
	"encoding/binary"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"
)

// Storing a pointer shows the garbage collector what was in its place. In memory that C has used before, that may look like
// a pointer to memory that the collector has given back, which ends the program (see "Passing pointers" of cmd/cgo).
func TestListsOfTextsShowTheCollectorNoGarbage(t *testing.T) {
	address := addressOfNothing()
	garbage := string(binary.NativeEndian.AppendUint64(nil, uint64(address)))
	var done atomic.Bool
	collected := make(chan struct{})
	go func() {
		defer close(collected)
		for range 200 {
			runtime.GC()
		}
		done.Store(true)
	}()
	few, many := []string{strings.Repeat(garbage, 6)[:47]}, []string{"a", "b", "c", "d", "e"}
	for !done.Load() {
		// C gives the list the memory of the text, which was as long.
		newTextList(few).free()
		newTextList(many).free()
	}
	<-collected
}

// addressOfNothing is where an object of Go was that is gone, with its whole span.
func addressOfNothing() uintptr {
	object := new([1 << 20]byte)
	address := uintptr(unsafe.Pointer(object))
	runtime.KeepAlive(object)
	runtime.GC()
	runtime.GC()
	return address
}
