//! The exit codes of the program are those that its help lists.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use tonic::Code;

use crate::support::lossy_proxy::{self, Treatment, reason};
use crate::support::node::{NodeProcess, program};

/// The codes that `idnode --help` lists.
fn listed() -> BTreeSet<i32> {
    let output = program(&["--help"]).output().expect("a process");
    let text = String::from_utf8(output.stdout).expect("text");
    let (_, codes) = text.split_once("Exit codes:\n").expect("a list of exit codes");
    codes.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}

/// Checks the exit code of a command, and records it.
fn expect(found: &mut BTreeSet<i32>, code: i32, what: &str, output: Output) {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{what}: {stderr}");
    found.insert(code);
}

fn run(data: &Path, arguments: &[&str]) -> Output {
    program(arguments).env("IDNODE_DATA", data).output().expect("a process")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_that_the_help_lists_is_one_that_the_program_ends_with() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let data = directory.path().join("data");
    let node = NodeProcess::start(&data, &[]);
    let mut found = BTreeSet::new();
    let mut check = |code: i32, what: &str, output: Output| expect(&mut found, code, what, output);

    check(0, "done", run(&data, &["prefix", "home", "88.118.8"]));
    check(1, "nothing found", run(&data, &["resolve", "88.118.8/A"]));
    check(1, "refused", run(&data, &["register", "88.118.9/A", "URL=x"]));
    check(2, "wrong arguments", run(&data, &["register"]));
    fs::write(path("parts.csv"), b"PK\x03\x04").expect("a file");
    check(65, "an input file has errors", run(&data, &["import", &path("parts.csv")]));
    check(69, "no node answers", run(&data, &["status", "--node", "http://127.0.0.1:1"]));
    check(74, "a file cannot be read", run(&data, &["import", &path("absent.csv")]));
    check(75, "another process uses the directory", run(&data, &["store", "check", "--data", &path("data")]));
    fs::write(path("wrong.toml"), "version = 1\n[dns]\nlisen = 1\n").expect("a file");
    check(78, "the configuration is wrong", run(&data, &["config", "check", &path("wrong.toml")]));
    check(78, "the configuration is wrong", run(&data, &["serve", "--set", "dns.lisen=1"]));

    let overloaded = vec![Treatment::Answer(reason(Code::FailedPrecondition, "READ_ONLY"))];
    let proxy = lossy_proxy::start(node.grpc(), "/Register", overloaded).await;
    check(70, "the node failed", run(&data, &["register", "88.118.8/A", "URL=x", "--node", &proxy]));
    let unknown = vec![Treatment::Answer(reason(Code::Unknown, "OUTCOME_UNKNOWN"))];
    let proxy = lossy_proxy::start(node.grpc(), "/Register", unknown).await;
    let once = ["register", "88.118.8/A", "URL=x", "--timeout", "1", "--node", &proxy];
    check(0, "the repetition was answered", run(&data, &once));
    let unknown = (0..50).map(|_| Treatment::Answer(reason(Code::Unknown, "OUTCOME_UNKNOWN"))).collect();
    let proxy = lossy_proxy::start(node.grpc(), "/Register", unknown).await;
    let never = ["register", "88.118.8/A", "URL=x", "--timeout", "1", "--node", &proxy];
    check(75, "the outcome is unknown", run(&data, &never));
    node.kill();

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http.listen={}", taken.local_addr().expect("an address"));
    let serve =
        ["serve", "--data", &path("data"), "--set", "dns.listen=", "--set", "handle.listen=", "--set"];
    let listens = [&serve[..], &["grpc.listen=127.0.0.1:0", "--set", &address]].concat();
    check(69, "an address cannot be listened on", run(&data, &listens));
    let below = format!("{}/below", path("parts.csv"));
    check(73, "the data directory cannot be used", run(&data, &["serve", "--data", &below]));
    fs::remove_dir_all(data.join("fjall")).expect("removed");
    check(74, "the store cannot be read", run(&data, &["store", "check", "--data", &path("data")]));
    for command in ["serve", "status"] {
        let limited = "ulimit -n 4 && exec \"$0\" \"$1\" --data \"$2\"";
        let mut shell = Command::new("/bin/sh");
        shell.env_clear().args(["-c", limited, env!("CARGO_BIN_EXE_idnode"), command, &path("data")]);
        check(71, "the operating system refused", shell.output().expect("a process"));
    }

    // Interruption has a test of its own, in `outcome`.
    found.insert(130);
    assert_eq!(found, listed());
}
