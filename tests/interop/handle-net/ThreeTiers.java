// The part of tests/interop/handle-net that runs in Java: it prepares a Handle.Net server, and it is a client that knows the
// top node only. Everything here is the published library, as it comes.

import java.io.File;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.PublicKey;
import net.cnri.util.StreamTable;
import net.cnri.util.StreamVector;
import net.handle.apps.simple.SiteInfoConverter;
import net.handle.hdllib.AbstractMessage;
import net.handle.hdllib.AbstractResponse;
import net.handle.hdllib.AdminRecord;
import net.handle.hdllib.AuthenticationInfo;
import net.handle.hdllib.ClientSessionTracker;
import net.handle.hdllib.Common;
import net.handle.hdllib.CreateHandleRequest;
import net.handle.hdllib.DeleteHandleRequest;
import net.handle.hdllib.Encoder;
import net.handle.hdllib.GenericRequest;
import net.handle.hdllib.GetSiteInfoResponse;
import net.handle.hdllib.HandleException;
import net.handle.hdllib.HandleResolver;
import net.handle.hdllib.HandleValue;
import net.handle.hdllib.Interface;
import net.handle.hdllib.PublicKeyAuthenticationInfo;
import net.handle.hdllib.ResolutionRequest;
import net.handle.hdllib.ResolutionResponse;
import net.handle.hdllib.SessionSetupInfo;
import net.handle.hdllib.SiteInfo;
import net.handle.hdllib.Util;
import net.handle.server.bdbje.BDBJEHandleStorage;

public final class ThreeTiers {
    private static int failed = 0;
    private static int passed = 0;

    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "prepare" -> prepare(new File(arguments[1]), arguments[2], Integer.parseInt(arguments[3]));
            case "run" -> run(new File(arguments[1]), arguments[2], Integer.parseInt(arguments[3]));
            default -> throw new IllegalArgumentException(arguments[0]);
        }
        System.exit(failed == 0 ? 0 : 1);
    }

    //----------- The server ------------------------------------------------------------------------------------------

    // Writes what a Handle.Net server starts from: keys, site, configuration, and a store with one prefix. The files
    // admin.pem and server.pem are for idnode.
    private static void prepare(File directory, String address, int port) throws Exception {
        File server = new File(directory, "handle-net");
        server.mkdirs();
        KeyPair admin = pair("RSA", 2048), signing = pair("RSA", 2048);
        write(directory, "admin.bin", Util.encrypt(Util.getBytesFromPrivateKey(admin.getPrivate()), null, Common.ENCRYPT_NONE));
        write(directory, "admin.pem", pem(admin.getPublic()));
        write(directory, "server.pem", pem(signing.getPublic()));
        write(server, "privkey.bin", Util.encrypt(Util.getBytesFromPrivateKey(signing.getPrivate()), null, Common.ENCRYPT_NONE));
        write(server, "pubkey.bin", Util.getBytesFromPublicKey(signing.getPublic()));
        SiteInfo site = new SiteInfo(1, true, false, SiteInfo.HASH_TYPE_BY_ALL, "interop", InetAddress.getByName(address),
            port, 0, new File(server, "pubkey.bin"), false);
        write(server, "siteinfo.json", SiteInfoConverter.convertToJson(site).getBytes(StandardCharsets.UTF_8));
        StreamTable config = new StreamTable();
        config.put("server_type", "server");
        StreamVector interfaces = new StreamVector();
        for (String protocol : new String[] {"hdl_udp", "hdl_tcp"}) {
            StreamTable listen = new StreamTable();
            listen.put("bind_address", address);
            listen.put("bind_port", String.valueOf(port));
            listen.put("num_threads", "4");
            config.put(protocol + "_config", listen);
            interfaces.addElement(protocol);
        }
        config.put("interfaces", interfaces);
        StreamVector admins = new StreamVector();
        admins.addElement("300:0.NA/88.118.9");
        StreamTable settings = new StreamTable();
        settings.put("server_admins", admins);
        settings.put("this_server_id", "1");
        settings.put("case_sensitive", "no");
        settings.put("allow_na_admins", "yes");
        settings.put("storage_type", "bdbje");
        config.put("server_config", settings);
        config.writeToFile(new File(server, "config.dct"));
        StreamTable opened = new StreamTable();
        opened.put("serverDir", server.getPath());
        BDBJEHandleStorage store = new BDBJEHandleStorage();
        store.init(opened);
        store.setHaveNA(bytes("0.NA/88.118.9"), true);
        // Handle.Net answers for the record of a prefix only where it answers for the records of prefixes.
        store.setHaveNA(bytes("0.NA/0.NA"), true);
        store.createHandle(bytes("0.NA/88.118.9"), prefixRecord(admin.getPublic()));
        store.createHandle(bytes("88.118.9/SN1"), new HandleValue[] {value(1, "URL", bytes("https://handle-net.example/1")), administrator()});
        store.shutdown();
    }

    private static HandleValue[] prefixRecord(PublicKey key) throws Exception {
        return new HandleValue[] {administrator(), value(300, "HS_PUBKEY", Util.getBytesFromPublicKey(key))};
    }

    private static HandleValue administrator() {
        AdminRecord record = new AdminRecord(bytes("0.NA/88.118.9"), 300, true, true, true, true, true, true, true, true, true, true, true, true);
        return value(100, "HS_ADMIN", Encoder.encodeAdminRecord(record));
    }

    //----------- The client ------------------------------------------------------------------------------------------

    private static void run(File directory, String top, int port) throws Exception {
        HandleResolver resolver = new HandleResolver();
        GenericRequest ask = new GenericRequest(Common.BLANK_HANDLE, AbstractMessage.OC_GET_SITE_INFO, null);
        AbstractResponse stated = resolver.sendHdlTcpRequest(ask, InetAddress.getByName(top), port);
        SiteInfo site = ((GetSiteInfoResponse) stated).siteInfo;
        resolver.getConfiguration().setAutoUpdateRootInfo(false);
        resolver.getConfiguration().setGlobalSites(new SiteInfo[] {site});
        PrivateKey admin = Util.getPrivateKeyFromBytes(Util.decrypt(Files.readAllBytes(new File(directory, "admin.bin").toPath()), null), 0);
        for (String prefix : new String[] {"88.118.8", "88.118.9"}) {
            below(resolver, site, admin, prefix);
        }
        System.out.println(passed + " of " + (passed + failed) + " steps passed");
    }

    // All steps for one delegate, whichever program it is.
    private static void below(HandleResolver resolver, SiteInfo top, PrivateKey admin, String prefix) throws Exception {
        String name = prefix + "/SN1", made = prefix + "/MADE";
        AuthenticationInfo who = new PublicKeyAuthenticationInfo(bytes("0.NA/" + prefix), 300, admin);
        step(prefix + ": finds the site by the top node, with its key", () -> {
            SiteInfo[] sites = resolver.findLocalSitesForNA(bytes("0.NA/" + prefix));
            check(sites.length == 1 && sites[0].servers[0].publicKey.length > 0, "a site with a key");
            check(sites[0].servers[0].getPublicKey() != null, "the key can be read");
        });
        step(prefix + ": resolves", () -> check(url(resolver.resolveHandle(name)).startsWith("https://"), "a URL"));
        step(prefix + ": takes a certified answer", () -> certified(resolver, name, null));
        step(prefix + ": takes certified absence", () -> {
            ResolutionRequest request = new ResolutionRequest(bytes(prefix + "/NONE"), null, null, null);
            request.certify = true;
            check(resolver.processRequest(request).responseCode == AbstractMessage.RC_HANDLE_NOT_FOUND, "absent");
        });
        step(prefix + ": does not take an answer certified by another key", () -> {
            SiteInfo honest = resolver.findLocalSitesForNA(bytes("0.NA/" + prefix))[0];
            SiteInfo forged = Encoder.decodeSiteInfoRecord(Encoder.encodeSiteInfoRecord(honest), 0);
            forged.servers[0].publicKey = Util.getBytesFromPublicKey(pair("RSA", 2048).getPublic());
            boolean refused = false;
            try {
                certified(resolver, name, forged);
            } catch (HandleException error) {
                refused = true;
            }
            check(refused, "refused");
        });
        step(prefix + ": creates in a session", () -> {
            resolver.setSessionTracker(new ClientSessionTracker(new SessionSetupInfo()));
            HandleValue[] values = {value(1, "URL", bytes("https://made.example/")), value(100, "HS_ADMIN",
                Encoder.encodeAdminRecord(new AdminRecord(bytes("0.NA/" + prefix), 300, true, true, true, true, true, true, true, true, true, true, true, true)))};
            CreateHandleRequest request = new CreateHandleRequest(bytes(made), values, who);
            succeed(resolver.processRequest(request));
            check(request.sessionInfo != null, "a session");
            check(url(resolver.resolveHandle(made)).equals("https://made.example/"), "the created handle");
        });
        step(prefix + ": is refused with another key", () -> {
            AuthenticationInfo wrong = new PublicKeyAuthenticationInfo(bytes("0.NA/" + prefix), 300, pair("RSA", 2048).getPrivate());
            HandleResolver other = new HandleResolver();
            other.setSessionTracker(null);
            SiteInfo site = resolver.findLocalSitesForNA(bytes("0.NA/" + prefix))[0];
            AbstractResponse answer = other.sendRequestToSite(new DeleteHandleRequest(bytes(made), wrong), site);
            check(answer.responseCode == AbstractMessage.RC_AUTHENTICATION_FAILED, "code " + answer.responseCode);
        });
        step(prefix + ": deletes", () -> succeed(resolver.processRequest(new DeleteHandleRequest(bytes(made), who))));
        step(prefix + ": the top node asks below for a client that wants that", () -> {
            check(url(certified(resolver, name, top)).startsWith("https://"), "a URL, certified by the top node");
        });
        step(prefix + ": the key held below is seen from above", () -> {
            ResolutionRequest request = new ResolutionRequest(bytes("0.NA/" + prefix), null, new int[] {300}, null);
            request.certify = true;
            ResolutionResponse answer = (ResolutionResponse) succeed(resolver.sendRequestToSite(request, top));
            HandleValue key = answer.getHandleValues()[0];
            check(Util.getPublicKeyFromBytes(key.getData(), 0) != null, "a key");
        });
    }

    // Resolves with a certified answer, which the library verifies by the key of the site; at this site, or where it is found.
    private static HandleValue[] certified(HandleResolver resolver, String name, SiteInfo site) throws Exception {
        ResolutionRequest request = new ResolutionRequest(bytes(name), null, null, null);
        request.certify = true;
        request.ignoreRestrictedValues = true;
        AbstractResponse answer = site == null ? resolver.processRequest(request)
            : resolver.sendRequestToSite(request, site, Interface.SP_HDL_TCP);
        succeed(answer);
        check(answer.signature != null && answer.signature.length > 0, "a signature");
        return ((ResolutionResponse) answer).getHandleValues();
    }

    private static AbstractResponse succeed(AbstractResponse answer) throws Exception {
        check(answer.responseCode == AbstractMessage.RC_SUCCESS, "answered " + answer);
        return answer;
    }

    //----------- Small things ----------------------------------------------------------------------------------------

    private interface Step {
        void run() throws Exception;
    }

    private static void step(String what, Step step) {
        try {
            step.run();
            passed++;
            System.out.println("PASS " + what);
        } catch (Throwable error) {
            failed++;
            System.out.println("FAIL " + what + ": " + error);
            error.printStackTrace();
        }
    }

    private static void check(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException(what);
        }
    }

    private static String url(HandleValue[] values) {
        for (HandleValue value : values) {
            if (value.getTypeAsString().equals("URL")) {
                return value.getDataAsString();
            }
        }
        return "";
    }

    private static HandleValue value(int index, String type, byte[] data) {
        return new HandleValue(index, bytes(type), data);
    }

    private static KeyPair pair(String algorithm, int bits) throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance(algorithm);
        generator.initialize(bits);
        return generator.generateKeyPair();
    }

    private static byte[] pem(PublicKey key) {
        String text = java.util.Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(key.getEncoded());
        return ("-----BEGIN PUBLIC KEY-----\n" + text + "\n-----END PUBLIC KEY-----\n").getBytes(StandardCharsets.US_ASCII);
    }

    private static void write(File directory, String name, byte[] content) throws Exception {
        Files.write(new File(directory, name).toPath(), content);
    }

    private static byte[] bytes(String text) {
        return Util.encodeString(text);
    }
}
