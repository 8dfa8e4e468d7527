// The world of the foreign clients: the samples of `holdfast dev` and what furnish
// adds, found through the world.json that HOLDFAST_WORLD names.
import { readFileSync } from 'node:fs'
import { createPrivateKey, X509Certificate, createHash } from 'node:crypto'
import { Agent, fetch as undiciFetch } from 'undici'

if (!process.env.HOLDFAST_WORLD) throw new Error('set HOLDFAST_WORLD to the world.json that furnish wrote')

export const world = JSON.parse(readFileSync(process.env.HOLDFAST_WORLD, 'utf8'))
export const dev = world.dev
export const ca = readFileSync(dev.ca_file, 'utf8')

/** The first sample application with this authentication method and binding. */
export function application(auth, binding) {
  const found = dev.clients.find((c) => c.auth_method === auth && c.binding === binding)
  if (!found) throw new Error(`dev.json has no client with ${auth} and ${binding}`)
  return found
}

/** The application that furnish made under this name. */
export function named(name) {
  const found = world.applications[name]
  if (!found) throw new Error(`world.json has no application ${name}`)
  return found
}

/** A fetch that trusts the dev CA and, with an application's certificate, shows it. */
export function fetchAs(app) {
  const connect = { ca }
  if (app?.cert_file) {
    connect.cert = readFileSync(app.cert_file, 'utf8')
    connect.key = readFileSync(app.cert_key_file, 'utf8')
  }
  const dispatcher = new Agent({ connect, keepAliveTimeout: 1000 })
  return (url, options) => undiciFetch(url, { ...options, dispatcher })
}

const webcrypto = {
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  EdDSA: { name: 'Ed25519' },
  PS256: { name: 'RSA-PSS', hash: 'SHA-256' },
}

/** The key that signs an application's assertions, as WebCrypto has it. */
export async function signingKey(app) {
  const pkcs8 = createPrivateKey(readFileSync(app.key_file)).export({ type: 'pkcs8', format: 'der' })
  return crypto.subtle.importKey('pkcs8', pkcs8, webcrypto[app.alg], false, ['sign'])
}

/** x5t#S256 of an application's certificate, computed by somebody else's code. */
export function thumbprint(app) {
  const leaf = new X509Certificate(readFileSync(app.cert_file))
  return createHash('sha256').update(leaf.raw).digest('base64url')
}

/** Claims of a JWT, unverified: what the tests look at, not what they trust. */
export function claims(jwt) {
  return JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url').toString())
}

/** Where an application's resource is served by the sample gateway. */
export const apiOf = (app) => new URL(app.resource + '/')
