//! Floods of datagrams at a node whose runtime has one worker: everything that is no datagram is served meanwhile.

use hickory_proto::rr::RecordType;
use idnode::wire::handle::code::OpFlags;
use tonic::Code;

use crate::conformance::zone::question;
use crate::support::clients::{GrpcClient, http_get};
use crate::support::flood::Flood;
use crate::support::handle::{Request, TcpClient};
use crate::support::node::NodeProcess;

/// One thread for everything but datagrams: what occupies it stops the node.
const ONE_WORKER: &[(&str, &str)] = &[("TOKIO_WORKER_THREADS", "1")];

fn flood(node: &NodeProcess) -> Flood {
    let name = question("sn000123.8.118.88.id.internal.", RecordType::TXT).to_vec().expect("it encodes");
    let handle = *node.addresses.handle.first().expect("a Handle address");
    let resolve = Request::resolve("88.118.8/SN000123");
    // A signature is made for each, by the pool of the runtime.
    let signed = Request::resolve("88.118.8/SN000123").with(OpFlags::CERTIFY);
    let flood = Flood::start(&[(node.dns(), name), (handle, resolve.bytes()), (handle, signed.bytes())]);
    flood.sends(10_000);
    flood
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_datagrams_holds_up_no_other_front_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start_with(directory.path(), &[], ONE_WORKER);
    let handle = *node.addresses.handle.first().expect("a Handle address");
    let flood = flood(&node);
    for _ in 0..20 {
        assert_eq!(http_get(node.http(), "/readyz").0, 200);
        assert_eq!(TcpClient::connect(handle).ask(&Request::resolve("77.7/x")).code(), 301);
        let client = GrpcClient::connect(node.grpc(), None).await;
        let failed = client.resolve("88.118.8/absent").await.err().map(|status| status.code());
        assert!(!matches!(failed, Some(Code::DeadlineExceeded | Code::Unavailable)), "{failed:?}");
        flood.sends(1_000);
    }
    assert!(flood.is_running(), "the others were served after the flood only");
}

#[test]
fn sigterm_ends_a_flooded_node_within_its_grace() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start_with(directory.path(), &[], ONE_WORKER);
    let flood = flood(&node);
    node.signal("TERM");
    let (status, _, log) = node.wait();
    assert!(flood.is_running(), "the node ended after the flood only");
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("the grace period is over") && log.trim_end().ends_with("stopped"), "{log}");
}
