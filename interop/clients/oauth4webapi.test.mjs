// oauth4webapi 3 against a running `holdfast dev`, step by step, and as a
// resource server that judges our tokens by itself.
import test from 'node:test'
import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import { cases } from './cases.mjs'
import { registrationCases } from './registration.mjs'
import { apiOf, application, dev, fetchAs, signingKey, thumbprint, claims } from './world.mjs'

async function authorizationServer(custom) {
  const issuer = new URL(dev.issuer)
  const response = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', [oauth.customFetch]: custom })
  return oauth.processDiscoveryResponse(issuer, response)
}

/** The grant, once more with the nonce if the server asks for one. */
async function grant(as, app, auth, custom, options = {}) {
  const client = { client_id: app.client_id, use_mtls_endpoint_aliases: app.binding === 'mtls' }
  const parameters = new URLSearchParams({ scope: app.scope, resource: app.resource })
  const once = async () =>
    oauth.processClientCredentialsResponse(
      as,
      client,
      await oauth.clientCredentialsGrantRequest(as, client, auth, parameters, { ...options, [oauth.customFetch]: custom }),
    )
  return once().catch((err) => (oauth.isDPoPNonceError(err) ? once() : Promise.reject(err)))
}

test('oauth4webapi: private_key_jwt and DPoP; the API demands a nonce, once', async () => {
  const app = application('private_key_jwt', 'dpop')
  const custom = fetchAs()
  const as = await authorizationServer(custom)
  const auth = oauth.PrivateKeyJwt({ key: await signingKey(app), kid: app.kid })
  const DPoP = oauth.DPoP({ client_id: app.client_id }, await oauth.generateKeyPair('ES256'))
  const token = await grant(as, app, auth, custom, { DPoP })
  assert.equal(token.token_type, 'dpop')

  let demands = 0
  const call = () =>
    oauth.protectedResourceRequest(token.access_token, 'GET', apiOf(app), undefined, undefined, { DPoP, [oauth.customFetch]: custom })
  const answer = await call().catch((err) => {
    if (!oauth.isDPoPNonceError(err)) throw err
    demands += 1
    return call()
  })
  assert.equal(answer.status, 200)
  assert.equal(demands, 1, 'a gateway that has just started demands a nonce')
})

test('oauth4webapi: the server proves its metadata true: what it lists works', async () => {
  const as = await authorizationServer(fetchAs())
  assert.equal(as.issuer, dev.issuer)
  assert.equal(as.token_endpoint, dev.token_endpoint)
  assert.equal(as.mtls_endpoint_aliases.token_endpoint, dev.mtls_token_endpoint)
  assert.equal(as.tls_client_certificate_bound_access_tokens, true)
  assert.deepEqual(as.grant_types_supported, ['client_credentials'])
})

for (const auth of ['private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth']) {
  test(`oauth4webapi: ${auth} and a certificate-bound token`, async () => {
    const app = application(auth, 'mtls')
    const custom = fetchAs(app)
    const as = await authorizationServer(custom)
    const method = auth === 'private_key_jwt' ? oauth.PrivateKeyJwt({ key: await signingKey(app), kid: app.kid }) : oauth.TlsClientAuth()
    const token = await grant(as, app, method, custom)
    assert.equal(claims(token.access_token).cnf['x5t#S256'], thumbprint(app))
    const answer = await oauth.protectedResourceRequest(token.access_token, 'GET', apiOf(app), undefined, undefined, { [oauth.customFetch]: custom })
    assert.equal(answer.status, 200)
  })
}

test('oauth4webapi as a resource server: our DPoP-bound at+jwt validates, and not without its proof', async () => {
  const app = application('private_key_jwt', 'dpop')
  const custom = fetchAs()
  const as = await authorizationServer(custom)
  const auth = oauth.PrivateKeyJwt({ key: await signingKey(app), kid: app.kid })
  const keys = await oauth.generateKeyPair('ES256')
  const DPoP = oauth.DPoP({ client_id: app.client_id }, keys)
  const token = await grant(as, app, auth, custom, { DPoP })

  let sent
  const capture = async (url, options) => {
    sent = new Request(url, { method: options.method, headers: options.headers })
    return new Response(null, { status: 200 })
  }
  await oauth.protectedResourceRequest(token.access_token, 'GET', apiOf(app), undefined, undefined, { DPoP, [oauth.customFetch]: capture })
  const options = { [oauth.customFetch]: custom, requireDPoP: true }
  const judged = await oauth.validateJwtAccessToken(as, sent, app.resource, options)
  assert.equal(judged.client_id, app.client_id)
  assert.equal(judged.sub, app.client_id)

  const bare = new Request(apiOf(app), { headers: { authorization: `DPoP ${token.access_token}` } })
  await assert.rejects(oauth.validateJwtAccessToken(as, bare, app.resource, options))
})

test('oauth4webapi: another client’s key does not authenticate', async () => {
  const app = application('private_key_jwt', 'dpop')
  const custom = fetchAs()
  const as = await authorizationServer(custom)
  const { privateKey } = await oauth.generateKeyPair('ES256')
  const DPoP = oauth.DPoP({ client_id: app.client_id }, await oauth.generateKeyPair('ES256'))
  await assert.rejects(grant(as, app, oauth.PrivateKeyJwt({ key: privateKey, kid: app.kid }), custom, { DPoP }), (err) => err.error === 'invalid_client' && err.status === 401)
})

/** What every request needs: the server, the client, its method, the transport. */
async function prepared(app, { key, fetch } = {}) {
  const custom = fetch ?? fetchAs(app)
  const as = await authorizationServer(custom)
  const auth = app.auth_method === 'private_key_jwt' ? oauth.PrivateKeyJwt({ key: key ?? (await signingKey(app)), kid: app.kid }) : oauth.TlsClientAuth()
  return { as, auth, client: { client_id: app.client_id, use_mtls_endpoint_aliases: Boolean(app.cert_file) }, custom }
}

const handles = new WeakMap()

function handleOf(pair) {
  if (!handles.has(pair)) handles.set(pair, oauth.DPoP({}, pair))
  return handles.get(pair)
}

const library = {
  async token(app, { DPoP, ...options } = {}) {
    const { as, auth, custom } = await prepared(app, options)
    return grant(as, app, auth, custom, DPoP && { DPoP: handleOf(DPoP) })
  },
  async introspect(caller, token, options) {
    const { as, auth, client, custom } = await prepared(caller, options)
    const response = await oauth.introspectionRequest(as, client, auth, token, { [oauth.customFetch]: custom })
    return oauth.processIntrospectionResponse(as, client, response)
  },
  async revoke(caller, token, options) {
    const { as, auth, client, custom } = await prepared(caller, options)
    return oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, token, { [oauth.customFetch]: custom }))
  },
  async register(metadata, { initialAccessToken }) {
    const custom = fetchAs()
    const as = await authorizationServer(custom)
    return oauth.processDynamicClientRegistrationResponse(
      await oauth.dynamicClientRegistrationRequest(as, metadata, { initialAccessToken, [oauth.customFetch]: custom }),
    )
  },
  proofKey: (alg) => oauth.generateKeyPair(alg),
  thumbprintOf: (pair) => handleOf(pair).calculateThumbprint(),
}
cases('oauth4webapi', library)
registrationCases('oauth4webapi', library)

test('oauth4webapi: discovery by OpenID Connect finds the same server', async () => {
  const issuer = new URL(dev.issuer)
  const custom = fetchAs()
  const found = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oidc', [oauth.customFetch]: custom }))
  assert.deepEqual(found, await authorizationServer(custom))
})
