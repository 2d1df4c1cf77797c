//! Commands: effects and refusals are the same at every front end that accepts commands.

use idnode::authority::caller::Caller;
use idnode::model::identifier::Prefix;
use idnode::model::identity::{AdminPermissions, Administrator, Identity};
use idnode::model::site::{Ports, Site};
use idnode::registry::command::{Command, PrefixCommand};
use idnode::wire::handle::administrator::encode_administrator;
use idnode::wire::handle::body::HandleAndIndexes;
use idnode::wire::handle::code::{OpCode, OpFlags};
use idnode::wire::proto::administration_service_client::AdministrationServiceClient;
use idnode::wire::proto::{self, ScopeKind, item, outcome, registration};
use serde_json::{Value as Json, json};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::http::front_end::{Client, FrontEnd, Reply};
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
    /// Register it, or replace what it holds.
    Overwrite,
    /// Register one that begins so.
    Mint,
    /// Register it with an index that stands twice.
    CreateTwice,
    /// Register it with a secret key that everybody may read.
    CreateOpenSecret,
    /// Register it with a site, which prefixes have of their entry.
    CreateSite,
    /// Add a value at an index.
    Add(u32),
    /// Put a value at an index, whatever stands there.
    Put(u32),
    /// Change the value at an index.
    Modify(u32),
    /// Change the value at an index that holds none.
    ModifyFree(u32),
    /// Remove the value at an index.
    Take(u32),
    /// Remove it.
    Remove,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// An administrator of the prefix and of what it creates; over gRPC, the holder of the admin token.
    Administrator,
    /// Somebody with a key that no record names; over gRPC, a registrar of another prefix.
    OtherParty,
    /// Nobody in particular.
    Nobody,
    /// Somebody who claims to be the administrator and shows another key; over gRPC, a token of nobody's.
    Impostor,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Done,
    Exists,
    IndexExists,
    Absent,
    IndexAbsent,
    Malformed,
    Invalid,
    NotOurs,
    MustProve,
    NotProved,
    NotAllowed,
}

//----------- gRPC -----------------------------------------------------------

/// None for what gRPC has no command of.
fn message(identifier: &str, change: Change) -> Option<proto::Item> {
    let url =
        |index: u32| proto::Value { index, r#type: "URL".into(), data: "u".into(), ..Default::default() };
    let admin =
        proto::Value { index: 100, r#type: "HS_ADMIN".into(), data: administrator(), ..Default::default() };
    let typed = |kind: &str| proto::Value { r#type: kind.into(), permissions: Some(14), ..url(1) };
    let register = |values| proto::Registration {
        target: Some(registration::Target::Identifier(identifier.into())),
        values,
        ..Default::default()
    };
    let plain = |values| item::Command::Register(register(values));
    let amendment = proto::Amendment { identifier: identifier.into(), ..Default::default() };
    let command = match change {
        Change::Create => plain(vec![url(1), admin]),
        Change::Overwrite => item::Command::Register(proto::Registration {
            overwrite: true,
            ..register(vec![url(1), url(4), admin])
        }),
        Change::Mint => {
            let (prefix, start) = identifier.split_once('/').expect("a prefix");
            let mint = proto::Mint { prefix: prefix.into(), start: start.into() };
            item::Command::Register(proto::Registration {
                target: Some(registration::Target::Mint(mint)),
                ..register(vec![url(1), admin])
            })
        }
        Change::CreateTwice => plain(vec![url(1), url(1)]),
        Change::CreateOpenSecret => plain(vec![typed("HS_SECKEY")]),
        Change::CreateSite => plain(vec![typed("HS_SITE")]),
        Change::Add(index) => item::Command::Amend(proto::Amendment { add: vec![url(index)], ..amendment }),
        Change::Put(_) => return None,
        Change::Modify(index) | Change::ModifyFree(index) => {
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
    Some(proto::Item { number: 1, command: Some(command) })
}

async fn by_grpc(client: &GrpcClient, identifier: &str, change: Change) -> Option<Verdict> {
    let outcomes = match client.apply(Uuid::now_v7(), vec![message(identifier, change)?]).await {
        Ok(outcomes) => outcomes,
        Err(status) => return Some(grpc_verdict(&reason(&status), status.message())),
    };
    let [proto::Outcome { result: Some(result), .. }] = outcomes.as_slice() else { panic!("{outcomes:?}") };
    Some(match result {
        outcome::Result::Receipt(_) => Verdict::Done,
        outcome::Result::Refusal(refusal) => grpc_verdict(&refusal.code, &refusal.message),
        outcome::Result::Failure(failure) => grpc_verdict(&failure.code, &failure.message),
    })
}

/// The stable reason of a status.
pub(super) fn reason(status: &tonic::Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// The verdict of a stable reason.
pub(super) fn grpc_verdict(reason: &str, sentence: &str) -> Verdict {
    match reason {
        "ALREADY_EXISTS" => Verdict::Exists,
        "INDEX_EXISTS" => Verdict::IndexExists,
        "VALUE_INVALID" if sentence.contains("twice") => Verdict::IndexExists,
        "VALUE_INVALID" | "COMMAND_INVALID" => Verdict::Invalid,
        "ABSENT" => Verdict::Absent,
        "INDEX_ABSENT" => Verdict::IndexAbsent,
        "IDENTIFIER_MALFORMED" => Verdict::Malformed,
        "NOT_RESPONSIBLE" | "PREFIX_SUSPENDED" | "PREFIX_REVOKED" | "PREFIX_DELEGATED" | "PREFIX_ABSENT" => {
            Verdict::NotOurs
        }
        "UNAUTHENTICATED" => Verdict::MustProve,
        "TOKEN_UNKNOWN" => Verdict::NotProved,
        "PERMISSION_DENIED" | "NOT_ADMINISTRATOR" => Verdict::NotAllowed,
        other => panic!("{other}: {sentence}"),
    }
}

/// A token that registers identifiers of another prefix.
pub(super) async fn foreign_token(front_end: &FrontEnd) -> String {
    let channel = front_end.grpc().await;
    let scope = proto::Scope { kind: ScopeKind::Registrar.into(), prefixes: vec!["77".into()] };
    let mut request = tonic::Request::new(proto::CreateTokenRequest {
        label: "another factory".into(),
        scopes: vec![scope],
        ..Default::default()
    });
    let shown = format!("Bearer {}", front_end.token()).parse().expect("a token");
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
        Change::Overwrite => {
            let values = vec![value(1, "URL", b"u"), value(4, "URL", b"u"), admin];
            with_values(OpCode::CREATE, identifier, values).with(OpFlags::OVERWRITE)
        }
        Change::Mint => {
            let values = vec![value(1, "URL", b"u"), admin];
            with_values(OpCode::CREATE, identifier, values).with(OpFlags::MINT)
        }
        Change::CreateOpenSecret => {
            with_values(OpCode::CREATE, identifier, vec![value(1, "HS_SECKEY", b"u")])
        }
        Change::CreateSite => with_values(OpCode::CREATE, identifier, vec![value(1, "HS_SITE", b"u")]),
        Change::Put(index) => with_values(OpCode::ADD_VALUE, identifier, vec![value(index, "URL", b"put")])
            .with(OpFlags::OVERWRITE),
        Change::CreateTwice => {
            with_values(OpCode::CREATE, identifier, vec![value(1, "URL", b"u"), value(1, "URL", b"v")])
        }
        Change::Add(index) => with_values(OpCode::ADD_VALUE, identifier, vec![value(index, "URL", b"u")]),
        Change::Modify(index) | Change::ModifyFree(index) => {
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
    let signer = |index, password: &str| {
        let key = SignerKey::Secret(password.as_bytes().to_vec());
        Some(Signer { user: USER.to_owned(), index, key })
    };
    match who {
        Who::Administrator => signer(SECRET, PASSWORD),
        Who::OtherParty => signer(NOBODY, PASSWORD),
        Who::Nobody => None,
        Who::Impostor => signer(SECRET, "a guess"),
    }
}

/// The response to a request, behind the challenge when there is one.
pub(super) fn ask_as(client: &mut impl Ask, who: Who, request: &Request) -> Response {
    let first = client.ask(request);
    match signer(who).filter(|_| first.code() == 402) {
        Some(signer) => client.ask(&signer.answer(&first)),
        None => first,
    }
}

fn by_handle(client: &mut impl Ask, who: Who, identifier: &str, change: Change) -> Verdict {
    let response = ask_as(client, who, &request(identifier, change));
    verdict(response.code().into(), &response.sentence_or_nothing())
}

/// The verdict of a response code, which Handle and HTTP share.
pub(super) fn verdict(code: u64, sentence: &str) -> Verdict {
    match code {
        1 => Verdict::Done,
        101 => Verdict::Exists,
        201 => Verdict::IndexExists,
        100 => Verdict::Absent,
        200 => Verdict::IndexAbsent,
        102 => Verdict::Malformed,
        202 => Verdict::Invalid,
        301 => Verdict::NotOurs,
        402 => Verdict::MustProve,
        403 => Verdict::NotProved,
        400 | 401 => Verdict::NotAllowed,
        other => panic!("response code {other}: {sentence}"),
    }
}

//----------- HTTP -----------------------------------------------------------

/// None for what HTTP has no command of.
async fn by_http(client: &Client, identifier: &str, change: Change) -> Option<Verdict> {
    let path = format!("/api/handles/{identifier}");
    let url = |index: u32, data: &str| json!({"index": index, "type": "URL", "data": data});
    let admin = json!({"index": 100, "type": "HS_ADMIN", "data": {"format": "admin", "value":
        {"handle": USER, "index": SECRET, "permissions": "111111111111"}}});
    let typed = |kind: &str| json!({"index": 1, "type": kind, "data": "u", "permissions": "1110"});
    let reply: Reply = match change {
        Change::Create => client.put(&format!("{path}?overwrite=false"), json!([url(1, "u"), admin])).await,
        Change::Overwrite => client.put(&path, json!([url(1, "u"), url(4, "u"), admin])).await,
        Change::Mint => client.put(&format!("{path}?mintNewSuffix"), json!([url(1, "u"), admin])).await,
        Change::CreateOpenSecret => client.put(&path, json!([typed("HS_SECKEY")])).await,
        Change::CreateSite => client.put(&path, json!([typed("HS_SITE")])).await,
        Change::Put(index) => client.put(&format!("{path}?index={index}"), json!([url(index, "put")])).await,
        Change::ModifyFree(_) => return None,
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
    Some(http_verdict(&reply))
}

/// The verdict of a reply.
pub(super) fn http_verdict(reply: &Reply) -> Verdict {
    verdict(reply.code(), reply.json().get("message").and_then(Json::as_str).unwrap_or_default())
}

pub(super) fn http_client(front_end: &FrontEnd, who: Who) -> Client {
    match who {
        Who::Administrator => front_end.tls().basic(SECRET, PASSWORD),
        Who::OtherParty => front_end.tls().basic(NOBODY, PASSWORD),
        Who::Nobody => front_end.tls(),
        Who::Impostor => front_end.tls().basic(SECRET, "a guess"),
    }
}

//----------- The table ------------------------------------------------------

/// One life of an identifier, with everything that can be refused on the way. `#` is the suffix, another at each front end.
const LIFE: &[(Who, &str, Change, Verdict)] = &[
    (Who::Nobody, "88.118.8/#", Change::Create, Verdict::MustProve),
    (Who::OtherParty, "88.118.8/#", Change::Create, Verdict::NotAllowed),
    (Who::Impostor, "88.118.8/#", Change::Create, Verdict::NotProved),
    (Who::Administrator, "77.1/#", Change::Create, Verdict::NotOurs),
    (Who::Administrator, "77.1/#", Change::Add(2), Verdict::NotOurs),
    (Who::Administrator, "77.1/#", Change::Modify(1), Verdict::NotOurs),
    (Who::Administrator, "77.1/#", Change::Take(1), Verdict::NotOurs),
    (Who::Administrator, "77.1/#", Change::Remove, Verdict::NotOurs),
    (Who::Administrator, "88.118.5/#", Change::Create, Verdict::NotOurs),
    (Who::Administrator, "88.118.6/#", Change::Create, Verdict::NotOurs),
    (Who::Administrator, "88.118.8.9/#", Change::Create, Verdict::NotOurs),
    (Who::Administrator, "88.118.8.9/#", Change::Remove, Verdict::NotOurs),
    (Who::Administrator, "88..8/#", Change::Create, Verdict::Malformed),
    (Who::Administrator, "88..8/#", Change::Take(1), Verdict::Malformed),
    (Who::Administrator, "88..8/#", Change::Remove, Verdict::Malformed),
    (Who::Administrator, "88.118.8/#", Change::CreateTwice, Verdict::IndexExists),
    (Who::Administrator, "88.118.8/#", Change::CreateOpenSecret, Verdict::Invalid),
    (Who::Administrator, "0.NA/88.118.8.#", Change::CreateSite, Verdict::Invalid),
    (Who::Administrator, "88.118.8/#", Change::Add(2), Verdict::Absent),
    (Who::Administrator, "88.118.8/#", Change::Put(2), Verdict::Absent),
    (Who::Administrator, "88.118.8/#", Change::Modify(1), Verdict::Absent),
    (Who::Administrator, "88.118.8/#", Change::Take(1), Verdict::Absent),
    (Who::Administrator, "88.118.8/#", Change::Remove, Verdict::Absent),
    (Who::Nobody, "88.118.8/mint-#", Change::Mint, Verdict::MustProve),
    (Who::OtherParty, "88.118.8/mint-#", Change::Mint, Verdict::NotAllowed),
    (Who::Administrator, "88.118.8/mint-#", Change::Mint, Verdict::Done),
    (Who::Administrator, "88.118.8/mint-#", Change::Remove, Verdict::Absent),
    (Who::Administrator, "88.118.8/#", Change::Create, Verdict::Done),
    (Who::Administrator, "88.118.8/#", Change::Create, Verdict::Exists),
    (Who::Administrator, "88.118.8/#", Change::Add(2), Verdict::Done),
    (Who::Administrator, "88.118.8/#", Change::Add(2), Verdict::IndexExists),
    (Who::Nobody, "88.118.8/#", Change::Add(3), Verdict::MustProve),
    (Who::Impostor, "88.118.8/#", Change::Add(3), Verdict::NotProved),
    (Who::OtherParty, "88.118.8/#", Change::Add(3), Verdict::NotAllowed),
    (Who::Administrator, "88.118.8/#", Change::Put(2), Verdict::Done),
    (Who::Administrator, "88.118.8/#", Change::Put(3), Verdict::Done),
    (Who::OtherParty, "88.118.8/#", Change::Modify(1), Verdict::NotAllowed),
    (Who::Administrator, "88.118.8/#", Change::Modify(1), Verdict::Done),
    (Who::Administrator, "88.118.8/#", Change::ModifyFree(9), Verdict::IndexAbsent),
    (Who::OtherParty, "88.118.8/#", Change::Take(2), Verdict::NotAllowed),
    (Who::OtherParty, "88.118.8/#", Change::Overwrite, Verdict::NotAllowed),
    (Who::Nobody, "88.118.8/#", Change::Overwrite, Verdict::MustProve),
    (Who::Administrator, "88.118.8/#", Change::Overwrite, Verdict::Done),
    (Who::Administrator, "88.118.8/#", Change::Overwrite, Verdict::Done),
    (Who::Administrator, "88.118.8/#", Change::Take(4), Verdict::Done),
    (Who::Administrator, "88.118.8/#", Change::Take(4), Verdict::IndexAbsent),
    (Who::OtherParty, "88.118.8/#", Change::Remove, Verdict::NotAllowed),
    (Who::Nobody, "88.118.8/#", Change::Remove, Verdict::MustProve),
    (Who::Impostor, "88.118.8/#", Change::Remove, Verdict::NotProved),
    (Who::Administrator, "88.118.8/#", Change::Remove, Verdict::Done),
    (Who::Administrator, "88.118.8/#", Change::Remove, Verdict::Absent),
];

/// The front end that these commands are sent to, with a suspended, a revoked and a delegated prefix beside its own.
async fn open_all() -> FrontEnd {
    let front_end = open().await;
    let prefix = |text| Prefix::parse(text).expect("a prefix");
    let ports = Ports { handle: Some(2641), ..Ports::default() };
    let site = Site::new(vec!["192.0.2.9".parse().expect("an address")], None, ports).expect("a site");
    for command in [
        PrefixCommand::Home { prefix: prefix("88.118.5"), registrant: None },
        PrefixCommand::Suspend { prefix: prefix("88.118.5") },
        PrefixCommand::Home { prefix: prefix("88.118.6"), registrant: None },
        PrefixCommand::Revoke { prefix: prefix("88.118.6") },
        PrefixCommand::Delegate { prefix: prefix("88.118.8.9"), site, registrant: None },
    ] {
        let registry = front_end.node().registry();
        registry.apply_one(&Caller::Node, Command::Prefix(command)).await.expect("done");
    }
    front_end
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_and_refusal_means_the_same_at_every_front_end() {
    let front_end = open_all().await;
    let foreign = foreign_token(&front_end).await;
    let handle = front_end.node().handle_addr().expect("a Handle address");
    let (mut udp, mut tcp) = (UdpClient::connect(handle), TcpClient::connect(handle));
    for (step, (who, pattern, change, expected)) in LIFE.iter().enumerate() {
        let named = |front_end: &str| pattern.replace('#', front_end);
        let grpc = grpc_client(&front_end, *who, &foreign).await;
        let answers = [
            ("gRPC", by_grpc(&grpc, &named("grpc"), *change).await),
            ("Handle over UDP", Some(by_handle(&mut udp, *who, &named("udp"), *change))),
            ("Handle over TCP", Some(by_handle(&mut tcp, *who, &named("tcp"), *change))),
            ("HTTP", by_http(&http_client(&front_end, *who), &named("http"), *change).await),
        ];
        for (at, verdict) in answers {
            let verdict = verdict.unwrap_or(*expected);
            assert_eq!(verdict, *expected, "step {step}, {at}: {who:?} {pattern} {change:?}");
        }
    }
    front_end.close().await;
}

/// A gRPC client of one caller.
pub(super) async fn grpc_client(front_end: &FrontEnd, who: Who, foreign: &str) -> GrpcClient {
    let own = front_end.token();
    let shown = match who {
        Who::Administrator => Some(own.as_str()),
        Who::OtherParty => Some(foreign),
        Who::Nobody => None,
        Who::Impostor => Some("idn_0000000000000000_00000000000000000000000000000000"),
    };
    GrpcClient::over(front_end.grpc().await, shown)
}

impl FrontEnd {
    /// A gRPC channel, under TLS like all front ends of this node.
    pub(super) async fn grpc(&self) -> tonic::transport::Channel {
        let url = self.node().addresses().grpc.first().expect("a gRPC address").clone();
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(self.certificate_pem()))
            .domain_name("localhost");
        let endpoint = Endpoint::from_shared(url).expect("a URL").tls_config(tls).expect("TLS");
        endpoint.connect().await.expect("connected")
    }
}
