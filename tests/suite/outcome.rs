//! The outcome of changes whose answer was lost: only a receipt is one.
//!
//! ```text
//!   idnode register ──▶ proxy that loses answers ──▶ node
//! ```

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tonic::{Code, Status};

use crate::support::eventually::eventually;
use crate::support::lossy_proxy::{self, Treatment, reason};
use crate::support::node::{NodeProcess, give_server_key, program};

/// A node with a prefix, behind a proxy.
struct Behind {
    node: NodeProcess,
    proxy: String,
}

impl Behind {
    async fn start(data: &Path, method: &'static str, script: Vec<Treatment>) -> Self {
        let node = NodeProcess::start(data, &[]);
        let proxy = lossy_proxy::start(node.grpc(), method, script).await;
        let behind = Self { node, proxy };
        assert_eq!(behind.run(&["prefix", "home", "88.118.8"]).code, Some(0));
        behind
    }

    /// Runs a command through the proxy.
    fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().expect("a process"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(&[arguments, &["--node", &self.proxy]].concat());
        command.env("IDNODE_DATA", self.node.data());
        command
    }

    /// Number of identifiers that the node has.
    fn identifiers(&self) -> u64 {
        let status = self.run(&["status", "--json"]).printed;
        let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        status.get("identifiers").and_then(serde_json::Value::as_u64).expect("a number")
    }
}

struct Ended {
    code: Option<i32>,
    printed: String,
    stderr: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            printed: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// The request id that the message names.
    fn request_id(&self) -> String {
        let (_, rest) = self.stderr.split_once("--request-id ").expect(&self.stderr);
        rest.chars().take_while(|letter| letter.is_ascii_hexdigit() || *letter == '-').collect()
    }
}

fn unknown() -> Status {
    reason(Code::Unknown, "OUTCOME_UNKNOWN")
}

fn read_only() -> Status {
    reason(Code::FailedPrecondition, "READ_ONLY")
}

/// Whatever the repetition is answered, the first attempt was carried out; repeating under the id shows it.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_a_repetition_does_not_hide_that_the_first_attempt_was_unknown() {
    let later = [
        read_only(),
        reason(Code::Internal, "STORE"),
        reason(Code::Unauthenticated, "TOKEN_REVOKED"),
        reason(Code::PermissionDenied, "PERMISSION_DENIED"),
        reason(Code::AlreadyExists, "ALREADY_EXISTS"),
    ];
    for later in later {
        let directory = tempfile::tempdir().expect("a directory");
        let script = vec![Treatment::Lose(unknown()), Treatment::Answer(later.clone())];
        let behind = Behind::start(&directory.path().join("data"), "/Register", script).await;
        let ended = behind.run(&["register", "88.118.8/A", "URL=x"]);
        assert_eq!(ended.code, Some(75), "{later}: {}", ended.stderr);
        assert!(ended.stderr.contains("its outcome is unknown"), "{}", ended.stderr);
        assert!(ended.stderr.contains(later.message()), "the later answer is named: {}", ended.stderr);
        let again = ["register", "88.118.8/A", "URL=x", "--request-id", &ended.request_id()];
        let receipt = behind.run(&again);
        assert_eq!(receipt.code, Some(0), "{}", receipt.stderr);
        assert!(receipt.printed.contains("done before under the same request id"), "{}", receipt.printed);
        assert_eq!(behind.identifiers(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_names_its_request_id_when_the_outcome_is_unknown() {
    let changes: [(&'static str, &[&str]); 8] = [
        ("/Register", &["register", "88.118.8/A", "URL=x"]),
        ("/Amend", &["amend", "88.118.8/A", "--add", "1:URL=x"]),
        ("/Remove", &["remove", "88.118.8/A"]),
        ("/HomePrefix", &["prefix", "home", "88.118.9"]),
        ("/DelegatePrefix", &["prefix", "delegate", "88.118.9", "--address", "192.0.2.1", "--dns", "53"]),
        ("/SuspendPrefix", &["prefix", "suspend", "88.118.8"]),
        ("/RevokePrefix", &["prefix", "revoke", "88.118.8"]),
        ("/NotePrefix", &["prefix", "note", "88.118.8", "x"]),
    ];
    let directory = tempfile::tempdir().expect("a directory");
    let mut behind = Behind::start(directory.path(), "/None", Vec::new()).await;
    for (method, change) in changes {
        let script = vec![Treatment::Answer(unknown()), Treatment::Answer(read_only())];
        behind.proxy = lossy_proxy::start(behind.node.grpc(), method, script).await;
        let ended = behind.run(&[change, &["--json"]].concat());
        assert_eq!(ended.code, Some(75), "{change:?}: {}", ended.stderr);
        let error: serde_json::Value = serde_json::from_str(&ended.stderr).expect("JSON");
        assert_eq!(error["error"]["code"], "OUTCOME_UNKNOWN", "{change:?}");
        assert_eq!(error["error"]["facts"]["request_id"], ended.request_id(), "{change:?}");
    }
}

/// A lost connection leaves the outcome open, a node that says that it did nothing does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_did_nothing_leaves_no_unknown_outcome() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut behind = Behind::start(directory.path(), "/None", Vec::new()).await;
    let overloaded = || Treatment::Answer(reason(Code::Unavailable, "OVERLOADED"));
    let register = ["register", "88.118.8/A", "URL=x"];

    let script = vec![overloaded(), overloaded(), Treatment::Answer(read_only())];
    behind.proxy = lossy_proxy::start(behind.node.grpc(), "/Register", script).await;
    let ended = behind.run(&register);
    assert_eq!(ended.code, Some(70), "{}", ended.stderr);
    assert!(ended.stderr.contains("[READ_ONLY]"), "{}", ended.stderr);

    let script = (0..100).map(|_| overloaded()).collect();
    behind.proxy = lossy_proxy::start(behind.node.grpc(), "/Register", script).await;
    let ended = behind.run(&[&register[..], &["--timeout", "1"]].concat());
    assert_eq!(ended.code, Some(70), "{}", ended.stderr);
    assert!(ended.stderr.contains("[OVERLOADED]"), "{}", ended.stderr);
    assert_eq!(behind.identifiers(), 0);

    let script = vec![overloaded(), Treatment::Lose(Status::unavailable("connection reset"))];
    behind.proxy = lossy_proxy::start(behind.node.grpc(), "/Register", script).await;
    let ended = behind.run(&register);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.printed.contains("done before under the same request id"), "{}", ended.printed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_change_names_its_request_id() {
    let directory = tempfile::tempdir().expect("a directory");
    let behind = Behind::start(directory.path(), "/Register", vec![Treatment::Hang]).await;
    let mut command = behind.command(&["register", "88.118.8/A", "URL=x", "--timeout", "600"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a process");
    eventually("the identifier is registered", || (behind.identifiers() == 1).then_some(()));
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill runs").success());
    let ended = Ended::of(child.wait_with_output().expect("a process"));
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    let again = ["register", "88.118.8/A", "URL=x", "--request-id", &ended.request_id()];
    assert_eq!(behind.run(&again).code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_or_backup_whose_answer_was_lost_is_not_reported_as_failed() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let backups = format!("backup.directories={}", directory.path().join("backups").display());
    let node = NodeProcess::start(&data, &["--set", &backups]);
    let lost = || vec![Treatment::Lose(Status::unavailable("connection reset"))];
    let proxy = lossy_proxy::start(node.grpc(), "/CreateToken", lost()).await;
    let mut behind = Behind { node, proxy };
    let ended = behind.run(&["token", "create", "line 3", "--admin"]);
    assert_eq!(ended.code, Some(75), "{}", ended.stderr);
    assert!(ended.stderr.contains("idnode token list"), "{}", ended.stderr);
    assert!(behind.run(&["token", "list"]).printed.contains("line 3"));

    let script = vec![Treatment::Answer(reason(Code::Unavailable, "OVERLOADED"))];
    behind.proxy = lossy_proxy::start(behind.node.grpc(), "/CreateToken", script).await;
    let ended = behind.run(&["token", "create", "line 4", "--admin"]);
    assert_eq!(ended.code, Some(70), "nothing was done: {}", ended.stderr);

    behind.proxy = lossy_proxy::start(behind.node.grpc(), "/CreateBackup", lost()).await;
    let ended = behind.run(&["backup", "create"]);
    assert_eq!(ended.code, Some(75), "{}", ended.stderr);
    assert!(ended.stderr.contains("idnode backup list"), "{}", ended.stderr);
    assert!(behind.run(&["backup", "list"]).printed.contains("full"));
}

/// The rows of a stream that broke stay unknown when the next stream is refused as a whole.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_says_which_rows_may_have_been_carried_out() {
    let directory = tempfile::tempdir().expect("a directory");
    let script = vec![Treatment::Break, Treatment::Answer(read_only())];
    let behind = Behind::start(&directory.path().join("data"), "/ApplyStream", script).await;
    let file = directory.path().join("parts.csv");
    std::fs::write(&file, "identifier,URL\n88.118.8/A,x\n88.118.8/B,x\n").expect("a file");
    let file = file.display().to_string();
    let ended = behind.run(&["import", &file]);
    assert_eq!(ended.code, Some(75), "{}", ended.stderr);
    assert!(ended.stderr.contains("rows after the first 0 were sent"), "{}", ended.stderr);
    let again = behind.run(&["import", &file, "--request-id", &ended.request_id(), "--json"]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert_eq!(behind.identifiers(), 2);
}

/// A node whose outcomes make no sense may have carried out what it was sent; repeating under the id shows it.
#[tokio::test(flavor = "multi_thread")]
async fn rows_whose_outcomes_make_no_sense_are_unknown() {
    let directory = tempfile::tempdir().expect("a directory");
    let script = vec![Treatment::Skip];
    let behind = Behind::start(&directory.path().join("data"), "/ApplyStream", script).await;
    let mut command = behind.command(&["import", "-", "--format", "csv", "--json"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("a process");
    let mut input = child.stdin.take().expect("a pipe");
    // More than is read at once; and the outcomes of all are less than that.
    let rows = |range: std::ops::Range<u32>| {
        range.map(|row| format!("88.118.8/SN{row},{}\n", "x".repeat(400))).collect::<String>()
    };
    let text = format!("identifier,A\n{}", rows(2..202));
    input.write_all(text.as_bytes()).expect("written");
    eventually("some rows are registered", || (behind.identifiers() > 0).then_some(()));
    // When the later outcomes have arrived already, nobody reads this.
    let _ended = input.write_all(rows(202..203).as_bytes());
    drop(input);
    let ended = Ended::of(child.wait_with_output().expect("a process"));
    assert_eq!(ended.code, Some(75), "{}", ended.stderr);
    assert!(ended.stderr.contains(" out of order"), "{}", ended.stderr);
    let unknown = "row 2: 88.118.8/SN2: the row was sent and may have been carried out";
    assert!(ended.stderr.contains(unknown), "{}", ended.stderr);
    let summary: serde_json::Value = serde_json::from_str(&ended.printed).expect(&ended.stderr);
    assert_eq!(summary["registered"], 0);

    let file = directory.path().join("parts.csv");
    std::fs::write(&file, format!("{text}{}", rows(202..203))).expect("a file");
    let file = file.display().to_string();
    let again = behind.run(&["import", &file, "--request-id", &ended.request_id()]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(again.printed.contains("registered 201,"), "{}", again.printed);
}

/// A disk that fills up: the node becomes read-only, and what is on disk is known after a restart only.
#[test]
fn a_full_disk_leaves_an_outcome_that_is_learned_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    give_server_key(&data);
    let engine = ["--set", "store.engine=sled"];
    let node = NodeProcess::start_with_file_blocks(&data, 20_000, &engine);
    let run = |arguments: &[&str]| {
        Ended::of(program(arguments).env("IDNODE_DATA", &data).output().expect("a process"))
    };
    assert_eq!(run(&["prefix", "home", "88.118.8"]).code, Some(0));
    let values = directory.path().join("values.json");
    // Not compressible to less than the limit.
    let mut state = 1_u32;
    let text: String = (0..200_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'0' + u8::try_from(state >> 26).expect("six bits"))
        })
        .collect();
    let value = serde_json::json!([{ "index": 1, "type": "A", "data": text }]);
    std::fs::write(&values, value.to_string()).expect("a file");
    let values = values.display().to_string();
    let (identifier, ended) = (1..200)
        .map(|number| format!("88.118.8/A{number}"))
        .map(|identifier| {
            let ended = run(&["register", &identifier, "--values", &values]);
            (identifier, ended)
        })
        .find(|(_, ended)| ended.code != Some(0))
        .expect("the disk is full at last");
    assert_eq!(ended.code, Some(75), "{}", ended.stderr);
    assert!(ended.stderr.contains("[OUTCOME_UNKNOWN]"), "{}", ended.stderr);
    node.kill();
    let _node = NodeProcess::start(&data, &engine);
    let id = ended.request_id();
    let again = run(&["register", &identifier, "--values", &values, "--request-id", &id]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert_eq!(run(&["resolve", &identifier]).code, Some(0));
}
