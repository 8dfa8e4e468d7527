package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// exits runs a command and wants this exit code: exit 2 holdfast frob
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit code command...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		got = e.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
}

// sameFiles wants the folder to have these files and no others: same folder a b
func sameFiles(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: same folder file...")
	}
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(args[1:])
	if !slices.Equal(names, args[1:]) {
		ts.Fatalf("%s has %q, not %q", args[0], names, args[1:])
	}
}

// secretless wants that a file (stderr, say) has none of the secrets: the access token
// in the first file, the lines of key files, and nothing that looks like a JWS:
// secretless stderr token.txt keys/*.key
func secretless(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: secretless file secret...")
	}
	text := ts.ReadFile(args[0])
	if text == "" {
		ts.Fatalf("%s is empty", args[0])
	}
	if strings.Contains(text, "eyJ") { // how every JWS begins
		ts.Fatalf("%s holds a JWS", args[0])
	}
	for _, pattern := range args[1:] {
		files, err := filepath.Glob(ts.MkAbs(pattern))
		ts.Check(err)
		if len(files) == 0 {
			ts.Fatalf("%s: no such file", pattern)
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			ts.Check(err)
			for line := range bytes.Lines(data) {
				if l := strings.TrimSpace(string(line)); len(l) > 16 && !strings.HasPrefix(l, "-----") && strings.Contains(text, l) {
					ts.Fatalf("%s holds a line of %s", args[0], f)
				}
			}
		}
	}
}

// await waits for a file: await dev/dev.json
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await file")
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s did not come", args[0])
		}
		time.Sleep(10 * time.Millisecond) // between two looks
	}
}

// schema says that a newer or older holdfast wrote a database: schema holdfast.db 99
func schema(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: schema database version")
	}
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = db.Exec("UPDATE schema_version SET version_id = $1 WHERE version_id = (SELECT max(version_id) FROM schema_version); UPDATE compatibility SET oldest = $1", args[1])
	ts.Check(errors.Join(err, db.Close()))
}

// taken takes a port until the script ends and puts it into a variable: taken PORT
func taken(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: taken VARIABLE")
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
}

// mode wants the mode of files: mode 0600 a b
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mode 0600 file...")
	}
	for _, f := range args[1:] {
		info, err := os.Stat(ts.MkAbs(f))
		ts.Check(err)
		if got := "0" + strconv.FormatUint(uint64(info.Mode().Perm()), 8); got != args[0] {
			ts.Fatalf("%s has mode %s", f, got)
		}
	}
}

// value puts a member of a JSON object into a variable: value GATEWAY dev.json gateway_url
func value(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: value VARIABLE file member")
	}
	var members map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &members))
	text, ok := members[args[2]].(string)
	if !ok {
		ts.Fatalf("%s has no %s", args[1], args[2])
	}
	ts.Setenv(args[0], text)
}

// running waits until there is something in a folder: running tmp
func running(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: running folder")
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		entries, err := os.ReadDir(ts.MkAbs(args[0]))
		ts.Check(err)
		if len(entries) > 0 {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s stays empty", args[0])
		}
		time.Sleep(10 * time.Millisecond) // between two looks
	}
}

// tamper runs SQL in a database: sql holdfast.db statement...
func tamper(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: sql database statement...")
	}
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	for _, statement := range args[1:] {
		_, err := db.Exec(statement)
		ts.Check(err)
	}
	ts.Check(db.Close())
}

// replace writes a file anew with one text for another, once: replace from to old new
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: replace from to old new")
	}
	text := ts.ReadFile(args[0])
	changed := strings.Replace(text, args[2], args[3], 1)
	if changed == text {
		ts.Fatalf("%s has no %s", args[0], args[2])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(changed), 0o600))
}

// soon runs a command until it succeeds, for what takes a moment to be in force:
// soon holdfast operator list
func soon(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: soon command...")
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("it did not succeed: %v", err)
		}
		time.Sleep(50 * time.Millisecond) // between two attempts
	}
}
