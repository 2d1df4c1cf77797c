//! What a released version wrote, held against today's code: its stores are opened and answer as they did, its backups
//! are verified and restored, and the names that others use are still there.
//!
//! `tests/data/released/make` wrote the files, with the program of that version.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Output, Stdio};
use std::sync::Arc;

use idnode::authority::{Authority, AuthorityOptions};
use idnode::config::{Config, Sources};
use idnode::model::identifier::{Folding, Identifier, Prefix};
use idnode::model::request::RequestId;
use idnode::model::value::{Index, Permissions, Ttl, Value, ValueType, Values};
use idnode::registry::command::{Batch, Command, Existing, Item, Precondition, Register, Remove, Target};
use idnode::registry::{Registry, RegistryOptions};
use idnode::store::EngineKind;
use idnode::store::open::{Opened, StoreOptions, open};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::support::clients::http_get;
use crate::support::node::{NodeProcess, admin_token, program};

/// Longest text that is recorded as it is; of longer ones the digest is recorded.
const RECORDED_CHARACTERS_MAX: usize = 1_000;

//----------- Released -------------------------------------------------------

/// What a released version wrote on one engine, unpacked into a directory of its own.
struct Released {
    directory: TempDir,
    record: Json,
}

/// The version whose names are recorded too.
const FIRST: &str = "0.1.0-b5a6466";
/// Versions that wrote stores and backups on each engine.
const WRITERS: [&str; 2] = [FIRST, "0.1.0-8ce885d"];

/// The folder of a released version.
fn folder(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/released").join(version)
}

fn load_json(version: &str, name: &str) -> Json {
    let text = fs::read_to_string(folder(version).join(name)).expect("a recorded file");
    serde_json::from_str(&text).expect("JSON")
}

/// Every version that wrote stores, with each engine.
fn writers() -> impl Iterator<Item = (&'static str, EngineKind)> {
    WRITERS.into_iter().flat_map(|version| EngineKind::ALL.map(|engine| (version, engine)))
}

impl Released {
    fn unpack(version: &str, engine: EngineKind) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let packed = fs::read(folder(version).join(format!("{engine}.tar.zst"))).expect("an archive");
        let archive = zstd::decode_all(packed.as_slice()).expect("zstd");
        let mut tar = Process::new("tar");
        let mut tar =
            tar.args(["-x", "-C"]).arg(directory.path()).stdin(Stdio::piped()).spawn().expect("tar");
        tar.stdin.take().expect("a pipe").write_all(&archive).expect("written");
        assert!(tar.wait().expect("tar ends").success());
        Self { directory, record: load_json(version, &format!("{engine}.json")) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Runs every recorded question against a node and compares the answers with the recorded ones.
    fn compare_answers(&self, node: &NodeProcess) {
        for recorded in list(self.record.get("answers").expect("answers")) {
            let question: Vec<&str> = list(&recorded["question"]).iter().map(string).collect();
            let output = run(node.data(), &[&question[..], &["--json"]].concat());
            let found: Vec<Json> = documents(&output.stdout).into_iter().map(shorten).collect();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(Some(&output.status.code().into()), recorded.get("code"), "{question:?}: {errors}");
            let is_same = includes(&Json::Array(found.clone()), &recorded["lines"]);
            assert!(is_same, "{question:?}\n   is {found:?}\n  was {}", recorded["lines"]);
        }
    }
}

fn run(data: &Path, arguments: &[&str]) -> Output {
    // The commands that open a store themselves read the node's own variable.
    let mut command = program(arguments);
    command.env("IDNODE_DATA", data).env("IDNODE_STORE_DIRECTORY", data);
    command.output().expect("a process")
}

fn list(document: &Json) -> &[Json] {
    document.as_array().expect("a list")
}

fn string(document: &Json) -> &str {
    document.as_str().expect("a text")
}

/// The lines that are JSON objects; other lines are for people.
fn documents(output: &[u8]) -> Vec<Json> {
    let text = String::from_utf8_lossy(output);
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Replaces long texts with their digests.
fn shorten(document: Json) -> Json {
    match document {
        Json::String(text) if text.chars().count() > RECORDED_CHARACTERS_MAX => {
            let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
            Json::String(format!("sha256 {digest}"))
        }
        Json::Array(items) => items.into_iter().map(shorten).collect(),
        Json::Object(members) => members.into_iter().map(|(name, member)| (name, shorten(member))).collect(),
        other => other,
    }
}

/// Whether a document holds all that was recorded; members may have been added to objects since.
fn includes(found: &Json, recorded: &Json) -> bool {
    match (found, recorded) {
        (Json::Object(found), Json::Object(recorded)) => recorded
            .iter()
            .all(|(name, recorded)| found.get(name).is_some_and(|found| includes(found, recorded))),
        (Json::Array(found), Json::Array(recorded)) => {
            found.len() == recorded.len()
                && found.iter().zip(recorded).all(|(found, recorded)| includes(found, recorded))
        }
        (found, recorded) => found == recorded,
    }
}

//----------- Stores ---------------------------------------------------------

#[test]
fn a_released_store_is_sound_and_answers_as_it_did() {
    for (version, engine) in writers() {
        let released = Released::unpack(version, engine);
        let (data, engine_key) = (released.path("data"), format!("store.engine={engine}"));
        let checked = run(&data, &["store", "check", "--json", "--set", &engine_key]);
        let report = documents(&checked.stdout);
        assert!(includes(&report[0], &released.record["check"]), "{report:?}");
        let node = NodeProcess::start(&data, &["--set", &engine_key]);
        released.compare_answers(&node);
        let receipt = run(&data, &["amend", "88.118.8/SN1", "--add", "9:NOTE=new", "--json"]);
        assert_eq!(documents(&receipt.stdout)[0]["version"], 4, "{receipt:?}");
        // A table that the version did not have.
        let receipt = run(&data, &["prefix", "note", "88.118.8", "new", "--json"]);
        assert_eq!(documents(&receipt.stdout)[0]["version"], 1, "{receipt:?}");
        node.signal("TERM");
        node.wait();
        let checked = run(&data, &["store", "check", "--json", "--set", &engine_key]);
        let report = documents(&checked.stdout);
        assert_eq!((&report[0]["sound"], &report[0]["notes"]), (&true.into(), &1.into()), "{report:?}");
    }
}

/// The commands that were given under a request id and whose receipts do not depend on anything but the store.
fn repeated_commands() -> [(usize, Command); 3] {
    let removed = || Identifier::parse("88.118.8/removed").expect("an identifier");
    let minted = Target::Minted { prefix: Prefix::parse("88.118.8").expect("a prefix"), start: "M-".into() };
    let register = |target, url: &str| {
        let value = Value {
            index: Index::new(1).expect("an index"),
            value_type: ValueType::new("URL").expect("a type"),
            data: url.as_bytes().to_vec(),
            ttl: Ttl::default(),
            permissions: Permissions::from_bits(0b1110),
            references: Vec::new(),
            timestamp: 0,
        };
        let values = Values::new(vec![value]).expect("values");
        Command::Register(Register {
            target,
            values,
            existing: Existing::Refuse,
            precondition: Precondition::None,
        })
    };
    let remove = Remove { identifier: removed(), precondition: Precondition::None };
    [
        (2, register(minted, "https://example.com/minted")),
        (3, register(Target::Named(removed()), "https://example.com/removed")),
        (4, Command::Remove(remove)),
    ]
}

/// The clock is that of the day on which the commands were given: request ids are remembered for some days only.
#[tokio::test(flavor = "multi_thread")]
async fn a_released_store_answers_a_repeated_request_with_its_first_receipt() {
    for (version, engine) in writers() {
        let released = Released::unpack(version, engine);
        let recorded = list(&released.record["repeated"]);
        let request = |number: usize| {
            let id = list(&recorded[number]["command"]).last().map(string).expect("an id");
            RequestId::parse(id).expect("a request id")
        };
        let now_ms = request(0).made_ms() + 60_000;
        let options = StoreOptions {
            directory: released.path("data"),
            engine,
            cache_bytes: 16 * 1024 * 1024,
            folding: Folding::Insensitive,
            clock: Arc::new(move || now_ms),
            entropy: idnode::daemon::entropy(),
        };
        let Opened { store, writer, .. } = open(options).await.expect("it opens");
        let authority = Authority::new(store.clone(), AuthorityOptions::default());
        let options = RegistryOptions::default();
        let (registry, committer) = Registry::start(store.clone(), writer, authority.clone(), options);
        let caller = authority.authenticate(&admin_token(&released.path("data"))).expect("the admin token");
        let head = store.head();
        for (number, command) in repeated_commands() {
            let items = vec![Item { number: 0, command }];
            let batch = Batch { request: Some(request(number)), items, deadline: None };
            let outcome = registry.apply(&caller, batch).await.expect("an outcome").remove(0);
            let receipt = outcome.expect("the first receipt");
            let first = &recorded[number]["receipt"];
            assert!(receipt.repeated, "{receipt:?}");
            assert_eq!(
                receipt.identifier.map(|name| name.to_string()),
                first["identifier"].as_str().map(str::to_owned)
            );
            assert_eq!(receipt.version, first["version"]);
            assert_eq!(receipt.position.to_string(), string(&first["position"]));
        }
        assert_eq!(store.head(), head, "nothing was written");
        registry.stop();
        store.close(committer.await.expect("the committer ends")).await.expect("it closes");
    }
}

//----------- Backups --------------------------------------------------------

/// fjall's chain is plain, sled's encrypted; each is restored on both engines.
#[test]
fn released_backups_are_verified_and_restored_on_every_engine() {
    for (version, writer) in writers() {
        let released = Released::unpack(version, writer);
        let (backups, key_file) = (released.text("backups"), released.text("backup.key"));
        let key: &[&str] = if writer == EngineKind::Sled { &["--key-file", &key_file] } else { &[] };
        let names: Vec<&str> =
            list(&released.record["backups"]).iter().map(|made| string(&made["name"])).collect();
        for name in &names {
            let verify = ["backup", "verify", name, "--offline", "--directory", &backups, "--json"];
            let verified = run(&released.path("data"), &[&verify[..], key].concat());
            let verdict = documents(&verified.stdout);
            assert!(verified.status.success() && verdict[0]["whole"] == true, "{verified:?}");
        }
        for engine in EngineKind::ALL {
            let data = released.path(&format!("restored-{engine}"));
            let (data_text, engine_text) = (data.display().to_string(), engine.to_string());
            let restore =
                ["backup", "restore", &backups, "--data", &data_text, "--engine", &engine_text, "--json"];
            let restored = run(&data, &[&restore[..], key].concat());
            let report = documents(&restored.stdout);
            assert!(restored.status.success(), "{restored:?}");
            assert_eq!(report[0]["backups"], Json::from(names.clone()));
            assert_eq!(report[0]["continues"], released.record["status"]["position"]);
            fs::copy(released.path("data/admin-token"), data.join("admin-token")).expect("the token");
            let node = NodeProcess::start(&data, &["--set", &format!("store.engine={engine}")]);
            released.compare_answers(&node);
        }
    }
}

//----------- Names ----------------------------------------------------------

/// Whether two documents have the same members and types; members may have been added, and nothing has any type.
fn has_shape_of(found: &Json, recorded: &Json) -> bool {
    match (found, recorded) {
        (Json::Object(found), Json::Object(recorded)) => recorded
            .iter()
            .all(|(name, recorded)| found.get(name).is_some_and(|found| has_shape_of(found, recorded))),
        (Json::Array(found), Json::Array(recorded)) => {
            found.len() == recorded.len()
                && found.iter().zip(recorded).all(|(found, recorded)| has_shape_of(found, recorded))
        }
        (Json::Null, _) | (_, Json::Null) => true,
        (found, recorded) => core::mem::discriminant(found) == core::mem::discriminant(recorded),
    }
}

/// Every command that scripts call ends as it did and prints JSON of the same shape.
#[test]
fn commands_print_the_json_that_a_released_version_printed() {
    let directory = tempfile::tempdir().expect("a directory");
    let scratch = directory.path().display().to_string();
    let (data, backups) = (directory.path().join("data"), format!("{scratch}/backups"));
    let rows = "identifier,URL\n88.118.8/row,https://example.com/\n88.118.12/row,https://example.com/\n";
    fs::write(directory.path().join("rows.csv"), rows).expect("a file");
    let mut node = Some(NodeProcess::start(&data, &["--set", &format!("backup.directories={backups}")]));
    let (mut id, mut name) = (String::new(), String::new());
    for recorded in list(&load_json(FIRST, "commands.json")) {
        let command = string(&recorded["command"]);
        if command == "stop" {
            let node = node.take().expect("it runs");
            node.signal("TERM");
            node.wait();
            continue;
        }
        let filled = command.replace("{scratch}", &scratch).replace("{data}", &format!("{scratch}/data"));
        let filled = filled.replace("{backups}", &backups).replace("{id}", &id).replace("{name}", &name);
        let arguments: Vec<&str> = filled.split(' ').chain(["--json"]).collect();
        let output = run(&data, &arguments);
        let (printed, reported) = (documents(&output.stdout), documents(&output.stderr));
        assert_eq!(Json::from(output.status.code()), recorded["code"], "{command}: {reported:?}");
        for (found, recorded) in [(&printed, &recorded["printed"]), (&reported, &recorded["reported"])] {
            let found = Json::Array(found.clone());
            assert!(has_shape_of(&found, recorded), "{command}\n   is {found}\n  was {recorded}");
        }
        let codes = |documents: &[Json]| -> Vec<Json> {
            documents.iter().map(|document| document["error"]["code"].clone()).collect()
        };
        assert_eq!(codes(&reported), codes(list(&recorded["reported"])), "{command}");
        for document in &printed {
            document["id"].as_str().into_iter().for_each(|found| found.clone_into(&mut id));
            document["name"].as_str().into_iter().for_each(|found| found.clone_into(&mut name));
        }
    }
}

/// Every key of a released version is read, in its form.
#[test]
fn every_configuration_key_of_a_released_version_is_known() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    for name in ["node.crt", "upper-ca.crt", "sites-ca.crt"] {
        fs::write(path(name), made.cert.pem()).expect("a file");
    }
    fs::write(path("node.key"), made.signing_key.serialize_pem()).expect("a file");
    fs::write(path("upper-token"), "idn_token").expect("a file");
    fs::write(path("backup.key"), "5e".repeat(32)).expect("a file");
    fs::set_permissions(path("backup.key"), fs::Permissions::from_mode(0o600)).expect("changed");
    let recorded = fs::read_to_string(folder(FIRST).join("configuration.toml")).expect("a recorded file");
    let here = recorded.replace("/etc/idnode", &directory.path().display().to_string());
    fs::write(path("idnode.toml"), here).expect("a file");
    let loaded = Config::load(&Sources { file: Some(path("idnode.toml")), ..Sources::default() });
    assert!(loaded.is_ok(), "{loaded:?}");
}

#[test]
fn every_metric_of_a_released_version_is_shown() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start(directory.path(), &[]);
    let (_, page) = http_get(node.http(), "/metrics");
    let found: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let recorded = fs::read_to_string(folder(FIRST).join("metrics.txt")).expect("a recorded file");
    let missing: Vec<&str> =
        recorded.lines().filter(|line| !line.starts_with('#') && !found.contains(line)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Names of fields in log events: journald shows `address` as IDNODE_ADDRESS, JSON lines as `address`.
#[test]
fn every_log_field_of_a_released_version_is_still_written() {
    let mut found = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.extend(event_fields(&fs::read_to_string(path).expect("a source file")));
            }
        }
    }
    let recorded = fs::read_to_string(folder(FIRST).join("log-fields.txt")).expect("a recorded file");
    let missing: Vec<&str> = recorded.lines().filter(|name| !found.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}, found\n{}", found.into_iter().collect::<Vec<_>>().join("\n"));
}

/// Fields of the events in a source file.
fn event_fields(source: &str) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for level in ["error", "warn", "info", "debug", "trace"] {
        for call in source.split(&format!("tracing::{level}!(")).skip(1) {
            let statement = call.split(";\n").next().unwrap_or(call);
            // Every second part of the statement stands outside of texts.
            for code in statement.split('"').step_by(2) {
                let arguments = code.split(',').filter_map(|argument| argument.split('=').next());
                let names = arguments.map(|name| name.trim().trim_start_matches(['%', '?']));
                fields.extend(names.filter(|name| is_field(name)).map(str::to_owned));
            }
        }
    }
    fields
}

fn is_field(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || b"_.".contains(&byte))
}
