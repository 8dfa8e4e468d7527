package interop;

import static interop.World.text;

import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.crypto.ECDSAVerifier;
import com.nimbusds.jose.jwk.Curve;
import com.nimbusds.jose.jwk.ECKey;
import com.nimbusds.jose.jwk.JWK;
import com.nimbusds.jose.jwk.JWKSet;
import com.nimbusds.jose.jwk.gen.ECKeyGenerator;
import com.nimbusds.jose.jwk.gen.RSAKeyGenerator;
import com.nimbusds.jwt.SignedJWT;
import com.nimbusds.oauth2.sdk.ClientCredentialsGrant;
import com.nimbusds.oauth2.sdk.Scope;
import com.nimbusds.oauth2.sdk.TokenIntrospectionRequest;
import com.nimbusds.oauth2.sdk.TokenIntrospectionResponse;
import com.nimbusds.oauth2.sdk.TokenIntrospectionSuccessResponse;
import com.nimbusds.oauth2.sdk.TokenRequest;
import com.nimbusds.oauth2.sdk.TokenResponse;
import com.nimbusds.oauth2.sdk.TokenRevocationRequest;
import com.nimbusds.oauth2.sdk.as.AuthorizationServerMetadata;
import com.nimbusds.oauth2.sdk.auth.ClientAuthentication;
import com.nimbusds.oauth2.sdk.auth.ClientAuthenticationMethod;
import com.nimbusds.oauth2.sdk.auth.PKITLSClientAuthentication;
import com.nimbusds.oauth2.sdk.auth.PrivateKeyJWT;
import com.nimbusds.oauth2.sdk.auth.SelfSignedTLSClientAuthentication;
import com.nimbusds.oauth2.sdk.client.ClientInformation;
import com.nimbusds.oauth2.sdk.client.ClientMetadata;
import com.nimbusds.oauth2.sdk.client.ClientRegistrationResponse;
import com.nimbusds.oauth2.sdk.dpop.DPoPProofFactory;
import com.nimbusds.oauth2.sdk.dpop.DefaultDPoPProofFactory;
import com.nimbusds.oauth2.sdk.dpop.JWKThumbprintConfirmation;
import com.nimbusds.oauth2.sdk.http.HTTPRequest;
import com.nimbusds.oauth2.sdk.http.HTTPResponse;
import com.nimbusds.oauth2.sdk.id.Issuer;
import com.nimbusds.oauth2.sdk.id.JWTID;
import com.nimbusds.oauth2.sdk.token.AccessToken;
import com.nimbusds.oauth2.sdk.token.BearerAccessToken;
import com.nimbusds.oauth2.sdk.token.DPoPAccessToken;
import com.nimbusds.oauth2.sdk.auth.X509CertificateConfirmation;
import com.nimbusds.openid.connect.sdk.Nonce;
import interop.World.Application;
import java.net.URI;
import java.security.PrivateKey;
import java.util.Date;
import java.util.List;
import java.util.Objects;

/** Nimbus oauth2-oidc-sdk against a running `holdfast dev`: one line for each case. */
public final class Nimbus {
  private final World world;
  private int passed;
  private int failed;

  private Nimbus(World world) {
    this.world = world;
  }

  public static void main(String[] args) throws Exception {
    Nimbus suite = new Nimbus(new World(System.getenv("HOLDFAST_WORLD")));
    HTTPRequest.setDefaultSSLSocketFactory(suite.world.tls(null));
    suite.tokens();
    suite.proofs();
    suite.wrong();
    suite.metadata();
    suite.resources();
    suite.registration();
    System.out.println("nimbus: " + suite.passed + " passed, " + suite.failed + " failed");
    System.exit(suite.failed > 0 || suite.passed == 0 ? 1 : 0);
  }

  private interface Case {
    void run() throws Exception;
  }

  private void check(String name, Case body) {
    try {
      body.run();
      passed++;
      System.out.println("passed  Nimbus: " + name);
    } catch (Exception | AssertionError e) {
      failed++;
      System.out.println("FAILED  Nimbus: " + name);
      e.printStackTrace(System.out);
    }
  }

  private static void same(Object want, Object got, String what) {
    if (!Objects.equals(want, got)) {
      throw new AssertionError(what + ": want " + want + ", got " + got);
    }
  }

  // How an application authenticates, and what it sends.

  private PrivateKeyJWT assertion(Application app, PrivateKey key, String audience) throws Exception {
    return new PrivateKeyJWT(app.id(), URI.create(audience), app.algorithm(), key, app.kid(), null);
  }

  private ClientAuthentication method(Application app) throws Exception {
    return switch (app.authMethod()) {
      case "private_key_jwt" -> assertion(app, app.key(), world.issuer);
      case "tls_client_auth" -> new PKITLSClientAuthentication(app.id(), world.tls(app));
      case "self_signed_tls_client_auth" -> new SelfSignedTLSClientAuthentication(app.id(), world.tls(app));
      default -> throw new AssertionError(app.authMethod());
    };
  }

  private HTTPRequest dressed(Application app, HTTPRequest request) throws Exception {
    request.setSSLSocketFactory(world.tls(app));
    request.setConnectTimeout(10_000);
    request.setReadTimeout(10_000);
    return request;
  }

  private HTTPRequest tokenRequest(Application app, ClientAuthentication auth) throws Exception {
    TokenRequest request = new TokenRequest.Builder(world.endpoint(app, "/token"), auth, new ClientCredentialsGrant())
        .scope(Scope.parse(app.scope())).resource(URI.create(app.resource())).build();
    return dressed(app, request.toHTTPRequest());
  }

  private HTTPResponse ask(Application app, ClientAuthentication auth, SignedJWT proof) throws Exception {
    HTTPRequest request = tokenRequest(app, auth);
    if (proof != null) {
      request.setDPoP(proof);
    }
    return request.send();
  }

  private SignedJWT proof(Application app, DPoPProofFactory key) throws JOSEException {
    return key.createDPoPJWT("POST", world.endpoint(app, "/token"));
  }

  private static DefaultDPoPProofFactory proofKey() throws JOSEException {
    return new DefaultDPoPProofFactory(new ECKeyGenerator(Curve.P_256).generate(), JWSAlgorithm.ES256);
  }

  private static AccessToken granted(HTTPResponse answer) throws Exception {
    TokenResponse response = TokenResponse.parse(answer);
    if (!response.indicatesSuccess()) {
      throw new AssertionError("refused: " + response.toErrorResponse().toJSONObject());
    }
    return response.toSuccessResponse().getTokens().getAccessToken();
  }

  private AccessToken token(String name) throws Exception {
    Application app = world.named(name);
    return granted(ask(app, method(app), app.binding().equals("dpop") ? proof(app, proofKey()) : null));
  }

  private static void refused(int status, String code, HTTPResponse answer) throws Exception {
    TokenResponse response = TokenResponse.parse(answer);
    if (response.indicatesSuccess()) {
      throw new AssertionError("a token was issued");
    }
    same(code, response.toErrorResponse().getErrorObject().getCode(), "error");
    same(status, answer.getStatusCode(), "status");
  }

  private TokenIntrospectionResponse introspect(Application caller, ClientAuthentication auth, AccessToken token) throws Exception {
    return TokenIntrospectionResponse.parse(
        dressed(caller, new TokenIntrospectionRequest(world.endpoint(caller, "/introspect"), auth, token).toHTTPRequest()).send());
  }

  private TokenIntrospectionSuccessResponse told(String caller, AccessToken token) throws Exception {
    Application app = world.named(caller);
    return introspect(app, method(app), token).toSuccessResponse();
  }

  private HTTPResponse revoke(Application app, ClientAuthentication auth, AccessToken token) throws Exception {
    return dressed(app, new TokenRevocationRequest(world.endpoint(app, "/revoke"), auth, token).toHTTPRequest()).send();
  }

  /** Active and bound for both servers, then revoked and active for neither. */
  private void livesAndDies(Application app, AccessToken token, JWKThumbprintConfirmation key, X509CertificateConfirmation certificate) throws Exception {
    for (String caller : List.of("server", "server-ca")) {
      TokenIntrospectionSuccessResponse answer = told(caller, token);
      same(true, answer.isActive(), "active");
      same(app.id(), answer.getClientID(), "client_id");
      same(world.resource, answer.getAudience().get(0).getValue(), "aud");
      same(key, answer.getJWKThumbprintConfirmation(), "cnf jkt");
      same(certificate, answer.getX509CertificateConfirmation(), "cnf x5t#S256");
    }
    same(200, revoke(app, method(app), token).getStatusCode(), "revocation");
    same(200, revoke(app, method(app), token).getStatusCode(), "second revocation");
    same(false, told("server", token).isActive(), "active");
    same(false, told("server-ca", token).isActive(), "active");
  }

  private void tokens() {
    for (String name : List.of("es256", "ps256")) {
      check("PrivateKeyJWT " + name + ", DPoP, introspection, revocation", () -> {
        Application app = world.named(name);
        DefaultDPoPProofFactory key = proofKey();
        AccessToken token = granted(ask(app, method(app), proof(app, key)));
        same(DPoPAccessToken.class, token.getClass(), "token type");
        livesAndDies(app, token, JWKThumbprintConfirmation.of(key.getPublicJWK()), null);
      });
    }
    for (String name : List.of("es256-mtls", "ps256-mtls", "ca", "own")) {
      check(name + ": a certificate-bound token, introspection, revocation", () -> {
        Application app = world.named(name);
        AccessToken token = granted(ask(app, method(app), null));
        same(BearerAccessToken.class, token.getClass(), "token type");
        livesAndDies(app, token, null, X509CertificateConfirmation.of(app.certificate()));
      });
    }
  }

  private void proofs() {
    check("DPoP proof with PS256", () -> {
      Application app = world.named("es256");
      JWK key = new RSAKeyGenerator(2048).generate();
      granted(ask(app, method(app), proof(app, new DefaultDPoPProofFactory(key, JWSAlgorithm.PS256))));
    });
    check("use_dpop_nonce, answered with the nonce and the same assertion", () -> {
      Application app = world.named("nonce");
      ClientAuthentication auth = method(app);
      DefaultDPoPProofFactory key = proofKey();
      HTTPResponse first = ask(app, auth, proof(app, key));
      refused(400, "use_dpop_nonce", first);
      Nonce nonce = first.getDPoPNonce();
      HTTPResponse second = ask(app, auth, key.createDPoPJWT("POST", world.endpoint(app, "/token"), nonce));
      granted(second);
      granted(ask(app, method(app), key.createDPoPJWT("POST", world.endpoint(app, "/token"), second.getDPoPNonce())));
      refused(400, "use_dpop_nonce", ask(app, method(app), proofKey().createDPoPJWT("POST", world.endpoint(app, "/token"), nonce)));
    });
    check("a replayed proof, a missing one, and those for something else are refused", () -> {
      Application app = world.named("es256");
      DefaultDPoPProofFactory key = proofKey();
      URI url = world.endpoint(app, "/token");
      SignedJWT once = proof(app, key);
      granted(ask(app, method(app), once));
      refused(400, "invalid_dpop_proof", ask(app, method(app), once));
      refused(400, "invalid_dpop_proof", ask(app, method(app), null));
      refused(400, "invalid_dpop_proof", ask(app, method(app), key.createDPoPJWT("GET", url)));
      refused(400, "invalid_dpop_proof", ask(app, method(app), key.createDPoPJWT("POST", world.endpoint(app, "/revoke"))));
      for (long seconds : List.of(-3600L, 3600L)) {
        Date issued = new Date(System.currentTimeMillis() + seconds * 1000);
        refused(400, "invalid_dpop_proof", ask(app, method(app), key.createDPoPJWT(new JWTID(), "POST", url, issued, null)));
      }
    });
  }

  private void wrong() {
    for (String[] pair : new String[][] {
      {"ca", "stranger-ca"}, {"ca", "stranger-own"}, {"ca", "server-ca"}, {"own", "stranger-own"}, {"own", "ca"}}) {
      check(pair[0] + " with the certificate of " + pair[1] + " is refused", () -> {
        Application app = world.named(pair[0]).withCertificateOf(world.named(pair[1]));
        refused(401, "invalid_client", ask(app, method(app), null));
      });
    }
    check("a certificate of another application binds no token beside a good assertion", () -> {
      Application app = world.named("es256-mtls").withCertificateOf(world.named("ca"));
      refused(400, "invalid_request", ask(app, method(app), null));
    });
    check("an assertion for the token endpoint's URL is refused", () -> {
      Application app = world.named("es256");
      refused(401, "invalid_client", ask(app, assertion(app, app.key(), world.endpoint(app, "/token").toString()), proof(app, proofKey())));
    });
    check("a replayed assertion is refused", () -> {
      Application app = world.named("es256");
      ClientAuthentication once = method(app);
      granted(ask(app, once, proof(app, proofKey())));
      refused(401, "invalid_client", ask(app, once, proof(app, proofKey())));
    });
    check("another application's key is refused at every endpoint", () -> {
      Application app = world.named("es256");
      Application server = world.named("server");
      PrivateKey stolen = world.named("stranger").key();
      refused(401, "invalid_client", ask(app, assertion(app, stolen, world.issuer), proof(app, proofKey())));
      AccessToken token = token("es256");
      same("invalid_client", introspect(server, assertion(server, stolen, world.issuer), token).toErrorResponse().getErrorObject().getCode(), "introspection");
      same(401, revoke(app, assertion(app, stolen, world.issuer), token).getStatusCode(), "revocation");
      same(true, told("server", token).isActive(), "active");
    });
    check("introspection tells a stranger nothing; another's token is not revoked", () -> {
      AccessToken token = token("es256");
      same(false, told("stranger", token).isActive(), "active for a stranger");
      Application stranger = world.named("stranger");
      HTTPResponse answer = revoke(stranger, method(stranger), token);
      same(400, answer.getStatusCode(), "revocation");
      same("invalid_grant", answer.getBodyAsJSONObject().get("error"), "revocation");
      same(true, told("server", token).isActive(), "active");
      same(false, told("server", new BearerAccessToken("not-a-token")).isActive(), "active");
    });
  }

  private void metadata() {
    for (String path : List.of("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")) {
      check("AuthorizationServerMetadata.parse reads " + path, () -> {
        HTTPResponse answer = dressed(null, new HTTPRequest(HTTPRequest.Method.GET, URI.create(world.issuer + path))).send();
        AuthorizationServerMetadata m = AuthorizationServerMetadata.parse(answer.getBody());
        same(world.issuer, m.getIssuer().getValue(), "issuer");
        same(text(world.dev, "token_endpoint"), m.getTokenEndpointURI().toString(), "token_endpoint");
        same(text(world.dev, "introspection_endpoint"), m.getIntrospectionEndpointURI().toString(), "introspection_endpoint");
        same(text(world.dev, "revocation_endpoint"), m.getRevocationEndpointURI().toString(), "revocation_endpoint");
        same(text(world.dev, "mtls_token_endpoint"), m.getMtlsEndpointAliases().getTokenEndpointURI().toString(), "mtls alias");
        same(world.issuer + "/register", m.getRegistrationEndpointURI().toString(), "registration_endpoint");
        same(true, m.supportsTLSClientCertificateBoundAccessTokens(), "tls_client_certificate_bound_access_tokens");
        for (JWSAlgorithm alg : List.of(JWSAlgorithm.ES256, JWSAlgorithm.PS256, JWSAlgorithm.EdDSA, JWSAlgorithm.Ed25519)) {
          same(true, m.getDPoPJWSAlgs().contains(alg), "dpop " + alg);
          same(true, m.getTokenEndpointJWSAlgs().contains(alg), "assertions " + alg);
        }
      });
    }
    check("AuthorizationServerMetadata.resolve finds the issuer's document", () ->
        same(world.issuer, AuthorizationServerMetadata.resolve(new Issuer(world.issuer)).getIssuer().getValue(), "issuer"));
  }

  private void resources() {
    check("the access token verifies under our JWKS as at+jwt", () -> {
      SignedJWT jwt = SignedJWT.parse(token("es256").getValue());
      HTTPResponse answer = dressed(null, new HTTPRequest(HTTPRequest.Method.GET, URI.create(world.issuer + "/.well-known/jwks.json"))).send();
      JWK key = JWKSet.parse(answer.getBody()).getKeyByKeyId(jwt.getHeader().getKeyID());
      same(true, jwt.verify(new ECDSAVerifier(key.toECKey())), "signature");
      same("at+jwt", jwt.getHeader().getType().getType(), "typ");
      same(List.of(world.resource), jwt.getJWTClaimsSet().getAudience(), "aud");
    });
    check("the gateway opens for a DPoP-bound token with its proof, and not as Bearer", () -> {
      Application app = sample("dpop");
      DefaultDPoPProofFactory key = proofKey();
      AccessToken token = granted(ask(app, method(app), proof(app, key)));
      URI api = URI.create(app.resource() + "/");
      HTTPResponse answer = call(app, token.toAuthorizationHeader(), key.createDPoPJWT("GET", api, token));
      if (answer.getStatusCode() == 401) { // a gateway that has just started wants a nonce
        answer = call(app, token.toAuthorizationHeader(), key.createDPoPJWT("GET", api, token, answer.getDPoPNonce()));
      }
      same(200, answer.getStatusCode(), "with the proof");
      same(401, call(app, "Bearer " + token.getValue(), null).getStatusCode(), "as Bearer");
    });
    check("the gateway opens for a certificate-bound token with its certificate, and not with another or none", () -> {
      Application app = sample("mtls");
      AccessToken token = granted(ask(app, method(app), null));
      same(200, call(app, token.toAuthorizationHeader(), null).getStatusCode(), "own certificate");
      same(401, call(world.named("ca"), app, token.toAuthorizationHeader(), null).getStatusCode(), "another certificate");
      same(401, call(null, app, token.toAuthorizationHeader(), null).getStatusCode(), "no certificate");
    });
  }

  private void registration() {
    Registration registration = new Registration(world);
    check("ClientRegistrationRequest: the client gets a token, reads itself, and is gone after ClientDeleteRequest", () -> {
      ECKey key = Registration.newKey();
      HTTPResponse made = registration.register(registration.metadata(key), world.initialAccessToken);
      same(201, made.getStatusCode(), "status");
      ClientInformation client = Registration.informed(made);
      same(world.scope, client.getMetadata().getScope().toString(), "scope");
      same(null, client.getSecret(), "secret");
      AccessToken token = granted(tokenOf(client, registration, key));
      same(client.getID(), told("server", token).getClientID(), "client_id");

      BearerAccessToken access = client.getRegistrationAccessToken();
      same(client.getID(), Registration.informed(registration.read(client, access)).getID(), "client_id read");
      same(401, registration.read(client, new BearerAccessToken("another")).getStatusCode(), "another token");
      same(403, registration.delete(client, access, null).getStatusCode(), "the registration token alone");
      same(403, registration.delete(client, access, Registration.newKey()).getStatusCode(), "with a stranger's key");
      same(204, registration.delete(client, access, key).getStatusCode(), "with its own key");
      same(401, registration.read(client, access).getStatusCode(), "afterwards");
      refused(401, "invalid_client", tokenOf(client, registration, key));
      same(false, told("server", token).isActive(), "active");
    });
    check("ClientUpdateRequest turns the keys over, with proof of the old one and of the new one", () -> {
      ECKey key = Registration.newKey();
      ECKey next = Registration.newKey();
      ClientInformation client = Registration.informed(registration.register(registration.metadata(key), world.initialAccessToken));
      BearerAccessToken access = client.getRegistrationAccessToken();
      ClientMetadata changed = registration.metadata(next);
      same(403, registration.update(client, access, changed, null, next).getStatusCode(), "the registration token alone");
      same(400, registration.update(client, access, changed, key, null).getStatusCode(), "without proof of the new key");
      ClientInformation now = Registration.informed(registration.update(client, access, changed, key, next));
      same(next.getKeyID(), now.getMetadata().getJWKSet().getKeys().get(0).getKeyID(), "kid");
      same(200, registration.read(now, now.getRegistrationAccessToken()).getStatusCode(), "the new registration token");
      same(401, registration.read(now, access).getStatusCode(), "the old registration token, once the new one was used");
      granted(tokenOf(now, registration, next));
      refused(401, "invalid_client", tokenOf(now, registration, key));
    });
    check("registration without a good initial access token, or with bad metadata, is refused", () -> {
      ClientMetadata good = registration.metadata(Registration.newKey());
      same(401, registration.register(good, null).getStatusCode(), "no token");
      same(401, registration.register(good, "hfi_wrong").getStatusCode(), "a wrong token");
      ClientMetadata beyond = registration.metadata(Registration.newKey());
      beyond.setScope(Scope.parse("payments"));
      same("invalid_client_metadata", refusedMetadata(registration.register(beyond, world.initialAccessToken)), "a scope beyond the token");
      ClientMetadata named = registration.metadata(Registration.newKey());
      named.setTokenEndpointAuthMethod(ClientAuthenticationMethod.TLS_CLIENT_AUTH);
      named.setTokenEndpointAuthJWSAlg(null);
      named.setJWKSet(null);
      named.setTLSClientAuthSubjectDN("CN=x");
      same("invalid_client_metadata", refusedMetadata(registration.register(named, world.initialAccessToken)), "tls_client_auth_subject_dn");
    });
  }

  private static String refusedMetadata(HTTPResponse answer) throws Exception {
    same(400, answer.getStatusCode(), "status");
    return ClientRegistrationResponse.parse(answer).toErrorResponse().getErrorObject().getCode();
  }

  private HTTPResponse tokenOf(ClientInformation client, Registration registration, ECKey key) throws Exception {
    Application app = new Application(client.getID(), "private_key_jwt", "dpop", world.scope, world.resource, null, key.getKeyID(), "ES256", null, null);
    return ask(app, registration.assertion(client.getID(), key), proof(app, proofKey()));
  }

  private Application sample(String binding) throws Exception {
    return world.samples().stream().filter(a -> a.binding().equals(binding)).findFirst().orElseThrow();
  }

  private HTTPResponse call(Application app, String authorization, SignedJWT proof) throws Exception {
    return call(app, app, authorization, proof);
  }

  private HTTPResponse call(Application shown, Application app, String authorization, SignedJWT proof) throws Exception {
    HTTPRequest request = dressed(shown, new HTTPRequest(HTTPRequest.Method.GET, URI.create(app.resource() + "/")));
    request.setAuthorization(authorization);
    if (proof != null) {
      request.setDPoP(proof);
    }
    return request.send();
  }
}
