// The samples of bindings/go/README.md, each in its place.
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"strings"

	redlock "github.com/libredlock/libredlock/bindings/go"
)

func main() {
	factory, err := redlock.New(strings.Split(os.Getenv("REDLOCK_TEST_URLS"), ","))
	if err != nil {
		log.Fatal(err)
	}
	defer factory.Close()
	// The second time another owner has it.
	held, err := factory.Lock(context.Background(), "invoice:17")
	if err != nil {
		log.Fatal(err)
	}
	sampleErrors(context.Background(), factory)
	_ = held.Unlock(context.Background())
	sampleErrors(context.Background(), factory)
}

func sampleErrors(ctx context.Context, factory *redlock.Factory) {
	// @sample errors
}
