// Package outbound decides which addresses may be called when a stranger named
// the URL, and calls them: the place that keys are fetched from today. A name is
// looked up once, every address that it has is judged, and the connection goes to
// an address that was judged, so that a name which changes its mind between two
// look-ups gains nothing.
//
// RFC 6890 and the registries of special-purpose addresses that it began.
package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ErrForbidden is an address that strangers may not have us call.
var ErrForbidden = errors.New("the address is not public")

// Policy says where to. Its zero value allows public addresses alone.
type Policy struct {
	// Allow are networks that may be called although they are not public.
	Allow []netip.Prefix
}

// special are the networks that are nobody's public service, beside all of IPv6
// that is not global unicast. IPv4-mapped addresses are judged as IPv4.
var special = parse(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"2001::/23",                  // Teredo, ORCHID, benchmarks
	"2001:db8::/32", "3fff::/20", // documentation
)

var (
	global    = netip.MustParsePrefix("2000::/3")     // RFC 4291 section 2.4: all of IPv6 that is given out
	nat64     = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: the last four bytes are an IPv4 address
	sixToFour = netip.MustParsePrefix("2002::/16")    // RFC 3056: the next four bytes are one
)

func parse(networks ...string) (all []netip.Prefix) {
	for _, n := range networks {
		all = append(all, netip.MustParsePrefix(n))
	}
	return all
}

// Check is nil for an address that may be called, and ErrForbidden otherwise.
func (p Policy) Check(address netip.Addr) error {
	if !address.IsValid() || address.Zone() != "" {
		return ErrForbidden
	}
	address = address.Unmap()
	if within(p.Allow, address) {
		return nil
	}
	if within(special, address) || address.Is6() && !global.Contains(address) && !nat64.Contains(address) {
		return ErrForbidden
	}
	if inner, ok := embedded(address); ok && within(special, inner) {
		return ErrForbidden
	}
	return nil
}

func within(networks []netip.Prefix, address netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(address) {
			return true
		}
	}
	return false
}

// embedded is the IPv4 address that a translator or a tunnel on the way would call.
func embedded(address netip.Addr) (netip.Addr, bool) {
	b := address.As16()
	switch {
	case nat64.Contains(address):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToFour.Contains(address):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP, RFC 5214 section 6.1
		return netip.AddrFrom4([4]byte(b[12:16])), true
	}
	return netip.Addr{}, false
}

// CheckHost judges, without a look-up, a host that is written as an address or
// can only be one of this machine. Of any other the addresses are judged when it
// is called.
func (p Policy) CheckHost(host string) error {
	if address, err := netip.ParseAddr(host); err == nil {
		return p.Check(address)
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	last := host[strings.LastIndexByte(host, '.')+1:]
	switch {
	case last == "localhost": // RFC 6761 section 6.3
		return p.Check(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	case strings.Trim(last, "0123456789") == "" || // nothing at all, too
		strings.HasPrefix(last, "0x"):
		return ErrForbidden // 127.1, 2130706433, 0x7f000001: what some resolvers take for an address
	}
	return nil
}

// CheckURL is CheckHost for the host of an https URL.
func (p Policy) CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" {
		return fmt.Errorf("not an https URL: %w", ErrForbidden)
	}
	return p.CheckHost(u.Hostname())
}

// Dialer is an http.Transport's DialContext under a Policy.
type Dialer struct {
	Policy
	// Lookup finds the addresses of a name; nil is the system's resolver.
	Lookup func(ctx context.Context, name string) ([]netip.Addr, error)

	dialer net.Dialer
}

// DialContext calls the first of the host's addresses that may be called and
// answers. It never quotes the addresses that were found.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addresses, err := d.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	addresses = slices.DeleteFunc(addresses, func(a netip.Addr) bool { return d.Check(a) != nil })
	addresses = addresses[:min(len(addresses), maxAddresses)]
	err = ErrForbidden
	for i, a := range addresses {
		share, cancel := shareOf(ctx, len(addresses)-i)
		conn, dialErr := d.dialer.DialContext(share, network, net.JoinHostPort(a.Unmap().String(), port))
		cancel()
		if dialErr == nil {
			return conn, nil
		}
		err = dialErr
	}
	return nil, err
}

// maxAddresses of one name are called.
const maxAddresses = 8

// shareOf is the part of the time that is left for the first of several addresses,
// so that one which does not answer leaves some to the others.
func shareOf(ctx context.Context, addresses int) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok || addresses < 2 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(end)/time.Duration(addresses))
}

func (d *Dialer) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	lookup := d.Lookup
	if lookup == nil {
		lookup = func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		}
	}
	return lookup(ctx, host)
}
