import cn.teleinfo.idpointer.sdk.client.GlobalIdClientFactory;
import cn.teleinfo.idpointer.sdk.client.IDClient;
import cn.teleinfo.idpointer.sdk.client.IDClientFactory;
import cn.teleinfo.idpointer.sdk.client.ValueHelper;
import cn.teleinfo.idpointer.sdk.config.IDClientConfig;
import cn.teleinfo.idpointer.sdk.core.HandleValue;
import cn.teleinfo.idpointer.sdk.exception.IDException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.security.PrivateKey;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * What the official SDK does with a node, each answer compared with what was written before.
 *
 * <pre>
 *   prepare DIRECTORY         makes keys, and the values that the node's command line registers
 *   run DIRECTORY HOST PORT   the steps, against the Handle front end of a node
 * </pre>
 */
public final class HandleSdk {
    private static final int NOT_FOUND = 100;
    private static final int ALREADY_EXISTS = 101;
    private static final int VALUES_NOT_FOUND = 200;
    private static final int VALUE_ALREADY_EXISTS = 201;
    private static final int NOT_RESPONSIBLE = 301;
    private static final int AUTHENTICATION_FAILED = 403;

    private static final int THREADS = 8;
    private static final int RESOLUTIONS_EACH = 1_000;
    private static final ValueHelper VALUES = ValueHelper.getInstance();

    private final Steps steps = new Steps();
    private final InetSocketAddress server;
    private final IDClientFactory clients;
    private final IDClient anonymous;

    private HandleSdk(String host, int port) {
        // The SDK's own default is a public server: everything it might ask by itself is this node.
        GlobalIdClientFactory.init(IDClientConfig.builder().recursionServerIp(host).recursionServerPort(port).build());
        server = new InetSocketAddress(host, port);
        clients = GlobalIdClientFactory.getIdClientFactory();
        anonymous = clients.newInstance(server);
    }

    public static void main(String[] arguments) throws Exception {
        Path directory = Paths.get(arguments[1]);
        if (arguments[0].equals("prepare")) {
            Keys.prepare(directory);
            return;
        }
        HandleSdk sdk = new HandleSdk(arguments[2], Integer.parseInt(arguments[3]));
        PrivateKey rsa = Keys.loadRsa(directory);
        PrivateKey sm2 = Keys.loadSm2(directory);
        sdk.administer("rsa", Keys.RSA_USER, Keys.BLOB_INDEX, rsa);
        sdk.administer("sm2", Keys.SM2_USER, Keys.BLOB_INDEX, sm2);
        sdk.login("rsa-text", Keys.RSA_USER, Keys.TEXT_INDEX, rsa);
        sdk.login("sm2-text", Keys.SM2_USER, Keys.TEXT_INDEX, sm2);
        sdk.refuse("rsa", Keys.RSA_USER, Keys.makeRsa().getPrivate());
        sdk.refuse("sm2", Keys.SM2_USER, Keys.makeSm2().getPrivate());
        sdk.resolve(sdk.clients.newInstance(sdk.server, Keys.RSA_USER, Keys.BLOB_INDEX, rsa));
        // Threads of the SDK would keep the program alive.
        System.exit(sdk.steps.finish() ? 0 : 1);
    }

    //----------- Steps ------------------------------------------------------

    /** Everything a person with a key changes. */
    private void administer(String key, String user, int index, PrivateKey privateKey) {
        IDClient client = clients.newInstance(server, user, index, privateKey);
        String item = Keys.PREFIX + "/item-" + key;
        HandleValue administrator = VALUES.newAdminValue(100, user, index);
        HandleValue email = text(2, "EMAIL", "a@example.com");
        HandleValue[] created = {text(1, "URL", "https://example.com/1"), email, administrator};
        steps.step(key + "/login-and-create", () -> {
            client.createHandle(item, created);
            holds(item, created);
        });
        steps.step(key + "/create-again", () -> refused(ALREADY_EXISTS, () -> client.createHandle(item, created)));
        HandleValue[] overwritten = {text(1, "URL", "https://example.com/2"), administrator};
        steps.step(key + "/overwrite", () -> {
            client.createHandle(item, overwritten, true);
            holds(item, overwritten);
        });
        HandleValue added = text(3, "NAME", "轴承");
        steps.step(key + "/add", () -> {
            client.addHandleValues(item, new HandleValue[] {added});
            holds(item, overwritten[0], added, administrator);
        });
        steps.step(key + "/add-again", () -> {
            HandleValue[] other = {text(3, "NAME", "other")};
            refused(VALUE_ALREADY_EXISTS, () -> client.addHandleValues(item, other));
            holds(item, overwritten[0], added, administrator);
        });
        HandleValue modified = text(3, "NAME", "滚动轴承");
        steps.step(key + "/modify", () -> {
            client.updateHandleValues(item, new HandleValue[] {modified});
            holds(item, overwritten[0], modified, administrator);
        });
        steps.step(key + "/modify-absent", () -> {
            HandleValue[] absent = {text(9, "NAME", "x")};
            refused(VALUES_NOT_FOUND, () -> client.updateHandleValues(item, absent));
        });
        steps.step(key + "/remove", () -> {
            client.deleteHandleValues(item, new int[] {3});
            holds(item, overwritten);
        });
        steps.step(key + "/remove-absent",
                () -> refused(VALUES_NOT_FOUND, () -> client.deleteHandleValues(item, new int[] {3})));
        steps.step(key + "/delete", () -> {
            client.deleteHandle(item);
            refused(NOT_FOUND, () -> anonymous.resolveHandle(item));
        });
        steps.step(key + "/delete-absent", () -> refused(NOT_FOUND, () -> client.deleteHandle(item)));
        home(key, client, administrator);
    }

    /** Prefixes come to this node and go again: one of nobody's, and one below the prefix that is here. */
    private void home(String key, IDClient client, HandleValue administrator) {
        String strange = "0.NA/88.119." + key;
        String strangeItem = "88.119." + key + "/x";
        steps.step(key + "/home", () -> {
            refused(NOT_RESPONSIBLE, () -> anonymous.resolveHandle(strangeItem));
            client.homeNa(strange);
            refused(NOT_FOUND, () -> anonymous.resolveHandle(strangeItem));
        });
        steps.step(key + "/unhome", () -> {
            client.unhomeNa(strange);
            refused(NOT_RESPONSIBLE, () -> anonymous.resolveHandle(strangeItem));
        });
        String below = Keys.PREFIX + "." + key;
        HandleValue[] record = {text(1, "URL", "https://example.com/x"), administrator};
        steps.step(key + "/home-below", () -> {
            client.homeNa("0.NA/" + below);
            client.createHandle("0.NA/" + below, new HandleValue[] {administrator}, true);
            client.createHandle(below + "/x", record);
            holds(below + "/x", record);
            client.deleteHandle(below + "/x");
            client.deleteHandle("0.NA/" + below);
            client.unhomeNa("0.NA/" + below);
        });
    }

    /** The same key in its other spelling. */
    private void login(String name, String user, int index, PrivateKey privateKey) {
        steps.step(name + "/login", () -> {
            IDClient client = clients.newInstance(server, user, index, privateKey);
            String item = Keys.PREFIX + "/" + name;
            HandleValue url = text(1, "URL", "https://example.com/" + name);
            HandleValue[] record = {url, VALUES.newAdminValue(100, user, index)};
            client.createHandle(item, record);
            holds(item, record);
            client.deleteHandle(item);
        });
    }

    /** Someone else's key. */
    private void refuse(String key, String user, PrivateKey wrongKey) {
        String item = Keys.PREFIX + "/wrong-" + key;
        steps.step(key + "/wrong-key", () -> {
            IDClient client = clients.newInstance(server, user, Keys.BLOB_INDEX, wrongKey);
            refused(AUTHENTICATION_FAILED, () -> client.createHandle(item, new HandleValue[] {text(1, "URL", "x")}));
            refused(NOT_FOUND, () -> anonymous.resolveHandle(item));
        });
    }

    /** What anybody asks. */
    private void resolve(IDClient owner) {
        String item = Keys.PREFIX + "/part";
        HandleValue url = text(1, "URL", "https://example.com/part");
        HandleValue email = text(2, "EMAIL", "b@example.com");
        HandleValue administrator = VALUES.newAdminValue(100, Keys.RSA_USER, Keys.BLOB_INDEX);
        steps.step("resolve/all", () -> {
            owner.createHandle(item, new HandleValue[] {url, email, administrator});
            holds(item, url, email, administrator);
        });
        steps.step("resolve/type", () -> same(anonymous.resolveHandle(item, new String[] {"URL"}, null), url));
        steps.step("resolve/index", () -> same(anonymous.resolveHandle(item, null, new int[] {2}), email));
        steps.step("resolve/type-or-index",
                () -> same(anonymous.resolveHandle(item, new String[] {"URL"}, new int[] {2}), url, email));
        steps.step("resolve/absent",
                () -> refused(NOT_FOUND, () -> anonymous.resolveHandle(Keys.PREFIX + "/no-such-item")));
        steps.step("resolve/values-absent",
                () -> refused(VALUES_NOT_FOUND, () -> anonymous.resolveHandle(item, new String[] {"NOPE"}, null)));
        steps.step("resolve/elsewhere", () -> refused(NOT_RESPONSIBLE, () -> anonymous.resolveHandle("77.7/x")));
        // The SDK takes a challenge to an anonymous change for success; the node must not have changed anything.
        steps.step("anonymous-change", () -> {
            anonymous.updateHandleValues(item, new HandleValue[] {text(1, "URL", "https://example.com/stolen")});
            holds(item, url, email, administrator);
        });
        steps.step("resolve/logged-in",
                () -> same(owner.resolveHandle(item, null, null, true), url, email, administrator));
        steps.step("resolve/by-recursion-node",
                () -> same(GlobalIdClientFactory.getIdResolver().resolveHandle(item, new String[] {"URL"}, null), url));
        steps.step("resolve/" + THREADS + "-threads", () -> resolveOften(item, url, email, administrator));
    }

    private void resolveOften(String item, HandleValue... expected) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(THREADS);
        List<Future<Void>> running = new ArrayList<>();
        for (int thread = 0; thread < THREADS; thread++) {
            running.add(pool.submit((Callable<Void>) () -> {
                for (int resolution = 0; resolution < RESOLUTIONS_EACH; resolution++) {
                    same(anonymous.resolveHandle(item), expected);
                }
                return null;
            }));
        }
        for (Future<Void> thread : running) {
            thread.get();
        }
        pool.shutdown();
    }

    //----------- Comparing --------------------------------------------------

    private static HandleValue text(int index, String type, String data) {
        return new HandleValue(index, type.getBytes(StandardCharsets.UTF_8), data.getBytes(StandardCharsets.UTF_8));
    }

    /** Anybody who asks now sees exactly these values. */
    private void holds(String item, HandleValue... expected) throws IDException {
        same(anonymous.resolveHandle(item), expected);
    }

    private static void same(HandleValue[] seen, HandleValue... expected) {
        Steps.equal("the values", describe(expected), describe(seen));
    }

    /** Everything about values but when they were set, by index. */
    private static Map<Integer, String> describe(HandleValue[] values) {
        Map<Integer, String> all = new TreeMap<>();
        for (HandleValue value : values) {
            StringBuilder data = new StringBuilder();
            for (byte octet : value.getData()) {
                data.append(String.format("%02x", octet));
            }
            String line = String.format("%s %s ttl %d/%d %s", value.getTypeAsString(), data, value.getTTLType(),
                    value.getTTL(), value.getPermissionString());
            String before = all.put(value.getIndex(), line);
            Steps.equal("the value at index " + value.getIndex() + " before", null, before);
        }
        return all;
    }

    /** The node refuses, with this response code. */
    private static void refused(int code, Steps.Body body) throws Exception {
        try {
            body.run();
        } catch (Exception refusal) {
            for (Throwable cause = refusal; cause != null; cause = cause.getCause()) {
                if (cause instanceof IDException && ((IDException) cause).getCode() == code) {
                    return;
                }
            }
            throw new AssertionError("not refused with code " + code, refusal);
        }
        throw new AssertionError("done, and not refused with code " + code);
    }
}
