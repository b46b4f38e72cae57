package redlock

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// A program is compiled with the header of a version to come, and runs with the library that there is.
func TestAProgramForALaterLibrarySaysSo(t *testing.T) {
	later := t.TempDir()
	text, err := os.ReadFile(header(t))
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^#define REDLOCK_VERSION .*$`).ReplaceAll(text, []byte(`#define REDLOCK_VERSION "0.98.7"`))
	text = regexp.MustCompile(`(?m)^(#define REDLOCK_VERSION_NUMBER) .*$`).ReplaceAll(text, []byte("$1 9807"))
	if err := os.WriteFile(filepath.Join(later, "redlock.h"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("go", "run", "./testdata/version")
	command.Env = append(os.Environ(), "CGO_CPPFLAGS=-I"+later, "GOEXPERIMENT=", "GOGC=100")
	output, err := command.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("it ran: %v\n%s", err, output)
	}
	for _, words := range []string{"libredlock", "is version " + Version(), "for version 0.98.7", "install"} {
		if !strings.Contains(string(output), words) {
			t.Errorf("it does not say %q:\n%s", words, output)
		}
	}
}

// header is where pkg-config finds redlock.h.
func header(t *testing.T) string {
	t.Helper()
	directory, err := exec.Command("pkg-config", "--variable=includedir", "redlock").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(directory)), "redlock.h")
}
