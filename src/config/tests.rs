//! The configuration against its template, its bad files and its sources.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::file_v1::{Key, keys};
use super::{Config, ConfigProblem, KeySource, Sources};
use crate::backup::Schedule;
use crate::telemetry::LogLevel;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn load_file(file: &Path) -> Result<Config, super::ConfigError> {
    Config::load(&Sources { file: Some(file.into()), ..Sources::default() })
}

fn load_arguments(arguments: &[(&str, &str)]) -> Result<Config, super::ConfigError> {
    let arguments = arguments.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    Config::load(&Sources { arguments, ..Sources::default() })
}

/// The template with its commented defaults (`#key = value`) made active; examples (`# key = value`) stay comments.
fn template(uncomment: &str) -> String {
    let template = fs::read_to_string(root().join("config/idnode.toml")).expect("the template");
    let line = |line: &str| match line.strip_prefix(uncomment) {
        Some(rest) if rest.split(" = ").next().is_some_and(is_key) && rest.contains(" = ") => rest.to_owned(),
        _ => line.to_owned(),
    };
    template.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[test]
fn the_template_shows_every_default() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("idnode.toml");
    fs::write(&file, template("#")).expect("write");
    assert_eq!(load_file(&file), Ok(Config::default()));
    assert_eq!(load_file(&root().join("config/idnode.toml")), Ok(Config::default()));
}

#[test]
fn the_template_names_every_key_once_and_no_other() {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in template("#").lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
        }
        match line.split_once(" = ") {
            Some((name, _)) if is_key(name) && name != "version" => found.push(format!("{section}.{name}")),
            _ => {}
        }
    }
    let distinct: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(distinct.len(), found.len(), "a key stands twice: {found:?}");
    assert_eq!(distinct, keys().map(Key::path).collect());
}

#[test]
fn an_example_of_every_role_is_right() {
    for role in ["top", "secondary", "enterprise"] {
        let text = fs::read_to_string(root().join(format!("config/{role}.toml"))).expect("an example");
        let directory = tempfile::tempdir().expect("a directory");
        // Files that an example names stand where it says on a real machine; here they are made.
        let here = text.replace("/etc/idnode/", &format!("{}/", directory.path().display()));
        let made = rcgen::generate_simple_self_signed(vec!["node.example".into()]).expect("a certificate");
        fs::write(directory.path().join("node.crt"), made.cert.pem()).expect("write");
        fs::write(directory.path().join("node.key"), made.signing_key.serialize_pem()).expect("write");
        for name in ["upper-token", "upper-ca.crt", "sites-ca.crt"] {
            fs::write(directory.path().join(name), "made for the test").expect("write");
        }
        let key = directory.path().join("backup.key");
        fs::write(&key, "0f".repeat(32)).expect("write");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("changed");
        let file = directory.path().join("idnode.toml");
        fs::write(&file, here).expect("write");
        let config = load_file(&file).unwrap_or_else(|error| panic!("{role}: {error}"));
        assert_eq!(config.upper.address.is_none(), role == "top");
        // The nodes below have certificates of an authority that need not be the upper node's.
        assert_eq!(config.recursion.tls_ca.is_some(), role == "secondary");
    }
}

#[test]
fn a_bad_file_is_named_with_line_key_value_and_remedy() {
    let folder = root().join("tests/data/config/bad");
    let mut seen = 0;
    for entry in fs::read_dir(&folder).expect("the bad files") {
        let file = entry.expect("an entry").path();
        if file.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let expected = fs::read_to_string(file.with_extension("message")).expect("the expected message");
        let error = load_file(&file).expect_err(&format!("{} is taken for good", file.display()));
        let found = error.to_string().replace(&format!("{}/", folder.display()), "");
        assert_eq!(found, expected.trim_end(), "{}", file.display());
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} bad files");
}

#[test]
fn a_certificate_is_checked_against_its_key() {
    let directory = tempfile::tempdir().expect("a directory");
    let pem = |name: &str| directory.path().join(name).display().to_string();
    for name in ["one", "two"] {
        let made = rcgen::generate_simple_self_signed(vec!["node.example".into()]).expect("a certificate");
        fs::write(pem(&format!("{name}.crt")), made.cert.pem()).expect("write");
        fs::write(pem(&format!("{name}.key")), made.signing_key.serialize_pem()).expect("write");
    }
    let load = |certificate: &str, key: &str| {
        load_arguments(&[("tls.certificate", &pem(certificate)), ("tls.key", &pem(key))])
    };
    load("one.crt", "one.key").expect("they belong together");
    let error = load("one.crt", "two.key").expect_err("they do not").to_string();
    assert!(
        error.starts_with("tls.certificate: ") && error.contains("do not match or are not supported"),
        "{error}"
    );
}

#[test]
fn an_address_serves_one_front_end_once() {
    let error = load_arguments(&[("http.listen", "127.0.0.1:5300")]).expect_err("that of DNS").to_string();
    let expected = "http.listen: 127.0.0.1:5300 is in dns.listen already; give each front end its own port";
    assert_eq!(error, expected);
    let error = load_arguments(&[("dns.listen", "[::1]:53,[::1]:53")]).expect_err("twice").to_string();
    assert!(error.starts_with("dns.listen: [::1]:53 is in dns.listen already"), "{error}");
    load_arguments(&[("http.listen", "127.0.0.1:0"), ("dns.listen", "127.0.0.1:0")]).expect("other ports");
}

#[test]
fn arguments_override_the_environment_and_the_environment_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("idnode.toml");
    fs::write(&file, "version = 1\n[log]\nlevel = \"warn\"\n[backup]\nkeep_days = 1\nkeep_count = 1\n")
        .expect("write");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let sources = Sources {
        file: Some(file),
        environment: vec![
            pair("IDNODE_BACKUP_KEEP_COUNT", "2"),
            pair("IDNODE_BACKUP_SCHEDULE", "every 6 hours"),
            pair("IDNODE_BACKUP_KEEP_DAYS", "2"),
            pair("IDNODE_DNS_LISTEN", "127.0.0.1:53, [::1]:53"),
            pair("IDNODE_TOKEN", "a variable of the client commands"),
        ],
        arguments: vec![pair("backup.keep_days", "3")],
        ..Sources::default()
    };
    let config = Config::load(&sources).expect("a good configuration");
    assert_eq!(config.log.level, LogLevel::Warn);
    assert_eq!((config.backup.keep_count, config.backup.keep_days), (2, 3));
    assert_eq!(config.backup.schedule, Some(Schedule::Every { hours: 6 }));
    assert_eq!(config.dns.listen.len(), 2);
}

#[test]
fn an_unknown_variable_of_a_section_is_refused() {
    let environment = vec![("IDNODE_DNS_LISEN".to_owned(), "127.0.0.1:53".to_owned())];
    let error = Config::load(&Sources { environment, ..Sources::default() }).expect_err("refused");
    let source = KeySource::Variable("IDNODE_DNS_LISEN".into());
    let nearest = Some("IDNODE_DNS_LISTEN".to_owned());
    assert_eq!(error.problems, [ConfigProblem::Unknown { source, key: "IDNODE_DNS_LISEN".into(), nearest }]);
}

#[test]
fn a_key_of_another_section_is_reported_with_its_section() {
    for (key, meant) in [("grpc.tls_key", "tls.key"), ("grpc.tls_certificate", "tls.certificate")] {
        let error = load_arguments(&[(key, "node.pem")]).expect_err("refused").to_string();
        assert!(error.ends_with(&format!("{key} is not known; did you mean {meant}?")), "{error}");
    }
}

#[test]
fn a_wrong_argument_is_named() {
    let error = load_arguments(&[("shutdown.grace_seconds", "soon")]).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "argument shutdown.grace_seconds=soon: shutdown.grace_seconds = \"soon\" is not valid: \
         write a whole number from 0 to 3600"
    );
}

#[test]
fn a_token_crosses_no_network_in_plain_text_unasked() {
    let directory = tempfile::tempdir().expect("a directory");
    let token = directory.path().join("token");
    fs::write(&token, "idn_").expect("write");
    let token = token.display().to_string();
    let load = |address: &str, more: &[(&str, &str)]| {
        let mut arguments = vec![("upper.address", address), ("upper.token_file", token.as_str())];
        arguments.extend(more);
        load_arguments(&arguments).map(|config| config.upper.address.expect("an address"))
    };
    assert_eq!(load("http://127.0.0.1:7373", &[]).as_deref(), Ok("http://127.0.0.1:7373"));
    assert_eq!(load("https://192.0.2.1:7373/", &[]).as_deref(), Ok("https://192.0.2.1:7373"));
    let allowed = [("upper.allow_token_in_plain_text", "true")];
    assert_eq!(load("http://192.0.2.1:7373", &allowed).as_deref(), Ok("http://192.0.2.1:7373"));
    let error = load("http://192.0.2.1:7373", &[]).expect_err("refused").to_string();
    assert!(error.starts_with("upper.address: the token would cross the network in plain text"), "{error}");
}

#[test]
fn backups_go_beside_the_data_by_default() {
    let config = load_arguments(&[("store.directory", "/srv/idnode")]).expect("good");
    assert_eq!(config.backup_directories(), [PathBuf::from("/srv/idnode-backups")]);
    let config = load_arguments(&[("backup.directories", "/a,/b")]).expect("good");
    assert_eq!(config.backup_directories(), [PathBuf::from("/a"), PathBuf::from("/b")]);
}

/// A proxy on this machine asks for others, and its network is exempt from the bounds of one source.
#[test]
fn a_node_behind_a_proxy_is_asked_by_others_although_it_listens_on_loopback() {
    let own = [
        ("grpc.listen", "127.0.0.1:7373"),
        ("dns.listen", "[::1]:53"),
        ("handle.listen", "127.0.0.1:2641"),
        ("http.listen", "127.0.0.1:80"),
    ];
    let is_own =
        |arguments: &[(&str, &str)]| load_arguments(arguments).expect("good").is_asked_by_this_machine_only();
    assert!(is_own(&own));
    assert!(!is_own(&[("http.listen", "192.0.2.1:80")]));
    for key in ["connections.exempt_networks", "udp.exempt_networks"] {
        let behind: Vec<(&str, &str)> = own.into_iter().chain([(key, "127.0.0.1/32")]).collect();
        assert!(!is_own(&behind), "{key}");
    }
}
