package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"log/slog"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// sharedLog is one log of several nodes.
type sharedLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *sharedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// twoNodes are two servers on one database.
func twoNodes(t *testing.T, log *sharedLog, now func() time.Time) (one, two *Server) {
	t.Helper()
	dir := t.TempDir()
	cfg := &config.Serve{
		Issuer: "https://localhost:8443", MTLSURL: "https://localhost:8444", AdminURL: "https://localhost:8445",
		Database: filepath.Join(dir, "holdfast.db"), KeyEncryptionKeyFile: filepath.Join(dir, "kek"), Token: config.Token{Life: 5 * time.Minute},
	}
	if _, err := Init(t.Context(), cfg, FirstStart{TrustDomain: "example.test", OperatorKeyFile: filepath.Join(dir, "owner.key"), Now: now}); err != nil {
		t.Fatal(err)
	}
	var both [2]*Server
	for i := range both {
		var err error
		if both[i], err = Open(t.Context(), cfg, Process{Now: now, Log: slog.New(slog.NewJSONHandler(log, nil)), Version: "test"}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = both[i].Close() })
	}
	return both[0], both[1]
}

func key(t *testing.T) *jose.PublicKey {
	t.Helper()
	private, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jose.NewPublicKey(private.Public(), jose.ES256, "")
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// anchor is the certificate of a CA that ends then.
func anchor(t *testing.T, from, end time.Time) []byte {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: end, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestExpiryNotices(t *testing.T) {
	const day = 24 * time.Hour
	start := time.Now().UTC().Truncate(time.Second)
	now := start
	log := &sharedLog{}
	one, two := twoNodes(t, log, func() time.Time { return now })
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	org, err := one.directory.CreateOrganisation(ctx, "system", directory.Organisation{Name: "Acme"})
	check(err)
	app, err := one.directory.CreateApplication(ctx, "system", directory.Application{Organisation: org.ID, Name: "Shop", AuthMethod: directory.PrivateKeyJWT, Binding: cnf.DPoP})
	check(err)
	end := start.Add(90 * day)
	old, err := one.directory.RegisterKey(ctx, "system", app.ClientID, key(t), end)
	check(err)
	ca, err := one.directory.AddTrustAnchor(ctx, "system", org.ID, "Acme CA", anchor(t, start.Add(-day), end))
	check(err)

	// given are the days of the notices so far.
	given := func(subject string) (days []string) {
		t.Helper()
		events, err := one.store.SelectEvents(ctx, 0, 1000, audit.Selection{Subject: subject})
		check(err)
		for _, e := range events {
			if _, rest, ok := strings.Cut(e.Detail, `"days":`); ok {
				n, _, _ := strings.Cut(rest, ",")
				days = append(days, n)
			}
		}
		return days
	}
	// at has both nodes look at once.
	at := func(when time.Time) {
		t.Helper()
		now = when
		var wg sync.WaitGroup
		for _, node := range []*Server{one, two} {
			check(node.directory.Refresh(ctx))
			for range 2 {
				wg.Go(func() {
					if err := node.giveNotices(context.Background(), when); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
	}
	for _, c := range []struct {
		left time.Duration
		want []string
	}{
		{90 * day, nil}, {60*day + time.Second, nil}, {60 * day, []string{"60"}}, {45 * day, []string{"60"}}, {30 * day, []string{"60", "30"}},
		{13 * day, []string{"60", "30", "14"}}, {13 * day, []string{"60", "30", "14"}},
	} {
		at(end.Add(-c.left))
		for _, subject := range []string{string(old.ID), ca.ID} {
			if got := given(subject); !slices.Equal(got, c.want) {
				t.Errorf("%v before the end of %s: notices %v, want %v", c.left, subject, got, c.want)
			}
		}
	}
	log.mu.Lock()
	if n := strings.Count(log.text.String(), `"msg":"expiry notice","action":"credential.expiring","subject":"`+string(old.ID)+`"`); n != 3 {
		t.Errorf("%d notices in the log: %s", n, log.text.String())
	}
	log.mu.Unlock()

	// A successor silences once it was used, on whichever node, and stored.
	successor, err := one.directory.RegisterKey(ctx, "system", app.ClientID, key(t), end.Add(90*day))
	check(err)
	at(end.Add(-7 * day))
	if got := given(string(old.ID)); !slices.Equal(got, []string{"60", "30", "14", "7"}) {
		t.Errorf("with a successor that nobody used: %v", got)
	}
	two.lastUses.Note(app.ClientID, successor.ID, now)
	check(two.lastUses.Flush(ctx, two.store.AddLastUsed))
	at(end.Add(-day))
	if got := given(string(old.ID)); len(got) != 4 {
		t.Errorf("with a successor in use: %v", got)
	}
	if got := given(ca.ID); !slices.Equal(got, []string{"60", "30", "14", "7", "1"}) {
		t.Errorf("trust anchor: %v", got)
	}
	if _, err := one.store.VerifyChain(ctx); err != nil {
		t.Error(err)
	}
	t.Run("a store that is away is told, and nothing is lost", func(t *testing.T) {
		check(two.store.Close())
		if err := two.giveNotices(ctx, now); err == nil {
			t.Error("no error")
		}
	})
}
