package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
)

func authorityCommand(env environment) *cobra.Command {
	c := &cobra.Command{
		Use:   "ca",
		Short: "the certificate authority: show it, stop it, renew it",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	show := func(w io.Writer, a admin.CertificateAuthority, output string) error {
		if output == "json" {
			return json.NewEncoder(w).Encode(a)
		}
		return showAuthority(w, a)
	}
	for _, one := range []struct {
		use, short, long string
		do               func(*adminclient.Client, context.Context) (admin.CertificateAuthority, error)
	}{
		{"show", "show roots, issuing CAs and whether issuing is stopped", "", (*adminclient.Client).Authority},
		{"stop", "stop issuing certificates, on every node", `From the next certificate on, on every node, nothing is issued until it is
resumed. Certificates that were issued go on working, and tokens are given; the
listeners of holdfast itself still get their own certificates.`, (*adminclient.Client).StopIssuing},
		{"resume", "issue certificates again", "", (*adminclient.Client).ResumeIssuing},
	} {
		c.AddCommand(operatorCommand(env, one.use, one.short, one.long, cobra.NoArgs, func(ctx context.Context, api *adminclient.Client, _ []string, output string) error {
			a, err := one.do(api, ctx)
			if err != nil {
				return err
			}
			return show(env.Stdout, a, output)
		}))
	}
	csr := operatorCommand(env, "csr", "make a key for a new issuing CA, there, and print a request for its certificate",
		`Makes a key for a new issuing CA at the server, where it stays, and prints a
certificate request (PKCS#10, PEM) for whoever has the root's key. holdfast ca
import takes the certificate that was made of it.`, cobra.NoArgs,
		func(ctx context.Context, api *adminclient.Client, _ []string, output string) error {
			r, err := api.RequestAuthority(ctx)
			if err != nil {
				return err
			}
			if output == "json" {
				return json.NewEncoder(env.Stdout).Encode(r)
			}
			_, err = io.WriteString(env.Stdout, r.CSR)
			return err
		})
	install := operatorCommand(env, "import CERTIFICATE", "install an issuing CA whose certificate somebody else's root has signed",
		`Reads PEM: the certificate that was made of a request of holdfast ca csr and, if
the server does not know it yet, that of the root. The new CA signs after two
minutes, when every node knows it; the old one goes on verifying what it signed.`, cobra.ExactArgs(1),
		func(ctx context.Context, api *adminclient.Client, args []string, output string) error {
			text, err := os.ReadFile(args[0])
			if err != nil {
				return fmt.Errorf("read the certificate: %w", err)
			}
			a, err := api.ImportAuthority(ctx, string(text))
			if err != nil {
				return err
			}
			return show(env.Stdout, a, output)
		})
	c.AddCommand(csr, install)
	return c
}

// operatorCommand is a command that an operator runs through the admin API.
func operatorCommand(env environment, use, short, long string, args cobra.PositionalArgs, do func(context.Context, *adminclient.Client, []string, string) error) *cobra.Command {
	var f operatorFlags
	var output string
	c := &cobra.Command{
		Use: use, Short: short, Long: long, Args: usageArgs(args),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			api, err := f.client(c.Context(), env)
			if err != nil {
				return err
			}
			return do(c.Context(), api, args, output)
		},
	}
	f.add(c)
	c.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return c
}

// showAuthority is for people.
func showAuthority(w io.Writer, a admin.CertificateAuthority) error {
	state := "issuing"
	if a.Stopped {
		state = "stopped"
		if a.Since != nil {
			state += " since " + moment(*a.Since) + " by " + printable(a.Actor)
		}
	}
	_, err := fmt.Fprintf(w, "%-12s %s\n", "state", state)
	for _, root := range a.Roots {
		if err == nil {
			_, err = fmt.Fprintf(w, "%-12s %s\n", "root", describeCertificate(root))
		}
	}
	for _, i := range a.Issuing {
		use := "signs since " + moment(i.SignsFrom)
		if i.SignsFrom.After(time.Now()) {
			use = "signs from " + moment(i.SignsFrom)
		}
		if !i.Available {
			use = "key not available"
		}
		if err == nil {
			_, err = fmt.Fprintf(w, "%-12s %s  %s until %s, %s\n", "issuing CA", printable(i.ID), printable(i.Subject), moment(i.NotAfter), use)
		}
		if err == nil && i.CRL != "" && i.NextUpdate != nil {
			_, err = fmt.Fprintf(w, "%-12s %s  number %d, next update %s\n", "revoked list", printable(i.CRL), i.CRLNumber, moment(*i.NextUpdate))
		}
	}
	return err
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func describeCertificate(text string) string {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return "not PEM"
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "not a certificate"
	}
	return printable(c.Subject.String()) + " until " + moment(c.NotAfter)
}
