package dpop

import "testing"

func TestSameTarget(t *testing.T) {
	const want = "https://api.example.com/payments/17"
	for _, c := range []struct {
		name, htu, want string
		same            bool
	}{
		{"to the letter", want, want, true},
		{"§4.3 check 9: a query is ignored", want + "?a=1&b=2", want, true},
		{"§4.3 check 9: a fragment is ignored", want + "#top", want, true},
		{"a query that holds a slash and a scheme", want + "?next=https://evil/", want, true},
		{"RFC 3986 §6.2.2.1: scheme and host in other case", "HTTPS://API.Example.COM/payments/17", want, true},
		{"RFC 3986 §6.2.2.1: a path in other case", "https://api.example.com/Payments/17", want, false},
		{"RFC 3986 §6.2.3: the default port", "https://api.example.com:443/payments/17", want, true},
		{"RFC 3986 §6.2.3: an empty port", "https://api.example.com:/payments/17", want, true},
		{"RFC 3986 §6.2.3: the default port of http is not that of https", "https://api.example.com:80/payments/17", want, false},
		{"the default port of http", "http://127.0.0.1:80/a", "http://127.0.0.1/a", true},
		{"another port", "https://api.example.com:8443/payments/17", want, false},
		{"a port that is expected", "https://localhost:8443/a", "https://localhost:8443/a?b", true},
		{"a port that is missing", "https://localhost/a", "https://localhost:8443/a", false},
		{"RFC 3986 §6.2.3: an empty path is /", "https://api.example.com", "https://api.example.com/", true},
		{"an empty path before a query", "https://api.example.com?a=/b", "https://api.example.com/", true},
		{"a trailing slash is another path", want + "/", want, false},
		{"one path begins like the other", "https://api.example.com/payments/1", want, false},
		{"RFC 3986 §6.2.2.2: escapes of unreserved characters", "https://api.example.com/%70ayments/%31%37", want, true},
		{"RFC 3986 §6.2.2.2: the four that are neither letter nor digit", "https://a/%2D%2e%5F%7e", "https://a/-._~", true},
		{"RFC 3986 §6.2.2.2: on the other side", want, "https://api.example.com/%70ayments/%31%37", true},
		{"RFC 3986 §6.2.2.1: the case of an escape", "https://a/%c3%bc", "https://a/%C3%BC", true},
		{"%2F is not decoded", "https://api.example.com/payments%2F17", want, false},
		{"%2F in both is the same", "https://a/b%2fc", "https://a/b%2Fc", true},
		{"an escape is decoded once", "https://a/%2541", "https://a/A", false},
		{"an escaped reserved character is not the character", "https://a/b%3Ac", "https://a/b:c", false},
		{"dot segments are not removed", "https://api.example.com/x/../payments/17", want, false},
		{"% at the end", "https://a/b%", "https://a/b%25", false},
		{"% that begins no escape", "https://a/b%zzc", "https://a/b%ZZc", false},
		{"% with one digit", "https://a/b%4zc", "https://a/b%4Zc", false},
		{"% that begins no escape, to the letter", "https://a/b%z?q", "https://a/b%z", true},
		{"% that begins no escape on the other side", "https://a/bbbb", "https://a/b%zz", false},
		{"another host", "https://api.example.org/payments/17", want, false},
		{"a longer host", "https://api.example.com.evil/payments/17", want, false},
		{"a host with the Kelvin sign", "https://api.example.\u212Aom/payments/17", "https://api.example.kom/payments/17", false},
		{"a user name", "https://api@api.example.com/payments/17", want, false},
		{"the host as user name of another", "https://api.example.com:443@evil/payments/17", want, false},
		{"another scheme", "http://api.example.com/payments/17", want, false},
		{"http with the port of https", "http://api.example.com:443/payments/17", want, false},
		{"no scheme", "api.example.com/payments/17", want, false},
		{"a path alone", "/payments/17", want, false},
		{"nothing", "", want, false},
		{"two things that are no URL are not the same", "x", "x", false},
		{"the expectation is no URL", want, "payments", false},
		{"IPv6 with the default port", "https://[::1]:443/a", "https://[::1]/a", true},
		{"IPv6 without a port", "https://[::1]/a", "https://[::1]/a?b", true},
		{"IPv6 whose last group looks like a port", "https://[::443]/a", "https://[::]/a", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := sameTarget(c.htu, c.want); got != c.same {
				t.Errorf("same is %v", got)
			}
		})
	}
	t.Run("comparing a usual htu allocates nothing", func(t *testing.T) {
		if n := testing.AllocsPerRun(100, func() { sameTarget("https://API.example.com:443/%70ayments/17?a", want) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
