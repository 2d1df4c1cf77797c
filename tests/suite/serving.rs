//! One node, all front ends: what one acknowledged, the next question at every other one sees.
//!
//! ```text
//!   gRPC: home, register ──▶ node ──▶ gRPC: resolve   DNS over UDP and TCP: TXT, NAPTR   HTTP: metrics
//! ```

use std::os::unix::fs::PermissionsExt as _;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use idnode::daemon::{DaemonError, Node};
use idnode::store::EngineKind;
use tonic::Code;

use crate::support::clients::{GrpcClient, Transport, dns_ask, http_get};
use crate::support::node::{NodeProcess, TestNode, admin_token, config};

const NAME: &str = "sn000123.8.118.88.id.internal.";

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_is_seen_at_every_front_end_and_after_a_restart_on_both_engines() {
    for engine in EngineKind::ALL {
        let node = TestNode::start(engine).await;
        let client = node.client().await;
        client.home("88.118.8").await.expect("homed");
        let receipt =
            client.register("88.118.8/SN000123", "https://example.com/1").await.expect("registered");
        assert_eq!((receipt.identifier.as_str(), receipt.version), ("88.118.8/SN000123", 1));
        check_front_ends(&node, 1).await;
        let node = node.restart().await;
        check_front_ends(&node, 0).await;
        node.stop().await;
    }
}

async fn check_front_ends(node: &TestNode, registered: u64) {
    let client = node.anonymous_client().await;
    assert_eq!(client.values("88.118.8/sn000123").await, ["https://example.com/1"]);
    for transport in [Transport::Udp, Transport::Tcp] {
        let found = dns_ask(node.dns(), transport, NAME, RecordType::TXT);
        assert_eq!(
            (found.response_code, found.authoritative),
            (ResponseCode::NoError, true),
            "{transport:?}"
        );
        let texts: Vec<String> = found.answers.iter().map(|record| record.data.to_string()).collect();
        assert_eq!(texts, ["1 URL https://example.com/1"], "{transport:?}");
    }
    let (_, page) = http_get(node.http(), "/metrics");
    let counted = format!("\nidnode_registry_commands_total{{outcome=\"registered\"}} {registered}\n");
    assert!(page.contains(&counted), "{page}");
    assert!(page.contains("\nidnode_store_identifiers 1\n"), "{page}");
    assert!(page.contains("\nidnode_dns_messages_total{transport=\"tcp\"} 1\n"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_registers_without_a_token() {
    let node = TestNode::start(EngineKind::Fjall).await;
    node.client().await.home("88.118.8").await.expect("homed");
    let refused = node.anonymous_client().await.register("88.118.8/X", "https://example.com/").await;
    assert_eq!(refused.expect_err("refused").code(), Code::Unauthenticated);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_kill_9_on_both_engines() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = format!("store.engine={engine}");
        let node = NodeProcess::start(directory.path(), &["--set", &engine]);
        let token = admin_token(directory.path());
        let client = GrpcClient::connect(node.grpc(), Some(&token)).await;
        client.home("88.118.8").await.expect("homed");
        client.register("88.118.8/SN000123", "https://example.com/1").await.expect("registered");
        node.kill();
        let node = NodeProcess::start(directory.path(), &["--set", &engine]);
        let client = GrpcClient::connect(node.grpc(), None).await;
        assert_eq!(client.values("88.118.8/SN000123").await, ["https://example.com/1"]);
        assert_eq!(dns_ask(node.dns(), Transport::Udp, NAME, RecordType::NAPTR).answers.len(), 1);
    }
}

/// The key is made once: whoever trusts it goes on trusting it. One that is damaged is never replaced silently.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_key_is_made_once_and_never_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(&directory.path().join("data"), EngineKind::Fjall);
    let file = config.store.directory.join("server-key.pem");
    let node = Node::start(config.clone()).await.expect("the node starts");
    let public = node.server_key();
    node.stop().await.expect("the node stops");
    let mode = std::fs::metadata(&file).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let node = Node::start(config.clone()).await.expect("the node starts");
    assert_eq!(node.server_key(), public);
    node.stop().await.expect("the node stops");
    std::fs::write(&file, "-----BEGIN PRIVATE KEY-----").expect("damaged");
    match Node::start(config).await {
        Err(DaemonError::ServerKey { file: named, .. }) => assert_eq!(named, file),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the node started with a damaged key"),
    }
}

/// What clients will refuse, or others can read, is said when the node starts; the commands that it prints trust it.
#[test]
fn a_start_tells_what_an_operator_should_mend() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("names");
    params.not_after = rcgen::date_time_ymd(2024, 2, 1);
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    std::fs::write(path("node.crt"), certificate.pem()).expect("a file");
    std::fs::write(path("node.key"), key.serialize_pem()).expect("a file");
    let pair = ["certificate=", "key="].map(|name| format!("tls.{name}"));
    let [crt, key] = [path("node.crt"), path("node.key")].map(|file| file.display().to_string());
    let arguments = [pair[0].clone() + &crt, pair[1].clone() + &key];
    let arguments = ["--set", &arguments[0], "--set", &arguments[1]];
    let (data, server_key) = (path("data"), path("data").join("server-key.pem"));
    let logs = |arguments: &[&str]| {
        let node = NodeProcess::start(&data, arguments);
        node.signal("TERM");
        let (_, greeting, log) = node.wait();
        (greeting, log)
    };

    let (greeting, log) = logs(&arguments);
    assert!(log.contains("tls.certificate is expired or not valid yet"), "{log}");
    assert!(log.contains("server key of the first start written") && !log.contains("chmod"), "{log}");
    assert!(greeting.contains(&format!(" --ca {crt} ")), "{greeting}");

    std::fs::set_permissions(&server_key, std::fs::Permissions::from_mode(0o644)).expect("changed");
    let (_, log) = logs(&[]);
    assert!(log.contains("run chmod 600") && !log.contains("expired"), "{log}");

    std::fs::remove_file(&server_key).expect("removed");
    let (_, log) = logs(&[]);
    assert!(log.contains("a server key was created for an existing store"), "{log}");
}
