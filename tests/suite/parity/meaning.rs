//! The meaning of an answer, read from the form of each front end.

use std::net::SocketAddr;

use data_encoding::BASE64;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{RData, Record, RecordType};
use idnode::daemon::RunningNode;
use idnode::model::identifier::{Folding, Identifier};
use idnode::model::identity::{AdminPermissions, Administrator, Identity};
use idnode::model::value::{Index, Permissions, Reference, Ttl, Value, ValueType};
use idnode::wire::dns::machine::{Machine, decode};
use idnode::wire::dns::name::Naming;
use idnode::wire::handle::administrator::encode_administrator;
use idnode::wire::handle::body::HandleAndValues;
use idnode::wire::handle::code::OpFlags;
use idnode::wire::proto::answer::Answer;
use idnode::wire::proto::{Absence, Question, Recursion};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;

use crate::support::clients::{GrpcClient, dns_ask_why, http_get};
use crate::support::handle::{Request, Response, TcpClient, UdpClient};

/// The private record type that carries values exactly.
const MACHINE: RecordType = RecordType::Unknown(65_416);

//----------- Meaning --------------------------------------------------------

/// What an answer says, whichever front end gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// These values, whole.
    Values(Vec<Value>),
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
    /// Another node was asked, and gave no answer.
    Unanswered,
}

impl Meaning {
    /// The same, whenever the values were set.
    pub(super) fn undated(self) -> Self {
        match self {
            Self::Values(values) => {
                Self::Values(values.into_iter().map(|value| Value { timestamp: 0, ..value }).collect())
            }
            other => other,
        }
    }
}

/// Whether the front ends that can are to ask other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Onward {
    /// They are.
    Asked,
    /// They are not.
    NotAsked,
}

/// What is asked for of an identifier.
#[derive(Clone, Copy, Debug)]
pub(super) struct Select {
    pub(super) indexes: &'static [u32],
    pub(super) types: &'static [&'static str],
}

/// Everything that it holds.
pub(super) const ALL: Select = Select { indexes: &[], types: &[] };

/// The answer of every front end to the same question; none where DNS has no name for it.
pub(super) async fn ask(
    node: &RunningNode,
    identifier: &str,
    select: Select,
    onward: Onward,
) -> Vec<(&'static str, Option<Meaning>)> {
    let url = node.addresses().grpc.first().expect("a gRPC address");
    let anonymous = GrpcClient::connect(url, None).await;
    let question = Question {
        identifier: identifier.into(),
        indexes: select.indexes.to_vec(),
        types: select.types.iter().map(|name| (*name).to_owned()).collect(),
    };
    let request = Request::select(identifier, select.indexes, select.types);
    let request = match onward {
        Onward::Asked => request,
        Onward::NotAsked => request.without(OpFlags::RECURSIVE),
    };
    let handle = node.handle_addr().expect("a Handle address");
    let over_udp = UdpClient::connect(handle).ask(&request);
    let over_tcp = TcpClient::connect(handle).ask(&request);
    let http = node.addresses().http.first().expect("an HTTP address");
    let (_, body) = http_get(http, &path(identifier, select));
    let recursion = (onward == Onward::Asked).then(|| Recursion { desired: true, path: Vec::new() });
    let mut answers = vec![
        ("gRPC", Some(by_grpc(anonymous.ask(question, recursion).await))),
        ("Handle over UDP", Some(by_handle(&over_udp))),
        ("Handle over TCP", Some(by_handle(&over_tcp))),
        ("HTTP", Some(by_http(&serde_json::from_str(&body).expect("JSON")))),
    ];
    if onward == Onward::NotAsked {
        answers.push(("DNS", by_dns(node.dns_addr().expect("a DNS address"), identifier, select)));
    }
    answers
}

//----------- gRPC -----------------------------------------------------------

fn by_grpc(answer: Result<Answer, tonic::Status>) -> Meaning {
    match answer {
        Ok(Answer::Values(found)) => {
            let value = |value| Value::try_from(value).expect("a value");
            Meaning::Values(found.values.into_iter().map(value).collect())
        }
        Ok(Answer::Absent(absence)) if absence == i32::from(Absence::Identifier) => Meaning::NoIdentifier,
        Ok(Answer::Absent(_)) => Meaning::NoValues,
        Ok(Answer::Referral(_)) => Meaning::Elsewhere,
        Ok(Answer::NotResponsible(_)) => Meaning::NotOurs,
        Err(status) if status.code() == tonic::Code::InvalidArgument => Meaning::Malformed,
        Err(status) if status.code() == tonic::Code::Unavailable => Meaning::Unanswered,
        Err(status) => by_sentence(status.message()),
    }
}

/// A withdrawn prefix is named in the message of front ends that have no code for it.
fn by_sentence(sentence: &str) -> Meaning {
    let is_withdrawn = sentence.contains("suspended") || sentence.contains("revoked");
    if is_withdrawn { Meaning::Withdrawn } else { Meaning::NotOurs }
}

//----------- DNS ------------------------------------------------------------

/// None where DNS has no name for what is asked: names that are none, and types.
fn by_dns(front_end: SocketAddr, identifier: &str, select: Select) -> Option<Meaning> {
    let naming = Naming::new("id.internal", Folding::Insensitive).expect("a root");
    let identifier = Identifier::parse(identifier).ok()?;
    let name = match (select.indexes, select.types) {
        ([], []) => naming.identifier_name(&identifier).ok()?,
        ([index], []) => naming.value_name(&identifier, Index::new(*index).ok()?).ok()?,
        _ => return None,
    };
    let answer = dns_ask_why(front_end, &name.to_ascii(), MACHINE);
    Some(match answer.metadata.response_code {
        // A value's own name is there when the value is.
        ResponseCode::NXDomain if !select.indexes.is_empty() => Meaning::NoValues,
        ResponseCode::NXDomain => Meaning::NoIdentifier,
        ResponseCode::Refused => by_extended_error(&answer),
        ResponseCode::NoError if !answer.answers.is_empty() => {
            let mut values: Vec<Value> = answer.answers.iter().map(machine).collect();
            values.sort_by_key(|value| value.index);
            Meaning::Values(values)
        }
        ResponseCode::NoError if answer.metadata.authoritative => Meaning::NoValues,
        ResponseCode::NoError => Meaning::Elsewhere,
        other => panic!("{other:?}"),
    })
}

fn machine(record: &Record) -> Value {
    let RData::Unknown { rdata, .. } = &record.data else { panic!("{record}") };
    match decode(&rdata.anything).expect("a machine record") {
        Machine::Value(value) => value,
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

//----------- Handle ---------------------------------------------------------

fn by_handle(response: &Response) -> Meaning {
    match response.code() {
        1 => {
            let message = response.decoded();
            let body = HandleAndValues::decode(message.body).expect("values");
            Meaning::Values(body.values.iter().map(|value| value.to_value().expect("a value")).collect())
        }
        2 => Meaning::Unanswered,
        100 => Meaning::NoIdentifier,
        200 => Meaning::NoValues,
        302 | 303 => Meaning::Elsewhere,
        301 => by_sentence(&response.sentence()),
        102 => Meaning::Malformed,
        // On the wire, a handle beyond its bound makes a message that cannot be read.
        4 if response.sentence().starts_with("handle at byte 0:") => Meaning::Malformed,
        other => panic!("response code {other}: {}", response.sentence()),
    }
}

//----------- HTTP -----------------------------------------------------------

/// The path of a question; without its slash encoded, a slash of the suffix would do as well.
fn path(identifier: &str, select: Select) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let indexes = select.indexes.iter().map(|index| format!("index={index}"));
    let types = select.types.iter().map(|name| format!("type={}", encode(name)));
    let query: Vec<String> = indexes.chain(types).collect();
    format!("/api/handles/{}?{}", encode(identifier), query.join("&"))
}

fn by_http(body: &Json) -> Meaning {
    match body["responseCode"].as_u64().expect("a response code") {
        1 => Meaning::Values(body["values"].as_array().expect("values").iter().map(value).collect()),
        2 => Meaning::Unanswered,
        100 => Meaning::NoIdentifier,
        200 => Meaning::NoValues,
        302 | 303 => Meaning::Elsewhere,
        301 => by_sentence(body["message"].as_str().unwrap_or_default()),
        102 => Meaning::Malformed,
        other => panic!("response code {other}: {body}"),
    }
}

/// A value as its JSON means it.
fn value(json: &Json) -> Value {
    let time = |json: &Json| {
        let time: Timestamp = json.as_str().expect("a time").parse().expect("a time");
        u32::try_from(time.as_second()).expect("in range")
    };
    Value {
        index: Index::new(number(&json["index"])).expect("an index"),
        value_type: ValueType::new(text(&json["type"])).expect("a type"),
        data: data(&json["data"]),
        ttl: match &json["ttl"] {
            Json::Number(_) => Ttl::Relative(number(&json["ttl"])),
            until => Ttl::Absolute(time(until)),
        },
        permissions: match &json["permissions"] {
            Json::Null => Permissions::DEFAULT,
            digits => Permissions::parse(text(digits)).expect("permissions"),
        },
        references: match &json["references"] {
            Json::Null => Vec::new(),
            list => list.as_array().expect("references").iter().map(reference).collect(),
        },
        timestamp: time(&json["timestamp"]),
    }
}

fn data(json: &Json) -> Vec<u8> {
    let value = &json["value"];
    match text(&json["format"]) {
        "string" => text(value).as_bytes().to_vec(),
        "base64" => BASE64.decode(text(value).as_bytes()).expect("base64"),
        "admin" => {
            let identifier = Identifier::parse(text(&value["handle"])).expect("an identifier");
            let identity = Identity { index: number(&value["index"]), identifier };
            let bits = u16::from_str_radix(text(&value["permissions"]), 2).expect("binary digits");
            let permissions = AdminPermissions::from_bits(bits);
            encode_administrator(&Administrator { permissions, identity })
        }
        other => panic!("format {other}"),
    }
}

fn reference(json: &Json) -> Reference {
    let identifier = Identifier::parse(text(&json["handle"])).expect("an identifier");
    Reference { identifier, index: number(&json["index"]) }
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_else(|| panic!("no text: {json}"))
}

fn number(json: &Json) -> u32 {
    let number = json.as_u64().and_then(|number| u32::try_from(number).ok());
    number.unwrap_or_else(|| panic!("no number: {json}"))
}
