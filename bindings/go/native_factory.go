package redlock

// The library's functions for factories, in Go's types.

// #include <stdlib.h>
// #include <redlock.h>
import "C"

import "unsafe"

func newFactory(urls []string, settings []setting) (factoryHandle, *Error) {
	options, failed := newOptions(settings)
	if failed != nil {
		return nil, failed
	}
	defer C.redlock_options_free(options)
	list := newTextList(urls)
	defer list.free()
	var factory factoryHandle
	var handle errorHandle
	status := C.redlock_factory_new(list.first(), list.count(), options, &factory, &handle)
	return factory, failure(status, handle)
}

func newOptions(settings []setting) (*C.redlock_options, *Error) {
	var options *C.redlock_options
	var handle errorHandle
	if failed := failure(C.redlock_options_new(&options, &handle), handle); failed != nil {
		return nil, failed
	}
	for _, setting := range settings {
		status := C.redlock_options_set(options, cText(setting.name), cText(setting.value), &handle)
		if failed := failure(status, handle); failed != nil {
			C.redlock_options_free(options)
			return nil, failed
		}
	}
	return options, nil
}

// textList is an array of strings in C's memory.
type textList []*C.char

func newTextList(texts []string) textList {
	count, size := C.size_t(len(texts)+1), C.size_t(unsafe.Sizeof((*C.char)(nil)))
	// Of zeros: storing a pointer shows the garbage collector what was in its place.
	list := unsafe.Slice((**C.char)(C.calloc(count, size)), len(texts)+1)[:len(texts)]
	for i, text := range texts {
		list[i] = C.CString(text)
	}
	return list
}

func (list textList) first() **C.char {
	return unsafe.SliceData(list)
}

func (list textList) count() C.size_t {
	return C.size_t(len(list))
}

func (list textList) free() {
	for _, text := range list {
		C.free(unsafe.Pointer(text))
	}
	C.free(unsafe.Pointer(unsafe.SliceData(list)))
}

// freeFactory blocks for as long as the node timeout, while releases in the background reach the nodes.
func freeFactory(factory factoryHandle) {
	C.redlock_factory_free(factory)
}

func checkFactory(factory factoryHandle) (string, *Error) {
	var report *C.char
	var handle errorHandle
	status := C.redlock_factory_check(factory, &report, &handle)
	defer C.redlock_string_free(report)
	return C.GoString(report), failure(status, handle)
}

func trustNodes(factory factoryHandle) *Error {
	var handle errorHandle
	return failure(C.redlock_factory_trust_nodes(factory, &handle), handle)
}

// optionTable is the library's own table of options.
func optionTable() []OptionInfo {
	table := make([]OptionInfo, C.redlock_option_count())
	for i := range table {
		table[i] = OptionInfo{
			Name:        C.GoString(C.redlock_option_name(C.size_t(i))),
			Default:     C.GoString(C.redlock_option_default(C.size_t(i))),
			Description: C.GoString(C.redlock_option_description(C.size_t(i))),
		}
	}
	return table
}
