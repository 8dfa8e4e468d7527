// The cases that every OAuth library of JavaScript must pass, each through the
// library's own calls. A library is an object with these functions, which
// reject with an error that has `error` and `status`:
//
//   token(app, options)              -> the token response
//   introspect(caller, token, options) -> the introspection response
//   revoke(caller, token, options)
//   proofKey(alg)                    -> something for options.DPoP
//   thumbprintOf(DPoP)               -> its jkt
//
// Options: `fetch` replaces the transport, `key` the signing key, `DPoP` proves.
import test from 'node:test'
import assert from 'node:assert/strict'
import { claims, dev, fetchAs, named, signingKey, thumbprint, world } from './world.mjs'

const dpopApplications = ['es256', 'ps256', 'eddsa']
const mtlsApplications = ['es256-mtls', 'ps256-mtls', 'eddsa-mtls', 'ca', 'own']

const refused = (status, error) => (err) => {
  assert.equal(err.error, error, `${err}`)
  assert.equal(err.status, status)
  return true
}

/** The application with somebody else's certificate. */
const withCertificateOf = (app, other) => ({ ...app, cert_file: other.cert_file, cert_key_file: other.cert_key_file })

/** A fetch that keeps what was sent to the token endpoint, and may change it first. */
function recording(app, change = () => {}) {
  const inner = fetchAs(app)
  const sent = []
  const custom = (url, options) => {
    if (new URL(url).pathname.endsWith('/token')) {
      const headers = new Headers(options.headers)
      const copy = { ...options, headers, body: String(options.body) }
      change(copy, sent)
      sent.push({ url, ...copy })
      return inner(url, { ...copy, headers: Object.fromEntries(headers) })
    }
    return inner(url, options)
  }
  return { custom, sent }
}

export function cases(name, library) {
  const title = (text) => `${name}: ${text}`
  const tokenOf = async (app, options = {}) =>
    library.token(app, app.binding === 'dpop' ? { DPoP: await library.proofKey('ES256'), ...options } : options)

  for (const each of dpopApplications) {
    test(title(`private_key_jwt with ${named(each).alg}, a DPoP-bound token, introspected and revoked`), async () => {
      const app = named(each)
      const DPoP = await library.proofKey('ES256')
      const token = await library.token(app, { DPoP })
      assert.equal(token.token_type, 'dpop')
      assert.equal(claims(token.access_token).cnf.jkt, await library.thumbprintOf(DPoP))
      await introspectedAndRevoked(app, token.access_token)
    })
  }
  for (const alg of ['PS256', 'Ed25519']) {
    test(title(`a DPoP proof with ${alg}`), async () => {
      const DPoP = await library.proofKey(alg)
      const token = await library.token(named('es256'), { DPoP })
      assert.equal(claims(token.access_token).cnf.jkt, await library.thumbprintOf(DPoP))
    })
  }
  for (const each of mtlsApplications) {
    const app = named(each)
    test(title(`${[app.auth_method, app.alg].filter(Boolean).join(' ')} and a certificate-bound token, introspected and revoked`), async () => {
      const token = await library.token(app)
      assert.equal(token.token_type, 'bearer')
      assert.equal(claims(token.access_token).cnf['x5t#S256'], thumbprint(app))
      await introspectedAndRevoked(app, token.access_token)
    })
  }

  /** RFC 7662 and RFC 7009, by an assertion and by a certificate. */
  async function introspectedAndRevoked(app, token) {
    for (const each of ['server', 'server-ca']) {
      const answer = await library.introspect(named(each), token)
      assert.equal(answer.active, true, `${each} is told of the token`)
      assert.equal(answer.client_id, app.client_id)
      assert.equal(answer.aud, world.resource)
      assert.equal(answer.scope, app.scope)
      assert.deepEqual(answer.cnf, claims(token).cnf)
    }
    await library.revoke(app, token)
    await library.revoke(app, token)
    assert.deepEqual(await library.introspect(named('server'), token), { active: false })
  }

  test(title('introspection tells an application that does not serve the resource nothing'), async () => {
    const { access_token } = await tokenOf(named('es256'))
    assert.deepEqual(await library.introspect(named('stranger'), access_token), { active: false })
    assert.deepEqual(await library.introspect(named('es256'), access_token), { active: false })
    assert.deepEqual(await library.introspect(named('server'), 'not-a-token'), { active: false })
  })

  test(title('introspection and revocation refuse a key that is not the caller’s'), async () => {
    const { access_token } = await tokenOf(named('es256'))
    const key = await signingKey(named('stranger'))
    await assert.rejects(library.introspect(named('server'), access_token, { key }), refused(401, 'invalid_client'))
    await assert.rejects(library.revoke(named('es256'), access_token, { key }), refused(401, 'invalid_client'))
    assert.equal((await library.introspect(named('server'), access_token)).active, true, 'it lives on')
  })

  test(title('another client’s token is not revoked'), async () => {
    const { access_token } = await tokenOf(named('es256'))
    await assert.rejects(library.revoke(named('stranger'), access_token), refused(400, 'invalid_grant'))
    assert.equal((await library.introspect(named('server'), access_token)).active, true, 'it lives on')
    await library.revoke(named('es256'), 'not-a-token')
  })

  test(title('use_dpop_nonce at the token endpoint, answered with the nonce'), async () => {
    const app = named('nonce')
    const { custom, sent } = recording(app)
    const DPoP = await library.proofKey('ES256')
    const token = await library.token(app, { DPoP, fetch: custom })
    assert.equal(claims(token.access_token).cnf.jkt, await library.thumbprintOf(DPoP))
    assert.equal(sent.length, 2, 'one refusal, one success')
    assert.equal(claims(sent[0].headers.get('dpop')).nonce, undefined)
    assert.equal(typeof claims(sent[1].headers.get('dpop')).nonce, 'string')
    await library.token(app, { DPoP, fetch: custom })
    assert.equal(sent.length, 3, 'the nonce of the last answer is good for the next request')
  })

  for (const [each, thief] of [
    ['ca', 'stranger-ca'],
    ['ca', 'stranger-own'],
    ['ca', 'server-ca'],
    ['own', 'stranger-own'],
    ['own', 'ca'],
  ]) {
    test(title(`${named(each).auth_method}: the certificate of ${thief} is refused`), async () => {
      await assert.rejects(library.token(withCertificateOf(named(each), named(thief))), refused(401, 'invalid_client'))
    })
  }
  test(title('a certificate of another application binds no token beside a good assertion'), async () => {
    await assert.rejects(library.token(withCertificateOf(named('es256-mtls'), named('ca'))), refused(400, 'invalid_request'))
  })
  test(title('no certificate: neither authenticated nor bound'), async () => {
    for (const [each, status, error] of [
      ['ca', 401, 'invalid_client'],
      ['own', 401, 'invalid_client'],
      ['es256-mtls', 400, 'invalid_request'],
    ]) {
      await assert.rejects(library.token(named(each), { fetch: fetchAs() }), refused(status, error), each)
    }
  })
  test(title('no DPoP proof: no token'), async () => {
    await assert.rejects(library.token(named('es256')), refused(400, 'invalid_dpop_proof'))
  })

  test(title('a replayed assertion is refused'), async () => {
    const app = named('es256')
    const { custom } = recording(app, (request, sent) => {
      if (sent.length) request.body = sent[0].body
    })
    await tokenOf(app, { fetch: custom })
    await assert.rejects(tokenOf(app, { fetch: custom }), refused(401, 'invalid_client'))
  })
  test(title('a replayed proof is refused'), async () => {
    const app = named('es256')
    const { custom } = recording(app, (request, sent) => {
      if (sent.length) request.headers.set('dpop', sent[0].headers.get('dpop'))
    })
    await tokenOf(app, { fetch: custom })
    await assert.rejects(tokenOf(app, { fetch: custom }), refused(400, 'invalid_dpop_proof'))
  })
  test(title('an assertion that got a token is refused at introspection and revocation'), async () => {
    const app = named('es256')
    const { custom, sent } = recording(app)
    const { access_token } = await tokenOf(app, { fetch: custom })
    const used = new URLSearchParams(sent[0].body)
    for (const endpoint of [dev.introspection_endpoint, dev.revocation_endpoint]) {
      const body = new URLSearchParams({ token: access_token })
      for (const each of ['client_assertion', 'client_assertion_type']) body.set(each, used.get(each))
      const answer = await fetchAs()(endpoint, { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: String(body) })
      assert.equal(answer.status, 401, endpoint)
      assert.equal((await answer.json()).error, 'invalid_client')
    }
    assert.equal((await library.introspect(named('server'), access_token)).active, true, 'it lives on')
  })
  test(title('introspection and revocation refuse another application’s certificate'), async () => {
    const { access_token } = await tokenOf(named('ca'))
    for (const thief of ['stranger-ca', 'stranger-own', 'ca']) {
      await assert.rejects(library.introspect(withCertificateOf(named('server-ca'), named(thief)), access_token), refused(401, 'invalid_client'), thief)
    }
    await assert.rejects(library.revoke(withCertificateOf(named('ca'), named('stranger-ca')), access_token), refused(401, 'invalid_client'))
    assert.equal((await library.introspect(named('server-ca'), access_token)).active, true, 'it lives on')
  })
  test(title('a replayed request is refused whole'), async () => {
    const app = named('ps256')
    const { custom, sent } = recording(app)
    await tokenOf(app, { fetch: custom })
    const again = await fetchAs(app)(sent[0].url, { method: 'POST', headers: Object.fromEntries(sent[0].headers), body: sent[0].body })
    assert.equal(again.status, 401)
    assert.equal((await again.json()).error, 'invalid_client')
  })

  test(title('a scope beyond the grant, an unknown resource, an unknown grant'), async () => {
    const app = named('es256')
    const ask = async (parameters) => tokenOf({ ...app, ...parameters })
    await assert.rejects(ask({ scope: 'reports' }), refused(400, 'invalid_scope'))
    await assert.rejects(ask({ resource: 'https://elsewhere.test/' }), refused(400, 'invalid_target'))
    await assert.rejects(ask({ resource: `${dev.gateway_url}/payments` }), refused(400, 'invalid_scope'))
  })
}
