//! The client commands, as a person or a script runs them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Output;

use clap::CommandFactory as _;
use idnode::cli::Arguments;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use crate::support::node::{NodeProcess, program};

/// Every command with the names of its arguments; `connection` are those by which all find the node. Scripts use these: a name may be added, never changed.
const COMMANDS: &str = include_str!("../data/contract/commands.txt");

/// Runs a command against a node.
fn run(node: &NodeProcess, arguments: &[&str]) -> Output {
    program(arguments).env("IDNODE_DATA", node.data()).output().expect("a process")
}

/// What a command that succeeds prints.
fn print(node: &NodeProcess, arguments: &[&str]) -> String {
    let output = run(node, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).expect("text")
}

/// Exit code and complaint of a command that does not succeed.
fn refuse(node: &NodeProcess, arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(node, arguments);
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn the_names_of_commands_and_arguments_are_a_contract() {
    let mut found = BTreeSet::new();
    let mut commands = vec![(String::new(), Arguments::command())];
    while let Some((path, command)) = commands.pop() {
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            commands.push((format!("{path} {}", inner.get_name()).trim().to_owned(), inner.clone()));
        }
        let (mut names, mut connection) = (BTreeSet::new(), BTreeSet::new());
        for argument in command.get_arguments() {
            let is_connection = argument.get_help_heading() == Some("Connection");
            let list = if is_connection { &mut connection } else { &mut names };
            let name = argument.get_long().map(|long| format!("--{long}"));
            list.insert(name.unwrap_or_else(|| format!("<{}>", argument.get_id())));
        }
        if !command.has_subcommands() {
            found.insert(line(&path, names));
        }
        if !connection.is_empty() {
            found.insert(line("connection", connection));
        }
    }
    let expected: BTreeSet<String> =
        COMMANDS.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    let listed: Vec<&String> = found.iter().collect();
    assert_eq!(found, expected, "found:\n{listed:#?}");
}

fn line(path: &str, names: BTreeSet<String>) -> String {
    let names: Vec<String> = names.into_iter().collect();
    format!("{path}: {}", names.join(" "))
}

#[test]
fn every_help_has_an_example() {
    let is_command = |line: &&str| !line.starts_with(['#', ' ']) && !line.starts_with("connection:");
    for line in COMMANDS.lines().filter(is_command) {
        let (path, _) = line.split_once(':').expect("a path");
        let mut arguments: Vec<&str> = path.split(' ').collect();
        arguments.push("--help");
        let output = program(&arguments).output().expect("a process");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success() && text.contains("Example"), "idnode {path} --help:\n{text}");
        assert!(text.contains(&format!("\n  idnode {path}")), "idnode {path} --help:\n{text}");
        let commands = text.lines().filter(|line| line.starts_with("  ") && line.contains("idnode "));
        assert!(commands.clone().all(|line| line.len() < 100), "an example is broken into lines:\n{text}");
    }
}

#[test]
fn an_identifier_lives_from_registration_to_removal() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start(directory.path(), &[]);
    print(&node, &["prefix", "home", "88.118.8", "--registrant", "第一机床厂"]);
    let receipt = print(&node, &["register", "88.118.8/SN1", "URL=https://example.com/", "7:NAME=轴承"]);
    assert!(receipt.starts_with("registered 88.118.8/SN1, version 1, position "), "{receipt}");
    let amended = ["amend", "88.118.8/sn1", "--add", "3:NOTE=a\tb", "--remove", "1", "--if-version", "1"];
    assert!(print(&node, &amended).starts_with("amended 88.118.8/SN1, version 2"));

    let shown = print(&node, &["resolve", "88.118.8/SN1"]);
    let rows: Vec<&str> = shown.lines().skip(1).collect();
    let expected = [
        "INDEX  TYPE  TTL    PERMISSIONS  DATA",
        "3      NOTE  86400  1110         a\\tb",
        "7      NAME  86400  1110         轴承",
    ];
    assert_eq!(rows, expected);
    let json: serde_json::Value =
        serde_json::from_str(&print(&node, &["resolve", "88.118.8/SN1", "--type", "NAME", "--json"]))
            .expect("JSON");
    assert_eq!(json["version"], 2);
    assert_eq!(json["values"][0]["data"], "轴承");
    assert_eq!(json["values"].as_array().map(Vec::len), Some(1));

    print(&node, &["remove", "88.118.8/SN1"]);
    let (code, stderr) = refuse(&node, &["resolve", "88.118.8/SN1"]);
    assert_eq!((code, stderr.as_str()), (Some(1), "idnode: 88.118.8/SN1 is not registered\n"));
    let history = print(&node, &["history", "88.118.8/SN1"]);
    let changes = history.lines().filter(|line| !line.starts_with(' '));
    let changes: Vec<&str> = changes.filter_map(|line| line.split("  ").nth(2)).collect();
    let kinds: Vec<&str> = changes.iter().filter_map(|change| change.split(' ').next()).collect();
    assert_eq!(kinds.join(" "), "removed amended registered", "{history}");
}

#[test]
fn a_delegation_is_resumed_as_it_was_and_ended_only_with_consent() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start(directory.path(), &[]);
    print(&node, &["prefix", "delegate", "88.118.9", "--address", "192.0.2.9", "--grpc", "7373"]);
    print(&node, &["prefix", "suspend", "88.118.9"]);
    let (code, complaint) = refuse(&node, &["prefix", "home", "88.118.9"]);
    assert_eq!(code, Some(1), "{complaint}");
    assert!(
        complaint.contains("`idnode prefix resume`") && complaint.ends_with(" [DELEGATION_STANDS]\n"),
        "{complaint}"
    );
    print(&node, &["prefix", "resume", "88.118.9"]);
    let answered_by = |node: &NodeProcess| {
        let shown = print(node, &["prefix", "show", "88.118.9"]);
        let rows: Vec<String> =
            shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        rows.into_iter()
            .filter(|row| row.starts_with("Status ") || row.starts_with("Answered "))
            .collect::<Vec<_>>()
    };
    assert_eq!(answered_by(&node), ["Status active", "Answered by 192.0.2.9 grpc 7373"]);
    let (code, complaint) = refuse(&node, &["prefix", "end-delegation", "88.118.9"]);
    assert_eq!(code, Some(2), "{complaint}");
    assert!(
        complaint.contains("is answered by 192.0.2.9 grpc 7373") && complaint.contains("--yes"),
        "{complaint}"
    );
    print(&node, &["prefix", "end-delegation", "88.118.9", "--yes"]);
    assert_eq!(answered_by(&node), ["Status active", "Answered by this node"]);
}

#[test]
fn a_note_on_a_prefix_is_set_shown_and_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start(directory.path(), &[]);
    print(&node, &["prefix", "home", "88.118.8"]);
    let text = "contract 2026-117, contact Mrs Li";
    let receipt = print(&node, &["prefix", "note", "88.118.8", text]);
    assert!(receipt.starts_with("noted prefix 88.118.8, version 1, position "), "{receipt}");
    assert!(print(&node, &["prefix", "note", "88.118.8", text]).starts_with("unchanged 88.118.8, version 1"));
    let note_in = |arguments: &[&str]| -> serde_json::Value {
        let shown = print(&node, &[arguments, &["--json"]].concat());
        serde_json::from_str::<serde_json::Value>(&shown).expect("JSON")["note"].clone()
    };
    for arguments in [&["prefix", "show", "88.118.8"][..], &["prefix", "list"]] {
        let shown = print(&node, arguments);
        assert!(shown.lines().any(|line| line.ends_with(text)), "{shown}");
        assert_eq!((&note_in(arguments)["text"], &note_in(arguments)["version"]), (&text.into(), &1.into()));
    }
    let nobody = ["prefix", "show", "88.118.8", "--json", "--node", node.grpc()];
    let nobody = program(&nobody).output().expect("a process");
    let shown: serde_json::Value = serde_json::from_slice(&nobody.stdout).expect("JSON");
    assert_eq!((&shown["prefix"], &shown["note"]), (&"88.118.8".into(), &serde_json::Value::Null));

    print(&node, &["prefix", "note", "88.118.8", "--remove"]);
    assert_eq!(note_in(&["prefix", "show", "88.118.8"]), serde_json::Value::Null);
    let removed = print(&node, &["prefix", "note", "88.118.8", ""]);
    assert!(removed.starts_with("unchanged 88.118.8, version 2"), "{removed}");
    let (code, complaint) = refuse(&node, &["prefix", "note", "88.118.9", "x"]);
    assert_eq!(code, Some(1), "{complaint}");
    let expected = "prefix 88.118.9 has no entry here; home or delegate it first [PREFIX_ABSENT]\n";
    assert_eq!(complaint, format!("idnode: refused: {expected}"));
    assert_eq!(refuse(&node, &["prefix", "note", "88.118.8"]).0, Some(2), "neither a text nor --remove");
    assert_eq!(refuse(&node, &["prefix", "note", "88.118.8", "x", "--remove"]).0, Some(2), "both");
}

#[test]
fn a_url_that_is_no_web_address_is_accepted_with_a_warning() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start(directory.path(), &[]);
    print(&node, &["prefix", "home", "88.118.8"]);
    let warned = |arguments: &[&str]| {
        let output = program(arguments).env("IDNODE_DATA", node.data()).output().expect("a process");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    let warning = "idnode: warning: the URL at index 1 is not a web address: \"www.example.com\"; ";
    let stderr = warned(&["register", "88.118.8/SN1", "URL=www.example.com"]);
    assert!(stderr.starts_with(warning) && stderr.ends_with("such as https://example.com/x\n"), "{stderr}");
    assert_eq!(warned(&["register", "88.118.8/SN2", "URL=https://example.com/"]), "");
    let amended = warned(&["amend", "88.118.8/SN2", "--add", "3:URL=/x"]);
    assert!(amended.starts_with("idnode: warning: the URL at index 3 "), "{amended}");
    let json = print(&node, &["register", "88.118.8/SN3", "URL=www.example.com", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (&json["warnings"][0]["index"], &json["warnings"][0]["code"]),
        (&1.into(), &"NO_WEB_ADDRESS".into())
    );
}

#[test]
fn a_command_that_is_repeated_under_its_id_is_done_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start(directory.path(), &[]);
    print(&node, &["prefix", "home", "88.118.8"]);
    let now = print(&node, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&now).expect("JSON");
    // An incarnation is a UUIDv7 of just now, as a request id must be.
    let id = status["incarnation"].as_str().expect("an incarnation").to_owned();
    let command = ["register", "88.118.8/M-", "--mint", "URL=x", "--request-id", &id, "--json"];
    let first: serde_json::Value = serde_json::from_str(&print(&node, &command)).expect("JSON");
    let again: serde_json::Value = serde_json::from_str(&print(&node, &command)).expect("JSON");
    assert_eq!((&first["repeated"], &again["repeated"]), (&false.into(), &true.into()));
    assert_eq!(first["identifier"], again["identifier"]);
    assert_eq!(first["position"], again["position"]);
    let listed = print(&node, &["list", "88.118.8"]);
    assert_eq!(listed.trim(), first["identifier"].as_str().expect("an identifier"));
}

#[test]
fn refusals_are_one_sentence_with_a_code() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start(directory.path(), &[]);
    let (code, stderr) = refuse(&node, &["register", "88.118.8/SN1", "URL=x"]);
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("idnode: refused: ") && stderr.lines().count() == 1, "{stderr}");
    let (code, stderr) = refuse(&node, &["register", "88.118.8", "URL=x", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&stderr).expect("JSON");
    assert_eq!((code, &json["error"]["code"]), (Some(1), &"IDENTIFIER_MALFORMED".into()));
    let (code, stderr) = refuse(&node, &["register", "88.118.8/SN1", "URL"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("INDEX:TYPE=DATA"), "{stderr}");

    print(&node, &["prefix", "home", "88.118.8"]);
    let elsewhere = tempfile::tempdir().expect("a directory");
    let anonymous = ["list", "88.118.8", "--data", &elsewhere.path().display().to_string(), "--node"];
    let url = node.addresses.grpc.first().expect("a gRPC address").as_str();
    let (code, stderr) = refuse(&node, &[&anonymous[..], &[url]].concat());
    assert_eq!(code, Some(1));
    assert!(stderr.contains("no token was sent"), "{stderr}");
    let (code, stderr) = refuse(&node, &["status", "--node", "http://127.0.0.1:1"]);
    assert_eq!(code, Some(69));
    assert!(stderr.contains("no node answers at http://127.0.0.1:1"), "{stderr}");
    let (code, stderr) = refuse(&node, &["status", "--node", "http://192.0.2.1:1", "--token", "idn_x"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("in plain text"), "{stderr}");
}

#[test]
fn tokens_are_created_used_and_revoked() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start(directory.path(), &[]);
    print(&node, &["prefix", "home", "88.118.8"]);
    let text = print(&node, &["token", "create", "车间", "--registrar", "88.118.8"]);
    let token = text.trim();
    print(&node, &["register", "88.118.8/A", "URL=x", "--token", token]);
    let (code, stderr) = refuse(&node, &["prefix", "home", "88.118.9", "--token", token]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("[PERMISSION_DENIED]"), "{stderr}");
    let listed = print(&node, &["token", "list"]);
    let row = listed.lines().find(|line| line.contains("车间")).expect("the token");
    assert!(row.contains("registrar 88.118.8") && !listed.contains(token), "{listed}");
    let id = row.split(' ').next().expect("an id");
    let (code, stderr) = refuse(&node, &["token", "reset-peer", id, "--yes"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("has no scope peer"), "{stderr}");
    assert!(print(&node, &["token", "revoke", id]).starts_with(&format!("revoked token {id}")));
    let (code, stderr) = refuse(&node, &["register", "88.118.8/B", "URL=x", "--token", token]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("[TOKEN_REVOKED]"), "{stderr}");
}

#[test]
fn the_record_of_a_prefix_loses_its_administrator_only_when_that_is_said() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start(directory.path(), &[]);
    print(&node, &["prefix", "home", "88.118.8"]);
    print(&node, &["register", "0.NA/88.118.8", "100:HS_ADMIN=300:0.NA/88.118.8"]);
    let overwrite = ["register", "0.NA/88.118.8", "URL=x", "--overwrite"];
    let (code, stderr) = refuse(&node, &overwrite);
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("[ADMINISTRATOR_MISSING]") && stderr.contains("--without-administrator"),
        "{stderr}"
    );
    let (code, _) = refuse(&node, &["register", "0.NA/88.118.8", "URL=x", "--without-administrator"]);
    assert_eq!(code, Some(2), "it is for overwriting");
    let said = print(&node, &[&overwrite[..], &["--without-administrator"]].concat());
    assert!(said.starts_with("overwritten"), "{said}");
}

#[test]
fn a_peer_is_reset_when_that_is_confirmed() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start(directory.path(), &[]);
    print(&node, &["token", "create", "lower node", "--peer", "88.118"]);
    let listed = print(&node, &["token", "list"]);
    let row = listed.lines().find(|line| line.contains("lower node")).expect("the token");
    let id = row.split(' ').next().expect("an id");
    let (code, stderr) = refuse(&node, &["token", "reset-peer", id]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--yes"), "{stderr}");
    assert!(print(&node, &["token", "reset-peer", id, "--yes"]).starts_with(&format!("reset peer {id}")));
}

#[test]
fn a_store_at_rest_is_checked() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().display().to_string();
    let node = NodeProcess::start(directory.path(), &[]);
    print(&node, &["prefix", "home", "88.118.8"]);
    print(&node, &["register", "88.118.8/A", "URL=x"]);
    print(&node, &["register", "88.118.8/B", "URL=x"]);
    print(&node, &["remove", "88.118.8/B"]);
    let check = ["store", "check", "--data", &data, "--json"];
    let (code, stderr) = refuse(&node, &check);
    assert_eq!(code, Some(75), "a node has it open: {stderr}");
    assert!(stderr.contains("is in use by process"), "{stderr}");
    node.kill();
    let output = program(&check).output().expect("a process");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &report["sound"]), (Some(0), &true.into()), "{report}");
    assert_eq!((&report["identifiers"], &report["tombstones"]), (&1.into(), &1.into()), "{report}");

    fs::remove_dir_all(directory.path().join("fjall")).expect("removed");
    let output = program(&check).output().expect("a process");
    assert_eq!(output.status.code(), Some(74), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_dns_name_of_an_identifier_needs_no_node() {
    let name = |arguments: &[&str]| {
        let output = program(&[&["dns-name"], arguments].concat()).output().expect("a process");
        String::from_utf8(output.stdout).expect("text")
    };
    assert_eq!(name(&["88.118.8/SN000123"]), "sn000123.8.118.88.id.internal.\n");
    assert_eq!(name(&["88.118.8/SN1", "--root", "example", "--index", "7"]), "_7.sn1.8.118.88.example.\n");
}

/// OpenSSL makes an authority of what it signs itself, which no client takes for a server's.
#[test]
fn an_untrusted_certificate_is_reported_as_such_and_not_as_an_absent_node() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    fs::write(path("node.crt"), certificate.pem()).expect("a file");
    fs::write(path("node.key"), key.serialize_pem()).expect("a file");
    let pair = [format!("tls.certificate={}", path("node.crt")), format!("tls.key={}", path("node.key"))];
    let node = NodeProcess::start(&directory.path().join("data"), &["--set", &pair[0], "--set", &pair[1]]);
    let (code, stderr) = refuse(&node, &["status", "--ca", &path("node.crt")]);
    assert_eq!(code, Some(69), "{stderr}");
    assert!(stderr.contains("answers, but its certificate is not trusted"), "{stderr}");
    assert!(stderr.contains("CA:FALSE") && !stderr.contains("no node answers"), "{stderr}");
}

/// A certificate for 127.0.0.1 and its key, in a directory; the arguments that have a node show it.
fn certificate_in(directory: &Path) -> [String; 2] {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let (certificate, key) = (directory.join("node.crt"), directory.join("node.key"));
    fs::write(&certificate, made.cert.pem()).expect("a file");
    fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    [format!("tls.certificate={}", certificate.display()), format!("tls.key={}", key.display())]
}

#[test]
fn a_port_of_another_protocol_is_named_with_what_would_be_right() {
    let (plain, tls) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let certificate = certificate_in(tls.path());
    let plain = NodeProcess::start(&plain.path().join("data"), &[]);
    let arguments = ["--set", &certificate[0], "--set", &certificate[1]];
    let data = tls.path().join("data");
    let guarded = NodeProcess::start(&data, &arguments);
    let ca = tls.path().join("node.crt").display().to_string();
    let address = |url: &str| url.split_once("://").expect("a URL").1.to_owned();
    let check = |scheme: &str, front_end: &str, expected: &str| {
        let url = format!("{scheme}://{}", address(front_end));
        // A change, too, is not left as an unknown outcome.
        for command in [&["status"][..], &["remove", "88.118.8/SN000123"]] {
            let arguments = [command, &["--node", &url, "--ca", &ca]].concat();
            let output = program(&arguments).output().expect("a process");
            let stderr = String::from_utf8(output.stderr).expect("text");
            assert_eq!((output.status.code(), stderr), (Some(69), format!("idnode: {expected}\n")), "{url}");
        }
    };
    let at = address(guarded.grpc());
    let speaks_tls = format!(
        "the node at {at} speaks TLS: use --node https://{at} with --ca FILE, the PEM file of the authority that \
         signed its certificate"
    );
    check("http", guarded.grpc(), &speaks_tls);
    let at = address(plain.grpc());
    check("https", plain.grpc(), &format!("the node at {at} does not speak TLS: use --node http://{at}"));
    for (scheme, front_end) in [("http", plain.http()), ("https", guarded.http())] {
        let expected = format!(
            "the server at {} does not speak gRPC: use the address that the node prints when it starts, also in the file \
             `addresses` of its data directory",
            address(front_end)
        );
        check(scheme, front_end, &expected);
    }
}

#[test]
fn commands_have_a_variable_of_their_own_for_the_data_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start(&directory.path().join("data"), &[]);
    let status = |variables: &[(&str, &Path)]| {
        let output = program(&["status"]).envs(variables.iter().copied()).output().expect("a process");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let (data, elsewhere) = (node.data(), directory.path());
    assert_eq!(status(&[("IDNODE_DATA", data)]), (Some(0), String::new()));
    let both = [("IDNODE_DATA", data), ("IDNODE_STORE_DIRECTORY", elsewhere)];
    assert_eq!(status(&both), (Some(0), String::new()), "the node's own variable is not read");
    let (code, stderr) = status(&[("IDNODE_STORE_DIRECTORY", data)]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.starts_with("idnode: warning: IDNODE_STORE_DIRECTORY"), "{stderr}");
    assert!(stderr.contains(&format!("IDNODE_DATA={}", data.display())), "{stderr}");
    assert_eq!(stderr.lines().count(), 1);

    // A node reads its own variable alone.
    let other = directory.path().join("other");
    let variables = [("IDNODE_DATA", data.to_str().expect("a path"))];
    drop(NodeProcess::start_with(&other, &[], &variables));
    assert!(other.join("server-key.pem").exists());
}

#[test]
fn a_token_is_read_from_a_file_so_that_nobody_sees_it_in_the_list_of_processes() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start(&directory.path().join("data"), &[]);
    let good = directory.path().join("token");
    fs::copy(node.data().join("admin-token"), &good).expect("a file");
    let good = good.to_str().expect("a path");
    let status = |arguments: &[&str], variables: &[(&str, &str)]| {
        let named = [&["status", "--node", node.grpc()], arguments].concat();
        let output = program(&named).envs(variables.iter().copied()).output().expect("a process");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    assert_eq!(status(&["--token-file", good], &[]), (Some(0), String::new()));
    assert_eq!(status(&[], &[("IDNODE_TOKEN_FILE", good)]), (Some(0), String::new()));
    // An argument overrides a variable.
    assert_eq!(status(&["--token-file", good], &[("IDNODE_TOKEN", "idn_wrong")]), (Some(0), String::new()));
    assert_eq!(status(&["--token", "idn_wrong"], &[("IDNODE_TOKEN_FILE", good)]).0, Some(1));
    let (code, stderr) = status(&["--token-file", "absent"], &[]);
    assert_eq!(code, Some(74), "{stderr}");
    let (code, stderr) = status(&[], &[]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("--token-file") && stderr.contains("IDNODE_TOKEN"), "{stderr}");

    for line in COMMANDS.lines().filter(|line| !line.starts_with('#') && !line.starts_with("connection:")) {
        let (path, _) = line.split_once(':').expect("a path");
        let arguments: Vec<&str> = path.split(' ').chain(["--help"]).collect();
        let help = String::from_utf8(program(&arguments).output().expect("a process").stdout).expect("text");
        let has_token = help.contains("--token <TOKEN>");
        assert_eq!(
            help.contains("--token-file <FILE>") && help.contains("IDNODE_TOKEN_FILE"),
            has_token,
            "{path}"
        );
    }
}

#[test]
fn a_token_that_would_have_expired_already_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start(directory.path(), &[]);
    let create = ["token", "create", "line 3", "--admin", "--expires", "2020-01-01T00:00:00Z"];
    let (code, stderr) = refuse(&node, &create);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("would have expired") && stderr.contains("[COMMAND_INVALID]"), "{stderr}");
    assert!(!print(&node, &["token", "list"]).contains("line 3"));
    print(&node, &["token", "create", "line 3", "--admin", "--expires", "2200-01-01T00:00:00Z"]);
}

/// A certificate that an authority signed is not one that clients can be given as the authority.
#[test]
fn the_first_commands_of_a_node_name_the_authority_that_clients_need() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let mut params = CertificateParams::new(Vec::new()).expect("names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "Works CA");
    let authority_key = KeyPair::generate().expect("a key");
    let authority = params.self_signed(&authority_key).expect("a certificate");
    let key = KeyPair::generate().expect("a key");
    let issuer = rcgen::Issuer::from_params(&params, &authority_key);
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("names");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    fs::write(path("node.key"), key.serialize_pem()).expect("a file");
    fs::write(path("CA.pem"), authority.pem()).expect("a file");
    fs::write(path("node.crt"), certificate.pem()).expect("a file");
    fs::write(path("chain.crt"), certificate.pem() + &authority.pem()).expect("a file");
    let start = |name: &str| {
        let pair = [format!("tls.certificate={}", path(name)), format!("tls.key={}", path("node.key"))];
        NodeProcess::start(&directory.path().join("data"), &["--set", &pair[0], "--set", &pair[1]])
    };
    let greeting = |node: NodeProcess| {
        node.signal("TERM");
        let (status, greeting, log) = node.wait();
        assert!(status.success(), "{log}");
        greeting
    };

    let node = start("node.crt");
    print(&node, &["status", "--ca", &path("CA.pem")]);
    let (code, stderr) = refuse(&node, &["status", "--ca", &path("node.crt")]);
    assert_eq!(code, Some(69), "{stderr}");
    assert!(stderr.contains("only where it signed itself, --ca names the certificate"), "{stderr}");
    let greeting_alone = greeting(node);
    assert!(greeting_alone.contains(" --ca CA.pem "), "{greeting_alone}");
    assert!(greeting_alone.contains("CA.pem is the certificate of CN=Works CA"), "{greeting_alone}");
    assert!(!greeting_alone.contains("node.crt"), "{greeting_alone}");

    let node = start("chain.crt");
    print(&node, &["status", "--ca", &path("chain.crt")]);
    let greeting_chain = greeting(node);
    assert!(greeting_chain.contains(&format!(" --ca {} ", path("chain.crt"))), "{greeting_chain}");
}

#[test]
fn recursion_is_not_advised_to_those_who_asked_for_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let token = directory.path().join("token");
    fs::write(&token, "idn_x").expect("a file");
    let token = format!("upper.token_file={}", token.display());
    let upper = ["--set", "upper.address=http://127.0.0.1:1", "--set", &token];
    let node = NodeProcess::start(&directory.path().join("data"), &upper);
    print(&node, &["prefix", "delegate", "88.118.9", "--address", "192.0.2.1", "--dns", "53"]);
    for (identifier, place) in
        [("88.118.9/A", "ask there"), ("99/A", "ask the upper node http://127.0.0.1:1")]
    {
        let (code, stderr) = refuse(&node, &["resolve", identifier]);
        assert_eq!(code, Some(1));
        assert!(stderr.contains(&format!("{place}, or try --recursive")), "{stderr}");
        let (code, stderr) = refuse(&node, &["resolve", identifier, "--recursive"]);
        assert_eq!(code, Some(1));
        assert!(stderr.contains(place) && !stderr.contains("--recursive"), "{stderr}");
        assert!(stderr.contains("recursion.allowed is false"), "{stderr}");
    }
}

#[test]
fn formulas_are_exported_as_they_are_with_a_warning_and_refused_for_spreadsheets() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start(directory.path(), &[]);
    print(&node, &["prefix", "home", "88.118.8"]);
    print(&node, &["register", "88.118.8/A", "NOTE==HYPERLINK(1)", "PHONE=+86 10"]);
    let output = run(&node, &["export", "88.118.8", "--format", "csv"]);
    let stderr = String::from_utf8(output.stderr).expect("text");
    let printed = String::from_utf8(output.stdout).expect("text");
    assert_eq!(printed, "identifier,1:NOTE,2:PHONE\r\n88.118.8/A,=HYPERLINK(1),+86 10\r\n");
    assert!(stderr.contains("2 cells") && stderr.contains("the first at 88.118.8/A"), "{stderr}");
    let (code, stderr) = refuse(&node, &["export", "88.118.8", "--format", "csv", "--bom"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("--formulas keep"), "{stderr}");
    for more in [&["--formulas", "keep"][..], &["--bom", "--formulas", "keep"]] {
        let output = run(&node, &[&["export", "88.118.8", "--format", "csv"], more].concat());
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "{more:?}");
    }
}

/// A time zone file of one zone (RFC 9636): China Standard Time.
fn zone() -> Vec<u8> {
    let header = |version: u8| {
        let mut bytes = b"TZif".to_vec();
        bytes.push(version);
        bytes.extend([0; 15]);
        // UTC indicators, standard indicators, leap seconds, transitions, one type, four characters.
        [0_u32, 0, 0, 0, 1, 4].iter().for_each(|count| bytes.extend(count.to_be_bytes()));
        bytes.extend(28_800_i32.to_be_bytes());
        bytes.extend(b"\0\0CST\0");
        bytes
    };
    [header(b'2'), header(b'2'), b"\nCST-8\n".to_vec()].concat()
}

#[test]
fn times_are_those_of_the_time_zone_that_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start(&directory.path().join("data"), &[]);
    print(&node, &["prefix", "home", "88.118.8"]);
    fs::create_dir_all(directory.path().join("zones/Asia")).expect("a directory");
    fs::write(directory.path().join("zones/Asia/Shanghai"), zone()).expect("a file");
    for (name, offset) in [("Asia/Shanghai", "+08:00"), ("CST-8", "+08:00"), ("UTC0", "+00:00")] {
        let mut command = program(&["prefix", "list"]);
        command.env("IDNODE_DATA", node.data()).env("TZ", name).env("TZDIR", directory.path().join("zones"));
        let output = command.output().expect("a process");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(text.trim_end().ends_with(offset), "{name}: {text}");
    }
}

#[test]
fn a_file_of_values_may_begin_with_a_byte_order_mark() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start(&directory.path().join("data"), &[]);
    print(&node, &["prefix", "home", "88.118.8"]);
    let path = directory.path().join("values.json");
    fs::write(&path, "\u{feff}[{\"type\": \"URL\", \"data\": \"x\"}]").expect("a file");
    print(&node, &["register", "88.118.8/A", "--values", path.to_str().expect("a path")]);
}
