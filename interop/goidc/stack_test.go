package goidc

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// application is one client of world.json (see clients/furnish) with its keys.
type application struct {
	ClientID    string `json:"client_id"`
	KeyFile     string `json:"key_file"`
	KeyID       string `json:"kid"`
	Algorithm   string `json:"alg"`
	CertFile    string `json:"cert_file"`
	CertKeyFile string `json:"cert_key_file"`

	name        string
	key         crypto.Signer    // of assertions; nil for none
	certificate *tls.Certificate // nil for none
}

// world is what the clients need to know.
type world struct {
	Dev struct {
		Issuer            string `json:"issuer"`
		TokenEndpoint     string `json:"token_endpoint"`
		MTLSTokenEndpoint string `json:"mtls_token_endpoint"`
		GatewayURL        string `json:"gateway_url"`
		CAFile            string `json:"ca_file"`
	} `json:"dev"`
	Resource     string                  `json:"resource"`
	Scopes       []string                `json:"scopes"`
	Applications map[string]*application `json:"applications"`

	roots, oracleRoots *x509.CertPool
}

func (w *world) named(t testing.TB, name string) *application {
	t.Helper()
	a := w.Applications[name]
	if a == nil {
		t.Fatalf("world.json has no application %s", name)
	}
	return a
}

// start builds holdfast, runs `holdfast dev` until the test ends, and furnishes it.
func start(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	build := func(module, pkg, out string) string {
		out = filepath.Join(dir, out)
		cmd := exec.CommandContext(t.Context(), "go", "build", "-C", module, "-o", out, pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, text)
		}
		return out
	}
	holdfast := build("../..", "./cmd/holdfast", "holdfast")
	furnish := build("..", "./clients/furnish", "furnish")

	devFile := filepath.Join(dir, "dev", "dev.json")
	server := exec.Command(holdfast, "dev", "--dir", filepath.Dir(devFile))
	log, err := os.Create(filepath.Join(dir, "dev.out"))
	if err != nil {
		t.Fatal(err)
	}
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	t.Cleanup(func() {
		if err := server.Process.Signal(os.Interrupt); err != nil {
			t.Errorf("the server had ended: %v", err)
		}
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			t.Error("the server did not end within 30 s")
			server.Process.Kill()
			<-ended
		}
		log.Close()
	})
	deadline := time.After(30 * time.Second)
	for {
		if _, err := os.Stat(devFile); err == nil {
			break
		}
		select {
		case err := <-ended:
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("holdfast dev ended: %v\n%s", err, text)
		case <-deadline:
			t.Fatal("dev.json did not come within 30 s")
		case <-time.After(50 * time.Millisecond):
		}
	}
	worldFile := filepath.Join(dir, "world.json")
	if text, err := exec.CommandContext(t.Context(), furnish, devFile, worldFile).CombinedOutput(); err != nil {
		t.Fatalf("furnish: %v\n%s", err, text)
	}
	w, err := load(worldFile)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func load(file string) (*world, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	w := &world{roots: x509.NewCertPool()}
	if err := json.Unmarshal(data, w); err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(w.Dev.CAFile)
	if err != nil {
		return nil, err
	}
	if !w.roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s has no certificate", w.Dev.CAFile)
	}
	for name, a := range w.Applications {
		a.name = name
		if a.KeyFile != "" {
			if a.key, err = loadKey(a.KeyFile); err != nil {
				return nil, err
			}
		}
		if a.CertFile != "" {
			pair, err := tls.LoadX509KeyPair(a.CertFile, a.CertKeyFile)
			if err != nil {
				return nil, err
			}
			a.certificate = &pair
		}
	}
	return w, nil
}

func loadKey(file string) (crypto.Signer, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", file)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	return key.(crypto.Signer), nil
}
