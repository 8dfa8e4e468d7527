package dev

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// listeners of one stack, in the order of their ports.
type listeners struct {
	public, mtls, admin, gateway, echo net.Listener
}

// names in the order of their ports, for the sentence about one that is taken.
var listenerNames = [...]string{"public", "mTLS", "admin", "gateway", "echo"}

// PortError is a port that cannot be had.
type PortError struct {
	Listener string
	Port     int
	Err      error
}

func (e *PortError) Error() string {
	why := "cannot be opened"
	if errors.Is(e.Err, syscall.EADDRINUSE) {
		why = "is in use"
	}
	return fmt.Sprintf("port %d for the %s listener %s", e.Port, e.Listener, why)
}

func (e *PortError) Unwrap() error { return e.Err }

// listen opens all five on loopback, on ports first, first+1 ..., or on free
// ones when first is 0, or on exactly the ports given. All or none.
func listen(ctx context.Context, ports [5]int) (l listeners, err error) {
	var got []net.Listener
	defer func() {
		if err != nil {
			for _, l := range got {
				_ = l.Close()
			}
		}
	}()
	for i, port := range ports {
		var lc net.ListenConfig
		one, err := lc.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return l, &PortError{Listener: listenerNames[i], Port: port, Err: err}
		}
		got = append(got, one)
	}
	return listeners{got[0], got[1], got[2], got[3], got[4]}, nil
}

// portsFrom is first, first+1 ...; 0 stays 0: any free port.
func portsFrom(first int) (p [5]int) {
	for i := range p {
		if first != 0 {
			p[i] = first + i
		}
	}
	return p
}

// localURL is the URL of a listener by the name that its certificate has.
func localURL(l net.Listener) string {
	return "https://localhost:" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
