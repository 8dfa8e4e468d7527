package dev_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-auth/holdfast/client"
	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/dev"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start brings a stack up; the test's end closes it.
func start(t *testing.T, o dev.Options) *dev.Stack {
	t.Helper()
	o.Now = time.Now
	s, err := dev.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *dev.Stack) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// open calls the client's resource with a token of its own and returns the status.
func open(t *testing.T, f dev.File, c dev.FileClient) int {
	t.Helper()
	status, err := tryOpen(t, f, c)
	if err != nil {
		t.Fatalf("%s: %v", c.ClientID, err)
	}
	return status
}

func tryOpen(t *testing.T, f dev.File, c dev.FileClient) (int, error) {
	t.Helper()
	roots, err := client.LoadRoots(f.CAFile)
	if err != nil {
		return 0, err
	}
	credentials := client.Credentials{ClientID: c.ClientID}
	if c.KeyFile != "" {
		key, err := client.LoadKey(c.KeyFile)
		if err != nil {
			return 0, err
		}
		if credentials.Assertion, err = client.NewSigner(key, c.Algorithm, c.KeyID); err != nil {
			return 0, err
		}
	}
	if c.CertFile != "" {
		if credentials.Certificate, err = client.LoadCertificate(c.CertFile, c.CertKeyFile); err != nil {
			return 0, err
		}
	}
	if c.Binding == "dpop" {
		key, err := jose.GenerateKey(jose.ES256, nil)
		if err != nil {
			return 0, err
		}
		if credentials.DPoP, err = dpop.NewProver(key); err != nil {
			return 0, err
		}
	}
	caller, err := client.New(t.Context(), client.Config{Issuer: f.Issuer, Roots: roots, Credentials: credentials, Scope: c.Scope, Resource: c.Resource})
	if err != nil {
		return 0, err
	}
	defer caller.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.Resource+"/", nil)
	if err != nil {
		return 0, err
	}
	resp, err := caller.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// readFile reads dev.json twice: as tools do and as this package does.
func readFile(t *testing.T, dir string) (map[string]any, dev.File) {
	t.Helper()
	path := filepath.Join(dir, "dev.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	f, err := dev.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return members, f
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dev.Options{Dir: dir})
	members, f := readFile(t, dir)
	if f.Issuer != s.File().Issuer || len(f.Clients) != len(s.File().Clients) {
		t.Errorf("dev.json is not what the stack says: %+v", f)
	}
	t.Run("it has each member of design.md, and is for its owner alone", func(t *testing.T) {
		info, err := os.Stat(filepath.Join(dir, "dev.json"))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		for _, name := range []string{
			"issuer", "metadata_url", "token_endpoint", "mtls_token_endpoint", "introspection_endpoint", "revocation_endpoint",
			"gateway_url", "admin_url", "admin_resource", "operator_client_id", "operator_key_file", "operator_kid", "operator_scope",
			"ca_file", "client_ca_file",
		} {
			if text, _ := members[name].(string); text == "" {
				t.Errorf("%s is %v", name, members[name])
			}
		}
		if pid, _ := members["server_pid"].(float64); int(pid) != os.Getpid() {
			t.Errorf("server_pid is %v", members["server_pid"])
		}
	})
	t.Run("paths are absolute and there, for their owner alone where they hold a key", func(t *testing.T) {
		keys := []string{f.OperatorKeyFile}
		files := []string{f.CAFile, f.ClientCAFile}
		for _, c := range f.Clients {
			keys, files = append(keys, c.KeyFile, c.CertKeyFile), append(files, c.CertFile)
		}
		for i, path := range append(slices.Clone(keys), files...) {
			if path == "" {
				continue
			}
			info, err := os.Stat(path)
			if err != nil || !filepath.IsAbs(path) || i < len(keys) && info.Mode() != 0o600 {
				t.Errorf("%s: %v", path, err)
			}
		}
	})
	t.Run("each URL is of localhost and has no slash at its end", func(t *testing.T) {
		urls := []string{f.Issuer, f.MetadataURL, f.TokenEndpoint, f.MTLSTokenEndpoint, f.IntrospectionEndpoint, f.RevocationEndpoint, f.GatewayURL, f.AdminURL, f.AdminResource}
		for _, c := range f.Clients {
			urls = append(urls, c.Resource)
		}
		for _, text := range urls {
			u, err := url.Parse(text)
			if err != nil || u.Scheme != "https" || u.Hostname() != "localhost" || u.Port() == "" || strings.HasSuffix(text, "/") {
				t.Errorf("%s", text)
			}
		}
	})
	t.Run("the metadata's aliases have the same paths on another port", func(t *testing.T) { checkAliases(t, f) })
	t.Run("there is a client of each kind, and each opens its resource", func(t *testing.T) {
		var kinds []string
		for _, c := range f.Clients {
			kinds = append(kinds, c.AuthMethod+" "+c.Binding)
			if (c.Binding == "mtls") != (c.CertFile != "" && c.CertKeyFile != "") {
				t.Errorf("%+v", c)
			}
			if (c.AuthMethod == "private_key_jwt") != (c.KeyFile != "" && c.KeyID != "" && c.Algorithm != "") {
				t.Errorf("%+v", c)
			}
			if c.Resource != f.GatewayURL+"/"+c.Scope || c.Scope != "payments" && c.Scope != "reports" {
				t.Errorf("%+v", c)
			}
			if status := open(t, f, c); status != 200 {
				t.Errorf("%s opens nothing: %d", c.ClientID, status)
			}
		}
		for _, want := range []string{"private_key_jwt dpop", "private_key_jwt mtls", "tls_client_auth mtls", "self_signed_tls_client_auth mtls"} {
			if !slices.Contains(kinds, want) {
				t.Errorf("no %s among %q", want, kinds)
			}
		}
	})
	t.Run("nobody listens beyond loopback", func(t *testing.T) { checkLoopback(t, dir, s) })
}

func checkAliases(t *testing.T, f dev.File) {
	t.Helper()
	data, err := client.Discover(t.Context(), plain(t, f), f.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	if f.TokenEndpoint != data.TokenEndpoint || f.MTLSTokenEndpoint != data.MTLS.TokenEndpoint ||
		f.IntrospectionEndpoint != data.IntrospectionEndpoint || f.RevocationEndpoint != data.RevocationEndpoint {
		t.Errorf("dev.json and metadata differ: %+v", data)
	}
	for _, pair := range [][2]string{
		{data.TokenEndpoint, data.MTLS.TokenEndpoint},
		{data.IntrospectionEndpoint, data.MTLS.IntrospectionEndpoint},
		{data.RevocationEndpoint, data.MTLS.RevocationEndpoint},
	} {
		public, err1 := url.Parse(pair[0])
		alias, err2 := url.Parse(pair[1])
		if err1 != nil || err2 != nil || public.Path == "" || public.Path != alias.Path || public.Hostname() != alias.Hostname() || public.Port() == alias.Port() {
			t.Errorf("%q", pair)
		}
	}
}

// plain is a client without a certificate. It keeps no connection.
func plain(t *testing.T, f dev.File) *http.Client {
	t.Helper()
	roots, err := client.LoadRoots(f.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.NewHTTP(roots, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Transport.(*http.Transport).DisableKeepAlives = true
	return c
}

// addresses of the five listeners, by name.
func addresses(t *testing.T, s *dev.Stack) map[string]string {
	t.Helper()
	f, all := s.File(), map[string]string{}
	for name, text := range map[string]string{
		"public": f.Issuer, "mtls": f.MTLSTokenEndpoint, "admin": f.AdminURL, "gateway": f.GatewayURL, "echo": s.UpstreamURL(),
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = "127.0.0.1:" + u.Port()
	}
	return all
}

func checkLoopback(t *testing.T, dir string, s *dev.Stack) {
	t.Helper()
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for name, address := range addresses(t, s) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range interfaces {
			ip, ok := a.(*net.IPNet)
			if !ok || ip.IP.IsLoopback() || ip.IP.IsLinkLocalUnicast() {
				continue
			}
			if c, err := net.DialTimeout("tcp", net.JoinHostPort(ip.IP.String(), port), time.Second); err == nil {
				c.Close()
				t.Errorf("%s listens on %s", name, ip.IP)
			}
		}
	}
	for _, file := range []string{"holdfast.yaml", "gateway.yaml"} {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if name, address, _ := strings.Cut(strings.TrimSpace(line), `: "`); slices.Contains([]string{"listen", "public", "mtls", "admin"}, name) && !strings.HasPrefix(address, "127.0.0.1:") {
				t.Errorf("%s: %s", file, line)
			}
		}
	}
}

func TestStartAgain(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dev.Options{Dir: dir})
	before := first.File()
	t.Run("a folder that is in use is refused in a sentence, and dev.json stays", func(t *testing.T) {
		_, err := dev.Start(t.Context(), dev.Options{Dir: dir, Now: time.Now})
		if e, ok := errors.AsType[*dev.PortError](err); !ok || strings.Contains(e.Error(), "\n") || !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("got %v", err)
		}
		if _, f := readFile(t, dir); f.Issuer != before.Issuer {
			t.Error("dev.json changed")
		}
	})
	t.Run("a folder does not move to another port", func(t *testing.T) {
		_, err := dev.Start(t.Context(), dev.Options{Dir: dir, Port: 9, Now: time.Now})
		if _, ok := errors.AsType[*dev.PortsFixedError](err); !ok {
			t.Errorf("got %v", err)
		}
	})
	// What a user revoked is made anew; all else is as it was.
	revoked := before.Clients[0]
	list, err := first.Admin().Credentials(t.Context(), revoked.ClientID, adminclient.Page{})
	if err != nil || len(list.Items) != 1 {
		t.Fatal(list, err)
	}
	if _, err := first.Admin().RevokeCredential(t.Context(), list.Items[0].ID); err != nil {
		t.Fatal(err)
	}
	byCertificate := before.Clients[2]
	if list, err = first.Admin().Credentials(t.Context(), byCertificate.ClientID, adminclient.Page{}); err != nil || len(list.Items) != 1 {
		t.Fatal(list, err)
	}
	if _, err := first.Admin().RevokeCredential(t.Context(), list.Items[0].ID); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	stop(t, first)
	second := start(t, dev.Options{Dir: dir})
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("stopping and starting took %v", took) // 10 s: a machine that does much else
	}
	after := second.File()
	if after.Issuer != before.Issuer || after.GatewayURL != before.GatewayURL || after.OperatorClientID != before.OperatorClientID || after.OperatorKeyID != before.OperatorKeyID {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	for i, c := range after.Clients {
		was := before.Clients[i]
		if i == 0 {
			if c.KeyID == was.KeyID {
				t.Error("a revoked key is used again")
			}
			c.KeyID = was.KeyID
		}
		if c != was {
			t.Errorf("before %+v\nafter %+v", was, c)
		}
		if status := open(t, after, after.Clients[i]); status != 200 {
			t.Errorf("%s opens nothing: %d", c.ClientID, status)
		}
	}
}

func TestBrokenOff(t *testing.T) {
	for _, c := range []struct {
		name string
		lose []string // of what a start makes
		same bool     // the world is the one that was there
	}{
		{"before the operator was written down", []string{"operator.json", "holdfast.yaml", "gateway.yaml", "dev.json", "ca.pem"}, false},
		{"before the sample world had its certificates", []string{"reports-by-certificate.crt", "reports-by-own-certificate.crt", "gateway.yaml", "gateway.crt", "dev.json"}, true},
		{"before a key was on the disk", []string{"payments-by-key.key", "reports-by-certificate.crt.key", "gateway-client.key", "dev.json"}, true},
		{"before it was said that all is ready", []string{"dev.json"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := start(t, dev.Options{Dir: dir})
			before := s.File()
			stop(t, s)
			for _, name := range c.lose {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Mkdir(filepath.Join(dir, ".holdfast-init-1"), 0o700); err != nil {
				t.Fatal(err)
			}
			after := start(t, dev.Options{Dir: dir}).File()
			if c.same != (before.Clients[1].ClientID == after.Clients[1].ClientID) {
				t.Errorf("before %+v\nafter %+v", before.Clients, after.Clients)
			}
			for _, one := range after.Clients {
				if status := open(t, after, one); status != 200 {
					t.Errorf("%s opens nothing: %d", one.ClientID, status)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, ".holdfast-init-1")); c.same == errors.Is(err, os.ErrNotExist) {
				t.Errorf("what an Init left: %v", err)
			}
		})
	}
}

// freePorts finds five in a row.
func freePorts(t *testing.T) int {
	t.Helper()
	for first := 20000 + os.Getpid()%2000*5; first < 60000; first += 5 {
		var got []net.Listener
		for i := range 5 {
			l, err := net.Listen("tcp4", "127.0.0.1:"+strconv.Itoa(first+i))
			if err != nil {
				break
			}
			got = append(got, l)
		}
		for _, l := range got {
			l.Close()
		}
		if len(got) == 5 {
			return first
		}
	}
	t.Fatal("no five free ports")
	return 0
}

func TestPort(t *testing.T) {
	first := freePorts(t)
	s := start(t, dev.Options{Dir: t.TempDir(), Port: first})
	for i, name := range []string{"public", "mtls", "admin", "gateway", "echo"} {
		if got, want := addresses(t, s)[name], "127.0.0.1:"+strconv.Itoa(first+i); got != want {
			t.Errorf("%s is at %s, not %s", name, got, want)
		}
	}
	t.Run("a port in use is one sentence, and nothing is written", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "dev")
		_, err := dev.Start(t.Context(), dev.Options{Dir: dir, Port: first, Now: time.Now})
		if want := "port " + strconv.Itoa(first) + " for the public listener is in use"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %q", err, want)
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the folder is there: %v", err)
		}
	})
	t.Run("after the end nobody listens", func(t *testing.T) {
		all := addresses(t, s)
		stop(t, s)
		for name, address := range all {
			l, err := net.Listen("tcp4", address)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			l.Close()
		}
	})
}

func TestStartFails(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"a folder that is a file":      func(t *testing.T, dir string) { write(t, dir, "") },
		"ports.json of something else": func(t *testing.T, dir string) { write(t, filepath.Join(dir, "ports.json"), "{}") },
		"operator.json of something else": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "operator.json"), "[]")
		},
		"operator.json without an installation": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "operator.json"), "{}")
		},
		"a database that cannot be replaced": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "holdfast.db", "x"), "")
		},
		"a sample's key that is none": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "payments-by-key.key"), "nothing\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "dev")
			spoil(t, dir)
			s, err := dev.Start(t.Context(), dev.Options{Dir: dir, Now: time.Now})
			if err == nil {
				stop(t, s)
				t.Fatal("started")
			}
			if _, err := os.Stat(filepath.Join(dir, "dev.json")); err == nil {
				t.Error("dev.json says that all is ready")
			}
		})
	}
	t.Run("a start that is called off", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if s, err := dev.Start(ctx, dev.Options{Dir: t.TempDir(), Now: time.Now}); err == nil {
			stop(t, s)
			t.Error("started")
		}
	})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
