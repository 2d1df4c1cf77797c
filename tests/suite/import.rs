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
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) printed: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Registered, skipped, overwritten, refused.
    pub(crate) fn tally(&self) -> [u64; 4] {
        let summary: serde_json::Value = serde_json::from_str(&self.printed)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.printed, self.stderr));
        ["registered", "skipped", "overwritten", "refused"]
            .map(|name| summary.get(name).and_then(serde_json::Value::as_u64).expect("a count"))
    }
}

pub(crate) fn run(node: &NodeProcess, arguments: &[&str]) -> Ended {
    let output = program(arguments).env("IDNODE_DATA", node.data()).output().expect("a process");
    Ended {
        code: output.status.code(),
        printed: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

pub(crate) fn import(node: &NodeProcess, path: &Path, more: &[&str]) -> Ended {
    let path = path.to_str().expect("a path in UTF-8");
    run(node, &[&["import", path, "--json"], more].concat())
}

pub(crate) fn homed(data: &Path, arguments: &[&str]) -> NodeProcess {
    let node = NodeProcess::start(data, arguments);
    assert_eq!(run(&node, &["prefix", "home", "88.118.8"]).code, Some(0));
    node
}

/// The cells of the rows of a result file, in UTF-8.
fn refused(result: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(result.trim_start_matches('\u{feff}').as_bytes());
    let rows = reader.records().map(|row| row.expect("a row").iter().map(str::to_owned).collect());
    rows.collect()
}

pub(crate) fn status(node: &NodeProcess) -> serde_json::Value {
    serde_json::from_str(&run(node, &["status", "--json"]).printed).expect("JSON")
}

pub(crate) fn data(node: &NodeProcess, identifier: &str) -> Vec<String> {
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
    let named: Vec<String> = refused(&result).into_iter().map(|row| row[1..5].join(",")).collect();
    let expected = [
        "ENCODING_INVALID,500,88.118.8/SN500,a",
        "ROW_MALFORMED,1000,88.118.8/SN1000,a",
        "IDENTIFIER_MALFORMED,2000,no slash,a",
        "NOT_RESPONSIBLE,3000,88.118.99/elsewhere,a",
        "DUPLICATES,4000,88.118.8/SN3999,different",
    ];
    assert_eq!(named, expected);
    assert!(
        result.starts_with("\u{feff}refused_reason,refused_code,refused_row,identifier,URL,NAME,NAME\r\n")
    );
    assert!(result.contains("column \"\"NAME\"\"") && result.contains("row 3999 has"), "{result}");
    assert_eq!(data(&node, "88.118.8/SN5000"), ["two\r\nlines", "=1+1", "007"]);
    assert_eq!(status(&node)["identifiers"], 9_995);

    let before = status(&node)["position"].clone();
    let again = import(&node, &path, &[]);
    assert_eq!((again.code, again.tally()), (Some(1), [0, 9_995, 0, 5]), "{}", again.stderr);
    assert_eq!(status(&node)["position"], before, "the second import changed something");
}

/// Rows with a URL that is no web address are registered; the first are named, all are counted, also without a change.
#[test]
fn urls_that_are_no_web_addresses_are_counted_and_the_first_rows_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = homed(&directory.path().join("data"), &[]);
    let path = directory.path().join("parts.csv");
    let rows: String = (2..=16).map(|row| format!("88.118.8/SN{row},www.example.com/{row}\n")).collect();
    fs::write(&path, format!("identifier,URL\n{rows}88.118.8/SN17,https://example.com/\n")).expect("a file");
    for more in [&["--dry-run"][..], &[]] {
        let ended = import(&node, &path, more);
        assert_eq!((ended.code, ended.tally()), (Some(0), [16, 0, 0, 0]), "{}", ended.stderr);
        let summary: serde_json::Value = serde_json::from_str(&ended.printed).expect("JSON");
        assert_eq!(summary["warned"], 15, "{more:?}");
        let named: Vec<&str> =
            ended.stderr.lines().filter(|line| line.starts_with("idnode: warning: row ")).collect();
        assert_eq!(named.len(), 10, "{more:?}: {}", ended.stderr);
        let first = "idnode: warning: row 2: 88.118.8/SN2: the URL at index 1 ";
        assert!(named[0].starts_with(first), "{}", named[0]);
    }
    let path = path.to_str().expect("a path in UTF-8");
    let again = run(&node, &["import", path, "--overwrite"]);
    assert!(again.printed.contains("refused 0, with a warning 15; "), "{}", again.printed);
}

/// A receipt lists eight warnings and counts the others.
#[test]
fn the_values_whose_warnings_are_only_counted_are_counted_for_their_row() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = homed(&directory.path().join("data"), &[]);
    let path = directory.path().join("parts.csv");
    let (columns, cells) = (",URL".repeat(12), ",www.example.com/x".repeat(12));
    fs::write(&path, format!("identifier{columns}\n88.118.8/SN2{cells}\n")).expect("a file");
    let ended = import(&node, &path, &[]);
    assert_eq!((ended.code, ended.tally()), (Some(0), [1, 0, 0, 0]), "{}", ended.stderr);
    let warnings: Vec<&str> =
        ended.stderr.lines().filter_map(|line| line.strip_prefix("idnode: warning: ")).collect();
    assert_eq!(warnings.len(), 9, "{}", ended.stderr);
    assert_eq!(warnings[8], "row 2: 88.118.8/SN2: values with a warning that is not listed: 4");
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
    // The values end in a line break, which is right here.
    assert_eq!(import(&second, &sheet, &["--dry-run"]).tally(), [0, 0, 0, 3_000]);
    assert_eq!(import(&second, &sheet, &["--accept", "blanks"]).tally(), [3_000, 0, 0, 0]);

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

pub(crate) fn rows(numbers: std::ops::Range<u32>) -> String {
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

#[test]
fn accidents_of_a_header_stop_the_import_before_anything_is_sent() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = homed(&directory.path().join("data"), &[]);
    let path = directory.path().join("parts.csv");
    let refuse = |header: &str, more: &[&str]| {
        fs::write(&path, format!("{header}\n88.118.8/A,x\n")).expect("a file");
        let ended = import(&node, &path, more);
        assert_eq!((ended.code, ended.printed.as_str()), (Some(65), ""), "{header}: {}", ended.stderr);
        ended.stderr
    };
    assert!(refuse("identifier, URL", &[]).contains("--trim"));
    assert!(refuse("identifier,\u{200b}URL", &[]).contains("U+200B"));
    assert!(refuse("identifier,TTL", &[]).contains("everybody may read"));
    assert!(refuse("identifier,PERMISSIONS", &[]).contains("--map"));
    assert!(refuse("编码,URL", &[]).contains("--map COLUMN=identifier"));
    assert!(refuse("identifier,URL", &["--map", "网址=URL"]).contains("网址"));
    assert!(refuse("identifier,URL", &["--permissions", "PRICE=1100"]).contains("PRICE"));
    assert!(refuse("sep=;\nidentifier;URL", &["--delimiter", ","]).contains("--delimiter"));
    assert!(!directory.path().join("parts.csv.result.csv").exists(), "no row was looked at");
    assert_eq!(status(&node)["identifiers"], 0);
}

#[test]
fn accidents_are_refused_with_what_would_be_right_and_taken_when_accepted() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = homed(&directory.path().join("data"), &[]);
    let path = directory.path().join("parts.csv");
    let text = "sep=;\r\n标识;URL;名称\r\n\
                88.118.8/A ;https://example.com/a;轴承\r\n\
                88.118.8/B\u{a0};https://example.com/b;轴承\r\n\
                88.118.8/C\u{200b}1;https://example.com/c;轴承\r\n\
                88.118.8/6.90123E+12;https://example.com/d;轴承\r\n\
                88.118.8/E; https://example.com/e;轴承\r\n\
                88.118.8/F;\"https://example.com/f;轴承\r\n\
                88.118.8/G;https://example.com/g;轴承\r\n\
                88.118.8/g;https://example.com/other;轴承\r\n\
                88.118.8/H;https://example.com/h;caf\u{fffd}\r\n";
    fs::write(&path, text).expect("a file");
    let ended = import(&node, &path, &[]);
    assert_eq!((ended.code, ended.tally()), (Some(1), [1, 0, 0, 8]), "{}", ended.stderr);
    let result_path = directory.path().join("parts.csv.result.csv");
    let result = fs::read_to_string(&result_path).expect("a result file");
    let (first, rest) = result.split_once("\r\n").expect("lines");
    assert_eq!(first, "sep=;");
    assert_eq!(rest.lines().count(), 9, "{result}");
    for (code, row) in [("BLANKS", 3), ("BLANKS", 4), ("INVISIBLE", 5), ("SCIENTIFIC", 6), ("BLANKS", 7)] {
        assert!(result.contains(&format!("{code};{row};")), "{code} {row}: {result}");
    }
    assert!(result.contains("QUOTES;8;") && result.contains("REPLACEMENT;11;"), "{result}");
    assert!(result.contains("row 9 has the same identifier in another case"), "{result}");
    assert_eq!(data(&node, "88.118.8/G"), ["https://example.com/g", "轴承"]);

    // What is not corrected is refused again.
    let again = import(&node, &result_path, &[]);
    assert_eq!((again.code, again.tally()), (Some(1), [0, 0, 0, 8]), "{}", again.stderr);
    let kinds = ["blanks", "invisible", "scientific", "quotes", "duplicates", "replacement"];
    let accept: Vec<&str> = kinds.iter().flat_map(|kind| ["--accept", kind]).collect();
    let accepted = import(&node, &path, &accept);
    assert_eq!((accepted.code, accepted.tally()), (Some(1), [7, 1, 0, 1]), "{}", accepted.stderr);
    assert_eq!(data(&node, "88.118.8/A "), ["https://example.com/a", "轴承"]);
    assert_eq!(data(&node, "88.118.8/F")[0], "\"https://example.com/f");
}

#[test]
fn a_whole_identifier_among_suffixes_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = homed(&directory.path().join("data"), &[]);
    let path = directory.path().join("parts.csv");
    fs::write(&path, "后缀,URL\nSN1,x\n88.118.8/SN77,x\n").expect("a file");
    let ended = import(&node, &path, &["--prefix", "88.118.8"]);
    assert_eq!((ended.code, ended.tally()), (Some(1), [1, 0, 0, 1]), "{}", ended.stderr);
    let result = fs::read_to_string(directory.path().join("parts.csv.result.csv")).expect("a result file");
    assert!(result.contains("PREFIX_IN_SUFFIX,3,88.118.8/SN77,x"), "{result}");
    let kind = ["--prefix", "88.118.8", "--accept", "prefix-in-suffix"];
    assert_eq!(import(&node, &path, &kind).tally(), [1, 1, 0, 0]);
    assert_eq!(data(&node, "88.118.8/88.118.8/SN77"), ["x"]);
}

#[test]
fn columns_are_mapped_trimmed_and_given_permissions() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = homed(&directory.path().join("data"), &[]);
    let path = directory.path().join("零件.csv");
    let text = "编码 ,网址,单价,TTL\n 88.118.8/A\u{a0},https://example.com/ ,7,60\n";
    let (bytes, _, _) = encoding_rs::GB18030.encode(text);
    fs::write(&path, &bytes).expect("a file");
    let options = [
        "--encoding",
        "gb18030",
        "--trim",
        "--map",
        "编码=identifier",
        "--map",
        "网址=URL",
        "--map",
        "单价=5:PRICE",
        "--map",
        "TTL=skip",
        "--permissions",
        "PRICE=1100",
    ];
    let rehearsed = import(&node, &path, &[&options[..], &["--dry-run"]].concat());
    assert_eq!((rehearsed.code, rehearsed.tally()), (Some(0), [1, 0, 0, 0]), "{}", rehearsed.stderr);
    assert_eq!(status(&node)["identifiers"], 0, "a dry run changes nothing");
    let ended = import(&node, &path, &options);
    assert_eq!((ended.code, ended.tally()), (Some(0), [1, 0, 0, 0]), "{}", ended.stderr);
    let printed = run(&node, &["resolve", "88.118.8/A", "--json"]).printed;
    let answer: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    let values: Vec<String> = answer["values"]
        .as_array()
        .expect("values")
        .iter()
        .map(|value| {
            let part = |name: &str| value[name].to_string().replace('"', "");
            [part("index"), part("type"), part("data"), part("permissions")].join(" ")
        })
        .collect();
    assert_eq!(values, ["1 URL https://example.com/ 1110", "5 PRICE 7 1100"]);
}

#[test]
fn a_result_file_is_corrected_and_imported_and_the_export_is_equal() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = homed(&directory.path().join("first"), &[]);
    let second = homed(&directory.path().join("second"), &[]);
    let bad = "标识,名称\r\n88.118.8/零1,轴承\r\n88.118.8/零2 ,轴承\r\n88.118.8/零3,\"轴承\r\n88.118.8/零4,轴承\r\n";
    let good = bad.replace("零2 ", "零2").replace("\"轴承", "轴承");
    let (bad, _, _) = encoding_rs::GB18030.encode(bad);
    let (good, _, _) = encoding_rs::GB18030.encode(&good);
    let path = directory.path().join("零件.csv");
    let gb18030 = ["--encoding", "gb18030"];
    fs::write(&path, &good).expect("a file");
    assert_eq!(import(&second, &path, &gb18030).tally(), [4, 0, 0, 0]);
    fs::write(&path, &bad).expect("a file");
    assert_eq!(import(&first, &path, &gb18030).tally(), [2, 0, 0, 2]);

    let result = directory.path().join("零件.csv.result.csv");
    let bytes = fs::read(&result).expect("a result file");
    let (text, _, is_wrong) = encoding_rs::GB18030.decode(&bytes);
    assert!(!is_wrong && text.starts_with("refused_reason,refused_code,refused_row,标识,名称\r\n"), "{text}");
    let corrected = text.replace("零2 ", "零2").replace("\"\"\"轴承\"", "轴承");
    assert_ne!(corrected, text);
    let (corrected, _, _) = encoding_rs::GB18030.encode(&corrected);
    fs::write(&result, &corrected).expect("a file");
    assert_eq!(import(&first, &result, &gb18030).tally(), [2, 0, 0, 0]);
    let export = |node: &NodeProcess| run(node, &["export", "88.118.8"]).printed;
    assert_eq!(export(&first), export(&second));
    assert_eq!(export(&first).lines().count(), 4);
}

#[test]
fn json_lines_have_a_result_file_that_is_corrected_and_imported() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = homed(&directory.path().join("data"), &[]);
    let path = directory.path().join("parts.jsonl");
    let text = "\u{feff}{\"identifier\":\"88.118.8/A\",\"URL\":\"x\"}\n\u{feff}{\"identifier\":\"88.118.8/B\",\"URL\":\"x\"}\n\
                {\"identifier\":\"88.118.8/C\",\"URL\":1}\n{\"identifier\":\"88.118.8/D\", broken\n";
    fs::write(&path, text).expect("a file");
    let ended = import(&node, &path, &[]);
    assert_eq!((ended.code, ended.tally()), (Some(1), [1, 0, 0, 3]), "{}", ended.stderr);
    let result = directory.path().join("parts.jsonl.result.jsonl");
    let text = fs::read_to_string(&result).expect("a result file");
    assert!(text.contains("byte order mark (U+FEFF)"), "{text}");
    let (mark, text) = text.split_at('\u{feff}'.len_utf8());
    assert_eq!(mark, "\u{feff}", "as the input begins");
    let corrected =
        text.replace('\u{feff}', "").replace(":1}", ":\"x\"}").replace(" broken", "\"URL\":\"x\"}");
    fs::write(&result, corrected).expect("a file");
    let again = import(&node, &result, &[]);
    assert_eq!((again.code, again.tally()), (Some(0), [3, 0, 0, 0]), "{}", again.stderr);
}

#[test]
fn the_input_is_not_overwritten_by_its_own_result() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = homed(&directory.path().join("data"), &[]);
    let path = directory.path().join("parts.csv");
    let text = "identifier,URL\n88.118.8/A,x\n";
    fs::write(&path, text).expect("a file");
    let ended = import(&node, &path, &["--result", path.to_str().expect("a path")]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(&path).expect("a file"), text);
}

#[test]
fn utf8_that_is_called_gb18030_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = homed(&directory.path().join("data"), &[]);
    let path = directory.path().join("零件.csv");
    fs::write(&path, "标识,名称\n88.118.8/零1,轴承\n").expect("a file");
    let ended = import(&node, &path, &["--encoding", "gb18030"]);
    assert_eq!(ended.code, Some(65), "{}", ended.stderr);
    assert!(ended.stderr.contains("leave --encoding out"), "{}", ended.stderr);
    assert_eq!(import(&node, &path, &[]).tally(), [1, 0, 0, 0]);
}

/// What the JSON summary of a bulk command says.
fn counts<const N: usize>(ended: &Ended, names: [&str; N]) -> [u64; N] {
    let summary: serde_json::Value = serde_json::from_str(&ended.printed)
        .unwrap_or_else(|error| panic!("{error}: {} {}", ended.printed, ended.stderr));
    names.map(|name| summary.get(name).and_then(serde_json::Value::as_u64).expect("a count"))
}

#[test]
fn identifiers_are_changed_and_removed_from_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = homed(&directory.path().join("data"), &[]);
    let path = directory.path().join("parts.csv");
    let name = path.to_str().expect("a path");
    fs::write(&path, format!("identifier,URL\n{}", rows(0..5_000))).expect("a file");
    assert_eq!(import(&node, &path, &[]).tally(), [5_000, 0, 0, 0]);

    let mut changes = "标识,add 3:EMAIL,replace 1:URL,remove 9\n".to_owned();
    (0..4_998).for_each(|number| writeln!(changes, "88.118.8/SN{number},m{number},,").expect("written"));
    changes.push_str("88.118.8/SN4998,,https://example.com/new,\n88.118.8/SN4999,,,x\n88.118.8/NONE,m,,\n");
    changes.push_str("88.118.8/SN1 ,m,,\n");
    fs::write(&path, &changes).expect("a file");
    let position = status(&node)["position"].clone();
    let rehearsed = run(&node, &["amend", "--from", name, "--dry-run", "--json"]);
    assert_eq!(counts(&rehearsed, ["amended", "refused"]), [4_999 + 1, 2], "{}", rehearsed.stderr);
    assert_eq!(status(&node)["position"], position, "a dry run changes nothing");
    let amended = run(&node, &["amend", "--from", name, "--permissions", "1100", "--json"]);
    assert_eq!((amended.code, counts(&amended, ["amended", "refused"])), (Some(1), [4_999, 3]));
    assert_eq!(data(&node, "88.118.8/SN4998"), ["https://example.com/new"]);
    let shown = run(&node, &["resolve", "88.118.8/SN7"]).printed;
    assert!(
        shown.lines().any(|line| line.starts_with("3") && line.contains("EMAIL  86400  1100")),
        "{shown}"
    );
    let result = fs::read_to_string(directory.path().join("parts.csv.result.csv")).expect("a result file");
    let codes: Vec<String> = refused(&result).into_iter().map(|row| row[1..4].join(" ")).collect();
    let expected =
        ["INDEX_ABSENT 5001 88.118.8/SN4999", "ABSENT 5002 88.118.8/NONE", "BLANKS 5003 88.118.8/SN1 "];
    assert_eq!(codes, expected);

    // The file of the import serves to remove what it registered; other columns do not matter.
    let text = format!("identifier,URL\n{}88.118.8/SN7,again\n88.118.8/NONE,x\n", rows(0..5_000));
    fs::write(&path, text).expect("a file");
    let rehearsed = run(&node, &["remove", "--from", name, "--dry-run", "--json"]);
    assert_eq!(counts(&rehearsed, ["removed", "refused"]), [5_000, 2]);
    assert_eq!(status(&node)["identifiers"], 5_000);
    let removed = run(&node, &["remove", "--from", name, "--json"]);
    assert_eq!((removed.code, counts(&removed, ["removed", "refused"])), (Some(1), [5_000, 2]));
    assert_eq!(status(&node)["identifiers"], 0);
    let result = fs::read_to_string(directory.path().join("parts.csv.result.csv")).expect("a result file");
    assert!(result.contains("row 9 has the same identifier"), "{result}");

    let both = run(&node, &["remove", "88.118.8/A", "--from", name]);
    assert_eq!(both.code, Some(2), "{}", both.stderr);
    let neither = run(&node, &["remove", "88.118.8/A", "--trim"]);
    assert_eq!(neither.code, Some(2), "{}", neither.stderr);
}
