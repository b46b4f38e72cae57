package redlock

import (
	"strings"
	"testing"
)

func TestTheVersionsFit(t *testing.T) {
	if failed := libraryFits(); failed != nil {
		t.Fatal(failed)
	}
	if Version() == "" {
		t.Fatal("the library has no version")
	}
}

func TestOtherLibrariesAreRefusedOrNot(t *testing.T) {
	for _, case_ := range []struct {
		compiled, runs uint32
		fits           bool
	}{
		{100, 100, true}, {100, 101, true}, {100, 200, true}, {101, 100, false}, {200, 100, false},
		{10000, 9900, false}, {9900, 10000, false}, {10000, 10100, true}, {20000, 10000, false},
	} {
		failed := checkVersion("COMPILED", case_.compiled, "RUNS", case_.runs)
		if (failed == nil) != case_.fits {
			t.Errorf("compiled for %d, runs %d: %v", case_.compiled, case_.runs, failed)
		}
		if failed != nil && (!strings.Contains(failed.Message, "COMPILED") || !strings.Contains(failed.Message, "RUNS")) {
			t.Errorf("%v", failed)
		}
	}
}
