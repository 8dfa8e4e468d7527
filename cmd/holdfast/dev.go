package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/internal/dev"
)

func devCommand(env environment) *cobra.Command {
	var o dev.Options
	var asJSON, verbose bool
	c := &cobra.Command{
		Use:   "dev",
		Short: "run the whole system on loopback, with sample applications",
		Long: `Runs server, gateway and an echo API behind it in one process, on loopback
only, with sample organisations and applications that are made through the admin
API. NOT FOR PRODUCTION: every private key lies in the folder.

With --dir everything is kept there, and D/dev.json tells tools and tests where
everything is; without it, the folder is thrown away at the end.`,
		Example: "  holdfast dev\n  holdfast dev --dir ./dev --port 8440",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.Port < 0 || o.Port > 65535-4 {
				return usageError{fmt.Errorf("--port is a number from 1 to %d", 65535-4)}
			}
			if o.Dir == "" {
				if o.Dir, err = os.MkdirTemp("", "holdfast-dev-"); err != nil {
					return err
				}
				defer os.RemoveAll(o.Dir)
			}
			if o.Dir, err = filepath.Abs(o.Dir); err != nil {
				return err
			}
			o.Now = time.Now
			if verbose {
				o.Events = env.Stderr
			}
			setProcessors()
			stack, err := dev.Start(c.Context(), o)
			if err != nil {
				return err
			}
			if err := announce(env.Stdout, stack.File(), o.Dir, asJSON); err != nil {
				return joinClose(err, stack.Close)
			}
			return stack.Wait()
		},
	}
	c.Flags().StringVar(&o.Dir, "dir", "", "folder to keep everything in (default: one that is thrown away)")
	c.Flags().IntVar(&o.Port, "port", 0, "listen on this port and the four that follow (default: free ones)")
	c.Flags().BoolVar(&asJSON, "json", false, "print what dev.json holds")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "write the event stream to stderr")
	return c
}

// announce says that everything answers, and what to try.
func announce(w io.Writer, f dev.File, dir string, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(f)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `Holdfast is ready, on loopback only. NOT FOR PRODUCTION: every private key lies in
%s

  authorization server  %s
  admin API             %s
  gateway               %s   (an echo API behind /payments/ and /reports/)

Sample applications:

`, dir, f.Issuer, f.AdminURL, f.GatewayURL)
	for _, c := range f.Clients {
		fmt.Fprintf(&b, "  %s  %-27s  tokens bound by %-4s  scope %s\n", c.ClientID, c.AuthMethod, c.Binding, c.Scope)
	}
	file := filepath.Join(dir, dev.FileName)
	fmt.Fprintf(&b, `
Try in another terminal:

  holdfast call --dev %[1]s -v %[2]s/payments/hello
      a token bound to a key, a proof, 200 (and the echo says what the API was told)
  curl --cacert %[3]s -i %[2]s/payments/hello
      no token: 401, and the challenge says what it takes
  holdfast token --dev %[1]s --client %[4]s
      a token bound to a certificate; alone it opens nothing

Where everything is: %[1]s. Ctrl-C ends it.
`, file, f.GatewayURL, f.CAFile, f.Clients[len(f.Clients)-1].ClientID)
	_, err := io.WriteString(w, b.String())
	return err
}
