package redlock

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// README.md shows the example as it is, and what it prints.
func TestTheReadmeTellsTheTruth(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	const folder = "../../examples/go"
	program, err := os.ReadFile(folder + "/main.go")
	if err != nil {
		t.Skip("the examples are not here: ", err)
	}
	if block := fenced(string(readme), "go"); block != string(program) {
		t.Error("README.md shows another program than examples/go/main.go")
	}
	command := exec.Command("go", append([]string{"run", "."}, nodeURLs()...)...)
	command.Dir = folder
	command.Env = append(os.Environ(), "GOEXPERIMENT=", "GOGC=100")
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if block := fenced(string(readme), "text"); block != string(output) {
		t.Errorf("README.md says that the example prints\n%s\nbut it prints\n%s", block, output)
	}
}

// fenced is the first block of a language.
func fenced(page, language string) string {
	_, rest, _ := strings.Cut(page, "```"+language+"\n")
	block, _, _ := strings.Cut(rest, "```")
	return block
}
