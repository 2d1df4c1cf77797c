//! Messages of the Handle protocol over HTTP, as CNRI's clients send them where other ports are closed.

use data_encoding::HEXLOWER;
use idnode::wire::handle::site::{SiteInterface, SiteRecord};
use serde_json::json;

use super::front_end::{Client, FrontEnd, Reply};

/// Asks for all public values of a handle: version 2.10, request 1.
fn resolution(handle: &str) -> Vec<u8> {
    let length = handle.len();
    let hex = format!(
        "020a020b0000000000000001000000000000{:04x}\
         000000010000000011000000ffff00007fffffff{:08x}\
         {length:08x}{}000000000000000000000000",
        40 + length,
        12 + length,
        HEXLOWER.encode(handle.as_bytes()),
    );
    HEXLOWER.decode(hex.as_bytes()).expect("hexadecimal")
}

/// Asks for the site of the server: version 2.10, request 1.
fn site() -> Vec<u8> {
    let hex = "020a020b00000000000000010000000000000021\
               000000020000000011000000ffff00007fffffff00000005000000012f00000000";
    HEXLOWER.decode(hex.as_bytes()).expect("hexadecimal")
}

async fn post(client: &Client, path: &str, message: &[u8]) -> Reply {
    let native = "application/x-hdl-message";
    client.with("Content-Type", native).with("Accept", native).ask("POST", path, Some(message)).await
}

/// The response code of a message, behind its envelope and operation.
fn code(reply: &Reply) -> u32 {
    let bytes = reply.body.get(24..28).unwrap_or_else(|| panic!("no message: {reply:?}"));
    bytes.iter().fold(0, |code, byte| (code << 8) | u32::from(*byte))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_message_is_answered_by_one() {
    let front_end = FrontEnd::open().await;
    let values = json!([{"index": 1, "type": "URL", "data": "http://a"}]);
    let written = front_end.tls().bearer(&front_end.token()).put("/api/handles/88.118.8/SN1", values).await;
    assert_eq!(written.verdict(), (201, 1));
    for client in [front_end.plain(), front_end.tls()] {
        for path in ["/", "/88.118.8%2FSN1", "/api/handles/88.118.8/SN1"] {
            let reply = post(&client, path, &resolution("88.118.8/SN1")).await;
            assert_eq!(
                (reply.status, reply.header("content-type")),
                (200, Some("application/x-hdl-message"))
            );
            assert_eq!(code(&reply), 1, "{path}");
            assert!(reply.body.windows(8).any(|eight| eight == b"http://a"), "{reply:?}");
        }
    }
    let blank = [b"\r\n\r\n".as_slice(), &resolution("88.118.8/none")].concat();
    let absent = post(&front_end.plain(), "/88.118.8/none", &blank).await;
    assert_eq!((absent.status, code(&absent)), (200, 100));
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_site_names_the_address_and_port_that_were_asked() {
    let front_end = FrontEnd::open().await;
    let reply = post(&front_end.plain(), "/", &site()).await;
    assert_eq!((reply.status, code(&reply)), (200, 1), "{reply:?}");
    let body = reply.body.get(44..reply.body.len() - 4).expect("a body");
    let record = SiteRecord::decode(body).expect("a site");
    let server = record.servers.first().expect("a server");
    assert_eq!(server.ip_address(), front_end.address().ip());
    let interfaces: Vec<(u8, u32)> = server.interfaces.iter().map(|one| (one.protocol, one.port)).collect();
    assert_eq!(interfaces, [(SiteInterface::HTTP, u32::from(front_end.address().port()))]);
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_native_message_is_refused() {
    let front_end = FrontEnd::open().await;
    assert_eq!(post(&front_end.plain(), "/", b"").await.status, 400);
    assert_eq!(post(&front_end.plain(), "/", b"no message at all, but long enough").await.status, 400);
    assert_eq!(post(&front_end.plain(), "/", &vec![0; 300_000]).await.status, 413);
    // The identifier is there: what is refused is the content.
    let values = json!([{"index": 1, "type": "URL", "data": "http://a"}]);
    let written = front_end.tls().bearer(&front_end.token()).put("/api/handles/88.118.8/SN1", values).await;
    assert_eq!(written.verdict(), (201, 1));
    for path in ["/88.118.8/SN1", "/"] {
        let unsaid = front_end.plain().ask("POST", path, Some(&resolution("88.118.8/SN1"))).await;
        assert_eq!(unsaid.verdict(), (415, 4), "{path}: without its content type it is no native message");
        assert!(unsaid.text().contains("Content-Type: application/x-hdl-message"), "{unsaid:?}");
    }
    assert_eq!(front_end.plain().get("/88.118.8/SN1").await.status, 302);
    front_end.close().await;
}
