//! Backups as an operator makes them: of a running node, by its commands; the data directory lost and restored.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use idnode::backup::{Backups, CHUNK_BYTES_DEFAULT, Damage, Kind, Options, RestoreRequest, Until, restore};
use idnode::model::prefix::PrefixStatus;
use idnode::store::EngineKind;
use serde_json::Value as Json;

use crate::support::clients::{GrpcClient, http_get};
use crate::support::node::{NodeProcess, admin_token, program};
use crate::support::tree::Tier;

/// Runs a command to its end.
fn run(arguments: &[&str]) -> Output {
    program(arguments).output().expect("the program runs")
}

/// Runs a command that succeeds, and reads the JSON documents it prints.
fn json(arguments: &[&str]) -> Vec<Json> {
    let output = run(&[arguments, &["--json"]].concat());
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn text<'a>(document: &'a Json, field: &str) -> &'a str {
    document[field].as_str().unwrap_or_else(|| panic!("{field} of {document}"))
}

/// The sequence of a position as commands print it.
fn sequence(position: &str) -> u64 {
    position.rsplit(':').next().and_then(|sequence| sequence.parse().ok()).expect("a position")
}

/// Registers one identifier after the other until stopped; each identifier's number is also its value.
async fn register_until(
    client: GrpcClient,
    from: u64,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
) -> Vec<u64> {
    let mut sequences = Vec::new();
    let mut number = from;
    while !stop.load(Ordering::Relaxed) {
        let receipt = client.register(&format!("88.118/S{number}"), &number.to_string()).await;
        let position = receipt.expect("registered").position.expect("a position");
        sequences.push(position.sequence);
        done.fetch_add(1, Ordering::Relaxed);
        number += 1;
    }
    sequences
}

async fn client(node: &NodeProcess, data: &Path) -> GrpcClient {
    GrpcClient::connect(node.grpc(), Some(&admin_token(data))).await
}

/// The node works all the while; then it is killed, its data directory deleted, and the backup restored in its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_data_directory_is_restored_from_a_backup_made_during_writes() {
    for engine in EngineKind::ALL {
        let scratch = tempfile::tempdir().expect("a directory");
        let data = scratch.path().join("data");
        let engine_key = format!("store.engine={engine}");
        let node = NodeProcess::start(&data, &["--set", &engine_key]);
        let (url, data_text) = (node.grpc().to_owned(), data.to_str().expect("text").to_owned());
        let asked = ["--node", &url, "--data", &data_text];
        let admin = client(&node, &data).await;
        admin.home("88.118").await.expect("homed");
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let writer = register_until(admin.clone(), 0, Arc::clone(&stop), Arc::clone(&done));
        let writer = tokio::spawn(writer);
        let made = tokio::task::spawn_blocking({
            let asked = asked.map(str::to_owned);
            move || {
                let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
                let full = json(&[&["backup", "create"], asked.as_slice()].concat()).remove(0);
                let next =
                    json(&[&["backup", "create", "--incremental"], asked.as_slice()].concat()).remove(0);
                (full, next)
            }
        });
        let (full, next) = made.await.expect("no panic");
        stop.store(true, Ordering::Relaxed);
        let sequences = writer.await.expect("the writer ends");
        assert_eq!((text(&full, "kind"), text(&next, "kind")), ("full", "incremental"));
        assert_eq!(text(&next, "base"), text(&full, "name"));
        let verdict =
            json(&[&["backup", "verify", text(&next, "name")], asked.as_slice()].concat()).remove(0);
        assert_eq!(verdict["whole"], Json::Bool(true));
        let listed = json(&[&["backup", "list"], asked.as_slice()].concat());
        assert_eq!(listed, [next.clone(), full]);
        let (_, metrics) = http_get(node.http(), "/metrics");
        assert!(metrics.contains("idnode_backups_total 2\n"), "{metrics}");

        node.kill();
        fs::remove_dir_all(&data).expect("the data directory goes");
        let directory = scratch.path().join("data-backups");
        let directory = directory.to_str().expect("text");
        let offline = json(&["backup", "list", "--offline", "--directory", directory]);
        assert_eq!(offline, listed);
        let restored = json(&["backup", "restore", directory, "--data", &data_text]).remove(0);
        assert_eq!(text(&restored, "continues"), text(&next, "to"));
        assert_eq!(text(&restored, "engine"), engine.to_string());

        let node = NodeProcess::start(&data, &["--set", &engine_key]);
        // The token of old was in the directory that was lost; the restored node wrote another.
        let admin = client(&node, &data).await;
        let last = sequence(text(&next, "to"));
        for (number, position) in sequences.iter().enumerate() {
            let found = admin.resolve(&format!("88.118/S{number}")).await.expect("an answer");
            let has_value =
                format!("{found:?}").contains(&format!("data: {:?}", number.to_string().as_bytes()));
            assert_eq!(
                has_value,
                *position <= last,
                "{number} at {position}, restored up to {last}: {found:?}"
            );
        }
        let receipt = admin.register("88.118/after", "after").await.expect("registered");
        let position = receipt.position.expect("a position");
        let present = data_encoding::HEXLOWER.encode(&position.incarnation);
        assert!(text(&restored, "position").starts_with(&present));
        assert!(present.as_str() > text(&next, "to").split(':').next().expect("an incarnation"));
        drop(node);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_position_is_restored_and_the_old_token_opens_when_its_file_is_put_back() {
    let scratch = tempfile::tempdir().expect("a directory");
    let (data, again) = (scratch.path().join("data"), scratch.path().join("again"));
    let node = NodeProcess::start(&data, &[]);
    let admin = client(&node, &data).await;
    admin.home("88.118").await.expect("homed");
    let asked = ["--node", node.grpc(), "--data", data.to_str().expect("text")];
    json(&[&["backup", "create"], asked.as_slice()].concat());
    let first = admin.register("88.118/x", "first").await.expect("registered").position.expect("a position");
    admin.register("88.118/y", "second").await.expect("registered");
    json(&[&["backup", "create", "--incremental"], asked.as_slice()].concat());
    node.kill();
    let directory = scratch.path().join("data-backups");
    let directory = directory.to_str().expect("text");
    let until = first.sequence.to_string();
    let restore =
        ["backup", "restore", directory, "--data", again.to_str().expect("text"), "--engine", "sled"];
    let restored = json(&[restore.as_slice(), &["--to-position", &until]].concat()).remove(0);
    assert_eq!(sequence(text(&restored, "continues")), first.sequence);
    let occupied = run(&restore);
    assert_eq!(occupied.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&occupied.stderr).contains("is not empty"), "{occupied:?}");

    fs::copy(data.join("admin-token"), again.join("admin-token")).expect("the token");
    let node = NodeProcess::start(&again, &["--set", "store.engine=sled"]);
    assert_eq!(admin_token(&again), admin_token(&data));
    let admin = client(&node, &again).await;
    assert_eq!(admin.values("88.118/x").await, ["first"]);
    let gone = format!("{:?}", admin.resolve("88.118/y").await.expect("an answer"));
    assert!(gone.starts_with("Absent"), "{gone}");
    let receipt = admin.register("88.118/y", "another").await.expect("registered");
    assert_eq!(receipt.version, 1);
}

/// What was filed after the restored position is taken back; what comes after the restore is filed.
#[tokio::test(flavor = "multi_thread")]
async fn a_lower_node_restored_to_an_earlier_position_is_filed_right_afterwards() {
    let top = Tier::top().await;
    let mut lower = Tier::below(&top, &["88.118"]).await;
    lower.home("88.118.1").await;
    let scratch = tempfile::tempdir().expect("a directory");
    let options = Options {
        directories: vec![scratch.path().to_owned()],
        key_file: None,
        keep_count: 0,
        keep_days: 0,
        chunk_bytes: CHUNK_BYTES_DEFAULT,
        files: Vec::new(),
        node_version: "test".into(),
    };
    let backups = Backups::new(lower.node().store().clone(), options).expect("no key file");
    backups.create(None, Kind::Full, &|_| {}).await.expect("it is made");
    lower.home("88.118.2").await;
    let wanted = lower.node().store().head();
    lower.suspend("88.118.1").await;
    lower.home("88.118.4").await;
    backups.create(None, Kind::Incremental, &|_| {}).await.expect("it is made");
    lower.settled();
    let data = lower.node().data_dir().to_owned();
    lower.stop().await;
    fs::remove_dir_all(&data).expect("the data directory goes");
    let request = RestoreRequest {
        from: scratch.path().to_owned(),
        data,
        engine: None,
        until: Until::Position(wanted),
        damage: Damage::Refuse,
        key_file: None,
        cache_bytes: 16 * 1024 * 1024,
        clock: idnode::daemon::clock(),
        entropy: idnode::daemon::entropy(),
    };
    let report = restore(request, &|_| {}).await.expect("it restores");
    assert_eq!((report.restored.continues, report.backups.len()), (wanted, 2));

    lower.go_on().await;
    lower.home("88.118.3").await;
    lower.settled();
    let status = |text: &str| top.entry(text).map(|entry| entry.status);
    let present = lower.node().store().head().incarnation;
    assert!(present > wanted.incarnation);
    assert_eq!(status("88.118.1"), Some(PrefixStatus::Active), "as it was then");
    assert_eq!(status("88.118.2"), Some(PrefixStatus::Active));
    assert_eq!(status("88.118.4"), Some(PrefixStatus::Active), "lost below, and not revoked by that");
    assert_eq!(top.lost().await, ["88.118.4"]);
    let mark = top.entry("88.118.3").and_then(|entry| entry.filing).expect("filed");
    assert_eq!(mark.position.incarnation, present);
}

#[test]
fn what_cannot_be_restored_says_why_and_leaves_nothing() {
    let scratch = tempfile::tempdir().expect("a directory");
    let (nowhere, data) = (scratch.path().join("nowhere"), scratch.path().join("data"));
    let (nowhere, data_text) = (nowhere.to_str().expect("text"), data.to_str().expect("text"));
    let missing = run(&["backup", "restore", nowhere, "--data", data_text]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("there is no backup"), "{missing:?}");
    let both = ["--to-position", "7", "--to-time", "2026-11-23T10:00:00+08:00"];
    let wrong = run(&[&["backup", "restore", nowhere, "--data", data_text], both.as_slice()].concat());
    assert_eq!(wrong.status.code(), Some(2));
    let where_to = run(&["backup", "list", "--offline"]);
    assert_eq!(where_to.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&where_to.stderr).contains("--directory"), "{where_to:?}");
    assert!(!data.exists());
}

/// The manifest of the newer of two backups is gone: every command names it, none returns less silently.
#[tokio::test(flavor = "multi_thread")]
async fn commands_name_a_backup_that_cannot_be_read() {
    let scratch = tempfile::tempdir().expect("a directory");
    let (data, again) = (scratch.path().join("data"), scratch.path().join("again"));
    let node = NodeProcess::start(&data, &[]);
    let admin = client(&node, &data).await;
    admin.home("88.118").await.expect("homed");
    let asked = ["--node", node.grpc(), "--data", data.to_str().expect("text")];
    let create = || json(&[&["backup", "create"], asked.as_slice()].concat()).remove(0);
    let older = create();
    admin.register("88.118/x", "first").await.expect("registered");
    let newer = create();
    let directory = scratch.path().join("data-backups");
    fs::remove_file(directory.join(text(&newer, "name")).join("manifest.json")).expect("the manifest");
    let named = format!("{}/manifest.json: cannot be read", text(&newer, "name"));
    let directory = directory.to_str().expect("text");
    let offline = ["--offline", "--directory", directory];
    for command in ["list", "verify"] {
        let all: &[&str] = if command == "verify" { &["--all"] } else { &[] };
        for from in [offline.as_slice(), asked.as_slice()] {
            let output = run(&[&["backup", command], all, from].concat());
            let (shown, said) = (lossy(&output.stdout), lossy(&output.stderr));
            assert_eq!(output.status.code(), Some(1), "{command} {from:?}: {said}");
            assert!(shown.contains(text(&older, "name")) && said.contains(&named), "{shown}{said}");
        }
    }
    node.kill();
    let restore = ["backup", "restore", directory, "--data", again.to_str().expect("text")];
    let refused = run(&restore);
    assert_eq!(refused.status.code(), Some(1));
    let said = lossy(&refused.stderr);
    assert!(said.contains(&named) && said.contains("--accept-older") && !again.exists(), "{said}");
    let accepted = run(&[restore.as_slice(), &["--accept-older"]].concat());
    let shown = lossy(&accepted.stdout);
    assert!(accepted.status.success(), "{accepted:?}");
    let newest = format!("the newest backup used is {}", text(&older, "name"));
    assert!(shown.contains(&format!("lost: {named}")) && shown.contains(&newest), "{shown}");
    assert!(shown.contains(text(&older, "to")), "{shown}");
    let nowhere = run(&["backup", "list", "--offline", "--directory", "/nowhere"]);
    assert_eq!(nowhere.status.code(), Some(74), "{nowhere:?}");
}

/// A directory that is empty, and one that is gone with its backups, are not taken for whole ones.
#[test]
fn commands_name_a_directory_without_backups() {
    let scratch = tempfile::tempdir().expect("a directory");
    let data = scratch.path().join("data");
    let node = NodeProcess::start(&data, &[]);
    let asked = ["--node", node.grpc(), "--data", data.to_str().expect("text")];
    let failed = |arguments: &[&str]| {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        lossy(&output.stderr)
    };
    let empty = scratch.path().to_str().expect("text");
    let said = failed(&["backup", "verify", "--all", "--offline", "--directory", empty]);
    assert!(said.contains(&format!("no backup in {empty}")), "{said}");
    let verify = [&["backup", "verify", "--all"], asked.as_slice()].concat();
    let said = failed(&verify);
    assert!(said.contains("no backup in the directories"), "{said}");
    let list = [&["backup", "list"], asked.as_slice()].concat();
    assert_eq!(json(&list), Vec::<Json>::new());
    json(&[&["backup", "create"], asked.as_slice()].concat());
    let directory = scratch.path().join("data-backups");
    fs::remove_dir_all(&directory).expect("the backups");
    for command in [&list, &verify] {
        let said = failed(command);
        assert!(said.contains(&format!("{}: no backup is there", directory.display())), "{said}");
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The key of a delegated site is in the prefix entry: in the store, the journal and its checks, full and incremental
/// backups, and what is restored from them on either engine.
#[test]
fn the_key_of_a_delegated_site_survives_restarts_and_restores() {
    for engine in EngineKind::ALL {
        let scratch = tempfile::tempdir().expect("a directory");
        let (data, key) = (scratch.path().join("data"), scratch.path().join("site.pem"));
        let (data_text, key) = (data.to_str().expect("text"), key.to_str().expect("text"));
        let engine_key = format!("store.engine={engine}");
        json(&["key", "make", "--algorithm", "sm2", "--out", key]);
        let node = NodeProcess::start(&data, &["--set", &engine_key]);
        let asked = ["--node", node.grpc(), "--data", data_text];
        let on = |arguments: &[&str]| json(&[arguments, asked.as_slice()].concat());
        let at = ["--address", "192.0.2.9", "--handle", "2641", "--key", key];
        on(&[&["prefix", "delegate", "88.118.8"], at.as_slice()].concat());
        on(&["backup", "create"]);
        on(&[&["prefix", "delegate", "88.118.9"], at.as_slice()].concat());
        on(&["backup", "create", "--incremental"]);
        let shown: Vec<Json> = on(&["prefix", "list"]);
        let held = |entries: &[Json]| -> Vec<Json> {
            entries.iter().map(|entry| entry["delegated"].clone()).collect()
        };
        assert_eq!(held(&shown).len(), 2);
        assert!(held(&shown).iter().all(|site| site["public_key"]["kty"] == "SM2"), "{shown:?}");
        let text = run(&[&["prefix", "show", "88.118.9"], asked.as_slice()].concat());
        assert!(String::from_utf8_lossy(&text.stdout).contains("SM2, SHA-256 "), "{text:?}");
        node.signal("TERM");
        node.wait();
        let check = run(&["store", "check", "--data", data_text, "--set", &engine_key]);
        assert!(check.status.success(), "{check:?}");
        let node = NodeProcess::start(&data, &["--set", &engine_key]);
        let again = json(&["prefix", "list", "--node", node.grpc(), "--data", data_text]);
        assert_eq!(held(&again), held(&shown));
        drop(node);
        for other in EngineKind::ALL {
            let restored = scratch.path().join(format!("restored-{other}"));
            let (restored_text, other) = (restored.to_str().expect("text"), other.to_string());
            let backups = format!("{data_text}-backups");
            json(&["backup", "restore", &backups, "--data", restored_text, "--engine", &other]);
            let node = NodeProcess::start(&restored, &["--set", &format!("store.engine={other}")]);
            let listed = json(&["prefix", "list", "--node", node.grpc(), "--data", restored_text]);
            assert_eq!(held(&listed), held(&shown), "{engine} on {other}");
        }
    }
}
