// Package jwksuri keeps the keys that applications publish at their jwks_uri
// (RFC 7591 section 2): fetched in the background and at hand when a request
// needs them. A request waits for a fetch only when it names a key that nobody
// has seen, and then 250 ms at most; how often that may cause a fetch is bounded.
//
// The URL is a stranger's. So are the server behind it, how fast it answers and
// what: each place has its own budget, each owner its own few fetches at a time,
// a fetch its 5 seconds and 64 KiB, and addresses are judged by outbound. What
// one owner's servers do is felt by that owner's applications alone. Keys that
// cannot be fetched again serve for an hour.
//
// RFC 7517 section 5, RFC 9111 section 5.2.2.1.
package jwksuri

import "time"

const (
	fetchTimeout = 5 * time.Second
	maxBody      = 64 << 10 // bytes of a key set
	maxHeader    = 16 << 10 // bytes of an answer's header

	maxRefresh = 5 * time.Minute  // between two fetches in the background, however long max-age is
	minRefresh = 10 * time.Second // and however short; also before the first retry, which doubles
	maxStale   = time.Hour        // since the last fetch that succeeded
	maxWait    = 250 * time.Millisecond
	everyFetch = 10 * time.Second // one fetch for keys that nobody has seen in this time ...
	burst      = 2                // ... and this many at once
	maxAbsent  = 1024             // names remembered as not found, of one place
	maxFetches = 64               // at a time
	maxOfOwner = 4                // of them, for one owner
	scanEvery  = time.Second
)

// Place is where one application publishes its keys.
type Place struct {
	Application string // client_id
	Owner       string // organisation: whose outage is nobody else's
	URI         string
}
