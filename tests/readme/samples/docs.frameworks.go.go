// The recipes of docs/frameworks/go.md, each in its place, and what they promise.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	redlock "github.com/libredlock/libredlock/bindings/go"
)

// @sample http

// @sample cronjob

func check(holds bool, what string) {
	if !holds {
		log.Fatal("not so: ", what)
	}
}

func send(factory *redlock.Factory, inside func()) int {
	mux := http.NewServeMux()
	mux.Handle("POST /invoices/{id}/send", exclusively(factory, func(_ http.ResponseWriter, r *http.Request, fence uint64) {
		check(fence > 0 && r.Context().Err() == nil, "the handler runs under the lock")
		inside()
	}))
	response := httptest.NewRecorder()
	mux.ServeHTTP(response, httptest.NewRequest("POST", "/invoices/17/send", nil))
	return response.Code
}

func main() {
	factory, err := redlock.New(strings.Split(os.Getenv("REDLOCK_TEST_URLS"), ","))
	check(err == nil, "a factory is made")
	defer factory.Close()

	inner := 0
	check(send(factory, func() { inner = send(factory, func() {}) }) == http.StatusOK, "a request is served")
	check(inner == http.StatusConflict, "one at a time")
	check(send(factory, func() {}) == http.StatusOK, "the lock is given back")

	runs, broken := 0, errors.New("broken")
	job := func(result error) func(context.Context, uint64) error {
		return func(ctx context.Context, fence uint64) error {
			runs++
			return result
		}
	}
	ctx := context.Background()
	check(errors.Is(oncePer(ctx, factory, 30*time.Second, job(broken)), broken), "a failure is told")
	check(oncePer(ctx, factory, 30*time.Second, job(nil)) == nil && runs == 2, "it is tried again")
	check(oncePer(ctx, factory, 30*time.Second, job(nil)) == nil && runs == 2, "once a period")
}
