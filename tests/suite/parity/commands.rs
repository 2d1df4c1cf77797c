//! Commands: what is done, and why it is not, is the same at every door that takes commands.

use idnode::model::identifier::Prefix;
use idnode::model::identity::{AdminPermissions, Administrator, Identity};
use idnode::registry::caller::Caller;
use idnode::registry::command::{Command, PrefixCommand};
use idnode::wire::handle::administrator::encode_administrator;
use idnode::wire::handle::body::HandleAndIndexes;
use idnode::wire::handle::code::OpCode;
use idnode::wire::proto::administration_service_client::AdministrationServiceClient;
use idnode::wire::proto::{self, ScopeKind, item, outcome, registration};
use serde_json::{Value as Json, json};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use uuid::Uuid;

use crate::http::door::{Client, Door, Reply};
use crate::http::identity::{NOBODY, PASSWORD, SECRET, USER, open};
use crate::support::clients::GrpcClient;
use crate::support::handle::{
    Ask, Request, Response, Signer, SignerKey, TcpClient, UdpClient, value, with_handle, with_values,
};

/// What is to be done with an identifier.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// Register it, unless it exists.
    Create,
    /// Register it with an index that stands twice.
    CreateTwice,
    /// Add a value at an index.
    Add(u32),
    /// Change the value at an index.
    Modify(u32),
    /// Remove the value at an index.
    Take(u32),
    /// Remove it.
    Remove,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// An administrator of the prefix and of what it creates; over gRPC, the holder of the admin token.
    Administrator,
    /// Somebody with a key that no record names; over gRPC, a registrar of another prefix.
    Stranger,
    /// Nobody in particular.
    Nobody,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Done,
    Exists,
    IndexExists,
    Absent,
    IndexAbsent,
    Malformed,
    NotOurs,
    MustProve,
    NotAllowed,
}

//----------- gRPC -----------------------------------------------------------

fn message(identifier: &str, change: Change) -> proto::Item {
    let url =
        |index: u32| proto::Value { index, r#type: "URL".into(), data: "u".into(), ..Default::default() };
    let admin =
        proto::Value { index: 100, r#type: "HS_ADMIN".into(), data: administrator(), ..Default::default() };
    let register = |values| {
        item::Command::Register(proto::Registration {
            target: Some(registration::Target::Identifier(identifier.into())),
            values,
            ..Default::default()
        })
    };
    let amendment = proto::Amendment { identifier: identifier.into(), ..Default::default() };
    let command = match change {
        Change::Create => register(vec![url(1), admin]),
        Change::CreateTwice => register(vec![url(1), url(1)]),
        Change::Add(index) => item::Command::Amend(proto::Amendment { add: vec![url(index)], ..amendment }),
        Change::Modify(index) => {
            let data = "changed".into();
            item::Command::Amend(proto::Amendment {
                replace: vec![proto::Value { data, ..url(index) }],
                ..amendment
            })
        }
        Change::Take(index) => item::Command::Amend(proto::Amendment { remove: vec![index], ..amendment }),
        Change::Remove => {
            item::Command::Remove(proto::Removal { identifier: identifier.into(), ..Default::default() })
        }
    };
    proto::Item { number: 1, command: Some(command) }
}

async fn by_grpc(client: &GrpcClient, identifier: &str, change: Change) -> Verdict {
    let outcomes = client.apply(Uuid::now_v7(), vec![message(identifier, change)]).await.expect("outcomes");
    let [proto::Outcome { result: Some(result), .. }] = outcomes.as_slice() else { panic!("{outcomes:?}") };
    let refusal = match result {
        outcome::Result::Receipt(_) => return Verdict::Done,
        outcome::Result::Refusal(refusal) => refusal,
    };
    match refusal.code.as_str() {
        "ALREADY_EXISTS" => Verdict::Exists,
        "INDEX_EXISTS" => Verdict::IndexExists,
        "VALUE_INVALID" if refusal.message.contains("twice") => Verdict::IndexExists,
        "ABSENT" => Verdict::Absent,
        "INDEX_ABSENT" => Verdict::IndexAbsent,
        "IDENTIFIER_MALFORMED" => Verdict::Malformed,
        "NOT_RESPONSIBLE" | "PREFIX_SUSPENDED" | "PREFIX_REVOKED" | "PREFIX_DELEGATED" => Verdict::NotOurs,
        "UNAUTHENTICATED" => Verdict::MustProve,
        "PERMISSION_DENIED" | "NOT_ADMINISTRATOR" => Verdict::NotAllowed,
        other => panic!("{other}: {}", refusal.message),
    }
}

/// A token that registers identifiers of another prefix.
async fn foreign_token(door: &Door) -> String {
    let channel = door.grpc().await;
    let scope = proto::Scope { kind: ScopeKind::Registrar.into(), prefixes: vec!["77".into()] };
    let mut request = tonic::Request::new(proto::CreateTokenRequest {
        label: "another factory".into(),
        scopes: vec![scope],
        ..Default::default()
    });
    let shown = format!("Bearer {}", door.token()).parse().expect("a token");
    request.metadata_mut().insert("authorization", shown);
    let created = AdministrationServiceClient::new(channel).create_token(request).await.expect("created");
    created.into_inner().text
}

//----------- Handle ---------------------------------------------------------

fn administrator() -> Vec<u8> {
    let identity = Identity::parse(&format!("{SECRET}:{USER}")).expect("an identity");
    encode_administrator(&Administrator { permissions: AdminPermissions::ALL, identity })
}

fn request(identifier: &str, change: Change) -> Request {
    let admin = administrator();
    let admin = idnode::wire::handle::value::WireValue { data: &admin, ..value(100, "HS_ADMIN", b"") };
    match change {
        Change::Create => with_values(OpCode::CREATE, identifier, vec![value(1, "URL", b"u"), admin]),
        Change::CreateTwice => {
            with_values(OpCode::CREATE, identifier, vec![value(1, "URL", b"u"), value(1, "URL", b"v")])
        }
        Change::Add(index) => with_values(OpCode::ADD_VALUE, identifier, vec![value(index, "URL", b"u")]),
        Change::Modify(index) => {
            with_values(OpCode::MODIFY_VALUE, identifier, vec![value(index, "URL", b"changed")])
        }
        Change::Take(index) => {
            let body = HandleAndIndexes { handle: identifier.as_bytes(), indexes: vec![index] };
            Request::new(OpCode::REMOVE_VALUE, body.encode())
        }
        Change::Remove => with_handle(OpCode::DELETE, identifier),
    }
}

fn signer(who: Who) -> Option<Signer> {
    let key = || SignerKey::Secret(PASSWORD.as_bytes().to_vec());
    let signer = |index| Some(Signer { user: USER.to_owned(), index, key: key() });
    match who {
        Who::Administrator => signer(SECRET),
        Who::Stranger => signer(NOBODY),
        Who::Nobody => None,
    }
}

fn by_handle(client: &mut impl Ask, who: Who, identifier: &str, change: Change) -> Verdict {
    let first = client.ask(&request(identifier, change));
    let response: Response = match signer(who).filter(|_| first.code() == 402) {
        Some(signer) => client.ask(&signer.answer(&first)),
        None => first,
    };
    verdict(response.code().into(), &response.sentence_or_nothing())
}

/// The verdict of a response code, which Handle and HTTP share.
fn verdict(code: u64, sentence: &str) -> Verdict {
    match code {
        1 => Verdict::Done,
        101 => Verdict::Exists,
        201 => Verdict::IndexExists,
        100 => Verdict::Absent,
        200 => Verdict::IndexAbsent,
        102 => Verdict::Malformed,
        301 => Verdict::NotOurs,
        402 => Verdict::MustProve,
        400 | 401 => Verdict::NotAllowed,
        other => panic!("response code {other}: {sentence}"),
    }
}

//----------- HTTP -----------------------------------------------------------

async fn by_http(client: &Client, identifier: &str, change: Change) -> Verdict {
    let path = format!("/api/handles/{identifier}");
    let url = |index: u32, data: &str| json!({"index": index, "type": "URL", "data": data});
    let admin = json!({"index": 100, "type": "HS_ADMIN", "data": {"format": "admin", "value":
        {"handle": USER, "index": SECRET, "permissions": "111111111111"}}});
    let reply: Reply = match change {
        Change::Create => client.put(&format!("{path}?overwrite=false"), json!([url(1, "u"), admin])).await,
        Change::CreateTwice => {
            client.put(&format!("{path}?overwrite=false"), json!([url(1, "u"), url(1, "v")])).await
        }
        Change::Add(index) => {
            client.put(&format!("{path}?index={index}&overwrite=false"), json!([url(index, "u")])).await
        }
        Change::Modify(index) => {
            client.put(&format!("{path}?index={index}"), json!([url(index, "changed")])).await
        }
        Change::Take(index) => client.delete(&format!("{path}?index={index}")).await,
        Change::Remove => client.delete(&path).await,
    };
    verdict(reply.code(), reply.json().get("message").and_then(Json::as_str).unwrap_or_default())
}

fn http_client(door: &Door, who: Who) -> Client {
    match who {
        Who::Administrator => door.tls().basic(SECRET, PASSWORD),
        Who::Stranger => door.tls().basic(NOBODY, PASSWORD),
        Who::Nobody => door.tls(),
    }
}

//----------- The table ------------------------------------------------------

/// One life of an identifier, with everything that can be refused on the way. `#` is the suffix, another at each door.
const LIFE: &[(Who, &str, Change, Verdict)] = &[
    (Who::Nobody, "88.118.8/#", Change::Create, Verdict::MustProve),
    (Who::Stranger, "88.118.8/#", Change::Create, Verdict::NotAllowed),
    (Who::Administrator, "77.1/#", Change::Create, Verdict::NotOurs),
    (Who::Administrator, "88.118.5/#", Change::Create, Verdict::NotOurs),
    (Who::Administrator, "88..8/#", Change::Create, Verdict::Malformed),
    (Who::Administrator, "88.118.8/#", Change::CreateTwice, Verdict::IndexExists),
    (Who::Administrator, "88.118.8/#", Change::Modify(1), Verdict::Absent),
    (Who::Administrator, "88.118.8/#", Change::Create, Verdict::Done),
    (Who::Administrator, "88.118.8/#", Change::Create, Verdict::Exists),
    (Who::Administrator, "88.118.8/#", Change::Add(2), Verdict::Done),
    (Who::Administrator, "88.118.8/#", Change::Add(2), Verdict::IndexExists),
    (Who::Nobody, "88.118.8/#", Change::Add(3), Verdict::MustProve),
    (Who::Stranger, "88.118.8/#", Change::Modify(1), Verdict::NotAllowed),
    (Who::Administrator, "88.118.8/#", Change::Modify(1), Verdict::Done),
    (Who::Administrator, "88.118.8/#", Change::Take(2), Verdict::Done),
    (Who::Administrator, "88.118.8/#", Change::Take(2), Verdict::IndexAbsent),
    (Who::Stranger, "88.118.8/#", Change::Remove, Verdict::NotAllowed),
    (Who::Nobody, "88.118.8/#", Change::Remove, Verdict::MustProve),
    (Who::Administrator, "88.118.8/#", Change::Remove, Verdict::Done),
    (Who::Administrator, "88.118.8/#", Change::Remove, Verdict::Absent),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_change_and_refusal_means_the_same_at_every_door() {
    let door = open().await;
    let withdrawn = || Prefix::parse("88.118.5").expect("a prefix");
    let registry = door.node().registry();
    for command in [
        PrefixCommand::Home { prefix: withdrawn(), registrant: None },
        PrefixCommand::Suspend { prefix: withdrawn() },
    ] {
        registry.apply_one(&Caller::Node, Command::Prefix(command)).await.expect("done");
    }
    let (token, foreign) = (door.token(), foreign_token(&door).await);
    let handle = door.node().handle_addr().expect("a Handle door");
    let (mut udp, mut tcp) = (UdpClient::connect(handle), TcpClient::connect(handle));
    for (step, (who, pattern, change, expected)) in LIFE.iter().enumerate() {
        let named = |door: &str| pattern.replace('#', door);
        let shown = match who {
            Who::Administrator => Some(token.as_str()),
            Who::Stranger => Some(foreign.as_str()),
            Who::Nobody => None,
        };
        let grpc = GrpcClient::over(door.grpc().await, shown);
        let told = [
            ("gRPC", by_grpc(&grpc, &named("grpc"), *change).await),
            ("Handle over UDP", by_handle(&mut udp, *who, &named("udp"), *change)),
            ("Handle over TCP", by_handle(&mut tcp, *who, &named("tcp"), *change)),
            ("HTTP", by_http(&http_client(&door, *who), &named("http"), *change).await),
        ];
        for (at, verdict) in told {
            assert_eq!(verdict, *expected, "step {step}, {at}: {who:?} {pattern} {change:?}");
        }
    }
    door.close().await;
}

impl Door {
    /// A channel to the gRPC door, under TLS like all doors of this node.
    async fn grpc(&self) -> tonic::transport::Channel {
        let url = self.node().addresses().grpc.first().expect("a gRPC door").clone();
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(self.certificate_pem()))
            .domain_name("localhost");
        let endpoint = Endpoint::from_shared(url).expect("a URL").tls_config(tls).expect("TLS");
        endpoint.connect().await.expect("connected")
    }
}
