//! Prefixes: who may home, unhome and list, and what is listed, is the same at every front end that offers it.

use idnode::model::identity::Identity;
use idnode::wire::handle::body::Names;
use idnode::wire::handle::code::OpCode;
use serde_json::Value as Json;

use super::commands::{
    Verdict, Who, ask_as, foreign_token, grpc_client, grpc_verdict, http_client, http_verdict, reason,
    verdict,
};
use crate::http::front_end::{Client, FrontEnd};
use crate::http::identity::{SECRET, USER, open_with};
use crate::support::clients::GrpcClient;
use crate::support::handle::{Ask, TcpClient, UdpClient, with_handle};

/// What is to be done with a prefix.
#[derive(Clone, Copy, Debug)]
enum Change {
    Home,
    Unhome,
}

/// A node that the secret key of [`USER`] administers.
async fn open() -> FrontEnd {
    open_with(|config| {
        let identity = Identity::parse(&format!("{SECRET}:{USER}")).expect("an identity");
        config.handle.administrators = vec![identity];
    })
    .await
}

//----------- Homing ---------------------------------------------------------

async fn by_grpc(client: &GrpcClient, prefix: &str, change: Change) -> Verdict {
    let done = match change {
        Change::Home => client.home(prefix).await,
        Change::Unhome => client.revoke(prefix).await,
    };
    done.map_or_else(|status| grpc_verdict(&reason(&status), status.message()), |_| Verdict::Done)
}

fn by_handle(client: &mut impl Ask, who: Who, prefix: &str, change: Change) -> Verdict {
    let op = match change {
        Change::Home => OpCode::HOME_PREFIX,
        Change::Unhome => OpCode::UNHOME_PREFIX,
    };
    let response = ask_as(client, who, &with_handle(op, &format!("0.NA/{prefix}")));
    verdict(response.code().into(), &response.sentence_or_nothing())
}

async fn by_http(client: &Client, prefix: &str, change: Change) -> Verdict {
    let path = format!("/api/prefixes/0.NA/{prefix}");
    http_verdict(&match change {
        Change::Home => client.post(&path, None).await,
        Change::Unhome => client.delete(&path).await,
    })
}

/// One life of a prefix. `#` is its last segment, another at each front end.
const LIFE: &[(Who, &str, Change, Verdict)] = &[
    (Who::Nobody, "88.200.#", Change::Home, Verdict::MustProve),
    (Who::OtherParty, "88.200.#", Change::Home, Verdict::NotAllowed),
    (Who::Impostor, "88.200.#", Change::Home, Verdict::NotProved),
    (Who::Administrator, "88..#", Change::Home, Verdict::Malformed),
    (Who::Administrator, "88.200.#", Change::Unhome, Verdict::NotOurs),
    (Who::Administrator, "88.200.#", Change::Home, Verdict::Done),
    (Who::Administrator, "88.200.#", Change::Home, Verdict::Done),
    (Who::Nobody, "88.200.#", Change::Unhome, Verdict::MustProve),
    (Who::OtherParty, "88.200.#", Change::Unhome, Verdict::NotAllowed),
    (Who::Impostor, "88.200.#", Change::Unhome, Verdict::NotProved),
    (Who::Administrator, "88.200.#", Change::Unhome, Verdict::Done),
    (Who::Administrator, "88.200.#", Change::Unhome, Verdict::Done),
    (Who::Administrator, "88.200.#", Change::Home, Verdict::Done),
];

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_are_homed_and_unhomed_alike_at_every_front_end() {
    let front_end = open().await;
    let foreign = foreign_token(&front_end).await;
    let handle = front_end.node().handle_addr().expect("a Handle address");
    let (mut udp, mut tcp) = (UdpClient::connect(handle), TcpClient::connect(handle));
    for (step, (who, pattern, change, expected)) in LIFE.iter().enumerate() {
        let named = |front_end: &str| pattern.replace('#', front_end);
        let grpc = grpc_client(&front_end, *who, &foreign).await;
        let answers = [
            ("gRPC", by_grpc(&grpc, &named("grpc"), *change).await),
            ("Handle over UDP", by_handle(&mut udp, *who, &named("udp"), *change)),
            ("Handle over TCP", by_handle(&mut tcp, *who, &named("tcp"), *change)),
            ("HTTP", by_http(&http_client(&front_end, *who), &named("http"), *change).await),
        ];
        for (at, verdict) in answers {
            assert_eq!(verdict, *expected, "step {step}, {at}: {who:?} {pattern} {change:?}");
        }
    }
    front_end.close().await;
}

//----------- Listing --------------------------------------------------------

/// What comes of asking for a list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Listed {
    /// These names.
    Names(Vec<String>),
    /// None, and why.
    Refused(Verdict),
}

async fn listed_by_grpc(client: &GrpcClient, prefix: &str) -> Listed {
    match client.list(prefix).await {
        Ok(names) => Listed::Names(names),
        Err(status) => Listed::Refused(grpc_verdict(&reason(&status), status.message())),
    }
}

fn listed_by_handle(client: &mut impl Ask, who: Who, op: OpCode, handle: &str) -> Listed {
    let response = ask_as(client, who, &with_handle(op, handle));
    if response.code() != 1 {
        return Listed::Refused(verdict(response.code().into(), &response.sentence_or_nothing()));
    }
    let message = response.decoded();
    let names = Names::decode(message.body).expect("names");
    Listed::Names(names.0.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

async fn listed_by_http(client: &Client, path: &str, names: &str) -> Listed {
    let reply = client.get(path).await;
    match http_verdict(&reply) {
        Verdict::Done => {
            let json = reply.json();
            let names = json.get(names).and_then(Json::as_array).expect("names").iter();
            Listed::Names(names.map(|name| name.as_str().expect("a name").to_owned()).collect())
        }
        refused => Listed::Refused(refused),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_the_same_at_every_front_end() {
    let front_end = open().await;
    let foreign = foreign_token(&front_end).await;
    let admin = front_end.tls().bearer(&front_end.token());
    for name in ["b", "a", "零"] {
        let path = format!("/api/handles/88.118.8/{}", name.replace('零', "%E9%9B%B6"));
        assert_eq!(admin.put(&path, Json::Array(Vec::new())).await.verdict(), (201, 1));
    }
    let handle = front_end.node().handle_addr().expect("a Handle address");
    let (mut udp, mut tcp) = (UdpClient::connect(handle), TcpClient::connect(handle));
    let all = ["88.118.8/a", "88.118.8/b", "88.118.8/USER", "88.118.8/零"].map(str::to_owned).to_vec();
    for (who, prefix, expected) in [
        (Who::Nobody, "88.118.8", Listed::Refused(Verdict::MustProve)),
        (Who::OtherParty, "88.118.8", Listed::Refused(Verdict::NotAllowed)),
        (Who::Impostor, "88.118.8", Listed::Refused(Verdict::NotProved)),
        (Who::Administrator, "77.1", Listed::Refused(Verdict::NotOurs)),
        (Who::Administrator, "88..8", Listed::Refused(Verdict::Malformed)),
        (Who::Administrator, "88.118.8", Listed::Names(all)),
        (Who::Administrator, "88.118.8.1", Listed::Names(Vec::new())),
    ] {
        let grpc = grpc_client(&front_end, who, &foreign).await;
        let named = format!("0.NA/{prefix}");
        let path = format!("/api/handles?prefix={prefix}");
        let answers = [
            ("gRPC", listed_by_grpc(&grpc, prefix).await),
            ("Handle over UDP", listed_by_handle(&mut udp, who, OpCode::LIST_HANDLES, &named)),
            ("Handle over TCP", listed_by_handle(&mut tcp, who, OpCode::LIST_HANDLES, &named)),
            ("HTTP", listed_by_http(&http_client(&front_end, who), &path, "handles").await),
        ];
        for (at, listed) in answers {
            assert_eq!(listed, expected, "{at}: {who:?} {prefix}");
        }
    }
    let homed = vec!["0.NA/88.118.8".to_owned()];
    for (who, expected) in [
        (Who::Nobody, Listed::Refused(Verdict::MustProve)),
        (Who::OtherParty, Listed::Refused(Verdict::NotAllowed)),
        (Who::Impostor, Listed::Refused(Verdict::NotProved)),
        (Who::Administrator, Listed::Names(homed)),
    ] {
        let answers = [
            ("Handle over UDP", listed_by_handle(&mut udp, who, OpCode::LIST_HOMED_PREFIXES, "/")),
            ("Handle over TCP", listed_by_handle(&mut tcp, who, OpCode::LIST_HOMED_PREFIXES, "/")),
            ("HTTP", listed_by_http(&http_client(&front_end, who), "/api/prefixes", "prefixes").await),
        ];
        for (at, listed) in answers {
            assert_eq!(listed, expected, "{at}: {who:?}, homed prefixes");
        }
    }
    front_end.close().await;
}
