package interop;

import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.oauth2.sdk.ParseException;
import com.nimbusds.oauth2.sdk.id.ClientID;
import com.nimbusds.oauth2.sdk.util.JSONObjectUtils;
import com.nimbusds.oauth2.sdk.util.JSONUtils;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.TrustManagerFactory;
import net.minidev.json.JSONArray;
import net.minidev.json.JSONObject;

/** What furnish made, as world.json tells it. */
final class World {
  final JSONObject dev;
  final String issuer;
  final String resource;
  final String scope;
  final String initialAccessToken;
  final String mtlsBase;
  private final JSONObject applications;

  World(String file) throws IOException, ParseException {
    JSONObject all = JSONUtils.to(JSONUtils.parseJSON(Files.readString(Path.of(file))), JSONObject.class);
    dev = JSONObjectUtils.getJSONObject(all, "dev");
    issuer = text(dev, "issuer");
    resource = text(all, "resource");
    scope = (String) ((JSONArray) all.get("scopes")).get(0);
    initialAccessToken = text(all, "initial_access_token");
    applications = JSONObjectUtils.getJSONObject(all, "applications");
    mtlsBase = text(dev, "mtls_token_endpoint").replaceFirst("/token$", "");
  }

  Application named(String name) throws ParseException {
    return application(JSONObjectUtils.getJSONObject(applications, name));
  }

  /** The sample applications, which have an API to call. */
  List<Application> samples() throws ParseException {
    List<Application> out = new ArrayList<>();
    for (Object each : (JSONArray) dev.get("clients")) {
      out.add(application((JSONObject) each));
    }
    return out;
  }

  private Application application(JSONObject o) throws ParseException {
    return new Application(new ClientID(text(o, "client_id")), text(o, "auth_method"), text(o, "binding"), text(o, "scope"), text(o, "resource"),
        text(o, "key_file"), text(o, "kid"), text(o, "alg"), text(o, "cert_file"), text(o, "cert_key_file"));
  }

  static String text(JSONObject o, String name) throws ParseException {
    return JSONObjectUtils.getString(o, name, null);
  }

  /** One application; what it has not is null. */
  record Application(ClientID id, String authMethod, String binding, String scope, String resource, String keyFile, String kid, String alg,
      String certFile, String certKeyFile) {
    JWSAlgorithm algorithm() {
      return JWSAlgorithm.parse(alg);
    }

    PrivateKey key() throws Exception {
      return privateKey(keyFile, alg.equals("PS256") ? "RSA" : alg.equals("EdDSA") ? "Ed25519" : "EC");
    }

    X509Certificate certificate() throws Exception {
      return (X509Certificate) certificates(certFile).get(0);
    }

    /** The same application with somebody else's certificate. */
    Application withCertificateOf(Application other) {
      return new Application(id, authMethod, binding, scope, resource, keyFile, kid, alg, other.certFile, other.certKeyFile);
    }
  }

  /** Where the application's endpoints are (RFC 8705 section 5). */
  URI endpoint(Application app, String path) {
    return URI.create((app.certFile() == null ? issuer : mtlsBase) + path);
  }

  /** TLS that trusts the dev CA and shows the application's certificate, if it has one. */
  SSLSocketFactory tls(Application app) throws Exception {
    KeyStore trusted = empty();
    trusted.setCertificateEntry("ca", certificates(text(dev, "ca_file")).get(0));
    TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(trusted);
    KeyManager[] keys = null;
    if (app != null && app.certFile() != null) {
      KeyStore own = empty();
      own.setKeyEntry("own", privateKey(app.certKeyFile(), "EC"), new char[0], certificates(app.certFile()).toArray(Certificate[]::new));
      KeyManagerFactory factory = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
      factory.init(own, new char[0]);
      keys = factory.getKeyManagers();
    }
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(keys, trust.getTrustManagers(), null);
    return context.getSocketFactory();
  }

  private static KeyStore empty() throws GeneralSecurityException, IOException {
    KeyStore store = KeyStore.getInstance("PKCS12");
    store.load(null, null);
    return store;
  }

  private static List<Certificate> certificates(String file) throws Exception {
    byte[] pem = Files.readAllBytes(Path.of(file));
    return new ArrayList<>(CertificateFactory.getInstance("X.509").generateCertificates(new ByteArrayInputStream(pem)));
  }

  private static PrivateKey privateKey(String file, String kind) throws Exception {
    String pem = Files.readString(Path.of(file)).replaceAll("-----[A-Z ]+-----", "");
    return KeyFactory.getInstance(kind).generatePrivate(new PKCS8EncodedKeySpec(Base64.getMimeDecoder().decode(pem)));
  }
}
