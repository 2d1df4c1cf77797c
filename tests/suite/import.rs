//! Import and export: files of identifiers into a node and back.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::support::eventually::eventually;
use crate::support::node::{NodeProcess, program};
use crate::support::tree::own_address;

/// What an import or another command came to.
struct Ended {
    code: Option<i32>,
    printed: String,
    stderr: String,
}

impl Ended {
    /// Registered, skipped, overwritten, refused.
    fn tally(&self) -> [u64; 4] {
        let summary: serde_json::Value = serde_json::from_str(&self.printed)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.printed, self.stderr));
        ["registered", "skipped", "overwritten", "refused"]
            .map(|name| summary.get(name).and_then(serde_json::Value::as_u64).expect("a count"))
    }
}

fn run(node: &NodeProcess, arguments: &[&str]) -> Ended {
    let output = program(arguments).env("IDNODE_DATA", node.data()).output().expect("a process");
    Ended {
        code: output.status.code(),
        printed: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

fn import(node: &NodeProcess, path: &Path, more: &[&str]) -> Ended {
    let path = path.to_str().expect("a path in UTF-8");
    run(node, &[&["import", path, "--json"], more].concat())
}

fn homed(data: &Path, arguments: &[&str]) -> NodeProcess {
    let node = NodeProcess::start(data, arguments);
    assert_eq!(run(&node, &["prefix", "home", "88.118.8"]).code, Some(0));
    node
}

fn status(node: &NodeProcess) -> serde_json::Value {
    serde_json::from_str(&run(node, &["status", "--json"]).printed).expect("JSON")
}

fn data(node: &NodeProcess, identifier: &str) -> Vec<String> {
    let printed = run(node, &["resolve", identifier, "--json"]).printed;
    let answer: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    let values = answer.get("values").and_then(serde_json::Value::as_array).expect("values");
    let text =
        |value: &serde_json::Value| value.get("data").and_then(|data| data.as_str().map(str::to_owned));
    values.iter().map(|value| text(value).expect("text")).collect()
}

#[test]
fn ten_thousand_rows_are_imported_and_the_bad_ones_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = homed(&directory.path().join("data"), &[]);
    let path = directory.path().join("parts.csv");
    let mut bytes = b"\xef\xbb\xbfidentifier,URL,NAME,NAME\r\n".to_vec();
    for row in 2..=10_001 {
        match row {
            500 => bytes.extend(b"88.118.8/SN500,a,caf\xe9,\r\n"),
            1_000 => bytes.extend(b"88.118.8/SN1000,a\r\n"),
            2_000 => bytes.extend(b"no slash,a,b,\r\n"),
            3_000 => bytes.extend(b"88.118.99/elsewhere,a,b,\r\n"),
            4_000 => bytes.extend(b"88.118.8/SN3999,different,b,\r\n"),
            5_000 => bytes.extend(b"88.118.8/SN5000,\"two\r\nlines\",=1+1,007\r\n"),
            _ => write!(bytes, "88.118.8/SN{row},https://example.com/{row},轴承,\r\n").expect("written"),
        }
    }
    fs::write(&path, bytes).expect("a file");

    let ended = import(&node, &path, &[]);
    assert_eq!((ended.code, ended.tally()), (Some(1), [9_995, 0, 0, 5]), "{}", ended.stderr);
    let result = fs::read_to_string(directory.path().join("parts.csv.result.csv")).expect("a result file");
    let named: Vec<String> =
        result.lines().map(|line| line.splitn(4, ',').take(3).collect::<Vec<_>>().join(",")).collect();
    let expected = [
        "row,identifier,code",
        "500,88.118.8/SN500,ENCODING_INVALID",
        "1000,88.118.8/SN1000,ROW_MALFORMED",
        "2000,no slash,IDENTIFIER_MALFORMED",
        "3000,88.118.99/elsewhere,NOT_RESPONSIBLE",
        "4000,88.118.8/SN3999,ALREADY_EXISTS",
    ];
    assert_eq!(named, expected);
    assert!(result.contains("column \"\"NAME\"\""), "{result}");
    assert_eq!(data(&node, "88.118.8/SN5000"), ["two\r\nlines", "=1+1", "007"]);
    assert_eq!(status(&node)["identifiers"], 9_995);

    let before = status(&node)["position"].clone();
    let again = import(&node, &path, &[]);
    assert_eq!((again.code, again.tally()), (Some(1), [0, 9_995, 0, 5]), "{}", again.stderr);
    assert_eq!(status(&node)["position"], before, "the second import changed something");
}

#[test]
fn different_rows_replace_what_is_held_only_when_asked() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = homed(&directory.path().join("data"), &[]);
    let path = directory.path().join("parts.jsonl");
    fs::write(&path, "{\"suffix\":\"A\",\"URL\":\"1\"}\n{\"suffix\":\"B\",\"URL\":\"1\"}\n").expect("a file");
    let prefix = ["--prefix", "88.118.8"];
    assert_eq!(import(&node, &path, &prefix).tally(), [2, 0, 0, 0]);
    fs::write(&path, "{\"suffix\":\"A\",\"URL\":\"1\"}\n{\"suffix\":\"B\",\"URL\":\"2\"}\n").expect("a file");
    let refused = import(&node, &path, &prefix);
    assert_eq!((refused.code, refused.tally()), (Some(1), [0, 1, 0, 1]));
    assert_eq!(data(&node, "88.118.8/B"), ["1"]);
    let overwritten = import(&node, &path, &["--prefix", "88.118.8", "--overwrite"]);
    assert_eq!((overwritten.code, overwritten.tally()), (Some(0), [0, 1, 1, 0]));
    assert_eq!(data(&node, "88.118.8/B"), ["2"]);
}

#[test]
fn an_export_is_imported_elsewhere_as_equal_content() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = homed(&directory.path().join("first"), &[]);
    let mut lines = String::new();
    for number in 0..3_000 {
        writeln!(
            lines,
            "{{\"identifier\":\"88.118.8/件{number}\",\"7:URL\":\"u,\\\"{number}\\\"\\n\",\"N\":\"x\"}}"
        )
        .expect("written");
    }
    let source = directory.path().join("source.jsonl");
    fs::write(&source, &lines).expect("a file");
    assert_eq!(import(&first, &source, &[]).tally(), [3_000, 0, 0, 0]);

    let sheet = directory.path().join("sheet.csv");
    let sheet_path = sheet.to_str().expect("a path in UTF-8");
    let written = run(&first, &["export", "88.118.8", "--output", sheet_path, "--bom"]);
    assert_eq!(written.code, Some(0), "{}", written.stderr);
    assert!(fs::read(&sheet).expect("a file").starts_with("\u{feff}identifier,1:N,7:URL\r\n".as_bytes()));
    let second = homed(&directory.path().join("second"), &[]);
    assert_eq!(import(&second, &sheet, &[]).tally(), [3_000, 0, 0, 0]);

    let extra = r#"{"identifier":"88.118.8/extra","values":[
        {"index":4,"type":"KEY","data":{"base64":"/wA="},"ttl":60,"permissions":"1100"},
        {"index":9,"type":"LINK","data":"","ttl_until":"2030-01-01T00:00:00Z",
         "references":[{"identifier":"88.118.8/件1","index":7}]}]}"#;
    fs::write(&source, extra.replace('\n', "")).expect("a file");
    for node in [&first, &second] {
        assert_eq!(import(node, &source, &[]).tally(), [1, 0, 0, 0]);
    }
    let refused = run(&first, &["export", "88.118.8", "--format", "csv"]);
    assert_eq!((refused.code, refused.printed.as_str()), (Some(1), ""));
    assert!(refused.stderr.contains("88.118.8/extra: CSV cannot carry index 4"), "{}", refused.stderr);

    let export = |node: &NodeProcess| run(node, &["export", "88.118.8"]).printed;
    let whole = export(&first);
    assert_eq!(whole.lines().count(), 3_001);
    assert_eq!(whole, export(&second));
    let copy = directory.path().join("copy.jsonl");
    fs::write(&copy, &whole).expect("a file");
    let third = homed(&directory.path().join("third"), &[]);
    assert_eq!(import(&third, &copy, &[]).tally(), [3_001, 0, 0, 0]);
    assert_eq!(export(&third), whole);
}

#[test]
fn a_gb18030_spreadsheet_is_imported_and_an_xlsx_explained() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = homed(&directory.path().join("data"), &[]);
    let path = directory.path().join("零件.csv");
    let (bytes, _, _) = encoding_rs::GB18030.encode("identifier,名称\r\n88.118.8/零1,深沟球轴承€\r\n");
    fs::write(&path, &bytes).expect("a file");
    let ended = import(&node, &path, &["--encoding", "gb18030"]);
    assert_eq!((ended.code, ended.tally()), (Some(0), [1, 0, 0, 0]), "{}", ended.stderr);
    assert_eq!(data(&node, "88.118.8/零1"), ["深沟球轴承€"]);
    let wrong = import(&node, &path, &[]);
    assert_eq!(wrong.code, Some(65));
    assert!(
        wrong.stderr.contains("row 1: byte 11") && wrong.stderr.contains("--encoding gb18030"),
        "{}",
        wrong.stderr
    );

    let sheet = directory.path().join("parts.xlsx");
    fs::write(&sheet, b"PK\x03\x04 and so on").expect("a file");
    let explained = import(&node, &sheet, &[]);
    assert_eq!(explained.code, Some(65));
    assert!(explained.stderr.contains("CSV UTF-8"), "{}", explained.stderr);
}

/// An import that reads what the test writes.
fn begin(node: &NodeProcess, more: &[&str]) -> Child {
    let arguments = [&["import", "-", "--format", "csv", "--json"], more].concat();
    let mut command = program(&arguments);
    command.env("IDNODE_DATA", node.data()).stdin(Stdio::piped());
    command.spawn().expect("a process")
}

fn rows(numbers: std::ops::Range<u32>) -> String {
    numbers.fold(String::new(), |mut text, number| {
        writeln!(text, "88.118.8/SN{number},https://example.com/a/rather/long/address/{number}")
            .expect("written");
        text
    })
}

fn feed(child: &mut Child, text: &str) {
    child.stdin.as_mut().expect("a pipe").write_all(text.as_bytes()).expect("written");
}

#[test]
fn an_import_that_was_killed_is_simply_run_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = homed(&directory.path().join("data"), &[]);
    let text = format!("identifier,URL\n{}", rows(0..6_000));
    let mut child = begin(&node, &[]);
    feed(&mut child, text.split_at(text.len() / 2).0);
    let held = eventually("some rows are registered", || {
        status(&node)["identifiers"].as_u64().filter(|count| *count > 0)
    });
    child.kill().expect("a running child");
    child.wait().expect("a child");

    let path = directory.path().join("parts.csv");
    fs::write(&path, &text).expect("a file");
    let [registered, skipped, overwritten, refused] = import(&node, &path, &[]).tally();
    assert_eq!((registered + skipped, overwritten, refused), (6_000, 0, 0));
    assert!(skipped >= held, "{skipped} skipped, {held} were held");
    assert_eq!(status(&node)["identifiers"], 6_000);
}

#[test]
fn an_interrupted_import_settles_what_it_has_sent_and_says_how_to_go_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = homed(&directory.path().join("data"), &[]);
    let mut child = begin(&node, &[]);
    feed(&mut child, "identifier,URL\n");
    feed(&mut child, &rows(0..4_000));
    eventually("some rows are registered", || {
        status(&node)["identifiers"].as_u64().filter(|count| *count > 0)
    });
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill runs").success());
    let code = eventually("the import ends", || child.try_wait().expect("a child")).code();
    let output = child.wait_with_output().expect("a child");
    let stderr = String::from_utf8(output.stderr).expect("text");
    let ended = Ended { code, printed: String::from_utf8(output.stdout).expect("text"), stderr };
    let [registered, ..] = ended.tally();
    assert_eq!(code, Some(130), "{}", ended.stderr);
    assert!(ended.stderr.contains("INTERRUPTED") && ended.stderr.contains("run the same command again"));
    assert_eq!(status(&node)["identifiers"], registered, "what is counted is what is held");
}

#[test]
fn an_import_goes_on_when_the_node_comes_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    // At an address that is nobody else's, so that the port is still free when the node comes back.
    let node = homed(&data, &["--set", &format!("grpc.listen={}:0", own_address())]);
    let url = node.addresses.grpc.first().expect("a gRPC address").clone();
    let mut child = begin(&node, &["--node", &url, "--timeout", "600"]);
    feed(&mut child, "identifier,URL\n");
    feed(&mut child, &rows(0..4_000));
    eventually("some rows are registered", || {
        status(&node)["identifiers"].as_u64().filter(|count| *count > 0)
    });
    node.kill();
    let listen = format!("grpc.listen={}", url.trim_start_matches("http://"));
    let node = thread::scope(|scope| {
        // The import need not read all of it while there is no node.
        scope.spawn(|| feed(&mut child, &rows(4_000..5_000)));
        NodeProcess::start(&data, &["--set", &listen])
    });
    feed(&mut child, &rows(5_000..6_000));
    let output = child.wait_with_output().expect("a child");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let ended = Ended {
        code: output.status.code(),
        printed: String::from_utf8(output.stdout).expect("text"),
        stderr,
    };
    assert_eq!((ended.code, ended.tally()), (Some(0), [6_000, 0, 0, 0]), "{}", ended.stderr);
    assert_eq!(status(&node)["identifiers"], 6_000);
}
