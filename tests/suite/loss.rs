//! A store that has lost acknowledged changes: it says so, answers, takes no changes, until the loss is accepted.
//!
//! ```text
//!   copy of the engine's files ──▶ more changes ──▶ copy put back: the journal ends before the high-water mark
//! ```

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use idnode::daemon::{Node, RunningNode};
use idnode::store::EngineKind;
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::support::clients::{GrpcClient, http_get};
use crate::support::node::{NodeProcess, admin_token, config, program, serve_and_end};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

fn accept_loss(data: &Path, engine: &str) -> (Option<i32>, String, String) {
    let data = data.display().to_string();
    let arguments = ["store", "accept-loss", "--json", "--data", &data, "--set", engine];
    let output = program(&arguments).output().expect("a process");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_is_reported_and_taken_only_when_accepted_on_both_engines() {
    for kind in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        let engine = format!("store.engine={kind}");
        let node = NodeProcess::start(&data, &["--set", &engine]);
        let token = admin_token(&data);
        let client = GrpcClient::connect(node.grpc(), Some(&token)).await;
        client.home("88.118.8").await.expect("homed");
        client.register("88.118.8/HELD", "https://example.com/1").await.expect("registered");
        end(node);
        let (engine_files, aside) = (data.join(kind.to_string()), directory.path().join("aside"));
        copy(&engine_files, &aside);

        let node = NodeProcess::start(&data, &["--set", &engine]);
        let client = GrpcClient::connect(node.grpc(), Some(&token)).await;
        client.register("88.118.8/LOST", "https://example.com/2").await.expect("registered");
        end(node);
        fs::remove_dir_all(&engine_files).expect("removed");
        copy(&aside, &engine_files);

        // Twice, for an ordered stop must not make the loss unseen.
        for _ in 0..2 {
            let node = NodeProcess::start(&data, &["--set", &engine]);
            check_read_only(&node, &token).await;
            end(node);
        }

        let (code, said, complaint) = accept_loss(&data, &engine);
        assert_eq!((code, complaint.as_str()), (Some(0), ""));
        assert!(said.starts_with("{\"accepted\":true,") && said.contains("\"lost\":1"), "{said}");
        assert_eq!(accept_loss(&data, &engine).1, "{\"accepted\":false}\n");
        let node = NodeProcess::start(&data, &["--set", &engine]);
        assert_eq!(http_get(node.http(), "/readyz").0, 200);
        let client = GrpcClient::connect(node.grpc(), Some(&token)).await;
        let receipt = client.register("88.118.8/LOST", "https://example.com/3").await.expect("registered");
        assert_eq!(receipt.version, 1);
        assert_eq!(client.values("88.118.8/HELD").await, ["https://example.com/1"]);
    }
}

async fn check_read_only(node: &NodeProcess, token: &str) {
    let (status, body) = http_get(node.http(), "/readyz");
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("\"code\":\"READ_ONLY\"") && body.contains("idnode store accept-loss"), "{body}");
    let client = GrpcClient::connect(node.grpc(), Some(token)).await;
    assert_eq!(client.values("88.118.8/HELD").await, ["https://example.com/1"]);
    let failed = client.register("88.118.8/MORE", "https://example.com/3").await.expect_err("no changes");
    assert_eq!(reason(&failed), "READ_ONLY");
    let (code, _, complaint) = accept_loss(node.data(), "log.level=info");
    assert_eq!(code, Some(75), "a running node's store was touched: {complaint}");
}

fn end(node: NodeProcess) {
    node.signal("TERM");
    let (status, _, log) = node.wait();
    assert_eq!(status.code(), Some(0), "{log}");
}

/// The witness of one copy beside the files of another that went on by itself: the longer journal is not the
/// acknowledged one.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_two_copies_stay_noticed_after_an_ordered_stop() {
    let directory = tempfile::tempdir().expect("a directory");
    let (one, other) = (directory.path().join("one"), directory.path().join("other"));
    let node = start(&one).await;
    node.stop().await.expect("the node stops");
    copy(&one, &other);
    for (data, prefixes) in [(&one, &["88.1"][..]), (&other, &["88.2", "88.3", "88.4"][..])] {
        let node = start(data).await;
        let url = node.addresses().grpc.first().expect("a gRPC address").clone();
        let client = GrpcClient::connect(&url, Some(&admin_token(data))).await;
        for prefix in prefixes {
            client.home(prefix).await.expect("homed");
        }
        node.stop().await.expect("the node stops");
    }
    fs::copy(one.join("high-water"), other.join("high-water")).expect("copied");
    for _ in 0..2 {
        let node = start(&other).await;
        let reason = node.store().read_only_reason().expect("read-only");
        assert!(reason.contains("files of two stores were mixed"), "{reason}");
        node.stop().await.expect("the node stops");
    }
}

async fn start(data: &Path) -> RunningNode {
    Node::start(config(data, EngineKind::Fjall)).await.expect("the node starts")
}

/// A reserve that no disk has: the node starts, reads, says why it takes no changes, and takes them with another reserve.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_reserve_is_named_everywhere_and_reads_go_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let node = NodeProcess::start(&data, &[]);
    let token = admin_token(&data);
    let client = GrpcClient::connect(node.grpc(), Some(&token)).await;
    client.home("88.118.8").await.expect("homed");
    client.register("88.118.8/HELD", "https://example.com/1").await.expect("registered");
    end(node);

    let node = NodeProcess::start(&data, &["--set", "store.disk_reserve_bytes=1000000000000000"]);
    let client = GrpcClient::connect(node.grpc(), Some(&token)).await;
    assert_eq!(client.values("88.118.8/HELD").await, ["https://example.com/1"]);
    let failed = client.register("88.118.8/MORE", "https://example.com/2").await.expect_err("no changes");
    assert_eq!(reason(&failed), "READ_ONLY");
    assert!(failed.message().contains("disk full"), "{}", failed.message());
    let (status, body) = http_get(node.http(), "/readyz");
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("\"code\":\"DISK_FULL\"") && body.contains("are free at"), "{body}");
    let (_, metrics) = http_get(node.http(), "/metrics");
    assert!(metrics.contains("idnode_disk_reserve_bytes 1000000000000000"), "{metrics}");
    assert!(metrics.contains("idnode_store_read_only 1"), "{metrics}");
    assert!(node.log().contains("disk full"), "{}", node.log());
    end(node);

    let node = NodeProcess::start(&data, &[]);
    let client = GrpcClient::connect(node.grpc(), Some(&token)).await;
    client.register("88.118.8/MORE", "https://example.com/2").await.expect("registered");
}

/// A disk that has failed is mounted read-only: the node starts, answers, and says why it takes no changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_on_a_read_only_file_system_is_read() {
    for kind in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        let engine = format!("store.engine={kind}");
        let node = NodeProcess::start(&data, &["--set", &engine]);
        let client = GrpcClient::connect(node.grpc(), Some(&admin_token(&data))).await;
        client.home("88.118.8").await.expect("homed");
        client.register("88.118.8/HELD", "https://example.com/1").await.expect("registered");
        end(node);
        let before = names_below(&data);
        let (mut node, http) = match serving(read_only(&data, &engine, "serve")) {
            Ok(serving) => serving,
            Err(said) => return eprintln!("not tested: {said}"),
        };
        check_answers(&http, "is mounted read-only");
        let stopped = Command::new("kill").arg(node.id().to_string()).status().expect("kill runs");
        assert!(stopped.success());
        let serving = node.id();
        assert!(node.wait().expect("a process").success());
        let check = read_only(&data, &engine, "store check").spawn().expect("a process");
        let checking = check.id();
        let check = check.wait_with_output().expect("a process");
        let said = String::from_utf8_lossy(&check.stdout).into_owned();
        assert!(check.status.success() && said.starts_with("OK: "), "{said}");
        assert_eq!(names_below(&data), before);
        let of_these = [serving, checking].map(|process| format!("idnode-image-{process}-"));
        for parent in ["/var/tmp", "/tmp", "/dev/shm"] {
            let names =
                fs::read_dir(parent).into_iter().flatten().map(|entry| entry.expect("an entry").file_name());
            let is_left =
                |name: &OsString| of_these.iter().any(|begin| name.to_string_lossy().starts_with(begin));
            assert_eq!(names.filter(is_left).collect::<Vec<_>>(), [""; 0], "left in {parent}");
        }
    }
}

/// Another user, root too, would leave files that the node cannot read.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_another_user_is_left_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    end(NodeProcess::start(&data, &[]));
    let other = fs::metadata(&data).expect("facts").uid() + 1;
    if let Err(error) = chown(&data, Some(other), None) {
        return eprintln!("not tested: the owner cannot be changed: {error}");
    }
    let before = names_below(&data);
    for command in ["accept-loss", "check", "replace-admin-token"] {
        let output = program(&["store", command, "--data", &data.display().to_string()]).output();
        let output = output.expect("a process");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(73), "{command}: {said}");
        assert!(said.contains(&format!("belongs to the user with the id {other}")), "{command}: {said}");
    }
    assert_eq!(names_below(&data), before);
}

/// Sled cannot open its files on a full disk: the node starts, answers from an image of them, and says why it takes no changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_opened_on_a_full_disk_is_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let (data, disk) = (directory.path().join("data"), directory.path().join("disk"));
    let engine = format!("store.engine={}", EngineKind::Sled);
    let node = NodeProcess::start(&data, &["--set", &engine]);
    let client = GrpcClient::connect(node.grpc(), Some(&admin_token(&data))).await;
    client.home("88.118.8").await.expect("homed");
    client.register("88.118.8/HELD", "https://example.com/1").await.expect("registered");
    end(node);
    fs::create_dir(&disk).expect("made");
    let (mut node, http) = match serving(on_a_full_disk(&data, &disk, &engine)) {
        Ok(serving) => serving,
        Err(said) => return eprintln!("not tested: {said}"),
    };
    check_answers(&http, "the disk was full");
    let (_, body) = http_get(&http, "/readyz");
    assert!(body.contains("\"code\":\"DISK_FULL\""), "{body}");
    let stopped = Command::new("kill").arg(node.id().to_string()).status().expect("kill runs");
    assert!(stopped.success() && node.wait().expect("a process").success());
}

/// The node, and the address of its HTTP front end; why not, where such a process is not permitted.
fn serving(mut serve: Command) -> Result<(Child, String), String> {
    let mut node = serve.spawn().map_err(|error| format!("unshare cannot be run: {error}"))?;
    let lines = BufReader::new(node.stdout.take().expect("its output")).lines();
    let mut lines = lines.map(|line| line.expect("text"));
    let http = lines.find_map(|line| line.trim().strip_prefix("HTTP ").map(|url| url.trim().to_owned()));
    let Some(http) = http else {
        let ended = node.wait_with_output().expect("a process");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        // Containers may forbid it.
        assert!(said.starts_with("unshare:") || said.starts_with("mount:"), "{said}");
        return Err(said);
    };
    Ok((node, http))
}

/// The node is read-only for this reason, and answers.
fn check_answers(http: &str, reason: &str) {
    let (status, body) = http_get(http, "/readyz");
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("READ_ONLY") && body.contains(reason), "{body}");
    let (status, body) = http_get(http, "/api/handles/88.118.8/HELD");
    assert!(status == 200 && body.contains("https://example.com/1"), "{status}: {body}");
}

/// A node on a copy of a data directory, on a small disk that is full.
fn on_a_full_disk(data: &Path, disk: &Path, engine: &str) -> Command {
    let fill = "mount -t tmpfs -o size=8m none \"$2\" && cp -a \"$1\" \"$2/data\" && \
                { dd if=/dev/zero of=\"$2/rest\" bs=4k status=none 2>&1 || true; } && shift 2 && exec \"$@\"";
    in_own_mounts(fill, &[data, disk], &disk.join("data"), engine, "serve")
}

/// A command of the program on a data directory whose file system is mounted read-only, for it alone.
fn read_only(data: &Path, engine: &str, words: &str) -> Command {
    let mount = "mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\" && shift && exec \"$@\"";
    in_own_mounts(mount, &[data], data, engine, words)
}

/// A command of the program on a data directory, after a shell has mounted something for it alone.
fn in_own_mounts(mount: &str, of: &[&Path], data: &Path, engine: &str, words: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", mount, "sh"]).args(of).arg(env!("CARGO_BIN_EXE_idnode"));
    command.args(words.split(' ')).arg("--data").arg(data).args(["--set", engine]);
    if words == "serve" {
        for front_end in ["grpc.listen", "dns.listen", "handle.listen", "http.listen"] {
            command.args(["--set", &format!("{front_end}=127.0.0.1:0")]);
        }
    }
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The names of all files below a directory.
fn names_below(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            names.extend(names_below(&path));
        }
        names.push(path.display().to_string());
    }
    names.sort();
    names
}

/// What is left of a lost disk: a key, a token, and nothing else that says that there was a store.
#[tokio::test(flavor = "multi_thread")]
async fn an_admin_token_without_its_store_begins_no_new_store() {
    for kind in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        let engine = format!("store.engine={kind}");
        end(NodeProcess::start(&data, &["--set", &engine]));
        let token = admin_token(&data);
        fs::remove_dir_all(data.join(kind.to_string())).expect("removed");
        for file in ["high-water", "witness", "closed-files"] {
            fs::remove_file(data.join(file)).expect("removed");
        }
        let output = serve_and_end(&data, &["--set", &engine]);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(74), "{complaint}");
        assert!(
            complaint.contains("whose files are gone") && complaint.contains("backup restore"),
            "{complaint}"
        );
        assert_eq!(admin_token(&data), token);
        assert!(!data.join(kind.to_string()).exists());
    }
}

#[test]
fn no_store_is_made_where_there_is_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("absent");
    let (code, said, complaint) = accept_loss(&data, "log.level=info");
    assert_eq!((code, said.as_str()), (Some(73), ""));
    assert!(complaint.starts_with("idnode: cannot find the data directory "), "{complaint}");
    assert!(!data.exists());
}
