package main

import (
	"crypto"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/client"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// enrolFlags say where to enrol, with which code, and where the result goes.
type enrolFlags struct {
	issuer, caFile, codeFile, keyFile, certFile, profile string
	asJSON                                               bool
}

func enrolCommand(env environment) *cobra.Command {
	var f enrolFlags
	c := &cobra.Command{
		Use:   "enrol",
		Short: "get a first certificate with an enrolment code",
		Long: `Exchanges an enrolment code, which an operator made, for a certificate. The
private key is made here (P-256) and stays here; what is sent is the code and a
certificate request.

The code is read from a file or from standard input (-), never from the command
line, where every process of the machine could see it.

If the answer was lost, run the same command again: with the same key the same
code gives the same certificate, for as long as the code lives.`,
		Example: `  holdfast enrol --issuer https://auth.example.com --ca ca.pem --code-file code.txt
  read -rs CODE; printf %s "$CODE" | holdfast enrol --issuer https://auth.example.com --code-file -`,
		Args: usageArgs(cobra.NoArgs),
	}
	flags := c.Flags()
	flags.StringVar(&f.issuer, "issuer", "", "issuer URL of the authorization server")
	flags.StringVar(&f.caFile, "ca", "", "PEM file of the CA that verifies the server (default: the system's)")
	flags.StringVar(&f.codeFile, "code-file", "", "file that holds the enrolment code; - reads it from standard input")
	flags.StringVar(&f.keyFile, "key", "enrolled.key", "where the private key is written (PKCS#8 PEM, mode 0600; one that is there without its certificate is used again)")
	flags.StringVar(&f.certFile, "cert", "enrolled.pem", "where the certificate chain is written (PEM, leaf first; must not exist)")
	flags.StringVar(&f.profile, "profile", "", "client_transport or client_signing (default: what the code is for)")
	flags.BoolVar(&f.asJSON, "json", false, "print a JSON object")
	c.RunE = func(c *cobra.Command, _ []string) error { return f.run(c, env) }
	return c
}

func (f *enrolFlags) run(c *cobra.Command, env environment) error {
	if f.issuer == "" || f.codeFile == "" {
		return usageError{errors.New("--issuer and --code-file are needed")}
	}
	if p := f.profile; p != "" && p != "client_transport" && p != "client_signing" {
		return usageError{fmt.Errorf("--profile is client_transport or client_signing, not %q", p)}
	}
	if _, err := os.Lstat(f.certFile); !errors.Is(err, fs.ErrNotExist) {
		return &certificateExistsError{f.certFile}
	}
	roots, err := client.Roots(f.caFile)
	if err != nil {
		return err
	}
	code, err := f.readCode(c.InOrStdin())
	if err != nil {
		return err
	}
	key, err := f.key()
	if err != nil {
		return err
	}
	h, err := client.NewHTTP(roots, nil)
	if err != nil {
		return err
	}
	got, err := client.Enrolment{Issuer: f.issuer, Code: code, Key: key, Profile: f.profile}.Enrol(c.Context(), h)
	if err != nil {
		return err
	}
	if err := placeFile(f.certFile, got.Chain); err != nil {
		return fmt.Errorf("write the certificate (run the same command again, the code gives it again): %w", err)
	}
	return f.tell(env.Stdout, got)
}

// certificateExistsError is a certificate that would have been replaced.
type certificateExistsError struct{ File string }

func (e *certificateExistsError) Error() string {
	return e.File + " exists: a certificate is never replaced"
}

// maxCode bounds what is read of a code file, in bytes.
const maxCode = 4 << 10

func (f *enrolFlags) readCode(stdin io.Reader) (string, error) {
	from := stdin
	if f.codeFile != "-" {
		file, err := os.Open(f.codeFile)
		if err != nil {
			return "", fmt.Errorf("read the enrolment code: %w", err)
		}
		defer file.Close()
		from = file
	}
	text, err := io.ReadAll(io.LimitReader(from, maxCode+1))
	if err != nil {
		return "", fmt.Errorf("read the enrolment code: %w", err)
	}
	code := strings.TrimSpace(string(text))
	if code == "" || len(text) > maxCode || strings.ContainsAny(code, " \t\r\n") {
		return "", errors.New("the code file holds no enrolment code") // and is not quoted
	}
	return code, nil
}

// key is a new one or, where there is a file, the one of an attempt before.
func (f *enrolFlags) key() (crypto.Signer, error) {
	key, err := client.LoadKey(f.keyFile)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = jose.GenerateKey(jose.ES256, rand.Reader); err != nil {
		return nil, err
	}
	text, err := jose.MarshalPrivateKeyPEM(key)
	if err != nil {
		return nil, err
	}
	// It is on disk before the server hears of it.
	if err := placeFile(f.keyFile, text); err != nil {
		return nil, fmt.Errorf("write the private key: %w", err)
	}
	return key, nil
}

// tell prints what was got, and how to go on.
func (f *enrolFlags) tell(w io.Writer, got client.Enrolled) error {
	if f.asJSON {
		grants := got.Grants
		if grants == nil {
			grants = []client.Grant{}
		}
		return json.NewEncoder(w).Encode(struct {
			Issuer       string         `json:"issuer"`
			ClientID     string         `json:"client_id"`
			CredentialID string         `json:"credential_id"`
			Instance     string         `json:"instance,omitempty"`
			AuthMethod   string         `json:"token_endpoint_auth_method"`
			Binding      string         `json:"binding"`
			Profile      string         `json:"profile"`
			KeyID        string         `json:"kid,omitempty"`
			KeyFile      string         `json:"key_file"`
			CertFile     string         `json:"cert_file"`
			NotAfter     string         `json:"not_after"`
			Grants       []client.Grant `json:"grants"`
		}{
			got.Issuer, got.ClientID, got.CredentialID, got.Instance, got.AuthMethod, got.Binding, got.Profile, got.KeyID,
			f.keyFile, f.certFile, got.NotAfter.UTC().Format(time.RFC3339), grants,
		})
	}
	next := "--cert " + f.certFile + " --cert-key " + f.keyFile
	if got.Profile == "client_signing" {
		next = "--key " + f.keyFile + " --dpop-key dpop.key"
	} else if got.AuthMethod == "private_key_jwt" {
		next = "--key (the key that signs assertions) " + next
	}
	ca := ""
	if f.caFile != "" {
		ca = " --ca " + f.caFile
	}
	_, err := fmt.Fprintf(w, `application   %s
credential    %s (%s, until %s)
private key   %s (keep it: nobody else has it)
certificate   %s

Get a token:  holdfast token --issuer %s%s --client %s \
                  %s
`, printable(got.ClientID), printable(got.CredentialID), printable(got.Profile), got.NotAfter.UTC().Format(time.RFC3339),
		f.keyFile, f.certFile, f.issuer, ca, printable(got.ClientID), next)
	return err
}
