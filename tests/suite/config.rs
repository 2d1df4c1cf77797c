//! The configuration as an operator meets it: `config check`, and what `serve` says about a wrong one.

use std::fs;

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
