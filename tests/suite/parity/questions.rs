//! Questions: every answer is the same at every door.

use std::fs;
use std::net::SocketAddr;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{RData, Record, RecordType};
use idnode::daemon::{Node, RunningNode};
use idnode::model::identifier::{Folding, Identifier, Prefix};
use idnode::model::site::{Ports, Site};
use idnode::registry::caller::Caller;
use idnode::registry::command::{Command, PrefixCommand};
use idnode::store::EngineKind;
use idnode::wire::dns::machine::{Machine, decode};
use idnode::wire::dns::name::Naming;
use idnode::wire::handle::code::OpFlags;
use idnode::wire::proto::Absence;
use idnode::wire::proto::answer::Answer;
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::support::clients::{GrpcClient, dns_ask_why, http_get};
use crate::support::handle::{Request, Response, TcpClient, UdpClient};
use crate::support::node::{admin_token, config, give_server_key};

/// The private record type that carries values exactly.
const MACHINE: RecordType = RecordType::Unknown(65_416);

//----------- Meaning --------------------------------------------------------

/// What an answer says, whatever door gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    /// These values: index, type, data.
    Values(Vec<(u32, String, Vec<u8>)>),
    /// There is no such identifier.
    NoIdentifier,
    /// The identifier has no such values, or none for everybody.
    NoValues,
    /// Another site answers.
    Elsewhere,
    /// Nobody said that this node answers for the prefix.
    NotOurs,
    /// The prefix is suspended or revoked.
    Withdrawn,
    /// That is no identifier.
    Malformed,
}

fn values(list: &[(u32, &str, &[u8])]) -> Meaning {
    let owned = |(index, kind, data): &(u32, &str, &[u8])| (*index, (*kind).to_owned(), data.to_vec());
    Meaning::Values(list.iter().map(owned).collect())
}

//----------- A node with every answer ---------------------------------------

struct Everything {
    node: RunningNode,
    directory: TempDir,
}

impl Everything {
    /// A node below another that is away, with a prefix of each kind.
    async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut config = config(&directory.path().join("data"), EngineKind::Fjall);
        let token_file = directory.path().join("upper-token");
        fs::write(&token_file, "nobody asks for it").expect("a token file");
        config.upper.address = Some("http://127.0.0.1:9".into());
        config.upper.token_file = Some(token_file);
        give_server_key(&config.store.directory);
        let node = Node::start(config).await.expect("the node starts");
        let started = Self { node, directory };
        for prefix in ["88.118.8", "88.118.5", "88.118.6"] {
            started.command(PrefixCommand::Home { prefix: named(prefix), registrant: None }).await;
        }
        let addresses = vec!["192.0.2.9".parse().expect("an address")];
        let ports = Ports { grpc: Some(7373), dns: Some(53), handle: Some(2641), http: Some(80) };
        let site = Site::new(addresses, None, ports).expect("a site");
        started
            .command(PrefixCommand::Delegate { prefix: named("88.118.8.9"), site, registrant: None })
            .await;
        let client = started.grpc().await;
        for (identifier, list) in [
            ("88.118.8/SN1", vec![(7, "NAME", "轴承", None), (2, "URL", "https://factory.example/1", None)]),
            ("88.118.8/hidden", vec![(300, "HS_SECKEY", "secret", Some(0xc))]),
            (
                "88.118.8/half",
                vec![(1, "URL", "https://factory.example/2", None), (9, "NOTE", "ours", Some(0xc))],
            ),
            ("88.118.5/SN1", vec![(1, "URL", "https://factory.example/3", None)]),
            ("88.118.6/SN1", vec![(1, "URL", "https://factory.example/4", None)]),
        ] {
            client.register_values(identifier, &list).await.expect("registered");
        }
        started.command(PrefixCommand::Suspend { prefix: named("88.118.5") }).await;
        started.command(PrefixCommand::Revoke { prefix: named("88.118.6") }).await;
        started
    }

    async fn command(&self, command: PrefixCommand) {
        self.node.registry().apply_one(&Caller::Node, Command::Prefix(command)).await.expect("done");
    }

    async fn grpc(&self) -> GrpcClient {
        let url = self.node.addresses().grpc.first().expect("a gRPC door");
        GrpcClient::connect(url, Some(&admin_token(self.node.data_dir()))).await
    }

    fn handle(&self) -> SocketAddr {
        self.node.handle_addr().expect("a Handle door")
    }

    async fn stop(self) {
        self.node.stop().await.expect("the node stops");
        self.directory.close().expect("removed");
    }
}

fn named(prefix: &str) -> Prefix {
    Prefix::parse(prefix).expect("a prefix")
}

//----------- Asking ---------------------------------------------------------

/// Asks every door for all values of an identifier.
async fn ask(node: &Everything, identifier: &str) -> Vec<(&'static str, Option<Meaning>)> {
    let url = node.node.addresses().grpc.first().expect("a gRPC door");
    let anonymous = GrpcClient::connect(url, None).await;
    let request = Request::resolve(identifier).without(OpFlags::RECURSIVE);
    let over_udp = UdpClient::connect(node.handle()).ask(&request);
    let over_tcp = TcpClient::connect(node.handle()).ask(&request);
    let http = node.node.addresses().http.first().expect("an HTTP door");
    let (_, body) = http_get(http, &format!("/api/handles/{identifier}"));
    vec![
        ("gRPC", Some(by_grpc(anonymous.resolve(identifier).await))),
        ("DNS", by_dns(node, identifier)),
        ("Handle over UDP", Some(by_handle(&over_udp))),
        ("Handle over TCP", Some(by_handle(&over_tcp))),
        ("HTTP", Some(by_http(&serde_json::from_str(&body).expect("JSON")))),
    ]
}

fn by_grpc(answer: Result<Answer, tonic::Status>) -> Meaning {
    match answer {
        Ok(Answer::Values(found)) => Meaning::Values(
            found.values.into_iter().map(|value| (value.index, value.r#type, value.data)).collect(),
        ),
        Ok(Answer::Absent(absence)) if absence == i32::from(Absence::Identifier) => Meaning::NoIdentifier,
        Ok(Answer::Absent(_)) => Meaning::NoValues,
        Ok(Answer::Referral(_)) => Meaning::Elsewhere,
        Ok(Answer::NotResponsible(_)) => Meaning::NotOurs,
        Err(status) if status.code() == tonic::Code::InvalidArgument => Meaning::Malformed,
        Err(status) => by_sentence(status.message()),
    }
}

/// A prefix that was withdrawn says so in words at doors whose codes do not.
fn by_sentence(sentence: &str) -> Meaning {
    let is_withdrawn = sentence.contains("suspended") || sentence.contains("revoked");
    if is_withdrawn { Meaning::Withdrawn } else { Meaning::NotOurs }
}

/// None where DNS has no name for what is asked.
fn by_dns(node: &Everything, identifier: &str) -> Option<Meaning> {
    let naming = Naming::new("id.internal", Folding::Insensitive).expect("a root");
    let name = naming.identifier_name(&Identifier::parse(identifier).ok()?).ok()?;
    let door = node.node.dns_addr().expect("a DNS door");
    let answer = dns_ask_why(door, &name.to_ascii(), MACHINE);
    Some(match answer.metadata.response_code {
        ResponseCode::NXDomain => Meaning::NoIdentifier,
        ResponseCode::Refused => by_extended_error(&answer),
        ResponseCode::NoError if !answer.answers.is_empty() => {
            Meaning::Values(answer.answers.iter().map(machine).collect())
        }
        ResponseCode::NoError if answer.metadata.authoritative => Meaning::NoValues,
        ResponseCode::NoError => Meaning::Elsewhere,
        other => panic!("{other:?}"),
    })
}

fn machine(record: &Record) -> (u32, String, Vec<u8>) {
    let RData::Unknown { rdata, .. } = &record.data else { panic!("{record}") };
    match decode(&rdata.anything).expect("a machine record") {
        Machine::Value(value) => {
            (value.index.get(), value.value_type.as_str().to_owned(), value.data.clone())
        }
        other => panic!("{other:?}"),
    }
}

/// Extended error 18 is prohibited, 20 not authoritative (RFC 8914 section 4).
fn by_extended_error(answer: &Message) -> Meaning {
    let options = &answer.edns.as_ref().expect("EDNS").options().options;
    let code = options.iter().find_map(|(_, option)| match option {
        EdnsOption::Unknown(15, data) => data.first_chunk().map(|code| u16::from_be_bytes(*code)),
        _ => None,
    });
    match code {
        Some(18) => Meaning::Withdrawn,
        Some(20) => Meaning::NotOurs,
        other => panic!("refused with extended error {other:?}"),
    }
}

fn by_handle(response: &Response) -> Meaning {
    match response.code() {
        1 => Meaning::Values(response.typed_values()),
        100 => Meaning::NoIdentifier,
        200 => Meaning::NoValues,
        302 | 303 => Meaning::Elsewhere,
        301 => by_sentence(&response.sentence()),
        102 => Meaning::Malformed,
        other => panic!("response code {other}: {}", response.sentence()),
    }
}

fn by_http(body: &Json) -> Meaning {
    let value = |value: &Json| {
        let text = |at: &str| value.pointer(at).and_then(Json::as_str).expect("a text").to_owned();
        let index = value["index"].as_u64().and_then(|index| u32::try_from(index).ok()).expect("an index");
        (index, text("/type"), text("/data/value").into_bytes())
    };
    match body["responseCode"].as_u64().expect("a response code") {
        1 => Meaning::Values(body["values"].as_array().expect("values").iter().map(value).collect()),
        100 => Meaning::NoIdentifier,
        200 => Meaning::NoValues,
        302 | 303 => Meaning::Elsewhere,
        301 => by_sentence(body["message"].as_str().unwrap_or_default()),
        102 => Meaning::Malformed,
        other => panic!("response code {other}: {body}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_means_the_same_at_every_door() {
    let node = Everything::start().await;
    let spelled = "轴承".as_bytes();
    for (identifier, meaning) in [
        ("88.118.8/SN1", values(&[(2, "URL", b"https://factory.example/1"), (7, "NAME", spelled)])),
        ("88.118.8/sn1", values(&[(2, "URL", b"https://factory.example/1"), (7, "NAME", spelled)])),
        ("88.118.8/half", values(&[(1, "URL", b"https://factory.example/2")])),
        ("88.118.8/hidden", Meaning::NoValues),
        ("88.118.8/absent", Meaning::NoIdentifier),
        ("88.118.8.9/SN1", Meaning::Elsewhere),
        ("99.1/SN1", Meaning::NotOurs),
        ("88.118.5/SN1", Meaning::Withdrawn),
        ("88.118.6/SN1", Meaning::Withdrawn),
        ("88..1/SN1", Meaning::Malformed),
    ] {
        for (door, told) in ask(&node, identifier).await {
            assert!(
                told.is_none() || told == Some(meaning.clone()),
                "{door}, {identifier}: {told:?}, not {meaning:?}"
            );
        }
    }
    node.stop().await;
}
