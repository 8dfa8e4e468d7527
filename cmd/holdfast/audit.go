package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/audit"
)

func auditCommand(env environment) *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "read, export and verify the record of every change",
		Long: `Reads the record of every change of what is allowed. Each event holds the hash of
the one before it, and checkpoints signed with a key of their own say where the
chain ended: keep one elsewhere, and nobody can write history anew unseen.`,
		Example: "  holdfast audit list --as operator.json --action 'credential.*'\n  holdfast audit checkpoint --as operator.json -o json > kept.json\n  holdfast audit verify --as operator.json --checkpoint kept.json",
		Args:    usageArgs(cobra.NoArgs),
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(auditListCommand(env), auditShowCommand(env), auditCheckpointCommand(env), auditExportCommand(env), auditVerifyCommand(env))
	return c
}

func auditListCommand(env environment) *cobra.Command {
	var f operatorFlags
	var by adminclient.AuditFilter
	var since, until, output string
	var after int64
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "list changes, oldest first",
		Long: `Lists changes, oldest first, a page at a time: --after takes the number of the
last one that is known. Filters narrow it down.`,
		Example: "  holdfast audit list --as operator.json --subject app-1\n  holdfast audit list --as operator.json --action 'credential.*' --since 2026-11-01T00:00:00Z -o json",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if by.Since, err = parseTime("--since", since); err == nil {
				by.Until, err = parseTime("--until", until)
			}
			if err = errors.Join(err, checkOutput(output)); err != nil {
				return err
			}
			if limit < 1 || limit > 1000 {
				return usageError{errors.New("--limit is 1 to 1000")}
			}
			api, err := f.client(c.Context(), env)
			if err != nil {
				return err
			}
			page, err := api.SelectAuditEvents(c.Context(), by, after, limit)
			if err != nil {
				return err
			}
			events := make([]audit.Event, len(page.Items))
			for i := range page.Items {
				if events[i], err = adminclient.EventOf(&page.Items[i]); err != nil {
					return err
				}
			}
			if err := writeEvents(env.Stdout, output, events); err != nil {
				return err
			}
			if page.Next != 0 {
				fmt.Fprintf(env.Stderr, "holdfast: there may be more: --after %d\n", page.Next)
			}
			return nil
		},
	}
	f.add(c)
	flags := c.Flags()
	flags.StringVar(&by.Actor, "actor", "", "changes by this operator (client_id, or system)")
	flags.StringVar(&by.Action, "action", "", "changes of this kind, such as credential.revoked; 'credential.*' is all of a noun")
	flags.StringVar(&by.Organisation, "organisation", "", "changes in this organisation")
	flags.StringVar(&by.Subject, "subject", "", "changes of what has this id")
	flags.StringVar(&since, "since", "", "changes from this time on (RFC 3339, or a date)")
	flags.StringVar(&until, "until", "", "changes before this time (RFC 3339, or a date)")
	flags.Int64Var(&after, "after", 0, "changes after this number")
	flags.IntVar(&limit, "limit", 100, "how many at most, 1 to 1000")
	flags.StringVarP(&output, "output", "o", "table", "table or json (one object a line)")
	return c
}

// parseTime reads a time of RFC 3339, or a date, which begins in UTC.
func parseTime(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usageError{fmt.Errorf("%s is a time such as 2026-11-24T09:00:00Z or a date, not %q", flag, text)}
}

func writeEvents(w io.Writer, output string, events []audit.Event) error {
	if output == "json" {
		out := bufio.NewWriter(w)
		for i := range events {
			_, _ = out.Write(append(events[i].AppendJSON(nil), '\n')) // Flush tells
		}
		return out.Flush()
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SEQUENCE\tAT\tACTOR\tACTION\tORGANISATION\tSUBJECT")
	for _, e := range events {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", e.Sequence, e.At.UTC().Format(time.RFC3339), printable(e.Actor), printable(e.Action), printable(e.Organisation), printable(e.Subject))
	}
	return t.Flush()
}

func auditShowCommand(env environment) *cobra.Command {
	var f operatorFlags
	var output string
	c := &cobra.Command{
		Use:     "show SEQUENCE",
		Short:   "show one change",
		Long:    "Shows one change with all that was written down of it.",
		Example: "  holdfast audit show --as operator.json 17",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			n, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || n < 1 {
				return usageError{fmt.Errorf("%q is no number of a change", args[0])}
			}
			if err := checkOutput(output); err != nil {
				return err
			}
			api, err := f.client(c.Context(), env)
			if err != nil {
				return err
			}
			events, err := adminclient.Trail{Client: api}.Events(c.Context(), n-1, 1)
			if err != nil {
				return err
			}
			if len(events) == 0 || events[0].Sequence != n {
				return fmt.Errorf("there is no audit event %d", n)
			}
			return writeEvent(env.Stdout, output, &events[0])
		},
	}
	f.add(c)
	c.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return c
}

func writeEvent(w io.Writer, output string, e *audit.Event) error {
	if output == "json" {
		_, err := w.Write(append(e.AppendJSON(nil), '\n'))
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"sequence", strconv.FormatInt(e.Sequence, 10)}, {"at", e.At.UTC().Format(time.RFC3339Nano)}, {"actor", e.Actor}, {"action", e.Action},
		{"organisation", e.Organisation}, {"subject", e.Subject}, {"detail", e.Detail},
		{"previous", fmt.Sprintf("%x", e.Previous)}, {"hash", fmt.Sprintf("%x", e.Hash)},
	} {
		fmt.Fprintf(t, "%s\t%s\n", row[0], printable(row[1]))
	}
	return t.Flush()
}

func auditCheckpointCommand(env environment) *cobra.Command {
	var f operatorFlags
	var output string
	c := &cobra.Command{
		Use:   "checkpoint",
		Short: "print the newest checkpoint, to be kept elsewhere",
		Long: `Prints the newest checkpoint with the keys that verify it. With -o json it is the
file that "holdfast audit verify --checkpoint" takes: keep it where nobody who can
write the database can write.`,
		Example: "  holdfast audit checkpoint --as operator.json -o json > kept.json",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			api, err := f.client(c.Context(), env)
			if err != nil {
				return err
			}
			kept, err := newestCheckpoint(c.Context(), env, &f, api)
			if err != nil {
				return err
			}
			_, newest, err := kept.Open()
			if err != nil {
				return err
			}
			if output == "json" {
				_, err = env.Stdout.Write(kept.JSON())
				return err
			}
			t := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintf(t, "event\t%d\nhash\t%x\nsigned at\t%s\nkid\t%s\nissuer\t%s\n", newest.Sequence, newest.Hash, newest.At.Format(time.RFC3339), printable(newest.KeyID), printable(newest.Issuer))
			return t.Flush()
		},
	}
	f.add(c)
	c.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return c
}

// newestCheckpoint asks for the last one and for the published keys.
func newestCheckpoint(ctx context.Context, env environment, f *operatorFlags, api *adminclient.Client) (*audit.Kept, error) {
	keys, issuer, err := publishedKeys(ctx, env, f)
	if err != nil {
		return nil, err
	}
	var last audit.SignedCheckpoint
	for {
		page, err := adminclient.Trail{Client: api}.Checkpoints(ctx, last.Sequence, 1000)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		last = page[len(page)-1]
	}
	if last.JWS == "" {
		return nil, errors.New("nothing was signed yet")
	}
	return &audit.Kept{Issuer: issuer, Checkpoint: last.JWS, Keys: keys}, nil
}

func auditExportCommand(env environment) *cobra.Command {
	var s auditSource
	var after int64
	var file string
	c := &cobra.Command{
		Use:   "export",
		Short: "write the record and its checkpoints as JSON lines",
		Long: `Writes each change as one line of JSON, after it the checkpoint that was signed
over it, and at the end where the chain ends. "holdfast audit verify --file" checks
such a file with nothing but the public key.`,
		Example: "  holdfast audit export --as operator.json --file audit.jsonl\n  holdfast audit export --config holdfast.yaml --after 1000 > more.jsonl",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if after < 0 {
				return usageError{errors.New("--after is no negative number")}
			}
			trail, err := s.open(c.Context(), env)
			if err != nil {
				return err
			}
			last, err := exportTo(c.Context(), env, trail, after, file)
			if err = errors.Join(err, s.close()); err != nil {
				return err
			}
			fmt.Fprintf(env.Stderr, "holdfast: exported the changes %d to %d\n", after+1, last.Sequence)
			return nil
		},
	}
	s.add(c)
	c.Flags().Int64Var(&after, "after", 0, "changes after this number")
	c.Flags().StringVar(&file, "file", "", "the file to write, whole or not at all (default: stdout)")
	return c
}

func exportTo(ctx context.Context, env environment, trail audit.Trail, after int64, file string) (last audit.Head, err error) {
	if file == "" {
		return audit.Export(ctx, trail, after, env.Stdout)
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return last, err
	}
	defer os.Remove(tmp.Name())
	last, err = audit.Export(ctx, trail, after, tmp)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return last, err
	}
	return last, os.Rename(tmp.Name(), file)
}

// reportText says in one sentence what was found good.
func reportText(r audit.Report) string {
	var b strings.Builder
	if r.Head.Sequence < r.First {
		return "there is no change in it"
	}
	fmt.Fprintf(&b, "the changes %d to %d hold", r.First, r.Head.Sequence)
	switch {
	case r.Checkpoints == 0:
		b.WriteString("; no checkpoint vouches for them")
	case r.Vouched == r.Head.Sequence:
		fmt.Fprintf(&b, ", all of them under %s", checkpoints(r.Checkpoints))
	default:
		fmt.Fprintf(&b, ", up to %d under %s", r.Vouched, checkpoints(r.Checkpoints))
	}
	return b.String()
}

func checkpoints(n int) string {
	if n == 1 {
		return "1 checkpoint"
	}
	return fmt.Sprintf("%d checkpoints", n)
}

func reportJSON(w io.Writer, r audit.Report) error {
	return json.NewEncoder(w).Encode(map[string]any{
		"first": r.First, "last": r.Head.Sequence, "hash": fmt.Sprintf("%x", r.Head.Hash), "checkpoints": r.Checkpoints, "vouched": r.Vouched,
	})
}
