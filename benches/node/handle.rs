//! Resolutions by the Handle protocol: all values of random identifiers, every tenth absent.

use std::time::Duration;

use idnode::wire::cursor::Reader;
use idnode::wire::handle::body::{HandleAndValues, Resolution};
use idnode::wire::handle::code::{OpCode, OpFlags, ResponseCode, Version};
use idnode::wire::handle::envelope::{ENVELOPE_BYTES, Envelope, EnvelopeFlags};
use idnode::wire::handle::message::{Header, Message, encode_message};

use crate::Error;
use crate::dns::{Language, Target, ask};
use crate::process::NodeProcess;
use crate::stats::Line;

/// Queries to a node over UDP, so many in flight.
pub(crate) async fn queries(
    node: &NodeProcess,
    count: u64,
    in_flight: u64,
    time: Duration,
) -> Result<Line, Error> {
    let address = *node.addresses.handle.first().ok_or("Handle is off")?;
    let what = format!("Handle resolutions over UDP, {in_flight} in flight");
    ask(&what, Target { address, count, language: Language::Handle }, in_flight, time).await
}

/// A request for all values of an identifier.
pub(crate) fn query(id: u32, identifier: &str) -> Vec<u8> {
    let envelope = Envelope {
        version: Version::V2_10,
        suggested: Version::V2_11,
        flags: EnvelopeFlags::NONE,
        session: 0,
        request: id,
        sequence: 0,
        message_bytes: 0,
    };
    let header = Header {
        op: OpCode::RESOLUTION,
        response: ResponseCode::NONE,
        flags: OpFlags::PUBLIC_ONLY,
        serial: Header::SERIAL_UNKNOWN,
        recursion: 0,
        expires: u32::MAX,
    };
    let body = Resolution { handle: identifier.as_bytes(), indexes: Vec::new(), types: Vec::new() };
    envelope.enclose(&encode_message(&header, &body.encode(), None))
}

/// Refuses a wrong answer.
pub(crate) fn check(bytes: &[u8], id: u32, there: bool) -> Result<(), Error> {
    let envelope = Envelope::decode(&mut Reader::new(bytes))?;
    let message = Message::decode(bytes.get(ENVELOPE_BYTES..).unwrap_or_default())?;
    let is_right = match (message.header.response, there) {
        (ResponseCode::SUCCESS, true) => HandleAndValues::decode(message.body)?.values.len() == 4,
        (ResponseCode::HANDLE_NOT_FOUND, false) => true,
        _ => false,
    };
    if envelope.request == id && is_right {
        return Ok(());
    }
    Err(format!("registered: {there}, answered: {message:?}").into())
}
