//! Imports whose input or result file fails, and inputs that are not what they look like.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;

use crate::import::{Ended, data, homed, import, rows, run, status};
use crate::support::eventually::eventually;
use crate::support::node::program;

/// The message of the error in JSON on standard error.
fn message(ended: &Ended) -> String {
    let line = ended.stderr.lines().find(|line| line.starts_with("{\"error\"")).expect(&ended.stderr);
    let error: serde_json::Value = serde_json::from_str(line).expect("JSON");
    let message = error.pointer("/error/message").and_then(serde_json::Value::as_str);
    message.expect("a message").to_owned()
}

/// A read that fails is named with the input and the row; what was sent before is settled, and the message says how to go on.
#[test]
fn an_input_that_breaks_is_named_with_its_row_and_how_to_go_on() {
    let lines = (0..2_000).fold(String::new(), |mut text, number| {
        writeln!(text, "{{\"identifier\":\"88.118.8/L{number}\",\"URL\":\"x\"}}").expect("written");
        text
    });
    let table = format!("identifier,URL\n{}", rows(0..2_000));
    for (format, text, at) in [("csv", table, "row 2002"), ("jsonl", lines, "line 2001")] {
        let directory = tempfile::tempdir().expect("a directory");
        let node = homed(&directory.path().join("data"), &[]);
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        // Unread when our end is closed, so that the other end gets an error in place of an end.
        (&theirs).write_all(b"x").expect("written");
        let mut command = program(&["import", "-", "--format", format, "--json"]);
        command.env("IDNODE_DATA", node.data()).stdin(OwnedFd::from(theirs));
        let child = command.spawn().expect("a process");
        (&ours).write_all(text.as_bytes()).expect("written");
        eventually("some rows are registered", || {
            status(&node)["identifiers"].as_u64().filter(|count| *count > 0)
        });
        drop(ours);
        let output = child.wait_with_output().expect("a child");
        let ended = Ended {
            code: output.status.code(),
            printed: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        };
        assert_eq!((ended.code, ended.tally()), (Some(74), [2_000, 0, 0, 0]), "{}", ended.stderr);
        let message = message(&ended);
        let beginning = format!("standard input: {at}, after {} bytes: Connection reset", text.len());
        assert!(message.starts_with(&beginning), "{message}");
        assert!(message.contains("; 2000 rows were settled; run the same command again"), "{message}");
        assert!(message.contains("the request id was 0"), "{message}");
    }
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

/// A cell that could not be read stays refused when its result file is imported as it is.
#[test]
fn a_mark_of_what_could_not_be_read_is_not_registered() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = homed(&directory.path().join("data"), &[]);
    let table: &[u8] = b"identifier,NAME\n88.118.8/A,caf\xe9\n";
    let lines: &[u8] = b"{\"identifier\":\"88.118.8/A\",\"NAME\":\"caf\xe9\"}\n";
    let whole: &[u8] =
        b"{\"identifier\":\"88.118.8/A\",\"values\":[{\"index\":1,\"type\":\"NAME\",\"data\":\"caf\xe9\"}]}\n";
    for (name, bytes, end) in [
        ("a.csv", table, ".result.csv"),
        ("b.jsonl", lines, ".result.jsonl"),
        ("c.jsonl", whole, ".result.jsonl"),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, bytes).expect("a file");
        assert_eq!(import(&node, &path, &[]).tally(), [0, 0, 0, 1]);
        let result = directory.path().join(format!("{name}{end}"));
        assert!(fs::read_to_string(&result).expect("a result file").contains("caf\u{fffd}"), "{name}");
        let again = import(&node, &result, &[]);
        assert_eq!((again.code, again.tally()), (Some(1), [0, 0, 0, 1]), "{name}: {}", again.stderr);
        let second =
            fs::read_to_string(directory.path().join(format!("{name}{end}{end}"))).expect("a result file");
        assert!(second.contains("REPLACEMENT") && second.contains("U+FFFD"), "{second}");
    }
    assert_eq!(status(&node)["identifiers"], 0);
}

/// U+FFFD that a value really has goes through an export, and through a file by permission.
#[test]
fn the_replacement_character_of_a_value_is_exported_and_imported_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = homed(&directory.path().join("first"), &[]);
    let second = homed(&directory.path().join("second"), &[]);
    let path = directory.path().join("parts.jsonl");
    fs::write(&path, "{\"identifier\":\"88.118.8/A\",\"NAME\":\"caf\u{fffd}\"}\n").expect("a file");
    assert_eq!(import(&first, &path, &["--accept", "replacement"]).tally(), [1, 0, 0, 0]);
    for (number, command) in
        [["export", "88.118.8"].as_slice(), &["resolve", "88.118.8/A", "--json"]].iter().enumerate()
    {
        let written = run(&first, command).printed;
        assert!(written.contains("caf\\ufffd"), "{written}");
        fs::write(&path, written).expect("a file");
        let expected = if number == 0 { [1, 0, 0, 0] } else { [0, 1, 0, 0] };
        assert_eq!(import(&second, &path, &[]).tally(), expected);
    }
    assert_eq!(data(&second, "88.118.8/A"), ["caf\u{fffd}"]);
}

/// The advice for a packed file is a command that can be given as it stands.
#[test]
fn a_packed_file_is_explained_with_the_command_in_use() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = homed(&directory.path().join("data"), &[]);
    let path = directory.path().join("parts 1.csv.gz");
    fs::write(&path, b"\x1f\x8b\x08 and so on").expect("a file");
    let name = path.to_str().expect("a path");
    let commands: [(&[&str], &str); 3] = [
        (&["import", name], "import -"),
        (&["amend", "--from", name], "amend --from -"),
        (&["remove", "--from", name], "remove --from -"),
    ];
    for (command, advised) in commands {
        let ended = run(&node, command);
        assert_eq!(ended.code, Some(65), "{}", ended.stderr);
        let advice = format!(
            "{name}: this is a gzip file; unpack it first: gunzip -c '{name}' | idnode {advised} --format csv\n"
        );
        assert!(ended.stderr.ends_with(&advice), "{}", ended.stderr);
    }
    let other = directory.path().join("parts");
    fs::write(&other, b"\x28\xb5\x2f\xfd and so on").expect("a file");
    let ended = import(&node, &other, &["--format", "jsonl"]);
    let advice = format!("zstd -dc {} | idnode import - --format jsonl", other.display());
    assert!(message(&ended).ends_with(&advice), "{}", ended.stderr);
}

/// JSON lines have no header, so that a name which never occurs is known at the end only.
#[test]
fn a_mapping_or_permissions_for_what_never_occurs_are_warned_of() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = homed(&directory.path().join("data"), &[]);
    let path = directory.path().join("parts.jsonl");
    let text = "{\"identifier\":\"88.118.8/A\",\"网址\":\"https://example.com/\",\"2:Price\":\"7\"}\n\
                {\"identifier\":\"88.118.8/B\",\"values\":[{\"index\":1,\"type\":\"COST\",\"data\":\"8\"}]}\n";
    fs::write(&path, text).expect("a file");
    let warnings = |more: &[&str]| -> Vec<String> {
        let ended = import(&node, &path, more);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stderr.lines().filter(|line| line.contains("warning")).map(str::to_owned).collect()
    };
    let right = ["--map", "网址=URL", "--permissions", "PRICE=1100", "--permissions", "COST=1100"];
    assert_eq!(warnings(&[&right[..], &["--dry-run"]].concat()), [] as [String; 0]);
    let wrong = [
        "--map",
        "网址=URL",
        "--map",
        "网页=URL",
        "--permissions",
        "PRICES=1100",
        "--permissions",
        "COST=1100",
    ];
    for more in [&["--dry-run"][..], &[]] {
        let found = warnings(&[&wrong[..], more].concat());
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("--map names \"网页\", which no line has"), "{found:?}");
        assert!(
            found[1].contains("--permissions names the type \"PRICES\", but no value has it"),
            "{found:?}"
        );
    }
    assert_eq!(warnings(&[&right[..], &["--overwrite"]].concat()), [] as [String; 0]);
}
