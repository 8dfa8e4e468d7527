package directory

// effect is what an event did to the rights that there were before it.
type effect int

const (
	makes   effect = iota + 1 // made or gave something
	ends                      // ended something
	narrows                   // says all of a record, which may have less than before
	voided                    // ended what no restored copy lets anybody use
	tells                     // changed no right
)

// effects has every action of the audit trail: after a restore, what ended stays
// ended. One that is not in here counts as an ending that cannot be taken over.
var effects = everyEffect()

func everyEffect() map[string]effect {
	all := map[string]effect{
		"installation.initialised": tells, "key.created": makes, "database.restored": tells,

		"organisation.created": makes, "application.created": makes, "application.registered": makes, "resource.created": makes,
		"role.created": makes, "instance.created": makes, "operator.created": makes, "trust_anchor.added": makes, "credential.registered": makes,
		"organisation.name_added": makes, "certificate.issued": makes, "authority.resumed": makes,
		"enrolment_code.created": makes, "initial_access_token.created": makes, "software_statement.created": makes, "registration.token_recovered": makes,

		"organisation.updated": narrows, "application.updated": narrows, "resource.updated": narrows, "role.updated": narrows,

		"organisation.tokens_revoked": ends, "application.tokens_revoked": ends, "credential.tokens_revoked": ends, "token.revoked": ends, "signing_key.revoked": ends,
		"operator.rekeyed": ends, "operator.recovered": ends, "instance.revoked": ends, "authority.stopped": ends, "organisation.name_removed": ends,

		"enrolment_code.revoked": voided, "initial_access_token.revoked": voided, "software_statement.revoked": voided, "registration.token_revoked": voided,

		"certificate.abandoned": tells, "credential.expiring": tells, "trust_anchor.expiring": tells, "authority.expiring": tells,
	}
	for noun, moves := range map[string]map[State][]State{
		"organisation": ownerMoves, "application": ownerMoves, "resource": ownerMoves, "role": ownerMoves,
		"trust_anchor": anchorMoves, "credential": credentialMoves,
	} {
		for from, reachable := range moves {
			for _, to := range reachable {
				all[action(noun, from, to)] = makes
				if _, ending := endings[verbs[to]]; ending {
					all[action(noun, from, to)] = ends
				}
			}
		}
	}
	return all
}
