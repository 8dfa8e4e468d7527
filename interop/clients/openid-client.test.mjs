// openid-client 6 against a running `holdfast dev`.
import test from 'node:test'
import assert from 'node:assert/strict'
import { calculateJwkThumbprint, exportJWK } from 'jose'
import * as client from 'openid-client'
import { cases } from './cases.mjs'
import { registrationCases } from './registration.mjs'
import { apiOf, application, claims, dev, fetchAs, signingKey, thumbprint } from './world.mjs'

/** Discovery by RFC 8414 and a configuration that calls through the right transport. */
async function configure(app, auth, metadata = {}) {
  return client.discovery(new URL(dev.issuer), app.client_id, metadata, auth, {
    algorithm: 'oauth2',
    [client.customFetch]: fetchAs(app),
  })
}

const parameters = (app) => ({ scope: app.scope, resource: app.resource })

test('openid-client: private_key_jwt and DPoP, nonce of the gateway included', async () => {
  const app = application('private_key_jwt', 'dpop')
  const config = await configure(app, client.PrivateKeyJwt({ key: await signingKey(app), kid: app.kid }))
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
  const tokens = await client.clientCredentialsGrant(config, parameters(app), { DPoP })
  assert.equal(tokens.token_type, 'dpop')
  assert.equal(claims(tokens.access_token).cnf.jkt, await DPoP.calculateThumbprint())

  const answer = await client.fetchProtectedResource(config, tokens.access_token, apiOf(app), 'GET', null, undefined, { DPoP })
  assert.equal(answer.status, 200)
  assert.equal((await answer.json()).client, app.client_id)
})

test('openid-client: the DPoP-bound token opens nothing for another key', async () => {
  const app = application('private_key_jwt', 'dpop')
  const config = await configure(app, client.PrivateKeyJwt({ key: await signingKey(app), kid: app.kid }))
  const mine = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
  const thiefs = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
  const tokens = await client.clientCredentialsGrant(config, parameters(app), { DPoP: mine })
  await assert.rejects(
    client.fetchProtectedResource(config, tokens.access_token, apiOf(app), 'GET', null, undefined, { DPoP: thiefs }),
    (err) => err.status === 401,
  )
})

for (const [auth, method] of [
  ['private_key_jwt', async (app) => client.PrivateKeyJwt({ key: await signingKey(app), kid: app.kid })],
  ['tls_client_auth', async () => client.TlsClientAuth()],
  ['self_signed_tls_client_auth', async () => client.TlsClientAuth()],
]) {
  test(`openid-client: ${auth} and a certificate-bound token`, async () => {
    const app = application(auth, 'mtls')
    const config = await configure(app, await method(app), { use_mtls_endpoint_aliases: true })
    const tokens = await client.clientCredentialsGrant(config, parameters(app))
    assert.equal(tokens.token_type, 'bearer')
    assert.equal(claims(tokens.access_token).cnf['x5t#S256'], thumbprint(app))

    const answer = await client.fetchProtectedResource(config, tokens.access_token, apiOf(app), 'GET')
    assert.equal(answer.status, 200)
    assert.equal((await answer.json()).client, app.client_id)

    const stolen = await fetchAs()(apiOf(app), { headers: { authorization: `Bearer ${tokens.access_token}` } })
    assert.equal(stolen.status, 401)
    assert.match(stolen.headers.get('www-authenticate'), /Bearer .*error="invalid_token"/)
  })
}

test('openid-client: a revoked token is refused', async () => {
  const app = application('tls_client_auth', 'mtls')
  const config = await configure(app, client.TlsClientAuth(), { use_mtls_endpoint_aliases: true })
  const tokens = await client.clientCredentialsGrant(config, parameters(app))
  await client.tokenRevocation(config, tokens.access_token)
  const deadline = Date.now() + 4000
  for (;;) {
    const status = await client
      .fetchProtectedResource(config, tokens.access_token, apiOf(app), 'GET')
      .then((r) => r.status, (err) => err.status)
    if (status === 401) break
    assert.ok(Date.now() < deadline, `still ${status} four seconds after the revocation`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
})

/** The method of the application, with its key or another. */
const methodOf = async (app, key) =>
  app.auth_method === 'private_key_jwt' ? client.PrivateKeyJwt({ key: key ?? (await signingKey(app)), kid: app.kid }) : client.TlsClientAuth()

async function configured(app, { key, fetch }) {
  return client.discovery(new URL(dev.issuer), app.client_id, { use_mtls_endpoint_aliases: Boolean(app.cert_file) }, await methodOf(app, key), {
    algorithm: 'oauth2',
    [client.customFetch]: fetch ?? fetchAs(app),
  })
}

const handles = new Map() // a DPoP handle belongs to a configuration: one for each key and transport

const library = {
  async token(app, { DPoP, ...options } = {}) {
    const id = DPoP && `${await thumbprintOf(DPoP)} ${options.fetch ? 'recorded' : ''}`
    if (!handles.has(id)) {
      const config = await configured(app, options)
      handles.set(id, { config, handle: DPoP && client.getDPoPHandle(config, DPoP) })
    }
    const { config, handle } = handles.get(id)
    if (!DPoP) handles.delete(id)
    return client.clientCredentialsGrant(config, parameters(app), DPoP && { DPoP: handle })
  },
  introspect: async (caller, token, options = {}) => client.tokenIntrospection(await configured(caller, options), token),
  revoke: async (caller, token, options = {}) => client.tokenRevocation(await configured(caller, options), token),
  async register(metadata, { initialAccessToken }) {
    const config = await client.dynamicClientRegistration(new URL(dev.issuer), metadata, client.None(), {
      algorithm: 'oauth2',
      initialAccessToken,
      [client.customFetch]: fetchAs(),
    })
    return config.clientMetadata()
  },
  proofKey: (alg) => client.randomDPoPKeyPair(alg),
  thumbprintOf,
}
cases('openid-client', library)
registrationCases('openid-client', library)

async function thumbprintOf(pair) {
  return calculateJwkThumbprint(await exportJWK(pair.publicKey))
}
