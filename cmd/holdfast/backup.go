package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/server"
)

func backupCommand(env environment) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "copy the SQLite database to a file, while it is served from",
		Long: `Writes one state of the database to a new file of mode 0600, while a server goes
on changing it, and verifies the copy's audit chain. The file holds the keys of
the installation, encrypted: keep the key-encryption key elsewhere.

A PostgreSQL database is copied with pg_basebackup or pg_dump.`,
		Example: "  holdfast backup --config holdfast.yaml /backup/holdfast-2026-11-24.db",
		Args:    usageArgs(cobra.ExactArgs(1)),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	s := addSettings(c, config.ServeKeys())
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, err := load(s, env, config.LoadServe)
		if err != nil {
			return err
		}
		path, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		last, err := server.Backup(c.Context(), cfg, path, time.Now)
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(env.Stdout).Encode(map[string]any{"file": path, "sequence": last})
		}
		_, err = fmt.Fprintf(env.Stdout, "%s: everything up to change %d\n", path, last)
		return err
	}
	return c
}

func restoreCommand(env environment) *cobra.Command {
	var from server.RestoreFrom
	var inPlace, asJSON bool
	c := &cobra.Command{
		Use:   "restore [FILE]",
		Short: "put a copy of the database in its place, so that nothing of the past comes back",
		Long: `Puts a backup where the configuration has its database; nothing may be there.
With --in-place the copy is there already: a file, or a PostgreSQL database that
pg_restore or a base backup has brought back. Stop every node first.

Since the copy was made, assertions and codes were used, tokens and credentials
revoked, numbers given out. So: what may have been used before now is refused
(for about a minute no client can sign in with an assertion or a DPoP proof that
is older); codes that were not used are void; what was revoked is revoked again, as
far as --audit-log (written by holdfast audit export) and --snapshot (a document of
the status feed, as a gateway has it) tell; and numbers go on far above any that was
given out. What was made since the copy is lost, and is listed where it is known.

Rights that were taken away are taken away again. Where the log does not say enough
for that, the changes are listed as still in force and nothing is restored: with
--acknowledge it is, and you take them away first thing.`,
		Example: "  holdfast restore --config holdfast.yaml --audit-log audit.jsonl /backup/holdfast-2026-11-24.db\n  holdfast restore --config holdfast.yaml --in-place",
		Args:    usageArgs(cobra.MaximumNArgs(1)),
	}
	flags := c.Flags()
	flags.BoolVar(&inPlace, "in-place", false, "the copy is in its place already")
	flags.StringVar(&from.AuditLog, "audit-log", "", "file with the changes after the copy, one JSON object a line")
	flags.StringVar(&from.Snapshot, "snapshot", "", "file with a document of the status feed")
	flags.BoolVar(&from.Acknowledged, "acknowledge", false, "restore although something is still in force that was taken away")
	flags.BoolVar(&asJSON, "json", false, "print a JSON object")
	s := addSettings(c, config.ServeKeys())
	c.RunE = func(c *cobra.Command, args []string) error {
		if inPlace == (len(args) == 1) {
			return usageError{errors.New("restore takes a FILE, or --in-place where the copy is in its place already")}
		}
		cfg, err := load(s, env, config.LoadServe)
		if err != nil {
			return err
		}
		if len(args) == 1 {
			if from.Backup, err = filepath.Abs(args[0]); err != nil {
				return err
			}
		}
		from.Now = time.Now
		r, err := server.Restore(c.Context(), cfg, from)
		if is[*server.StillInForceError](err) {
			return errors.Join(writeStillInForce(env.Stderr, r.StillInForce), err)
		}
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(env.Stdout).Encode(r)
		}
		return writeRestored(env.Stdout, r)
	}
	return c
}

func writeRestored(w io.Writer, r server.Restored) error {
	fmt.Fprintf(w, "%s is restored.\n\n", printable(r.Database))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "the copy ends with\tchange %d of %s\n", r.Copy, r.CopyAt.UTC().Format(time.RFC3339))
	if r.Known != r.Copy {
		fmt.Fprintf(t, "the audit log ends with\tchange %d of %s\n", r.Known, r.KnownAt.UTC().Format(time.RFC3339))
	}
	fmt.Fprintf(t, "ended again\t%d records and tokens\n", r.Ended)
	for _, what := range slices.Sorted(maps.Keys(r.Voided)) {
		fmt.Fprintf(t, "void from now on\t%d %s\n", r.Voided[what], what)
	}
	fmt.Fprintf(t, "changes go on with\tnumber %d\n", r.Sequence)
	if err := t.Flush(); err != nil {
		return err
	}
	if r.NoOwner {
		fmt.Fprintf(w, "\nNo owner can sign in: their keys were replaced after the copy. Run holdfast operator recover.\n")
	}
	if len(r.Lost) > 0 {
		fmt.Fprintf(w, "\nLost, and to be made anew where they are still wanted:\n")
		if err := writeChanges(w, r.Lost); err != nil {
			return err
		}
	}
	if len(r.StillInForce) > 0 {
		if err := writeStillInForce(w, r.StillInForce); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\nEvery change after number %d is lost: since %s.\n", r.Known, r.KnownAt.UTC().Format(time.RFC3339))
	return err
}

func writeStillInForce(w io.Writer, changes []server.LostChange) error {
	fmt.Fprintf(w, "\nSTILL IN FORCE until you take it away:\n")
	return writeChanges(w, changes)
}

func writeChanges(w io.Writer, changes []server.LostChange) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range changes {
		fmt.Fprintf(t, "  %d\t%s\t%s\t%s\n", l.Sequence, l.At.UTC().Format(time.RFC3339), printable(l.Action), printable(l.Subject))
	}
	return t.Flush()
}
