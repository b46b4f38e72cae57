package redlock

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Where cgo is off, the compiler says so in one line, and not what is undefined because of that.
func TestWithoutCgoThereIsOneClearError(t *testing.T) {
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	for name, environment := range map[string][]string{
		"off":             {"CGO_ENABLED=0"},
		"cross compiling": {"GOARCH=arm64"},
		"no compiler":     {"PATH=" + filepath.Dir(tool)},
	} {
		t.Run(name, func(t *testing.T) {
			command := exec.Command(tool, "build", "-o", os.DevNull, ".")
			command.Env = append(os.Environ(), append(environment, "GOEXPERIMENT=", "GOFLAGS=")...)
			output, err := command.CombinedOutput()
			if err == nil {
				t.Fatal("it was built")
			}
			lines := strings.Split(strings.TrimSpace(string(output)), "\n")
			// The first line is the package's name.
			if len(lines) != 2 || !strings.Contains(lines[1], "redlock needs cgo: set CGO_ENABLED=1 and install a C compiler") {
				t.Fatalf("%s", output)
			}
		})
	}
}
