//go:build cgo

package redlock

import (
	"slices"
	"strconv"
	"strings"
	"sync"
)

// nodeSet is a set of nodes that is open in the library. Factories with the same URLs and options share one, and with it
// the connections, so that a program may make a factory for each request.
type nodeSet struct {
	key    string
	handle factoryHandle
	port   *port
	// users is how many factories share it; under the mutex of nodeSets.
	users int
}

var nodeSets = struct {
	sync.Mutex
	open map[string]*nodeSet
}{open: make(map[string]*nodeSet)}

// joinNodes is the set of these nodes with these settings, and one user more of it.
func joinNodes(urls []string, o *factoryOptions) (*nodeSet, *Error) {
	if o.credentials != nil {
		// Functions can't be compared, so nobody is known to have the same.
		set, failed := openNodes(urls, o)
		if failed == nil {
			set.users = 1
		}
		return set, failed
	}
	key := nodeSetKey(urls, o.settings)
	nodeSets.Lock()
	defer nodeSets.Unlock()
	set := nodeSets.open[key]
	if set == nil {
		var failed *Error
		if set, failed = openNodes(urls, o); failed != nil {
			return nil, failed
		}
		set.key = key
		nodeSets.open[key] = set
	}
	set.users++
	return set, nil
}

func openNodes(urls []string, o *factoryOptions) (*nodeSet, *Error) {
	handle, failed := newFactory(urls, o.settings)
	if failed != nil {
		return nil, failed
	}
	port, failed := newPort()
	if failed != nil {
		freeFactory(handle)
		return nil, failed
	}
	port.direct.prepare(o.settings)
	if o.credentials != nil {
		port.answerWith(&provider{factory: handle, ask: o.credentials})
		if failed := askForCredentials(handle, port.queue); failed != nil {
			freeFactory(handle)
			port.leave()
			return nil, failed
		}
	}
	return &nodeSet{handle: handle, port: port}, nil
}

// leave takes a user away. The last one closes the set, which may take as long as the node timeout.
func (s *nodeSet) leave() {
	nodeSets.Lock()
	s.users--
	last := s.users == 0
	if last {
		if nodeSets.open[s.key] == s {
			delete(nodeSets.open, s.key)
		}
	}
	nodeSets.Unlock()
	if last {
		freeFactory(s.handle)
		s.port.leave()
	}
}

// nodeSetKey is the same for the same URLs with the same settings, in whichever order they were given. Of a setting that
// was given twice the last value counts.
func nodeSetKey(urls []string, settings []setting) string {
	values := make(map[string]string, len(settings))
	for _, setting := range settings {
		values[setting.name] = setting.value
	}
	words := make([]string, 0, len(urls)+len(values))
	for name, value := range values {
		words = append(words, strconv.Quote(name)+"="+strconv.Quote(value))
	}
	slices.Sort(words)
	for _, url := range urls {
		words = append(words, strconv.Quote(url))
	}
	return strings.Join(words, " ")
}
