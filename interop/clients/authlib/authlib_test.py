"""Authlib and requests against a running `holdfast dev`.

Authlib signs assertions for the token endpoint's URL and for an hour; it is
told the issuer and 60 s, and what it does untold is refused. It has no DPoP:
proofs are made here with its JWS library.
"""

import base64
import contextlib
import hashlib
import json
import os
import secrets
import time
import unittest
import warnings

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.auth import encode_none
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oauth2.rfc9068.claims import JWTAccessTokenClaimsValidator
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

with open(os.environ["HOLDFAST_WORLD"], encoding="utf-8") as file:
    WORLD = json.load(file)
DEV = WORLD["dev"]
APPLICATIONS = WORLD["applications"]
CA = DEV["ca_file"]
MTLS = DEV["mtls_token_endpoint"].removesuffix("/token")
KINDS = {"ES256": ECKey, "PS256": RSAKey, "EdDSA": OKPKey}


def read(path):
    with open(path, "rb") as file:
        return file.read()


def key_of(app):
    return KINDS[app["alg"]].import_key(read(app["key_file"]))


def claims_of(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def thumbprint(cert_file):
    return b64(x509.load_pem_x509_certificates(read(cert_file))[0].fingerprint(hashes.SHA256()))


def base(app):
    """Where the application's endpoints are (RFC 8705 section 5)."""
    return MTLS if app.get("cert_file") else DEV["issuer"]


def session(app, key=None, alg=None, claims=None):
    """A session of the application. claims None is what Holdfast asks for."""
    s = OAuth2Session(app["client_id"], key or (app.get("key_file") and key_of(app)),
                      token_endpoint_auth_method=app["auth_method"], revocation_endpoint_auth_method=app["auth_method"])
    s.verify = CA
    s.trust_env = False
    if app.get("cert_file"):
        s.cert = (app["cert_file"], app["cert_key_file"])
    if app["auth_method"] == "private_key_jwt":
        if claims is None:
            claims = {"aud": DEV["issuer"], "exp": int(time.time()) + 60}
        s.register_client_auth_method(PrivateKeyJWT(None, claims, {"kid": app["kid"]}, alg or app["alg"]))
    else:  # the certificate says it all; client_id goes into the form
        s.register_client_auth_method((app["auth_method"], encode_none))
    return s


class Prover:
    """A DPoP key (RFC 9449)."""

    def __init__(self, alg="ES256"):
        self.alg = alg
        self.key = {"ES256": lambda: ECKey.generate_key("P-256"), "PS256": lambda: RSAKey.generate_key(2048),
                    "EdDSA": lambda: OKPKey.generate_key("Ed25519")}[alg]()

    def proof(self, method, url, token=None, header=None, **claims):
        payload = {"jti": secrets.token_urlsafe(16), "htm": method, "htu": url, "iat": int(time.time()), **claims}
        if token:
            payload["ath"] = b64(hashlib.sha256(token.encode()).digest())
        protected = {"typ": "dpop+jwt", "alg": self.alg, "jwk": self.key.as_dict(private=False), **(header or {})}
        return jwt.encode(protected, payload, self.key, algorithms=[self.alg])

    def thumbprint(self):
        return self.key.thumbprint()


HEADERS = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded;charset=UTF-8"}


def fetch(app, prover=None, proof=None, using=None, **parameters):
    """A token for the application; parameters join the form."""
    url = base(app) + "/token"
    headers = dict(HEADERS)
    if prover and proof is None:
        proof = prover.proof("POST", url)
    if proof:
        headers["DPoP"] = proof
    form = {"grant_type": "client_credentials", "scope": app["scope"], "resource": app["resource"], **parameters}
    return (using or session(app)).fetch_token(url, headers=headers, **form)


def introspect(caller, token, **options):
    answer = session(caller, **options).introspect_token(base(caller) + "/introspect", token=token)
    return answer.status_code, answer.json()


def revoke(caller, token, **options):
    return session(caller, **options).revoke_token(base(caller) + "/revoke", token=token)


class Refusals(unittest.TestCase):
    @contextlib.contextmanager
    def refused(self, error):
        with self.assertRaises(OAuthError) as caught:
            yield
        self.assertEqual(caught.exception.error, error)


class Tokens(Refusals):
    def lives_and_dies(self, app, token):
        for caller in ("server", "server-ca"):
            status, answer = introspect(APPLICATIONS[caller], token)
            self.assertEqual((status, answer["active"], answer["client_id"]), (200, True, app["client_id"]), caller)
            self.assertEqual(answer["cnf"], claims_of(token)["cnf"])
        self.assertEqual(revoke(app, token).status_code, 200)
        self.assertEqual(introspect(APPLICATIONS["server"], token), (200, {"active": False}))

    def by_key_and_proof(self, name, alg=None):
        app, prover = APPLICATIONS[name], Prover()
        token = fetch(app, prover, using=session(app, alg=alg))
        self.assertEqual(token["token_type"], "DPoP")
        self.assertEqual(claims_of(token["access_token"])["cnf"], {"jkt": prover.thumbprint()})
        self.lives_and_dies(app, token["access_token"])

    def by_certificate(self, name):
        app = APPLICATIONS[name]
        token = fetch(app)
        self.assertEqual(token["token_type"], "Bearer")
        self.assertEqual(claims_of(token["access_token"])["cnf"], {"x5t#S256": thumbprint(app["cert_file"])})
        self.lives_and_dies(app, token["access_token"])

    def test_es256_dpop(self):
        """private_key_jwt ES256, DPoP, introspection, revocation"""
        self.by_key_and_proof("es256")

    def test_ps256_dpop(self):
        """private_key_jwt PS256, DPoP, introspection, revocation"""
        self.by_key_and_proof("ps256")

    def test_eddsa_dpop(self):
        """private_key_jwt EdDSA, DPoP, introspection, revocation"""
        self.by_key_and_proof("eddsa")

    def test_ed25519_dpop(self):
        """private_key_jwt Ed25519 (RFC 9864) with the key registered as EdDSA"""
        self.by_key_and_proof("eddsa", alg="Ed25519")

    def test_es256_mtls(self):
        """private_key_jwt ES256, certificate-bound token by requests' cert="""
        self.by_certificate("es256-mtls")

    def test_ps256_mtls(self):
        """private_key_jwt PS256, certificate-bound token"""
        self.by_certificate("ps256-mtls")

    def test_eddsa_mtls(self):
        """private_key_jwt EdDSA, certificate-bound token"""
        self.by_certificate("eddsa-mtls")

    def test_tls_client_auth(self):
        """tls_client_auth, certificate-bound token"""
        self.by_certificate("ca")

    def test_self_signed(self):
        """self_signed_tls_client_auth, certificate-bound token"""
        self.by_certificate("own")

    def test_proof_algorithms(self):
        """DPoP proofs with ES256, PS256 and EdDSA"""
        for alg in ("ES256", "PS256", "EdDSA"):
            prover = Prover(alg)
            token = fetch(APPLICATIONS["es256"], prover)
            self.assertEqual(claims_of(token["access_token"])["cnf"], {"jkt": prover.thumbprint()}, alg)

    def test_nonce(self):
        """use_dpop_nonce at the token endpoint, answered with the nonce and the same assertion"""
        app, prover, url = APPLICATIONS["nonce"], Prover(), DEV["token_endpoint"]
        seen = []
        s = session(app)
        s.register_compliance_hook("access_token_response", lambda answer: seen.append(answer) or answer)
        with self.refused("use_dpop_nonce"):
            fetch(app, prover, using=s)
        nonce = seen[0].headers["DPoP-Nonce"]
        token = fetch(app, proof=prover.proof("POST", url, nonce=nonce), using=s)
        self.assertEqual(claims_of(token["access_token"])["cnf"], {"jkt": prover.thumbprint()})
        with self.refused("use_dpop_nonce"):
            fetch(app, proof=Prover().proof("POST", url, nonce=nonce))

    def test_api_dpop(self):
        """the gateway opens for the DPoP-bound token with its proof, and not as Bearer"""
        app, prover = next(c for c in DEV["clients"] if c["binding"] == "dpop"), Prover()
        token = fetch(app, prover)["access_token"]
        url = app["resource"] + "/"
        call = lambda scheme, **headers: requests.get(url, verify=CA, timeout=10, headers={"Authorization": f"{scheme} {token}", **headers})
        answer = call("DPoP", DPoP=prover.proof("GET", url, token))
        if answer.status_code == 401:  # a gateway that has just started wants a nonce
            answer = call("DPoP", DPoP=prover.proof("GET", url, token, nonce=answer.headers["DPoP-Nonce"]))
        self.assertEqual(answer.status_code, 200, answer.text)
        self.assertEqual(call("Bearer").status_code, 401)

    def test_api_mtls(self):
        """the gateway opens for the certificate-bound token with its certificate, and not without"""
        for app in DEV["clients"]:
            if app["binding"] != "mtls":
                continue
            token = fetch(app)["access_token"]
            call = lambda cert: requests.get(app["resource"] + "/", verify=CA, cert=cert, timeout=10, headers={"Authorization": f"Bearer {token}"}).status_code
            self.assertEqual(call((app["cert_file"], app["cert_key_file"])), 200)
            stranger = APPLICATIONS["stranger-ca"]
            self.assertEqual(call((stranger["cert_file"], stranger["cert_key_file"])), 401)
            self.assertEqual(call(None), 401)

    def test_jwt_access_token(self):
        """the access token verifies under our JWKS and as RFC 9068"""
        token = fetch(APPLICATIONS["es256"], Prover())["access_token"]
        keys = KeySet.import_key_set(requests.get(DEV["issuer"] + "/.well-known/jwks.json", verify=CA, timeout=10).json())
        decoded = jwt.decode(token, keys, algorithms=["ES256"])
        self.assertEqual(decoded.header["typ"], "at+jwt")
        JWTAccessTokenClaimsValidator(
            iss={"essential": True, "value": DEV["issuer"]}, aud={"essential": True, "value": WORLD["resource"]},
            client_id={"essential": True, "value": APPLICATIONS["es256"]["client_id"]}, sub={"essential": True},
            exp={"essential": True}, iat={"essential": True}, jti={"essential": True}, scope={"essential": True},
        ).validate(decoded.claims)


class Defaults(Refusals):
    """What Authlib does when it is not told."""

    app = APPLICATIONS["es256"]

    def attempt(self, claims):
        return fetch(self.app, Prover(), using=session(self.app, claims=claims))

    def test_untold(self):
        """Authlib's defaults (aud the token endpoint, exp in an hour) are refused"""
        with self.refused("invalid_client"):
            self.attempt({})

    def test_audience_only(self):
        """the issuer as aud, but Authlib's hour: refused"""
        with self.refused("invalid_client"):
            self.attempt({"aud": DEV["issuer"]})

    def test_expiry_only(self):
        """60 s, but Authlib's aud: refused"""
        with self.refused("invalid_client"):
            self.attempt({"exp": int(time.time()) + 60})

    def test_told(self):
        """both set: a token"""
        self.assertIn("access_token", self.attempt({"aud": DEV["issuer"], "exp": int(time.time()) + 60}))

    def test_one_method_twice(self):
        """a PrivateKeyJWT with claims sends one jti for ever: its second request is refused"""
        s = session(self.app)
        fetch(self.app, Prover(), using=s)
        with self.refused("invalid_client"):
            fetch(self.app, Prover(), using=s)

    def test_algorithm(self):
        """RS256, Authlib's algorithm, is refused"""
        app = APPLICATIONS["ps256"]
        with self.refused("invalid_client"):
            fetch(app, Prover(), using=session(app, alg="RS256"))

    def test_secret(self):
        """client_secret_basic, Authlib's method, is refused"""
        s = OAuth2Session(self.app["client_id"], "secret")
        s.verify, s.trust_env = CA, False
        with self.refused("invalid_client"):
            fetch(self.app, Prover(), using=s)


class Wrong(Refusals):
    def test_certificates(self):
        """another application's certificate is refused"""
        for name, thief, error in (
            ("ca", "stranger-ca", "invalid_client"), ("ca", "stranger-own", "invalid_client"), ("ca", "server-ca", "invalid_client"),
            ("own", "stranger-own", "invalid_client"), ("own", "ca", "invalid_client"), ("es256-mtls", "ca", "invalid_request"),
        ):
            other = APPLICATIONS[thief]
            app = {**APPLICATIONS[name], "cert_file": other["cert_file"], "cert_key_file": other["cert_key_file"]}
            with self.subTest(f"{name} with {thief}"), self.refused(error):
                fetch(app)

    def test_no_certificate(self):
        """no certificate is refused"""
        for name, error in (("ca", "invalid_client"), ("own", "invalid_client"), ("es256-mtls", "invalid_request")):
            s = session(APPLICATIONS[name])
            s.cert = None
            with self.subTest(name), self.refused(error):
                fetch(APPLICATIONS[name], using=s)

    def test_key(self):
        """another application's key is refused at every endpoint"""
        app, server, key = APPLICATIONS["es256"], APPLICATIONS["server"], key_of(APPLICATIONS["stranger"])
        with self.refused("invalid_client"):
            fetch(app, Prover(), using=session(app, key=key))
        token = fetch(app, Prover())["access_token"]
        status, answer = introspect(server, token, key=key)
        self.assertEqual((status, answer["error"]), (401, "invalid_client"))
        self.assertEqual(revoke(app, token, key=key).status_code, 401)
        self.assertTrue(introspect(server, token)[1]["active"])

    def test_proof_replayed(self):
        """a replayed proof is refused"""
        app = APPLICATIONS["es256"]
        proof = Prover().proof("POST", DEV["token_endpoint"])
        fetch(app, proof=proof)
        with self.refused("invalid_dpop_proof"):
            fetch(app, proof=proof)

    def test_proofs(self):
        """a proof for another method, URL or time, of another typ, or with the private key is refused"""
        prover, url = Prover(), DEV["token_endpoint"]
        for name, proof in {
            "GET": prover.proof("GET", url), "another URL": prover.proof("POST", DEV["introspection_endpoint"]),
            "an hour old": prover.proof("POST", url, iat=int(time.time()) - 3600),
            "an hour ahead": prover.proof("POST", url, iat=int(time.time()) + 3600),
            "typ JWT": prover.proof("POST", url, header={"typ": "JWT"}),
            "the private key": prover.proof("POST", url, header={"jwk": prover.key.as_dict(private=True)}),
            "another key": prover.proof("POST", url, header={"jwk": Prover().key.as_dict(private=False)}),
        }.items():
            with self.subTest(name), self.refused("invalid_dpop_proof"):
                fetch(APPLICATIONS["es256"], proof=proof)
        with self.refused("invalid_dpop_proof"):
            fetch(APPLICATIONS["es256"])

    def test_introspection(self):
        """introspection tells a stranger nothing; another's token is not revoked"""
        token = fetch(APPLICATIONS["es256"], Prover())["access_token"]
        self.assertEqual(introspect(APPLICATIONS["stranger"], token), (200, {"active": False}))
        answer = revoke(APPLICATIONS["stranger"], token)
        self.assertEqual((answer.status_code, answer.json()["error"]), (400, "invalid_grant"))
        self.assertTrue(introspect(APPLICATIONS["server"], token)[1]["active"])

    def test_scopes(self):
        """a scope beyond the grant, an unknown resource, an unknown grant type"""
        app = APPLICATIONS["es256"]
        for parameters, error in (({"scope": "reports"}, "invalid_scope"), ({"resource": "https://elsewhere.test/"}, "invalid_target"),
                                  ({"grant_type": "password"}, "unsupported_grant_type")):
            with self.subTest(str(parameters)), self.refused(error):
                fetch(app, Prover(), **parameters)


class Metadata(unittest.TestCase):
    def documents(self):
        for path in ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"):
            yield requests.get(DEV["issuer"] + path, verify=CA, timeout=10).json()

    def test_metadata(self):
        """AuthorizationServerMetadata finds nothing wrong but the empty response_types_supported"""
        for document in self.documents():
            metadata = AuthorizationServerMetadata(document)
            with self.assertRaisesRegex(ValueError, "response_types_supported"):  # a list of none is none, for Authlib
                metadata.validate()
            self.assertEqual(metadata["response_types_supported"], [])
            metadata["response_types_supported"] = ["none"]
            metadata.validate()
            self.assertEqual(metadata["issuer"], DEV["issuer"])
            self.assertEqual(metadata["token_endpoint"], DEV["token_endpoint"])


class Lines(unittest.TestResult):
    """One line for each case; a skipped one has failed."""

    def __init__(self):
        super().__init__()
        self.good = self.bad = 0

    def startTest(self, test):
        super().startTest(test)
        self.before = self.count()

    def count(self):
        return len(self.failures) + len(self.errors) + len(self.skipped) + len(self.expectedFailures) + len(self.unexpectedSuccesses)

    def stopTest(self, test):
        super().stopTest(test)
        good = self.count() == self.before
        self.good, self.bad = self.good + good, self.bad + (not good)
        print("passed " if good else "FAILED ", "Authlib:", test.shortDescription() or test.id(), flush=True)


def main():
    warnings.filterwarnings("ignore", "EdDSA is deprecated")  # by RFC 9864, for its name alone
    result = Lines()
    unittest.defaultTestLoader.loadTestsFromModule(__import__("__main__")).run(result)
    for test, text in result.failures + result.errors:
        print(f"-- {test}\n{text}")
    for test, reason in result.skipped:
        print(f"-- {test}: skipped: {reason}")
    print(f"authlib: {result.good} passed, {result.bad} failed")
    return 1 if result.bad or not result.good else 0


if __name__ == "__main__":
    raise SystemExit(main())
