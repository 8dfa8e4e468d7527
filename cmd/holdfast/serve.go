package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/server"
)

// settings are the flags that every configured command has: the file, and one
// flag for each of its keys.
type settings struct {
	file    string
	example bool
	values  map[string]*string // by key
	changed func(flag string) bool
	keys    []config.Key
}

func addSettings(c *cobra.Command, keys []config.Key) *settings {
	s := &settings{values: map[string]*string{}, keys: keys, changed: func(flag string) bool { return c.Flags().Changed(flag) }}
	c.Flags().StringVar(&s.file, "config", "", "the configuration file (YAML)")
	c.Flags().BoolVar(&s.example, "example", false, "print a commented configuration file and exit")
	for _, k := range keys {
		s.values[k.Name] = c.Flags().String(k.Flag, "", k.Name+" (or "+k.Variable+")")
	}
	return s
}

// overrides are the keys that flags set.
func (s *settings) overrides() map[string]string {
	set := map[string]string{}
	for _, k := range s.keys {
		if s.changed(k.Flag) {
			set[k.Name] = *s.values[k.Name]
		}
	}
	return set
}

// errNoFile is a command that was told nothing.
var errNoFile = errors.New("no configuration file is named, nor anything said by flags or variables")

// load reads the settings by one of the two loaders. What is missing one by one
// is beside the point where the whole file is.
func load[T any](s *settings, env environment, from func(string, []string, map[string]string) (*T, error)) (*T, error) {
	cfg, err := from(s.file, env.Environ, s.overrides())
	said := len(s.overrides()) > 0 || slices.ContainsFunc(env.Environ, func(v string) bool { return strings.HasPrefix(v, "HOLDFAST_") })
	if err != nil && s.file == "" && !said {
		return nil, errNoFile
	}
	return cfg, err
}

// newLog is the log of a long-running part, on stderr.
func newLog(env environment, c config.Log) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, err
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(env.Stderr, o)), nil
	}
	return slog.New(slog.NewJSONHandler(env.Stderr, o)), nil
}

func process(log *slog.Logger) server.Process {
	return server.Process{Now: time.Now, Log: log, Version: version}
}

func serveCommand(env environment) *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "run the authorization server, the directory and the CA",
		Long: `Runs the authorization server with its directory, certificate authority and
admin API, until it is told to stop (SIGINT, SIGTERM): requests under way are
finished first.

Settings come from the file, from HOLDFAST_* variables and from flags, each over
the one before.`,
		Example: "  holdfast serve --example > holdfast.yaml\n  holdfast init --config holdfast.yaml\n  holdfast serve --config holdfast.yaml",
		Args:    usageArgs(cobra.NoArgs),
	}
	s := addSettings(c, config.ServeKeys())
	c.RunE = func(c *cobra.Command, _ []string) error {
		if s.example {
			_, err := env.Stdout.Write(config.Example(config.KindServe))
			return err
		}
		cfg, err := load(s, env, config.LoadServe)
		if err != nil {
			return err
		}
		return runServer(c.Context(), env, cfg)
	}
	return c
}

func runServer(ctx context.Context, env environment, cfg *config.Serve) error {
	setProcessors()
	defer spareCollector()()
	log, err := newLog(env, cfg.Log)
	if err != nil {
		return err
	}
	srv, err := server.Open(ctx, cfg, process(log))
	if err != nil {
		return err
	}
	l, err := server.Listen(ctx, cfg)
	if err != nil {
		return joinClose(err, srv.Close)
	}
	log.Info("serving", "issuer", cfg.Issuer, "public", l.Public.Addr().String(), "mtls", l.MTLS.Addr().String(), "admin", l.Admin.Addr().String())
	return srv.Run(ctx, l)
}

func gatewayCommand(env environment) *cobra.Command {
	c := &cobra.Command{
		Use:   "gateway",
		Short: "run the gateway before APIs",
		Long: `Runs the gateway: every request is verified (token, scope, binding, expiry,
revocation) and passed on with an identity that nobody can forge, until it is
told to stop (SIGINT, SIGTERM): requests under way are finished first.`,
		Example: "  holdfast gateway --example > gateway.yaml\n  holdfast gateway --config gateway.yaml",
		Args:    usageArgs(cobra.NoArgs),
	}
	s := addSettings(c, config.GatewayKeys())
	c.RunE = func(c *cobra.Command, _ []string) error {
		if s.example {
			_, err := env.Stdout.Write(config.Example(config.KindGateway))
			return err
		}
		cfg, err := load(s, env, config.LoadGateway)
		if err != nil {
			return err
		}
		return runGateway(c.Context(), env, cfg)
	}
	return c
}

func runGateway(ctx context.Context, env environment, cfg *config.Gateway) error {
	defer spareCollector()()
	log, err := newLog(env, cfg.Log)
	if err != nil {
		return err
	}
	g, err := server.OpenGateway(cfg, process(log))
	if err != nil {
		return err
	}
	l, err := server.ListenGateway(ctx, cfg)
	if err != nil {
		return err
	}
	log.Info("serving", "gateway", cfg.GatewayURL, "listen", l.Addr().String())
	return g.Run(ctx, l)
}

func checkCommand(env environment) *cobra.Command {
	var kind string
	c := &cobra.Command{
		Use:   "check FILE",
		Short: "load everything that a configuration file names and start nothing",
		Long: `Loads the file and everything that it names: certificates, keys, database,
schema, routes. Starts nothing and changes nothing. Exits 0 when the part that
the file is for would start.`,
		Example: "  holdfast check holdfast.yaml\n  holdfast check --for gateway gateway.yaml",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if kind == "" {
				kind = kindOf(args[0])
			}
			switch kind {
			case "serve":
				return checkServer(c.Context(), env, args[0])
			case "gateway":
				return checkGateway(env, args[0])
			}
			return usageError{fmt.Errorf("--for is serve or gateway, not %q", kind)}
		},
	}
	c.Flags().StringVar(&kind, "for", "", "serve or gateway (told by the file's keys when not given)")
	return c
}

func checkServer(ctx context.Context, env environment, file string) error {
	cfg, err := config.LoadServe(file, env.Environ, nil)
	if err != nil {
		return err
	}
	if err := server.Check(ctx, cfg, process(slog.New(slog.DiscardHandler))); err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "%s: the server %s would start\n", file, cfg.Issuer)
	return err
}

func checkGateway(env environment, file string) error {
	cfg, err := config.LoadGateway(file, env.Environ, nil)
	if err != nil {
		return err
	}
	if _, err := server.OpenGateway(cfg, process(slog.New(slog.DiscardHandler))); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(env.Stdout, "%s: the gateway %s would start\n", file, cfg.GatewayURL); err != nil {
		return err
	}
	for _, r := range cfg.Routes {
		methods := "every method"
		if len(r.Methods) > 0 {
			methods = strings.Join(r.Methods, ", ")
		}
		if _, err := fmt.Fprintf(env.Stdout, "  %s (%s): %s token for %s with scope %s -> %s\n",
			r.Path, methods, r.Binding, r.Resource, strings.Join(r.Scopes, " "), r.Upstream); err != nil {
			return err
		}
	}
	return nil
}
