package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/mtls"
)

// signer makes an application that signs assertions.
func (w *world) signer() *directory.Client {
	w.t.Helper()
	a, err := w.dir.CreateApplication(w.t.Context(), "system", directory.Application{
		Organisation: w.client().Organisation, Name: "Signer", AuthMethod: directory.PrivateKeyJWT, Binding: cnf.DPoP,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.dir.Current().Client(a.ClientID)
}

func (w *world) refresh() {
	w.t.Helper()
	if err := w.dir.Refresh(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// openSerials are those that were begun and came to nothing yet.
func (w *world) openSerials() []string {
	w.t.Helper()
	open, err := w.store.OpenIntents(w.t.Context(), "", w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	var serials []string
	for _, i := range open {
		serials = append(serials, i.Serial)
	}
	return serials
}

func TestSameRequest(t *testing.T) {
	t.Run("the same request gets the same certificate, however it is signed, on every node", func(t *testing.T) {
		w := newWorld(t)
		key := newKey(t, jose.ES256)
		first, err := w.issue(csr(t, key), time.Hour)
		if err != nil || first.Again {
			t.Fatalf("%+v, %v", first, err)
		}
		w.refresh()
		for name, a := range map[string]*ca.Authority{"here": w.ca, "there": w.open(w.store)} {
			again, err := w.issueBy(a, csr(t, key), 2*time.Hour) // ES256: another signature
			if err != nil || !again.Again || !bytes.Equal(again.Chain[0], first.Chain[0]) || again.Serial != first.Serial {
				t.Errorf("%s: %v, %v", name, again.Again, err)
			}
			if again.Credential.ID != first.Credential.ID || !again.Credential.NotAfter.Equal(first.Credential.NotAfter) || again.Credential.Thumbprint != first.Credential.Thumbprint {
				t.Errorf("%s: %+v", name, again.Credential)
			}
		}
		if w.refresh(); len(w.client().Credentials) != 1 {
			t.Errorf("%d credentials", len(w.client().Credentials))
		}
	})
	t.Run("in the second half of its life it is a renewal, with the same key if need be", func(t *testing.T) {
		w := newWorld(t)
		request := csr(t, newKey(t, jose.EdDSA))
		first, err := w.issue(request, 10*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(5*time.Hour - time.Second)
		if again, err := w.issue(request, 10*time.Hour); err != nil || !again.Again {
			t.Fatalf("before: %v, %v", again.Again, err)
		}
		w.now = w.now.Add(time.Second)
		renewed, err := w.issue(request, 10*time.Hour)
		if err != nil || renewed.Again || renewed.Serial == first.Serial {
			t.Fatalf("after: %v, %v", renewed.Again, err)
		}
	})
	t.Run("advisory 47: 32 at once on two nodes, one certificate", func(t *testing.T) {
		w := newWorld(t)
		key, nodes := newKey(t, jose.ES256), []*ca.Authority{w.ca, w.open(w.store)}
		var mu sync.Mutex
		got := map[string]int{}
		var wg sync.WaitGroup
		for i := range 32 {
			request := csr(t, key)
			wg.Go(func() {
				issued, err := w.issueBy(nodes[i%2], request, time.Hour)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				got[issued.Serial]++
			})
		}
		wg.Wait()
		if len(got) != 1 || len(w.openSerials()) != 0 {
			t.Errorf("%v", got)
		}
	})
	t.Run("what a process that died had begun is given up after ten seconds", func(t *testing.T) {
		w := newWorld(t)
		request := csr(t, newKey(t, jose.ES256))
		died := &recording{Store: w.store, finish: errDown}
		if _, err := w.issueBy(w.open(died), request, time.Hour); !errors.Is(err, errDown) {
			t.Fatal(err)
		}
		brief, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := w.ca.Issue(brief, ca.Request{Client: w.client(), Profile: ca.ClientTransport, CSR: request}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("at once: %v", err)
		}
		w.now = w.now.Add(10 * time.Second)
		issued, err := w.issue(request, time.Hour)
		if err != nil || issued.Again || issued.Serial == died.intents[0].Serial {
			t.Errorf("later: %v", err)
		}
		if open := w.openSerials(); len(open) != 0 {
			t.Errorf("%v", open)
		}
	})
}

func TestProfiles(t *testing.T) {
	pool := func(w *world, leaf *x509.Certificate) error {
		peer, err := mtls.FromState(&tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{leaf}})
		if err != nil {
			t.Fatal(err)
		}
		return w.ca.Pool().Verify(w.now, peer)
	}
	t.Run("client_signing: its key is a signing key of the application, and no TLS server takes it", func(t *testing.T) {
		w := newWorld(t)
		client, key := w.signer(), newKey(t, jose.ES256)
		issued, err := w.ca.Issue(t.Context(), ca.Request{Actor: "operator", Client: client, Profile: ca.ClientSigning, CSR: csr(t, key)})
		if err != nil {
			t.Fatal(err)
		}
		leaf := parse(t, issued.Chain[0])
		if len(leaf.ExtKeyUsage) != 0 || len(leaf.UnknownExtKeyUsage) != 1 || leaf.UnknownExtKeyUsage[0].String() != "1.3.6.1.5.5.7.3.37" || leaf.KeyUsage != x509.KeyUsageDigitalSignature || leaf.NotAfter.Sub(w.now) != ca.MaxClientLife {
			t.Errorf("usage %v %v until %v", leaf.KeyUsage, leaf.ExtKeyUsage, leaf.NotAfter)
		}
		w.refresh()
		public, err := jose.NewPublicKey(key.Public(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		c := w.dir.Current().Client(client.ClientID).SigningKey(public.KeyID())
		if c == nil || c.ID != issued.Credential.ID || !c.Issued || !bytes.Equal(c.Certificate, leaf.Raw) || !c.NotAfter.Equal(leaf.NotAfter) || c.Thumbprint != public.Thumbprint() {
			t.Fatalf("%+v", c)
		}
		if err := pool(w, leaf); !errors.Is(err, mtls.ErrUsage) {
			t.Errorf("a handshake takes it: %v", err)
		}
		if w.dir.Current().Client(client.ClientID).Certificate(cnf.CertificateThumbprint(leaf.Raw)) != nil {
			t.Error("it is a client certificate of the directory")
		}
		again, err := w.ca.Issue(t.Context(), ca.Request{Actor: "operator", Client: client, Profile: ca.ClientSigning, CSR: csr(t, key)})
		if err != nil || !again.Again || again.Credential.Key.KeyID() != public.KeyID() {
			t.Errorf("again: %v, %v", again.Again, err)
		}
	})
	t.Run("client_signing of a key that is registered: refused, nothing stored", func(t *testing.T) {
		w := newWorld(t)
		client, key := w.signer(), newKey(t, jose.ES256)
		public, err := jose.NewPublicKey(key.Public(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.dir.RegisterKey(t.Context(), "operator", client.ClientID, public, time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.ca.Issue(t.Context(), ca.Request{Client: client, Profile: ca.ClientSigning, CSR: csr(t, key)}); !errors.Is(err, directory.ErrExists) {
			t.Errorf("got %v", err)
		}
		if open := w.openSerials(); len(open) != 0 {
			t.Errorf("%v", open)
		}
	})
	t.Run("server_tls: names that the organisation owns, and no client's", func(t *testing.T) {
		w := newWorld(t)
		request := csr(t, newKey(t, jose.ES256), func(r *x509.CertificateRequest) {
			r.Subject.CommonName, r.DNSNames, r.IPAddresses = "api.example", []string{"api.example"}, []net.IP{net.ParseIP("192.0.2.7")}
		})
		ask := func() (ca.Issued, error) {
			return w.ca.Issue(t.Context(), ca.Request{Actor: "operator", Client: w.client(), Profile: ca.ServerTLS, CSR: request})
		}
		for _, name := range []string{"API.example", "192.0.2.7"} {
			var invalid *directory.InvalidError
			if _, err := ask(); !errors.As(err, &invalid) || invalid.Field != "csr" {
				t.Errorf("before %s is the organisation's: %v", name, err)
			}
			if _, err := w.ca.AddName(t.Context(), "operator", w.client().Organisation, name); err != nil {
				t.Fatal(err)
			}
		}
		issued, err := ask()
		if err != nil {
			t.Fatal(err)
		}
		leaf := parse(t, issued.Chain[0])
		if err := errors.Join(leaf.VerifyHostname("api.example"), leaf.VerifyHostname("192.0.2.7")); err != nil || len(leaf.URIs) != 0 {
			t.Errorf("%v, %v", err, leaf.URIs)
		}
		if err := pool(w, leaf); !errors.Is(err, mtls.ErrUsage) {
			t.Errorf("the pool: %v", err)
		}
		w.refresh()
		c := w.dir.Current().Credential(issued.Credential.ID)
		if c == nil || c.Kind != directory.ServerCertificate || w.client().Certificate(cnf.CertificateThumbprint(leaf.Raw)) != nil {
			t.Errorf("%+v", c)
		}
		if err := w.ca.RemoveName(t.Context(), "operator", w.client().Organisation, "api.example"); err != nil {
			t.Fatal(err)
		}
		if _, err := ask(); !errors.Is(err, directory.ErrInvalid) {
			t.Errorf("after the name was taken away: %v", err)
		}
	})
	t.Run("refused", func(t *testing.T) {
		w := newWorld(t)
		request := csr(t, newKey(t, jose.ES256))
		named := *w.client()
		named.TLSName = directory.TLSName{Kind: directory.NameDNS, Value: "x.example"}
		for name, c := range map[string]struct {
			r    ca.Request
			want error
		}{
			"a profile that is none": {ca.Request{Client: w.client(), Profile: "ca"}, directory.ErrInvalid},
			"no profile":             {ca.Request{Client: w.client()}, directory.ErrInvalid},
			"client_signing for a client that signs nothing":      {ca.Request{Client: w.client(), Profile: ca.ClientSigning}, directory.ErrState},
			"client_transport for a client of its own CA's names": {ca.Request{Client: &named, Profile: ca.ClientTransport}, directory.ErrState},
		} {
			c.r.CSR = request
			if issued, err := w.ca.Issue(t.Context(), c.r); !errors.Is(err, c.want) || issued.Chain != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestSwitch(t *testing.T) {
	w := newWorld(t)
	other := w.open(w.store)
	if err := w.ca.SetSwitch(t.Context(), "operator", true); err != nil {
		t.Fatal(err)
	}
	if err := w.ca.SetSwitch(t.Context(), "operator", true); !errors.Is(err, directory.ErrState) {
		t.Errorf("twice: %v", err)
	}
	request := csr(t, newKey(t, jose.ES256))
	for name, a := range map[string]*ca.Authority{"here": w.ca, "on the other node, with the next certificate": other} {
		if issued, err := w.issueBy(a, request, time.Hour); !errors.Is(err, ca.ErrStopped) || issued.Chain != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if open := w.openSerials(); len(open) != 0 {
		t.Errorf("%v", open)
	}
	if _, err := w.ca.IssueListener(t.Context(), newKey(t, jose.ES256).Public(), []string{"localhost"}); err != nil {
		t.Errorf("our own listener: %v", err)
	}
	if sw, err := other.Switch(t.Context()); err != nil || !sw.Stopped || sw.Actor != "operator" {
		t.Errorf("%+v, %v", sw, err)
	}
	if err := other.SetSwitch(t.Context(), "operator", false); err != nil {
		t.Fatal(err)
	}
	if _, err := w.issue(request, time.Hour); err != nil {
		t.Error(err)
	}
	events, err := w.store.Events(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, e := range events {
		if e.Subject == "certificate-authority" {
			actions = append(actions, e.Action)
		}
	}
	if len(actions) != 2 || actions[0] != "authority.stopped" || actions[1] != "authority.resumed" {
		t.Errorf("events %q", actions)
	}
}

func TestListener(t *testing.T) {
	w := newWorld(t)
	first, err := w.ca.Listener(t.Context(), []string{"localhost", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	same := func(a *ca.Authority, names ...string) bool {
		t.Helper()
		c, err := a.Listener(t.Context(), names)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := c.PrivateKey.(crypto.Signer); !ok || len(c.Certificate) != 2 {
			t.Error("a certificate without key or issuer")
		}
		return c.Leaf.Equal(first.Leaf)
	}
	if !same(w.ca, "localhost", "127.0.0.1") || !same(w.open(w.store), "localhost") {
		t.Error("a start signs")
	}
	if same(w.ca, "elsewhere.example") {
		t.Error("it is good for every name")
	}
	w.now = w.now.Add(ca.ServerLife/2 + time.Minute)
	if same(w.ca, "localhost") {
		t.Error("it is not renewed")
	}
	t.Run("while the CA's key is away the old one serves", func(t *testing.T) {
		w := newWorld(t)
		if first, err = w.ca.Listener(t.Context(), []string{"localhost"}); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(ca.ServerLife/2 + time.Minute)
		lost := w.withoutIssuingKey()
		if !same(lost, "localhost") {
			t.Error("another one")
		}
		if _, err := lost.Listener(t.Context(), []string{"elsewhere.example"}); !errors.Is(err, ca.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	})
}
