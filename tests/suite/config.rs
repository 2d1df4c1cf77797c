//! The configuration as an operator meets it: `config check`, and what `serve` says about a wrong one.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use crate::support::node::{program, serve_and_end};

fn check(text: &str) -> (Option<i32>, String, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("idnode.toml");
    fs::write(&file, text).expect("written");
    let name = file.display().to_string();
    let output = program(&["config", "check", &name]).output().expect("a process");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&name, "FILE");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_correct_file_is_checked_without_starting() {
    let (code, said, complaint) = check("version = 1\n[log]\nlevel = \"debug\"\n");
    assert_eq!((code, said.as_str(), complaint.as_str()), (Some(0), "FILE: OK\n", ""));
}

#[test]
fn a_wrong_file_is_named_with_every_problem() {
    let (code, said, complaint) = check("version = 1\n[dns]\nlisen = []\nroot = 7\n");
    let expected = "FILE:3: dns.lisen is not known; did you mean dns.listen?\n\
                    FILE:4: dns.root = 7 is not valid: write labels of letters, digits and '-' such as \"id.internal\"\n";
    assert_eq!((code, said.as_str(), complaint.as_str()), (Some(78), "", expected));
}

/// A directory with a certificate for these names and times, its key, and a configuration file of these lines.
struct Checked(TempDir);

impl Checked {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        // Every user may enter it, so that the files decide.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("changed");
        Self(directory)
    }

    fn certify(&self, change: impl FnOnce(&mut CertificateParams)) {
        let mut parameters = CertificateParams::new(vec!["node.example".to_owned()]).expect("names");
        change(&mut parameters);
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        self.write("node.crt", &certificate.pem());
        self.write("node.key", &key.serialize_pem());
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).expect("written");
    }

    fn protect(&self, name: &str, mode: u32) {
        fs::set_permissions(self.0.path().join(name), Permissions::from_mode(mode)).expect("changed");
    }

    /// Exit code and complaint about a file with these lines; DIR stands for the directory.
    fn check(&self, lines: &str, more: &[&str]) -> (Option<i32>, String) {
        let path = self.0.path().display().to_string();
        self.write("idnode.toml", &format!("version = 1\n{}", lines.replace("DIR", &path)));
        self.protect("idnode.toml", 0o644);
        let file = format!("{path}/idnode.toml");
        let output = program(&[&["config", "check", &file], more].concat()).output().expect("a process");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).replace(&path, "DIR"))
    }
}

const TLS: &str =
    "[store]\ndirectory = \"DIR/data\"\n[tls]\ncertificate = \"DIR/node.crt\"\nkey = \"DIR/node.key\"\n";

#[test]
fn a_certificate_that_clients_refuse_is_named() {
    let checked = Checked::new();
    let named = format!("{TLS}[site]\naddresses = [\"192.0.2.9\"]\nhost_name = \"other.example\"\n");
    for (years, lines, expected) in [
        ((2020, 2099), TLS.to_owned(), None),
        (
            (2020, 2021),
            TLS.to_owned(),
            Some("tls.certificate: the certificate expired at 2021-01-01T00:00:00Z; "),
        ),
        (
            (2098, 2099),
            TLS.to_owned(),
            Some("tls.certificate: the certificate is not valid before 2098-01-01T00:00:00Z; "),
        ),
        ((2020, 2099), named.replace("other", "node"), None),
        (
            (2020, 2099),
            named,
            Some("site.host_name: the certificate of tls.certificate does not name \"other.example\", "),
        ),
    ] {
        checked.certify(|parameters| {
            parameters.not_before = rcgen::date_time_ymd(years.0, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        });
        let (code, complaint) = checked.check(&lines, &[]);
        let expected_code = if expected.is_some() { 78 } else { 0 };
        assert_eq!(code, Some(expected_code), "{lines}: {complaint}");
        assert!(complaint.starts_with(expected.unwrap_or_default()), "{lines}: {complaint}");
    }
    let (first, _) = checked.check(TLS, &[]);
    let key = fs::read_to_string(checked.0.path().join("node.key")).expect("a key");
    checked.certify(|_| {});
    checked.write("node.key", &key);
    let (other, complaint) = checked.check(TLS, &[]);
    assert_eq!((first, other), (Some(0), Some(78)), "the key of another certificate: {complaint}");
}

#[test]
fn backups_that_would_not_work_are_named() {
    let checked = Checked::new();
    let data = "[store]\ndirectory = \"DIR/data\"\n[backup]\n";
    checked.write("backup.key", "abc");
    checked.protect("backup.key", 0o600);
    let (code, complaint) = checked.check(&format!("{data}key_file = \"DIR/backup.key\"\n"), &[]);
    assert_eq!(code, Some(78), "{complaint}");
    assert!(
        complaint.starts_with("backup.key_file: ") && complaint.contains("64 hexadecimal digits"),
        "{complaint}"
    );
    checked.write("backup.key", &"0f".repeat(32));
    for (directory, expected) in
        [("backups", Some(0)), ("data/backups", Some(78)), ("data", Some(78)), ("", Some(78))]
    {
        let lines = format!("{data}key_file = \"DIR/backup.key\"\ndirectories = [\"DIR/{directory}\"]\n");
        let (code, complaint) = checked.check(&lines, &[]);
        assert_eq!(code, expected, "{directory}: {complaint}");
        assert!(
            code == Some(0) || complaint.starts_with("backup.directories: backup directory DIR"),
            "{complaint}"
        );
    }
}

/// What root may read its service may not: the check is about the user of the service.
#[test]
fn what_the_user_of_the_service_may_not_read_is_named() {
    let checked = Checked::new();
    checked.certify(|parameters| {
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2099, 1, 1);
    });
    let (code, complaint) = checked.check(TLS, &["--as", "nobody-at-all"]);
    assert_eq!(code, Some(2), "{complaint}");
    assert!(complaint.contains("/etc/passwd has no user nobody-at-all"), "{complaint}");
    fs::create_dir(checked.0.path().join("data")).expect("made");
    checked.protect("data", 0o777);
    for (mode, expected) in [(0o644, Some(0)), (0o600, Some(78))] {
        checked.protect("node.key", mode);
        let (code, complaint) = checked.check(TLS, &["--as", "nobody"]);
        assert_eq!(code, expected, "mode {mode:o}: {complaint}");
        let named = complaint.starts_with("tls.key: user nobody cannot read DIR/node.key (owner ");
        assert_eq!(named, code == Some(78), "{complaint}");
    }
    checked.protect("node.key", 0o644);
    checked.protect("data", 0o700);
    let (code, complaint) = checked.check(TLS, &["--as", "nobody"]);
    assert_eq!(code, Some(78), "{complaint}");
    assert!(complaint.starts_with("store.directory: user nobody cannot use DIR/data (owner "), "{complaint}");
}

#[test]
fn serve_refuses_a_wrong_key_before_it_touches_the_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let output = serve_and_end(&data, &["--set", "log.levle=info"]);
    assert_eq!(output.status.code(), Some(78));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(complaint, "argument log.levle=info: log.levle is not known; did you mean log.level?\n");
    assert!(!data.exists(), "the data directory was made");
}

#[test]
fn the_engine_of_a_store_cannot_change() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(directory.path().join("sled")).expect("made");
    let output = serve_and_end(directory.path(), &["--set", "store.engine=fjall"]);
    assert_eq!(output.status.code(), Some(78));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("was created by the engine sled, which cannot change"), "{complaint}");
    assert!(complaint.contains("write store.engine = \"sled\""), "{complaint}");
}
