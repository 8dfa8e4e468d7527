package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/client"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/server"
)

// auditSource is where the chain is read: a database, by a server's
// configuration, or else the admin API.
type auditSource struct {
	operator   operatorFlags
	configFile string
	records    *server.Records
}

func (s *auditSource) add(c *cobra.Command) {
	s.operator.add(c)
	c.Flags().StringVar(&s.configFile, "config", "", "read the database that this configuration of a server names, without the server")
}

func (s *auditSource) open(ctx context.Context, env environment) (audit.Trail, error) {
	if s.configFile == "" {
		api, err := s.operator.client(ctx, env)
		if err != nil {
			return nil, err
		}
		return adminclient.Trail{Client: api}, nil
	}
	cfg, err := config.LoadServe(s.configFile, env.Environ, nil)
	if err != nil {
		return nil, err
	}
	s.records, err = server.OpenRecords(ctx, cfg, process(slog.New(slog.DiscardHandler)))
	return s.records, err
}

// keys are what the source itself says that checkpoints are verified by.
func (s *auditSource) keys(ctx context.Context, env environment) ([]*jose.PublicKey, error) {
	if s.records != nil {
		return s.records.CheckpointKeys(ctx)
	}
	keys, _, err := publishedKeys(ctx, env, &s.operator)
	return keys, err
}

func (s *auditSource) close() error {
	if s.records == nil {
		return nil
	}
	return s.records.Close()
}

const maxKeySet = 1 << 20 // bytes of a JWKS

// publishedKeys fetches the issuer's checkpoint keys.
func publishedKeys(ctx context.Context, env environment, f *operatorFlags) (keys []*jose.PublicKey, issuer string, err error) {
	p, err := f.resolve(env)
	if err != nil {
		return nil, "", err
	}
	roots, err := client.Roots(p.CAFile)
	if err != nil {
		return nil, "", err
	}
	h, err := client.NewHTTP(roots, nil)
	if err != nil {
		return nil, "", err
	}
	defer h.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Issuer+server.CheckpointKeysPath, nil)
	if err != nil {
		return nil, "", usageError{err}
	}
	answer, err := h.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxKeySet))
	if err != nil {
		return nil, "", err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("%s answered %s", p.Issuer+server.CheckpointKeysPath, printable(answer.Status))
	}
	keys, err = jose.ParseJWKSet(body, 1000)
	return keys, p.Issuer, err
}

func auditVerifyCommand(env environment) *cobra.Command {
	var s auditSource
	var v auditVerification
	var output string
	c := &cobra.Command{
		Use:   "verify",
		Short: "check that no change was changed, removed, moved or added since",
		Long: `Reads the whole chain, of a server (--as), of a database (--config) or of a file that
"holdfast audit export" wrote (--file), and checks every hash and every checkpoint.
That finds an event that was changed, removed, moved or doubled. A tail that was cut
off or written anew, with hashes that hold, shows against a checkpoint that was kept
elsewhere: --checkpoint takes what "holdfast audit checkpoint -o json" printed, or
what a gateway keeps in its state folder.

Exits 1 and names the first bad event when the chain does not hold.`,
		Example: "  holdfast audit verify --config holdfast.yaml\n  holdfast audit verify --as operator.json --checkpoint kept.json\n  holdfast audit verify --file audit.jsonl --key-file checkpoint-keys.json",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			report, err := v.run(c.Context(), env, &s)
			if err = errors.Join(err, s.close()); err != nil {
				return err
			}
			if output == "json" {
				return reportJSON(env.Stdout, report)
			}
			_, err = fmt.Fprintln(env.Stdout, reportText(report))
			return err
		},
	}
	s.add(c)
	c.Flags().StringVar(&v.file, "file", "", "an export, checked without asking anybody (- is stdin)")
	c.Flags().StringVar(&v.checkpoint, "checkpoint", "", "a checkpoint that was kept elsewhere, with its keys (or a bare JWS, with --key-file)")
	c.Flags().StringVar(&v.keys, "key-file", "", "the public key, or the set of keys, that checkpoints are verified by (JWK or JWKS)")
	c.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return c
}

// auditVerification is what is verified against what.
type auditVerification struct{ file, checkpoint, keys string }

func (v *auditVerification) run(ctx context.Context, env environment, s *auditSource) (audit.Report, error) {
	trust, kept, err := v.trusted()
	if err != nil {
		return audit.Report{}, err
	}
	if v.file != "" {
		if trust == nil {
			return audit.Report{}, usageError{errors.New("--file needs the public key: --key-file, or a --checkpoint that has it")}
		}
		return v.verifyFile(trust, kept)
	}
	trail, err := s.open(ctx, env)
	if err != nil {
		return audit.Report{}, err
	}
	if trust == nil {
		keys, err := s.keys(ctx, env)
		if err != nil {
			return audit.Report{}, err
		}
		trust = audit.NewTrust("", keys...)
	}
	return audit.VerifyTrail(ctx, trail, trust, kept...)
}

func (v *auditVerification) verifyFile(trust *audit.Trust, kept []*audit.Checkpoint) (audit.Report, error) {
	if v.file == "-" {
		return audit.VerifyExport(os.Stdin, trust, kept...)
	}
	f, err := os.Open(v.file)
	if err != nil {
		return audit.Report{}, err
	}
	defer f.Close()
	return audit.VerifyExport(f, trust, kept...)
}

// trusted reads what was given from elsewhere: nil for no keys.
func (v *auditVerification) trusted() (trust *audit.Trust, kept []*audit.Checkpoint, err error) {
	if v.keys != "" {
		text, err := readSmall(v.keys)
		if err != nil {
			return nil, nil, err
		}
		keys, err := parseKeys(text)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", v.keys, err)
		}
		trust = audit.NewTrust("", keys...)
	}
	if v.checkpoint == "" {
		return trust, nil, nil
	}
	text, err := readSmall(v.checkpoint)
	if err != nil {
		return nil, nil, err
	}
	if bare := strings.TrimSpace(string(text)); !strings.HasPrefix(bare, "{") {
		if trust == nil {
			return nil, nil, usageError{errors.New("--checkpoint is a bare JWS: it needs --key-file")}
		}
		c, err := trust.Open(bare)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", v.checkpoint, err)
		}
		return trust, []*audit.Checkpoint{c}, nil
	}
	k, err := audit.ParseKept(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", v.checkpoint, err)
	}
	led, c, err := k.Open()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", v.checkpoint, err)
	}
	if trust == nil {
		trust = led
	}
	return trust, []*audit.Checkpoint{c}, nil
}

// parseKeys reads a JWK or a JWKS.
func parseKeys(text []byte) ([]*jose.PublicKey, error) {
	keys, err := jose.ParseJWKSet(text, 1000)
	if err == nil && len(keys) > 0 {
		return keys, nil
	}
	one, err := jose.ParseJWK(text)
	return []*jose.PublicKey{one}, err
}

// readSmall reads a file of at most 1 MiB.
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, audit.MaxKept+1))
	if err == nil && len(text) > audit.MaxKept {
		err = fmt.Errorf("%s is larger than 1 MiB", path)
	}
	return text, err
}
