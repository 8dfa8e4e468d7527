package main

import (
	"context"
	"crypto/x509"
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
	show := func(c *errand, a admin.CertificateAuthority) error {
		if c.output == "json" {
			return writeJSON(c.Stdout, a)
		}
		if c.dry {
			fmt.Fprintln(c.Stdout, "would become:")
			fmt.Fprintln(c.Stderr, "holdfast: nothing was changed")
		}
		return showAuthority(c.Stdout, a)
	}
	c := group("ca", "the certificate authority: show it, stop it, renew it", "", "  holdfast ca show --as operator.json")
	for _, one := range []struct {
		use, short, long string
		ends             bool
		do               func(*adminclient.Client, context.Context) (admin.CertificateAuthority, error)
	}{
		{"show", "show roots, issuing CAs and whether issuing is stopped", "", false, (*adminclient.Client).Authority},
		{"stop", "stop issuing certificates, on every node", `From the next certificate on, on every node, nothing is issued until it is
resumed. Certificates that were issued go on working, and tokens are given; the
listeners of holdfast itself still get their own certificates.`, true, (*adminclient.Client).StopIssuing},
		{"resume", "issue certificates again", "", false, (*adminclient.Client).ResumeIssuing},
	} {
		c.AddCommand(deed{
			use: one.use, short: one.short, long: one.long, example: "  holdfast ca " + one.use + " --as operator.json", args: cobra.NoArgs, ends: one.ends,
			do: func(c *errand) error {
				a, err := one.do(c.api, c)
				if err != nil {
					return err
				}
				return show(c, a)
			},
		}.command(env))
	}
	csr := deed{
		use: "csr", short: "make a key for a new issuing CA, there, and print a request for its certificate", args: cobra.NoArgs,
		long: `Makes a key for a new issuing CA at the server, where it stays, and prints a
certificate request (PKCS#10, PEM) for whoever has the root's key. holdfast ca
import takes the certificate that was made of it.`,
		example: "  holdfast ca csr --as operator.json > issuing.csr",
		do: func(c *errand) error {
			r, err := c.api.RequestAuthority(c)
			if err != nil {
				return err
			}
			if c.output == "json" {
				return writeJSON(c.Stdout, r)
			}
			_, err = io.WriteString(c.Stdout, r.CSR)
			return err
		},
	}.command(env)
	install := deed{
		use: "import CERTIFICATE", short: "install an issuing CA whose certificate somebody else's root has signed", args: cobra.ExactArgs(1), ends: true,
		long: `Reads PEM: the certificate that was made of a request of holdfast ca csr and, if
the server does not know it yet, that of the root. The new CA signs after two
minutes, when every node knows it; the old one goes on verifying what it signed.
With --dry-run the server checks the certificates and installs nothing.`,
		example: "  holdfast ca import --as operator.json --dry-run issuing.pem\n  holdfast ca import --as operator.json issuing.pem",
		do: func(c *errand) error {
			text, err := os.ReadFile(c.args[0])
			if err != nil {
				return fmt.Errorf("read the certificate: %w", err)
			}
			a, err := c.api.ImportAuthority(c, string(text))
			if err != nil {
				return err
			}
			return show(c, a)
		},
	}.command(env)
	c.AddCommand(csr, install)
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
