package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/client"
)

func callCommand(env environment) *cobra.Command {
	var f consumerFlags
	var method, data string
	var headers []string
	c := &cobra.Command{
		Use:   "call URL",
		Short: "make one request of an API with a bound token",
		Long: `Gets a token as "holdfast token" does, makes one request with it (and, with
DPoP, a proof for exactly this request), and prints the answer's body. Exits 1
when the answer is not 2xx.`,
		Example: "  holdfast call --dev dev/dev.json -v https://localhost:8443/payments/17\n  holdfast call --dev dev/dev.json -X POST -d '{\"amount\":1}' https://localhost:8443/payments/",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			target, err := url.Parse(args[0])
			if err != nil || target.Scheme != "https" || target.Host == "" {
				return usageError{fmt.Errorf("%q is not an https URL", args[0])}
			}
			cfg, err := f.config(env, args[0])
			if err != nil {
				return err
			}
			source, err := f.source(c.Context(), cfg)
			if err != nil {
				return err
			}
			req, err := newCall(c, method, args[0], data, headers)
			if err != nil {
				return err
			}
			if _, err := source.Token(c.Context()); err != nil { // so that a refusal of it does not read as the API's
				return err
			}
			return call(env, &http.Client{Transport: client.NewTransport(source)}, req, f.verbose)
		},
	}
	f.add(c)
	c.Flags().StringVarP(&method, "request", "X", "", "method (default: GET, or POST with --data)")
	c.Flags().StringVarP(&data, "data", "d", "", "body; @FILE reads a file")
	c.Flags().StringArrayVarP(&headers, "header", "H", nil, "a further header, 'Name: value'")
	return c
}

func newCall(c *cobra.Command, method, target, data string, headers []string) (*http.Request, error) {
	if file, ok := strings.CutPrefix(data, "@"); ok {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		data = string(content)
	}
	if method == "" {
		method = http.MethodGet
		if data != "" {
			method = http.MethodPost
		}
	}
	req, err := http.NewRequestWithContext(c.Context(), method, target, strings.NewReader(data))
	if err != nil {
		return nil, usageError{err}
	}
	if data == "" {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, usageError{fmt.Errorf("--header %q is not 'Name: value'", h)}
		}
		if strings.EqualFold(name, "Authorization") || strings.EqualFold(name, "DPoP") {
			return nil, usageError{fmt.Errorf("--header %s is what this command makes", name)}
		}
		req.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return req, nil
}

func call(env environment, c *http.Client, req *http.Request, verbose bool) error {
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if verbose {
		fmt.Fprintf(env.Stderr, "holdfast: answer: %s\n", printable(resp.Status))
		for _, name := range []string{"WWW-Authenticate", "Request-Id"} {
			for _, v := range resp.Header.Values(name) {
				fmt.Fprintf(env.Stderr, "holdfast: answer: %s: %s\n", name, printable(v))
			}
		}
	}
	if err := copyAnswer(env.Stdout, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("the API answered %s", printable(resp.Status))
	}
	return nil
}
