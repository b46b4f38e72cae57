package redlock

// The library's functions for credentials, in Go's types.

// #include <redlock.h>
import "C"

// setCredentials counts for connections from now on. Without a user name, each URL's is kept.
func setCredentials(factory factoryHandle, username, password string) *Error {
	var user *C.char
	if username != "" {
		user = cText(username)
	}
	var handle errorHandle
	return failure(C.redlock_factory_set_credentials(factory, user, cText(password), &handle), handle)
}

// refuseCredentials says why there are none.
func refuseCredentials(factory factoryHandle, reason string) *Error {
	var handle errorHandle
	return failure(C.redlock_factory_refuse_credentials(factory, cText(reason), &handle), handle)
}

// askForCredentials has events come when connections wait for credentials.
func askForCredentials(factory factoryHandle, to queueHandle) *Error {
	var handle errorHandle
	return failure(C.redlock_factory_ask_for_credentials(factory, to, 0, &handle), handle)
}
