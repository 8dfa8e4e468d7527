// Package feed tells gateways what changed in the directory, so that a
// revocation is in force at every one of them within two seconds: a long poll
// answered with everything that is newer than the gateway's number.
//
//	GET /feed?after=4711           the delta once there is one, or an empty one after 20 s
//	GET /feed?after=4711&wait=5    the same, after 5 s
//	GET /feed?after=0              all of it
//	GET /feed?after=4711&checkpoint=4700   besides, the hash that event 4700 has there
//
// Numbers are those of the audit chain, so no change can become visible behind
// one that a gateway has. A server whose number stays behind the gateway's was
// restored from a backup: it answers with all of it, and the gateway goes on
// refusing what it knows to be revoked.
//
// Each answer has the newest checkpoint of the server's audit chain. A gateway
// keeps it, and raises an alarm when the server comes with an older one, or with a
// chain in which the event of the kept one has another hash: a Witness.
package feed
