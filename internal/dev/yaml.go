package dev

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
)

// The configuration files of a dev folder are what `serve` and `gateway` read,
// too: each part can be stopped here and run by itself.

func serveYAML(l listeners, p paths) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Written by holdfast dev. The keys are explained by: holdfast serve --example
issuer: %s
mtls_url: %s
admin_url: %s
listen:
  public: %q
  mtls: %q
  admin: %q
database: %q
key_encryption_key_file: %q
jwks_uri:
  allow_networks: ["127.0.0.0/8", "::1/128"]
  ca_file: %q
`, localURL(l.public), localURL(l.mtls), localURL(l.admin), l.public.Addr(), l.mtls.Addr(), l.admin.Addr(), p.database(), p.in("key-encryption.key"), p.ca())
	return b.Bytes()
}

func (w *world) gatewayYAML() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Written by holdfast dev. The keys are explained by: holdfast gateway --example
gateway_url: %s
listen: %q
issuer: %s
ca_file: %q
tls:
  certificate_file: %q
  key_file: %q
client:
  client_id: %q
  key_file: %q
  kid: %q
state_dir: %q
routes:
`, w.file.GatewayURL, w.listeners.gateway.Addr(), w.file.Issuer, w.ca(), w.gatewayCertificate(), w.gatewayKey(),
		w.gateway.ClientID, w.gatewayClientKey(), w.keyID, w.in("gateway-state"))
	for _, r := range []struct{ scope, binding string }{{"payments", "either"}, {"reports", "mtls"}} {
		fmt.Fprintf(&b, `  - path: /%[1]s/
    resource: %[2]s/%[1]s
    scopes: [%[1]s]
    binding: %[3]s
    upstream: %[4]s
    upstream_ca_file: %[5]q
`, r.scope, w.file.GatewayURL, r.binding, w.stack.upstream, w.ca())
	}
	return b.Bytes()
}

// PortsFixedError is a folder whose world was made on other ports: its issuer
// and its resources are named by them.
type PortsFixedError struct{ Has, Wants int }

func (e *PortsFixedError) Error() string {
	return fmt.Sprintf("this folder's world was made on port %d and the four that belong to it; it cannot move to %d", e.Has, e.Wants)
}

// ports are those of the folder's first start, if there was one, or those asked for.
func (p paths) ports(first int) (ports [5]int, err error) {
	err = readJSON(p.portsFile(), &ports)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return portsFrom(first), nil
	case err != nil:
		return ports, err
	case first != 0 && ports != portsFrom(first):
		return ports, &PortsFixedError{Has: ports[0], Wants: first}
	}
	return ports, nil
}

// inUse are the ports that were taken.
func (l listeners) inUse() (ports [5]int) {
	for i, one := range l.all() {
		ports[i] = one.Addr().(*net.TCPAddr).Port
	}
	return ports
}

func (l listeners) all() [5]net.Listener {
	return [5]net.Listener{l.public, l.mtls, l.admin, l.gateway, l.echo}
}

func (l listeners) close() error {
	var errs []error
	for _, one := range l.all() {
		if err := one.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func writeJSON(path string, from any) error {
	data, err := json.MarshalIndent(from, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(path, append(data, '\n'))
}
