//! Key tools: files that are made and converted, keys on identifiers, signatures that lead to a root.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value as Json;

use crate::support::node::{NodeProcess, program};

/// A workbench: key files in one directory, and maybe a node to publish on.
struct Bench {
    directory: tempfile::TempDir,
    node: Option<NodeProcess>,
}

/// What a command came to.
struct Ended {
    code: Option<i32>,
    printed: String,
    stderr: String,
}

impl Bench {
    fn without_node() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory"), node: None }
    }

    /// With a node that keeps the prefixes 88.118.8 and 88.111.1.
    fn with_node() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let node = NodeProcess::start(&directory.path().join("data"), &[]);
        let bench = Self { directory, node: Some(node) };
        bench.run(&["prefix", "home", "88.118.8"]);
        bench.run(&["prefix", "home", "88.111.1"]);
        bench
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn ended(&self, arguments: &[&str]) -> Ended {
        let data = self.node.as_ref().map_or(Path::new("."), |node| node.data());
        let output = program(arguments)
            .current_dir(self.directory.path())
            .env("IDNODE_DATA", data)
            .output()
            .expect("a process");
        Ended {
            code: output.status.code(),
            printed: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// What a command that succeeds prints.
    fn run(&self, arguments: &[&str]) -> String {
        let ended = self.ended(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        ended.printed
    }

    /// What a command that ends with this code complains of.
    fn refuse(&self, code: i32, arguments: &[&str]) -> String {
        let ended = self.ended(arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}{}", ended.printed, ended.stderr);
        ended.stderr
    }
}

#[test]
fn a_key_is_made_for_its_owner_alone_and_never_replaced() {
    let bench = Bench::without_node();
    let printed = bench.run(&["key", "make", "--algorithm", "sm2", "--out", "signer.pem"]);
    assert_eq!(printed, "created a private SM2 key in signer.pem\n");
    let mode = fs::metadata(bench.path("signer.pem")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = fs::read(bench.path("signer.pem")).expect("a file");
    let stderr = bench.refuse(74, &["key", "make", "--algorithm", "sm2", "--out", "signer.pem"]);
    assert!(stderr.contains("signer.pem: exists and is not replaced"), "{stderr}");
    assert_eq!(fs::read(bench.path("signer.pem")).expect("a file"), before);
    let stderr =
        bench.refuse(2, &["key", "make", "--algorithm", "rsa", "--bits", "1024", "--out", "weak.pem"]);
    assert!(stderr.contains("1024; allowed is 2048 to 8192"), "{stderr}");
    let stderr =
        bench.refuse(2, &["key", "make", "--algorithm", "sm2", "--bits", "256", "--out", "other.pem"]);
    assert!(stderr.contains("all SM2 keys are of one size"), "{stderr}");
}

#[test]
fn a_key_goes_through_every_form_and_back() {
    let bench = Bench::without_node();
    bench.run(&["key", "make", "--algorithm", "rsa", "--out", "rsa.pem"]);
    bench.run(&["key", "make", "--algorithm", "sm2", "--out", "sm2.pem"]);
    for (kind, forms) in [("rsa", &["der", "handle", "jwk"][..]), ("sm2", &["der", "jwk"])] {
        let pem = format!("{kind}.pem");
        let whole = fs::read_to_string(bench.path(&pem)).expect("a file");
        let public = bench.run(&["key", "convert", &pem, "--to", "pem", "--public"]);
        assert!(public.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{public}");
        for form in forms {
            let file = format!("{kind}.{form}");
            bench.run(&["key", "convert", &pem, "--to", form, "--out", &file]);
            assert_eq!(bench.run(&["key", "convert", &file, "--to", "pem"]), whole, "{file}");
            let mode = fs::metadata(bench.path(&file)).expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        for form in ["der", "handle", "jwk"] {
            let file = format!("{kind}.public.{form}");
            bench.run(&["key", "convert", &pem, "--to", form, "--public", "--out", &file]);
            assert_eq!(bench.run(&["key", "convert", &file, "--to", "pem"]), public, "{file}");
        }
    }
    let stderr = bench.refuse(65, &["key", "convert", "sm2.pem", "--to", "handle", "--out", "x"]);
    assert!(stderr.contains("sm2.pem: SM2 keys do not work with the Handle key file"), "{stderr}");
    let stderr = bench.refuse(2, &["key", "convert", "sm2.pem", "--to", "der"]);
    assert!(stderr.contains("--out FILE"), "{stderr}");
    fs::write(bench.path("noise"), "no key").expect("a file");
    let stderr = bench.refuse(65, &["key", "convert", "noise", "--to", "pem"]);
    assert_eq!(stderr, "idnode: noise: not a key: PEM, DER, JWK or Handle form\n");
}

#[test]
fn values_are_signed_certified_and_verified_up_to_a_root() {
    let bench = Bench::with_node();
    for (name, algorithm) in [("root", "rsa"), ("signer", "sm2"), ("foreign", "sm2")] {
        bench.run(&["key", "make", "--algorithm", algorithm, "--out", &format!("{name}.pem")]);
    }
    bench.run(&["key", "convert", "root.pem", "--to", "pem", "--public", "--out", "root.pub.pem"]);
    bench.run(&["register", "0.NA/88.118.8", "NOTE=a prefix"]);
    bench.run(&["register", "88.118.8/SN1", "URL=https://example.com/", "NAME=轴承"]);
    let root = "301:88.111.1/0.0=root.pub.pem";
    let verify = ["key", "verify", "88.118.8/SN1", "--root", root];
    let stderr = bench.refuse(1, &verify);
    assert!(stderr.contains("has no HS_SIGNATURE value"), "{stderr}");

    let signer = "300:0.NA/88.118.8";
    let sign = ["key", "sign-record", "88.118.8/SN1", "--issuer", signer, "--key", "signer.pem"];
    assert!(bench.run(&sign).starts_with("amended 88.118.8/SN1, version 2"));
    let stderr = bench.refuse(1, &verify);
    assert!(stderr.contains("300:0.NA/88.118.8 has no certificate (HS_CERT) at 0.NA/88.118.8"), "{stderr}");

    let certify = ["key", "issue-certificate", signer, "--issuer", "301:88.111.1/0.0", "--key", "root.pem"];
    let grant = ["--under-prefix", "88.118.8"];
    let stderr = bench.refuse(1, &[&certify[..], &grant].concat());
    assert!(stderr.contains("has no HS_PUBKEY value at index 300"), "{stderr}");
    bench.run(&["key", "put", "0.NA/88.118.8", "signer.pem"]);
    bench.run(&[&certify[..], &grant].concat());
    let shown = bench.run(&verify);
    let expected = "signature 401: trusted, by 300:0.NA/88.118.8 under 301:88.111.1/0.0\n  \
                    signed and unchanged: 1, 2\n";
    assert_eq!(shown, expected);

    bench.run(&["amend", "88.118.8/SN1", "--add", "3:NOTE=later"]);
    let json: Json = serde_json::from_str(&bench.run(&[&verify[..], &["--json"]].concat())).expect("JSON");
    assert_eq!(json["signatures"][0]["unsigned"], serde_json::json!([3]));
    bench.run(&["amend", "88.118.8/SN1", "--remove", "2"]);
    let stderr = bench.refuse(1, &verify);
    assert!(stderr.contains("values that it covers are not visible: 2"), "{stderr}");
    assert!(bench.run(&[&verify[..], &["--partial"]].concat()).contains("signed, but not visible: 2"));
    bench.run(&["amend", "88.118.8/SN1", "--replace", "1:URL=https://example.org/"]);
    let stderr = bench.refuse(1, &verify);
    assert!(stderr.contains("value 1 is not what 300:0.NA/88.118.8 signed"), "{stderr}");

    bench.run(&[&sign[..], &["--replace"]].concat());
    assert!(bench.run(&verify).contains("signed and unchanged: 1, 3"));
    let forge = |issuer| {
        ["key", "sign-record", "88.118.8/SN1", "--issuer", issuer, "--key", "foreign.pem", "--replace"]
    };
    let stderr = bench.refuse(65, &forge(signer));
    assert!(stderr.contains("foreign.pem: 300:0.NA/88.118.8 has another public key"), "{stderr}");
    // The root's key is not published, so that only who verifies can tell.
    bench.run(&forge("301:88.111.1/0.0"));
    let stderr = bench.refuse(1, &verify);
    assert!(stderr.contains("the signature was not signed with the key of 301:88.111.1/0.0"), "{stderr}");
}

#[test]
fn a_certificate_for_another_prefix_is_not_enough() {
    let bench = Bench::with_node();
    bench.run(&["key", "make", "--algorithm", "sm2", "--out", "key.pem"]);
    bench.run(&["register", "88.118.8/SN1", "URL=https://example.com/"]);
    bench.run(&["register", "88.111.1/it", "NOTE=its keys"]);
    let (root, issuer) = ("301:88.111.1/0.0=key.pem", ["--issuer", "301:88.111.1/0.0", "--key", "key.pem"]);
    let certify =
        ["key", "issue-certificate", "300:88.111.1/it", "--subject-key", "key.pem", "--under-prefix"];
    bench.run(&[&certify[..], &["88.111.1"], &issuer].concat());
    bench.run(&["key", "sign-record", "88.118.8/SN1", "--issuer", "300:88.111.1/it", "--key", "key.pem"]);
    let stderr = bench.refuse(1, &["key", "verify", "88.118.8/SN1", "--root", root]);
    assert!(stderr.contains("the certificate of 300:88.111.1/it does not grant 88.118.8/SN1"), "{stderr}");
    bench.run(&[&certify[..], &["88.118.8", "--replace"], &issuer].concat());
    assert!(bench.run(&["key", "verify", "88.118.8/SN1", "--root", root]).contains("trusted"));
    let stderr = bench.refuse(2, &["key", "verify", "88.118.8/SN1", "--root", "301:88.111.1/0.0"]);
    assert!(stderr.contains("INDEX:IDENTIFIER=FILE"), "{stderr}");
}

/// Key files of the Handle tools before version 8 are encrypted by DES.
#[test]
fn an_old_encrypted_key_file_is_converted_with_its_pass_phrase() {
    let vectors: Json = serde_json::from_str(include_str!("../data/key/locked.json")).expect("JSON");
    let bench = Bench::without_node();
    for (number, file) in vectors["files"].as_array().expect("a list").iter().enumerate() {
        let text = |name: &str| file[name].as_str().expect("text");
        let locked = data_encoding::HEXLOWER.decode(text("file").as_bytes()).expect("hexadecimal");
        fs::write(bench.path("admpriv.bin"), locked).expect("written");
        fs::write(bench.path("phrase"), format!("{}\n", text("pass_phrase"))).expect("written");
        let convert = ["key", "convert", "admpriv.bin", "--to", "pem"];
        let refused = bench.ended(&convert);
        assert_ne!(refused.code, Some(0));
        assert!(refused.stderr.contains("its pass phrase is needed"), "{}", refused.stderr);
        assert!(refused.stderr.contains("--pass-phrase-file"), "{}", refused.stderr);
        let opened = bench.run(&[&convert[..], &["--pass-phrase-file", "phrase"]].concat());
        assert!(opened.starts_with("-----BEGIN PRIVATE KEY-----"), "{number}: {opened}");
    }
}
