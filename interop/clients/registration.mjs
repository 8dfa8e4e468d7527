// Dynamic registration (RFC 7591) through a library, and what follows from it.
// The libraries have no calls for the client configuration endpoint (RFC 7592):
// its requests are made here.
import test from 'node:test'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { X509Certificate } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { claims, dev, fetchAs, named, thumbprint, world } from './world.mjs'

const refused = (status, error) => (err) => {
  assert.equal(err.status ?? err.cause?.status, status, `${err}`)
  if (error) assert.equal(err.error, error, `${err}`)
  return true
}

/** A signing key as jwks has it. */
async function newKey() {
  const pair = await generateKeyPair('ES256', { extractable: true })
  const jwk = { ...(await exportJWK(pair.publicKey)), alg: 'ES256', use: 'sig' }
  jwk.kid = await calculateJwkThumbprint(jwk)
  return { ...pair, jwk }
}

const now = () => Math.floor(Date.now() / 1000)

const byKey = (key) => ({
  client_name: 'registered by a library',
  token_endpoint_auth_method: 'private_key_jwt',
  grant_types: ['client_credentials'],
  response_types: [],
  scope: world.scopes[0],
  dpop_bound_access_tokens: true,
  jwks: { keys: [key.jwk] },
})

/** The registered client as the other cases have applications. */
const application = (client, extra) => ({
  client_id: client.client_id,
  auth_method: client.token_endpoint_auth_method,
  scope: world.scopes[0],
  resource: world.resource,
  ...extra,
})

const assertionOf = (clientID, key) =>
  new SignJWT({ jti: crypto.randomUUID() })
    .setProtectedHeader({ alg: 'ES256', kid: key.jwk.kid })
    .setIssuer(clientID)
    .setSubject(clientID)
    .setAudience(dev.issuer)
    .setIssuedAt()
    .setExpirationTime(now() + 60)
    .sign(key.privateKey)

/** Proof of possession of a key that a registration is to have. */
async function keyProof(key, uri) {
  return new SignJWT({ aud: uri, jti: crypto.randomUUID(), jkt: await calculateJwkThumbprint(key.jwk), iat: now() })
    .setProtectedHeader({ alg: 'ES256', typ: 'key-proof+jwt' })
    .sign(key.privateKey)
}

/** A request to the client configuration endpoint. */
async function manage(method, uri, token, { body, headers } = {}) {
  const answer = await fetchAs()(uri, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }), ...headers },
    body: body && JSON.stringify(body),
  })
  const text = await answer.text()
  return { status: answer.status, json: text ? JSON.parse(text) : undefined, challenge: answer.headers.get('www-authenticate') }
}

export function registrationCases(name, library) {
  const title = (text) => `${name}: registration: ${text}`
  const register = (metadata, initialAccessToken = world.initial_access_token) => library.register(metadata, { initialAccessToken })

  test(title('private_key_jwt and DPoP; the client gets a token, reads itself, and is gone after DELETE'), async () => {
    const key = await newKey()
    const client = await register(byKey(key))
    assert.equal(client.scope, world.scopes[0])
    assert.equal(client.client_secret, undefined)
    assert.deepEqual(client.grant_types, ['client_credentials'])

    const app = application(client, { kid: key.jwk.kid, alg: 'ES256', binding: 'dpop' })
    const DPoP = await library.proofKey('ES256')
    const token = await library.token(app, { key: key.privateKey, DPoP })
    assert.equal((await library.introspect(named('server'), token.access_token)).client_id, client.client_id)

    const uri = client.registration_client_uri
    const read = await manage('GET', uri, client.registration_access_token)
    assert.equal(read.status, 200)
    assert.equal(read.json.client_id, client.client_id)
    assert.equal((await manage('GET', uri, 'another')).status, 401)

    const alone = await manage('DELETE', uri, client.registration_access_token)
    assert.equal(alone.status, 403, 'the registration token alone ends nothing')
    const stranger = await newKey()
    const forged = await manage('DELETE', uri, client.registration_access_token, { headers: { 'client-assertion': await assertionOf(client.client_id, stranger) } })
    assert.equal(forged.status, 403)
    const assertion = await assertionOf(client.client_id, key)
    const gone = await manage('DELETE', uri, client.registration_access_token, { headers: { 'client-assertion': assertion } })
    assert.equal(gone.status, 204)
    const after = await manage('GET', uri, client.registration_access_token)
    assert.equal(after.status, 401)
    assert.match(after.challenge, /error="invalid_token"/)
    await assert.rejects(library.token(app, { key: key.privateKey, DPoP }), refused(401, 'invalid_client'))
    assert.deepEqual(await library.introspect(named('server'), token.access_token), { active: false })
  })

  test(title('PUT turns the keys over, with proof of the old one and of the new one'), async () => {
    const [key, next] = [await newKey(), await newKey()]
    const client = await register(byKey(key))
    const uri = client.registration_client_uri
    const body = { ...byKey(next), client_id: client.client_id }
    const put = async (token, headers) => manage('PUT', uri, token, { body, headers })
    const proof = { 'key-proof': await keyProof(next, uri) }
    assert.equal((await put(client.registration_access_token, proof)).status, 403, 'the registration token alone changes nothing')
    const unproved = await put(client.registration_access_token, { 'client-assertion': await assertionOf(client.client_id, key) })
    assert.equal(unproved.status, 400)
    assert.equal(unproved.json.error, 'invalid_client_metadata')
    const changed = await put(client.registration_access_token, { ...proof, 'client-assertion': await assertionOf(client.client_id, key) })
    assert.equal(changed.status, 200, JSON.stringify(changed.json))
    assert.deepEqual(changed.json.jwks.keys.map((each) => each.kid), [next.jwk.kid])

    const old = client.registration_access_token
    assert.notEqual(changed.json.registration_access_token, old)
    assert.equal((await manage('GET', uri, old)).status, 200, 'an answer that was lost loses nothing')
    assert.equal((await manage('GET', uri, changed.json.registration_access_token)).status, 200)
    assert.equal((await manage('GET', uri, old)).status, 401, 'the old token ends when the new one is used')

    const DPoP = await library.proofKey('ES256')
    const app = (one) => application(client, { kid: one.jwk.kid, alg: 'ES256', binding: 'dpop' })
    await library.token(app(next), { key: next.privateKey, DPoP })
    await assert.rejects(library.token(app(key), { key: key.privateKey, DPoP: await library.proofKey('ES256') }), refused(401, 'invalid_client'))
  })

  test(title('a lost registration token is recovered by an active key'), async () => {
    const key = await newKey()
    const client = await register(byKey(key))
    const uri = client.registration_client_uri
    const recover = async (one) =>
      fetchAs()(`${uri}/recover`, { method: 'POST', headers: { 'client-assertion': await assertionOf(client.client_id, one) } })
    assert.equal((await recover(await newKey())).status, 401)
    const answer = await recover(key)
    assert.equal(answer.status, 200)
    const { registration_access_token } = await answer.json()
    assert.equal((await manage('GET', uri, registration_access_token)).status, 200)
    assert.equal((await manage('GET', uri, client.registration_access_token)).status, 401)
  })

  test(title('self_signed_tls_client_auth by x5c; the client gets a certificate-bound token'), async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'holdfast-register-'))
    t.after(() => rmSync(dir, { recursive: true }))
    const [keyFile, certFile] = [join(dir, 'key'), join(dir, 'crt')]
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', keyFile, '-out', certFile,
      '-subj', '/CN=registered', '-days', '7', '-addext', 'extendedKeyUsage=clientAuth'], { stdio: 'ignore' })
    const leaf = new X509Certificate(readFileSync(certFile))
    const jwk = { ...leaf.publicKey.export({ format: 'jwk' }), x5c: [leaf.raw.toString('base64')] }
    const client = await register({
      token_endpoint_auth_method: 'self_signed_tls_client_auth',
      grant_types: ['client_credentials'],
      scope: world.scopes[0],
      tls_client_certificate_bound_access_tokens: true,
      jwks: { keys: [jwk] },
    })
    const app = application(client, { cert_file: certFile, cert_key_file: keyFile, binding: 'mtls' })
    const token = await library.token(app)
    assert.equal(claims(token.access_token).cnf['x5t#S256'], thumbprint(app))
    await assert.rejects(library.token({ ...app, cert_file: named('own').cert_file, cert_key_file: named('own').cert_key_file }), refused(401, 'invalid_client'))
  })

  test(title('no initial access token, or a wrong one, registers nobody'), async () => {
    const key = await newKey()
    await assert.rejects(library.register(byKey(key), {}), refused(401))
    await assert.rejects(register(byKey(key), 'hfi_wrong'), refused(401))
  })

  test(title('metadata that is refused, with the code of RFC 7591'), async () => {
    const key = await newKey()
    const good = byKey(key)
    for (const [what, change, code = 'invalid_client_metadata'] of [
      ['both jwks and jwks_uri', { jwks_uri: 'https://keys.interop.test/jwks.json' }],
      ['a private key', { jwks: { keys: [{ ...(await exportJWK(key.privateKey)), alg: 'ES256' }] } }],
      ['no keys', { jwks: undefined }],
      ['client_secret_basic', { token_endpoint_auth_method: 'client_secret_basic' }],
      ['tls_client_auth_subject_dn', { token_endpoint_auth_method: 'tls_client_auth', jwks: undefined, tls_client_auth_subject_dn: 'CN=x' }],
      ['authorization_code', { grant_types: ['authorization_code'] }],
      ['a redirect URI', { redirect_uris: ['https://elsewhere.test/'] }, 'invalid_redirect_uri'],
      ['a scope beyond the token', { scope: 'payments' }],
      ['tokens that are bound to nothing', { dpop_bound_access_tokens: false }],
    ]) {
      await assert.rejects(register({ ...good, ...change }), refused(400, code), what)
    }
    await register(good)
  })
}
