// curl, with keys and a proof that openssl makes: no library at all.
import test from 'node:test'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomBytes, createHash } from 'node:crypto'
import { apiOf, application, claims, dev, thumbprint } from './world.mjs'

const run = (command, args, input) => execFileSync(command, args, { input, stdio: ['pipe', 'pipe', 'pipe'] })

/** curl's status and body. */
function curl(...args) {
  const out = run('curl', ['-sS', '--cacert', dev.ca_file, '-w', '\n%{http_code}', ...args]).toString()
  const cut = out.lastIndexOf('\n')
  return { status: Number(out.slice(cut + 1)), body: out.slice(0, cut) }
}

/** The r||s form of the DER signature that openssl makes (RFC 7518 section 3.4). */
function ecdsaJWS(keyFile, header, payload) {
  const part = (v) => Buffer.from(JSON.stringify(v)).toString('base64url')
  const input = `${part(header)}.${part(payload)}`
  const der = run('openssl', ['dgst', '-sha256', '-sign', keyFile], input)
  const text = run('openssl', ['asn1parse', '-inform', 'DER'], der).toString()
  const [r, s] = [...text.matchAll(/INTEGER\s+:([0-9A-F]+)/g)].map((m) => Buffer.from(m[1].padStart(64, '0'), 'hex'))
  return `${input}.${Buffer.concat([r, s]).toString('base64url')}`
}

const now = () => Math.floor(Date.now() / 1000)

function assertion(app) {
  return ecdsaJWS(
    app.key_file,
    { alg: 'ES256', kid: app.kid, typ: 'client-authentication+jwt' },
    { iss: app.client_id, sub: app.client_id, aud: dev.issuer, jti: randomBytes(16).toString('hex'), iat: now(), exp: now() + 60 },
  )
}

test('curl and openssl: mutual TLS, token and API', () => {
  for (const auth of ['tls_client_auth', 'self_signed_tls_client_auth']) {
    const app = application(auth, 'mtls')
    const certificate = ['--cert', app.cert_file, '--key', app.cert_key_file]
    const answer = curl(...certificate, '-d', `grant_type=client_credentials&client_id=${app.client_id}&scope=${app.scope}`, dev.mtls_token_endpoint)
    assert.equal(answer.status, 200, answer.body)
    const token = JSON.parse(answer.body).access_token
    assert.equal(claims(token).cnf['x5t#S256'], thumbprint(app))
    assert.equal(curl(...certificate, '-H', `Authorization: Bearer ${token}`, apiOf(app).href).status, 200)
    assert.equal(curl('-H', `Authorization: Bearer ${token}`, apiOf(app).href).status, 401)
  }
})

/** A folder that is thrown away after the test. */
function folder(t) {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-curl-'))
  t.after(() => rmSync(dir, { recursive: true }))
  return dir
}

/** A P-256 key that openssl makes, and how to prove its possession (RFC 9449 section 4). */
function opensslKey(file) {
  run('openssl', ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', file])
  const point = run('openssl', ['pkey', '-in', file, '-pubout', '-outform', 'DER']).subarray(-64)
  const jwk = { kty: 'EC', crv: 'P-256', x: point.subarray(0, 32).toString('base64url'), y: point.subarray(32).toString('base64url') }
  return (method, url, extra) =>
    ecdsaJWS(file, { alg: 'ES256', typ: 'dpop+jwt', jwk }, { htm: method, htu: url, iat: now(), jti: randomBytes(16).toString('hex'), ...extra })
}

/** The file of a token request by private_key_jwt. */
function tokenForm(dir, app) {
  const file = join(dir, 'form')
  writeFileSync(
    file,
    new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion(app),
      scope: app.scope,
    }).toString(),
  )
  return file
}

const tokenHash = (token) => createHash('sha256').update(token).digest('base64url')

test('curl and openssl: private_key_jwt and DPoP with a key of openssl’s own', (t) => {
  const dir = folder(t)
  const app = application('private_key_jwt', 'dpop')
  const proof = opensslKey(join(dir, 'dpop.pem'))
  const form = tokenForm(dir, app)
  const request = () => curl('-H', `DPoP: ${proof('POST', dev.token_endpoint)}`, '-d', `@${form}`, dev.token_endpoint)
  const answer = request()
  assert.equal(answer.status, 200, answer.body)
  const token = JSON.parse(answer.body).access_token

  const replay = request()
  assert.equal(replay.status, 401)
  assert.equal(JSON.parse(replay.body).error, 'invalid_client')

  const api = apiOf(app).href
  const head = join(dir, 'head')
  const call = (nonce) =>
    curl('-D', head, '-H', `Authorization: DPoP ${token}`, '-H', `DPoP: ${proof('GET', api, { ath: tokenHash(token), ...(nonce && { nonce }) })}`, api)
  let got = call()
  if (got.status === 401) {
    const nonce = /^dpop-nonce: (.+)\r$/im.exec(readFileSync(head, 'utf8'))
    assert.ok(nonce, 'a 401 for want of a nonce brings one')
    got = call(nonce[1])
  }
  assert.equal(got.status, 200, got.body)
  assert.equal(curl('-H', `Authorization: Bearer ${token}`, api).status, 401)
})

test('curl and openssl: keys made by openssl become credentials through the admin API, and call', (t) => {
  const dir = folder(t)
  const operator = { client_id: dev.operator_client_id, key_file: dev.operator_key_file, kid: dev.operator_kid, scope: dev.operator_scope }
  const proof = opensslKey(join(dir, 'dpop.pem'))
  const answer = curl('-H', `DPoP: ${proof('POST', dev.token_endpoint)}`, '-d', `@${tokenForm(dir, operator)}`, dev.token_endpoint)
  assert.equal(answer.status, 200, answer.body)
  const token = JSON.parse(answer.body).access_token
  const admin = (path, body) => {
    const url = `${dev.admin_url}/v1${path}`
    const file = join(dir, 'body.json')
    writeFileSync(file, JSON.stringify(body))
    const got = curl('-H', `Authorization: DPoP ${token}`, '-H', `DPoP: ${proof('POST', url, { ath: tokenHash(token) })}`, '-H', 'Content-Type: application/json', '-d', `@${file}`, url)
    assert.equal(got.status, 201, got.body)
    return JSON.parse(got.body)
  }

  const key = join(dir, 'client.key')
  const certificate = join(dir, 'client.crt')
  for (const [auth, prepare] of [
    [
      'tls_client_auth',
      (app) => {
        run('openssl', ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', join(dir, 'csr'), '-subj', '/'])
        const issued = admin(`/applications/${app.client_id}/certificate-requests`, { csr: readFileSync(join(dir, 'csr'), 'utf8') })
        writeFileSync(certificate, issued.chain)
      },
    ],
    [
      'self_signed_tls_client_auth',
      (app) => {
        run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', certificate, '-subj', '/CN=made by openssl', '-days', '7', '-addext', 'extendedKeyUsage=clientAuth'])
        admin(`/applications/${app.client_id}/certificates`, { certificate: readFileSync(certificate, 'utf8') })
      },
    ],
  ]) {
    const app = application(auth, 'mtls')
    prepare(app)
    const mutual = ['--cert', certificate, '--key', key]
    const got = curl(...mutual, '-d', `grant_type=client_credentials&client_id=${app.client_id}`, dev.mtls_token_endpoint)
    assert.equal(got.status, 200, `${auth}: ${got.body}`)
    const bound = JSON.parse(got.body).access_token
    assert.equal(claims(bound).cnf['x5t#S256'], thumbprint({ cert_file: certificate }))
    assert.equal(curl(...mutual, '-H', `Authorization: Bearer ${bound}`, apiOf(app).href).status, 200, auth)
    assert.equal(curl('-H', `Authorization: Bearer ${bound}`, apiOf(app).href).status, 401, auth)
  }
})
