package outbound_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/outbound"
)

func TestCheck(t *testing.T) {
	for _, text := range []string{
		"127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
		"100.64.0.1", "100.127.255.255", "192.0.0.170", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "198.19.255.255",
		"224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.88.99.1",
		"::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1",
		"fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1",
		"64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b::10.0.0.1", "64:ff9b:1::1",
		"2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1",
		"::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8", "1::1", "4000::1", "64:ff9a::1", "c000::1", "168.63.129.16", "::ffff:168.63.129.16", "64:ff9b::168.63.129.16",
		"2606:4700::5efe:7f00:1", "2606:4700::200:5efe:a9fe:a9fe", "2606:4700::5efe:a83f:8110",
	} {
		t.Run("advisory 84: "+text, func(t *testing.T) {
			if err := (outbound.Policy{}).Check(netip.MustParseAddr(text)); !errors.Is(err, outbound.ErrForbidden) {
				t.Errorf("got %v", err)
			}
		})
	}
	if (outbound.Policy{}).Check(netip.Addr{}) == nil {
		t.Error("no address may be called")
	}
	for _, text := range []string{
		"8.8.8.8", "1.1.1.1", "172.32.0.1", "172.15.255.255", "100.63.255.255", "100.128.0.1", "192.167.255.255", "192.169.0.1", "169.253.1.1", "198.17.1.1", "198.20.0.1",
		"223.255.255.255", "2606:4700::1111", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "2003::1", "2606:4700::5efe:808:808", "168.63.129.15", "168.63.129.17",
	} {
		if err := (outbound.Policy{}).Check(netip.MustParseAddr(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	p := outbound.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("10.1.0.0/16")}}
	for text, allowed := range map[string]bool{
		"127.0.0.1": true, "::ffff:127.0.0.1": true, "fd00::1": true, "10.1.2.3": true, "10.2.0.1": false, "::1": false, "fc00::1": false, "169.254.169.254": false,
		"64:ff9b::127.0.0.1": false, "64:ff9b::10.1.0.1": false,
	} {
		if err := p.Check(netip.MustParseAddr(text)); (err == nil) != allowed {
			t.Errorf("with networks of the operator's, %s: %v", text, err)
		}
	}
}

func TestCheckURL(t *testing.T) {
	loopback := outbound.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	for text, want := range map[string][2]bool{ // without and with loopback allowed
		"https://keys.example/jwks":                {true, true},
		"https://8.8.8.8/jwks":                     {true, true},
		"https://[2606:4700::1111]/":               {true, true},
		"https://localhost/jwks":                   {false, true},
		"https://LOCALHOST./jwks":                  {false, true},
		"https://a.localhost/jwks":                 {false, true},
		"https://127.0.0.1:8443/jwks":              {false, true},
		"https://[::ffff:127.0.0.1]/":              {false, true},
		"https://[::1]/":                           {false, false},
		"https://169.254.169.254/latest/meta-data": {false, false},
		"https://[64:ff9b::a9fe:a9fe]/":            {false, false},
		"https://2130706433/":                      {false, false},
		"https://127.1/":                           {false, false},
		"https://0x7f000001/":                      {false, false},
		"https://0x7f.1/":                          {false, false},
		"https://10.0.0.1/":                        {false, false},
		"https:///jwks":                            {false, false},
		"http://keys.example/jwks":                 {false, false},
		"file:///etc/passwd":                       {false, false},
		"data:application/json,{}":                 {false, false},
		"https://keys.example\x00/":                {false, false},
	} {
		t.Run("advisory 84: "+text, func(t *testing.T) {
			for i, p := range []outbound.Policy{{}, loopback} {
				if err := p.CheckURL(text); (err == nil) != want[i] {
					t.Errorf("%d: %v", i, err)
				}
			}
		})
	}
}

// listen accepts on loopback and counts.
func listen(t *testing.T) (port string, accepted <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan struct{}, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
			seen <- struct{}{}
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port, seen
}

func TestDial(t *testing.T) {
	port, accepted := listen(t)
	names := map[string][]string{
		"inside.example": {"127.0.0.1"}, "mapped.example": {"::ffff:127.0.0.1"}, "both.example": {"169.254.169.254", "127.0.0.1"}, "none.example": {},
	}
	asked := []string{}
	lookup := func(_ context.Context, name string) (all []netip.Addr, err error) {
		asked = append(asked, name)
		texts, ok := names[name]
		if !ok {
			return nil, errors.New("no such host")
		}
		for _, text := range texts {
			all = append(all, netip.MustParseAddr(text))
		}
		return all, nil
	}
	dial := func(p outbound.Policy, host string) error {
		d := &outbound.Dialer{Policy: p, Lookup: lookup}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
		if err == nil {
			_ = c.Close()
			<-accepted
		}
		return err
	}
	for _, host := range []string{"inside.example", "mapped.example", "both.example", "none.example", "127.0.0.1", "::ffff:127.0.0.1", "169.254.169.254"} {
		if err := dial(outbound.Policy{}, host); !errors.Is(err, outbound.ErrForbidden) {
			t.Errorf("advisory 84: %s after the look-up: %v", host, err)
		}
	}
	select {
	case <-accepted:
		t.Error("somebody was called")
	case <-time.After(50 * time.Millisecond):
	}
	loopback := outbound.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	for _, host := range []string{"inside.example", "mapped.example", "both.example", "127.0.0.1"} {
		if err := dial(loopback, host); err != nil {
			t.Errorf("%s with loopback allowed: %v", host, err)
		}
	}
	if err := dial(loopback, "unknown.example"); err == nil || errors.Is(err, outbound.ErrForbidden) {
		t.Errorf("a name without addresses: %v", err)
	}
	if _, err := (&outbound.Dialer{Policy: loopback, Lookup: lookup}).DialContext(t.Context(), "tcp", "no port"); err == nil {
		t.Errorf("no address: %v", err)
	} else if _, ok := errors.AsType[*net.AddrError](err); !ok {
		t.Errorf("no address: %v", err)
	}
	if slices.Contains(asked, "127.0.0.1") {
		t.Error("an address was looked up")
	}
	t.Run("advisory 84: a name that is public when it is judged and private when it is called", func(t *testing.T) {
		turn := 0
		d := &outbound.Dialer{Policy: loopback, Lookup: func(context.Context, string) ([]netip.Addr, error) {
			turn++
			return []netip.Addr{netip.MustParseAddr([]string{"", "127.0.0.1", "169.254.169.254"}[turn])}, nil
		}}
		c, err := d.DialContext(t.Context(), "tcp", "rebinding.example:"+port)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		<-accepted
		if turn != 1 {
			t.Errorf("%d look-ups for one call", turn)
		}
		if _, err := d.DialContext(t.Context(), "tcp", "rebinding.example:"+port); !errors.Is(err, outbound.ErrForbidden) {
			t.Errorf("the second time: %v", err)
		}
	})
}
