//go:build cgo

package redlock

import (
	"fmt"
	"strings"
)

// provider is the application's function that knows the nodes' credentials.
type provider struct {
	// factory may be freed while the function runs; the library then knows it no more.
	factory factoryHandle
	ask     func() (username, password string, err error)
}

// answer asks the function, and tells the library. What goes wrong is told there too, for the nodes' errors.
func (p *provider) answer() {
	username, password, err := p.call()
	if err == nil {
		if failed := checkCredentials(username, password); failed != nil {
			err = failed
		}
	}
	if err != nil {
		reason := strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "\x00", " "), "\uFFFD")
		_ = refuseCredentials(p.factory, reason)
		return
	}
	_ = setCredentials(p.factory, username, password)
}

// call lets a panic of the function be the failure of this one question.
func (p *provider) call() (username, password string, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("the credentials provider panicked: %v", reason)
		}
	}()
	return p.ask()
}

func checkCredentials(username, password string) *Error {
	if failed := checkText("the user name", username); failed != nil {
		return failed
	}
	return checkText("the password", password)
}
