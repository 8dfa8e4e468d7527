// Command testrun runs `go test` with the arguments it is given and prints what
// go test prints, but fails when a test was skipped: a skipped test is a
// promise that nobody looked at.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "testrun: error:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	skipped, readErr := follow(events, stdout)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("go test: %w", err)
	}
	if readErr != nil {
		return readErr
	}
	if len(skipped) > 0 {
		return fmt.Errorf("%d skipped: %s", len(skipped), strings.Join(skipped, ", "))
	}
	return nil
}

// event is one line of `go test -json` (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// follow prints the lines of packages as they come, those of a test only when
// it failed, and returns the tests that were skipped.
func follow(events io.Reader, out io.Writer) (skipped []string, err error) {
	lines := bufio.NewReader(events)
	held := make(map[[2]string]*strings.Builder) // what a test printed, by package and test
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			break
		}
		if err != nil && err != io.EOF {
			return skipped, err
		}
		var e event
		if json.Unmarshal(line, &e) != nil {
			if _, err := out.Write(line); err != nil { // not an event: a build error
				return skipped, err
			}
			continue
		}
		key := [2]string{e.Package, e.Test}
		switch {
		case e.Action == "build-output", e.Action == "output" && e.Test == "":
			if e.Output != "PASS\n" { // as go test prints it for several packages
				fmt.Fprint(out, e.Output)
			}
		case e.Action == "output" && strings.HasPrefix(e.Output, "=== "): // RUN, PAUSE, CONT, NAME
		case e.Action == "output":
			if held[key] == nil {
				held[key] = new(strings.Builder)
			}
			held[key].WriteString(e.Output)
		case e.Action == "skip" && e.Test != "":
			skipped = append(skipped, e.Package+" "+e.Test)
			fmt.Fprint(out, held[key])
			delete(held, key)
		case e.Action == "fail" && e.Test != "":
			fmt.Fprint(out, held[key])
			delete(held, key)
		case e.Action == "pass":
			delete(held, key)
		}
	}
	// What is still held belongs to tests that never ended: a panic or a time-out.
	for _, text := range held {
		fmt.Fprint(out, text)
	}
	return skipped, nil
}
