// What a program prints that was compiled for another version of the library than the one that runs.
package main

import (
	"fmt"
	"os"

	redlock "github.com/libredlock/libredlock/bindings/go"
)

func main() {
	if _, err := redlock.New(nil); err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
}
