package interop;

import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSHeader;
import com.nimbusds.jose.crypto.ECDSASigner;
import com.nimbusds.jose.jwk.Curve;
import com.nimbusds.jose.jwk.ECKey;
import com.nimbusds.jose.jwk.JWKSet;
import com.nimbusds.jose.jwk.KeyUse;
import com.nimbusds.jose.jwk.gen.ECKeyGenerator;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.SignedJWT;
import com.nimbusds.oauth2.sdk.GrantType;
import com.nimbusds.oauth2.sdk.Scope;
import com.nimbusds.oauth2.sdk.auth.ClientAuthenticationMethod;
import com.nimbusds.oauth2.sdk.auth.PrivateKeyJWT;
import com.nimbusds.oauth2.sdk.client.ClientDeleteRequest;
import com.nimbusds.oauth2.sdk.client.ClientInformation;
import com.nimbusds.oauth2.sdk.client.ClientMetadata;
import com.nimbusds.oauth2.sdk.client.ClientReadRequest;
import com.nimbusds.oauth2.sdk.client.ClientRegistrationRequest;
import com.nimbusds.oauth2.sdk.client.ClientRegistrationResponse;
import com.nimbusds.oauth2.sdk.client.ClientUpdateRequest;
import com.nimbusds.oauth2.sdk.http.HTTPRequest;
import com.nimbusds.oauth2.sdk.http.HTTPResponse;
import com.nimbusds.oauth2.sdk.id.ClientID;
import com.nimbusds.oauth2.sdk.token.BearerAccessToken;
import java.net.URI;
import java.util.Date;
import java.util.Set;
import java.util.UUID;

/**
 * A client that registers itself (RFC 7591) and looks after its registration (RFC
 * 7592). Beside the registration access token, Holdfast wants an assertion in
 * Client-Assertion for a change, and a proof of each new key in Key-Proof.
 */
final class Registration {
  private final World world;

  Registration(World world) {
    this.world = world;
  }

  static ECKey newKey() throws Exception {
    return new ECKeyGenerator(Curve.P_256).keyUse(KeyUse.SIGNATURE).algorithm(JWSAlgorithm.ES256).keyIDFromThumbprint(true).generate();
  }

  /** Metadata of a client with this key, bound to DPoP keys. */
  ClientMetadata metadata(ECKey key) {
    ClientMetadata m = new ClientMetadata();
    m.setName("registered by Nimbus");
    m.setTokenEndpointAuthMethod(ClientAuthenticationMethod.PRIVATE_KEY_JWT);
    m.setTokenEndpointAuthJWSAlg(JWSAlgorithm.ES256);
    m.setGrantTypes(Set.of(GrantType.CLIENT_CREDENTIALS));
    m.setScope(Scope.parse(world.scope));
    m.setDPoPBoundAccessTokens(true);
    m.setJWKSet(new JWKSet(key.toPublicJWK()));
    return m;
  }

  HTTPResponse register(ClientMetadata metadata, String initialAccessToken) throws Exception {
    BearerAccessToken token = initialAccessToken == null ? null : new BearerAccessToken(initialAccessToken);
    return new ClientRegistrationRequest(URI.create(world.issuer + "/register"), metadata, token).toHTTPRequest().send();
  }

  static ClientInformation informed(HTTPResponse answer) throws Exception {
    ClientRegistrationResponse response = ClientRegistrationResponse.parse(answer);
    if (!response.indicatesSuccess()) {
      throw new AssertionError("refused: " + response.toErrorResponse().getErrorObject().toJSONObject());
    }
    return response.toSuccessResponse().getClientInformation();
  }

  HTTPResponse read(ClientInformation client, BearerAccessToken token) throws Exception {
    return new ClientReadRequest(client.getRegistrationURI(), token).toHTTPRequest().send();
  }

  /** proving is the key whose assertion goes along, null for none; so is the proof of next. */
  HTTPResponse update(ClientInformation client, BearerAccessToken token, ClientMetadata next, ECKey proving, ECKey added) throws Exception {
    HTTPRequest request = new ClientUpdateRequest(client.getRegistrationURI(), client.getID(), token, next, null).toHTTPRequest();
    if (added != null) {
      request.setHeader("Key-Proof", keyProof(client.getRegistrationURI(), added));
    }
    return prove(request, client.getID(), proving).send();
  }

  HTTPResponse delete(ClientInformation client, BearerAccessToken token, ECKey proving) throws Exception {
    return prove(new ClientDeleteRequest(client.getRegistrationURI(), token).toHTTPRequest(), client.getID(), proving).send();
  }

  PrivateKeyJWT assertion(ClientID id, ECKey key) throws Exception {
    return new PrivateKeyJWT(id, URI.create(world.issuer), JWSAlgorithm.ES256, key.toPrivateKey(), key.getKeyID(), null);
  }

  private HTTPRequest prove(HTTPRequest request, ClientID id, ECKey key) throws Exception {
    if (key != null) {
      request.setHeader("Client-Assertion", assertion(id, key).getClientAssertion().serialize());
    }
    return request;
  }

  private static String keyProof(URI uri, ECKey key) throws Exception {
    SignedJWT proof = new SignedJWT(
        new JWSHeader.Builder(JWSAlgorithm.ES256).type(new JOSEObjectType("key-proof+jwt")).build(),
        new JWTClaimsSet.Builder().audience(uri.toString()).jwtID(UUID.randomUUID().toString())
            .claim("jkt", key.computeThumbprint().toString()).issueTime(new Date()).build());
    proof.sign(new ECDSASigner(key));
    return proof.serialize();
  }
}
