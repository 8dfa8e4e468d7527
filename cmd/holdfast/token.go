package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func tokenCommand(env environment) *cobra.Command {
	var f consumerFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "token",
		Short: "get an access token bound to a key, and print it",
		Long: `Authenticates with a private key (private_key_jwt) or a client certificate
(mutual TLS), gets an access token bound to the certificate or to a DPoP key, and
prints it. The token is worthless without that key; keep the key.`,
		Example: `  holdfast token --dev dev/dev.json -v
  holdfast token --issuer https://auth.example.com --ca ca.pem --client app-1 \
      --cert app.crt --cert-key app.key --scope reports`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := f.config(env, "")
			if err != nil {
				return err
			}
			if f.dpopKeyFile == "" && cfg.Credentials.DPoP != nil {
				return usageError{fmt.Errorf("--dpop-key is missing: a token bound to a key that is thrown away opens nothing")}
			}
			source, err := f.source(c.Context(), cfg)
			if err != nil {
				return err
			}
			t, err := source.Token(c.Context())
			if err != nil {
				return err
			}
			if !asJSON {
				_, err = fmt.Fprintln(env.Stdout, t.Value)
				return err
			}
			return json.NewEncoder(env.Stdout).Encode(map[string]any{
				"access_token": t.Value, "token_type": t.Type, "expires_at": t.Expires.UTC().Format(time.RFC3339), "scope": t.Scope,
			})
		},
	}
	f.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}
