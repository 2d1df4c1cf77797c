//! Imports whose input or result file fails, and inputs that are not what they look like.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use crate::import::{Ended, homed, status};
use crate::support::node::program;

/// The message of the error in JSON on standard error.
fn message(ended: &Ended) -> String {
    let line = ended.stderr.lines().find(|line| line.starts_with("{\"error\"")).expect(&ended.stderr);
    let error: serde_json::Value = serde_json::from_str(line).expect("JSON");
    error["error"]["message"].as_str().expect("a message").to_owned()
}

/// What is known of a row is in the result file, or on standard error when the file cannot be written any more.
#[test]
fn a_result_file_that_cannot_be_written_loses_no_outcome() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = homed(&directory.path().join("data"), &[]);
    let path = directory.path().join("parts.csv");
    let text = (2..3_002).fold("identifier,URL\n".to_owned(), |mut text, row| {
        let blank = if row % 3 == 0 { " " } else { "" };
        writeln!(text, "88.118.8/SN{row}{blank},x").expect("written");
        text
    });
    fs::write(&path, text).expect("a file");
    let inner = program(&["import", path.to_str().expect("a path"), "--json"]);
    let mut command = Command::new("/bin/sh");
    command.env_clear().env("IDNODE_DATA", node.data());
    command.args(["-c", "trap '' XFSZ && ulimit -f 16 && exec \"$0\" \"$@\""]);
    let output = command.arg(inner.get_program()).args(inner.get_args()).output().expect("a process");
    let ended = Ended {
        code: output.status.code(),
        printed: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    };
    let [registered, skipped, _, refused] = ended.tally();
    assert_eq!((ended.code, skipped), (Some(74), 0), "{}", ended.stderr);
    assert_eq!(status(&node)["identifiers"], registered, "what is counted is what is held");
    let message = message(&ended);
    assert!(message.contains("parts.csv.result.csv: File too large"), "{message}");
    assert!(message.contains("rows were settled; run the same command again"), "{message}");
    assert!(message.contains("the request id was 0"), "{message}");

    let result = fs::read_to_string(directory.path().join("parts.csv.result.csv")).expect("a result file");
    let (whole, _) = result.rsplit_once('\n').expect("lines");
    let in_file = whole.lines().skip(1).filter_map(|line| line.split(",BLANKS,").nth(1)?.split(',').next());
    let on_stderr = ended.stderr.lines().filter_map(|line| line.strip_prefix("row ")?.split(':').next());
    let numbers: BTreeSet<u64> =
        in_file.chain(on_stderr).map(|number| number.parse().expect("a number")).collect();
    let expected: BTreeSet<u64> = (2..3_002).filter(|row| row % 3 == 0).take(numbers.len()).collect();
    assert_eq!(numbers, expected);
    assert_eq!(numbers.len() as u64, refused);
}
