import cn.teleinfo.idpointer.sdk.client.ValueHelper;
import cn.teleinfo.idpointer.sdk.core.HandleValue;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.StringJoiner;
import org.bouncycastle.jce.provider.BouncyCastleProvider;

/**
 * The keys of two people, and what a node has to hold for them. Values are encoded by the SDK itself, in both of its
 * spellings of a public key: its blob and the text of a PEM file.
 */
final class Keys {
    static final String PREFIX = "88.118.8";
    static final String RSA_USER = PREFIX + "/rsa";
    static final String SM2_USER = PREFIX + "/sm2";
    /** The index of a user's key as the SDK's blob. */
    static final int BLOB_INDEX = 300;
    /** The index of the same key as PEM text. */
    static final int TEXT_INDEX = 301;

    private static final BouncyCastleProvider PROVIDER = new BouncyCastleProvider();

    private Keys() {}

    static KeyPair makeRsa() throws GeneralSecurityException {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
        generator.initialize(2048);
        return generator.generateKeyPair();
    }

    /** The SDK signs with SM2 only when the key calls itself "EC"; its own PEM reader makes keys that do not. */
    static KeyPair makeSm2() throws GeneralSecurityException {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC", PROVIDER);
        generator.initialize(new ECGenParameterSpec("sm2p256v1"));
        return generator.generateKeyPair();
    }

    /** Makes the keys and writes, for the node's command line, the values of the users and of the prefix. */
    static void prepare(Path directory) throws Exception {
        KeyPair rsa = makeRsa();
        KeyPair sm2 = makeSm2();
        Files.write(directory.resolve("rsa.key"), rsa.getPrivate().getEncoded());
        Files.write(directory.resolve("sm2.key"), sm2.getPrivate().getEncoded());
        ValueHelper values = ValueHelper.getInstance();
        write(directory.resolve("rsa.json"), values.newPublicKeyValue(BLOB_INDEX, rsa.getPublic()),
                values.newIdisPublicKeyValue(TEXT_INDEX, rsa.getPublic()));
        write(directory.resolve("sm2.json"), values.newPublicKeyValue(BLOB_INDEX, sm2.getPublic()),
                values.newIdisPublicKeyValue(TEXT_INDEX, sm2.getPublic()));
        write(directory.resolve("prefix.json"), values.newAdminValue(100, RSA_USER, BLOB_INDEX),
                values.newAdminValue(101, RSA_USER, TEXT_INDEX), values.newAdminValue(102, SM2_USER, BLOB_INDEX),
                values.newAdminValue(103, SM2_USER, TEXT_INDEX));
    }

    static PrivateKey loadRsa(Path directory) throws Exception {
        return load(KeyFactory.getInstance("RSA"), directory.resolve("rsa.key"));
    }

    static PrivateKey loadSm2(Path directory) throws Exception {
        return load(KeyFactory.getInstance("EC", PROVIDER), directory.resolve("sm2.key"));
    }

    private static PrivateKey load(KeyFactory factory, Path file) throws Exception {
        return factory.generatePrivate(new PKCS8EncodedKeySpec(Files.readAllBytes(file)));
    }

    /** Writes values in the JSON form that `idnode register --values` reads. */
    private static void write(Path file, HandleValue... values) throws IOException {
        StringJoiner all = new StringJoiner(",\n", "[", "]\n");
        for (HandleValue value : values) {
            String data = Base64.getEncoder().encodeToString(value.getData());
            all.add(String.format("{\"index\": %d, \"type\": \"%s\", \"data\": {\"base64\": \"%s\"}}", value.getIndex(),
                    value.getTypeAsString(), data));
        }
        Files.write(file, all.toString().getBytes(StandardCharsets.UTF_8));
    }
}
