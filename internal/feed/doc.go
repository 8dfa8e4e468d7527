// Package feed is how a gateway, another process, learns within two seconds what
// is no longer allowed: the part of the directory that a verifier needs, by the
// directory's own sequence. The server answers "what is newer than N" at once
// when there is something, and otherwise when there is, or after 5 s (a long
// poll). The gateway applies each answer to a directory.Snapshot, so that both
// sides decide with the same code.
//
//	GET /feed?after=N  ->  {"sequence":M,"full":false,"credentials":[...]}
//
// The handler stands behind a verifier; it does not authenticate anybody itself.
package feed
