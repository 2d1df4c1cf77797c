//! A lost admin token: what replaces it, and what is void afterwards.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use idnode::store::EngineKind;
use serde_json::Value as Json;

use crate::support::clients::GrpcClient;
use crate::support::node::{NodeProcess, admin_token, program};

fn replace(data: &Path, engine: &str) -> Output {
    let data = data.display().to_string();
    let arguments = ["store", "replace-admin-token", "--json", "--data", &data, "--set", engine];
    program(&arguments).output().expect("a process")
}

fn json(output: &Output) -> Json {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn run(node: &NodeProcess, arguments: &[&str]) -> Output {
    program(arguments).env("IDNODE_DATA", node.data()).output().expect("a process")
}

fn end(node: NodeProcess) {
    node.signal("TERM");
    let (status, _, log) = node.wait();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_admin_token_is_replaced_while_the_node_is_stopped() {
    for kind in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        let engine = format!("store.engine={kind}");
        let node = NodeProcess::start(&data, &["--set", &engine]);
        let lost = admin_token(&data);
        let other = run(&node, &["token", "create", "the other", "--admin"]);
        let other = String::from_utf8(other.stdout).expect("text").trim().to_owned();
        let reader = run(&node, &["token", "create", "a reader", "--reader", "88.118"]);
        assert_eq!(reader.status.code(), Some(0), "{reader:?}");

        let busy = replace(&data, &engine);
        assert_eq!(busy.status.code(), Some(75), "a running node holds the directory: {busy:?}");
        assert_eq!(admin_token(&data), lost, "nothing has changed");
        end(node);

        fs::remove_file(data.join("admin-token")).expect("lost");
        let replaced = json(&replace(&data, &engine));
        let file = data.join("admin-token");
        assert_eq!(replaced["file"], file.display().to_string());
        assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
        assert_eq!(replaced["revoked"].as_array().map(Vec::len), Some(1), "{replaced}");
        assert_eq!(replaced["others"][0]["label"], "the other", "{replaced}");
        assert_eq!(
            replaced["others"].as_array().map(Vec::len),
            Some(1),
            "a reader is not listed: {replaced}"
        );

        let node = NodeProcess::start(&data, &["--set", &engine]);
        let fresh = admin_token(&data);
        assert_ne!(fresh, lost);
        for (token, is_valid) in [(&fresh, true), (&other, true), (&lost, false)] {
            let client = GrpcClient::connect(node.grpc(), Some(token)).await;
            let homed = client.home("88.118.8").await;
            assert_eq!(homed.is_ok(), is_valid, "{kind}: {homed:?}");
        }
        let listed = run(&node, &["token", "list", "--json"]);
        let listed = String::from_utf8(listed.stdout).expect("text");
        let tokens: Vec<Json> =
            listed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let labels: Vec<(&str, bool)> = tokens
            .iter()
            .map(|token| (token["label"].as_str().expect("a label"), token["revoked"].is_null()))
            .collect();
        for expected in
            [("first start", false), ("the other", true), ("replaced by the operator of the machine", true)]
        {
            assert!(labels.contains(&expected), "{expected:?} in {labels:?}");
        }
        end(node);

        let again = json(&replace(&data, &engine));
        assert_eq!(again["revoked"][0], replaced["id"], "the one that was made before is void");
    }
}

/// A mistyped directory, or one whose disk is not mounted.
#[test]
fn no_token_is_made_where_there_is_no_store() {
    for kind in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let refused = replace(directory.path(), &format!("store.engine={kind}"));
        assert_ne!(refused.status.code(), Some(0), "{refused:?}");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains(&format!("holds no data of engine {kind}")), "{said}");
        for left in [kind.to_string().as_str(), "admin-token", "witness", "high-water"] {
            assert!(!directory.path().join(left).exists(), "{left} was made");
        }
    }
}

/// The file is written over the old one, so the disk must have space for the change that follows.
#[test]
fn no_token_is_made_on_a_full_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    end(NodeProcess::start(directory.path(), &[]));
    let before = admin_token(directory.path());
    let data = directory.path().display().to_string();
    let reserve = format!("store.disk_reserve_bytes={}", 1_u64 << 50);
    let arguments = ["store", "replace-admin-token", "--data", &data, "--set", &reserve];
    let refused = program(&arguments).output().expect("a process");
    assert_ne!(refused.status.code(), Some(0), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("disk full"), "{said}");
    assert_eq!(admin_token(directory.path()), before);
}
