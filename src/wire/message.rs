//! The model's words as protobuf messages, and back: what the gRPC front end and the federation translate alike.
//!
//! An invalid message is refused with a sentence that says what is expected. Types that only one side uses, above all
//! commands and answers, are translated there.

use crate::model::identifier::{Identifier, IdentifierError, Prefix};
use crate::model::limits::{INDEX_MAX, TTL_MAX_SECONDS};
use crate::model::position::{Incarnation, Position, Stream};
use crate::model::prefix::{CreditCode, PrefixStatus, Registrant, RegistrantError};
use crate::model::site::{Ports, Site, SiteError};
use crate::model::value::{Index, Permissions, Reference, Ttl, Value, ValueError, ValueType};
use crate::wire::proto;

//----------- MessageError ---------------------------------------------------

/// Why a message means nothing here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// An identifier or prefix.
    #[error(transparent)]
    Identifier(IdentifierError),
    /// A value.
    #[error(transparent)]
    Value(ValueError),
    /// A site.
    #[error(transparent)]
    Site(SiteError),
    /// A registrant.
    #[error(transparent)]
    Registrant(RegistrantError),
    /// A required field is missing.
    #[error("the message lacks its {what}")]
    Missing {
        /// Name of the field.
        what: &'static str,
    },
    /// A field has an invalid value.
    #[error("{reason}")]
    Meaningless {
        /// Name of the field, and what is expected.
        reason: String,
    },
}

impl MessageError {
    /// A field has an invalid value for a reason.
    pub fn meaningless(reason: impl Into<String>) -> Self {
        Self::Meaningless { reason: reason.into() }
    }
}

impl From<MessageError> for String {
    fn from(error: MessageError) -> Self {
        error.to_string()
    }
}

//----------- Identifiers ----------------------------------------------------

/// An identifier.
pub fn identifier(text: &str) -> Result<Identifier, MessageError> {
    Identifier::parse(text).map_err(MessageError::Identifier)
}

/// A prefix.
pub fn prefix(text: &str) -> Result<Prefix, MessageError> {
    Prefix::parse(text).map_err(MessageError::Identifier)
}

//----------- Values ---------------------------------------------------------

impl From<Value> for proto::Value {
    fn from(value: Value) -> Self {
        let ttl = match value.ttl {
            Ttl::Relative(seconds) => proto::value::Ttl::RelativeSeconds(seconds),
            Ttl::Absolute(until) => proto::value::Ttl::AbsoluteSeconds(until),
        };
        Self {
            index: value.index.get(),
            r#type: value.value_type.as_str().to_owned(),
            data: value.data,
            ttl: Some(ttl),
            permissions: Some(value.permissions.bits().into()),
            references: value.references.iter().map(proto::Reference::from).collect(),
            timestamp_seconds: value.timestamp,
        }
    }
}

impl TryFrom<proto::Value> for Value {
    type Error = MessageError;

    fn try_from(message: proto::Value) -> Result<Self, MessageError> {
        let value_type = ValueType::new(&message.r#type).map_err(MessageError::Value)?;
        let ttl = match message.ttl {
            Some(proto::value::Ttl::RelativeSeconds(seconds)) if seconds > TTL_MAX_SECONDS => {
                let reason = format!("TTL {seconds} is not from 0 to {TTL_MAX_SECONDS} seconds");
                return Err(MessageError::meaningless(reason));
            }
            Some(proto::value::Ttl::RelativeSeconds(seconds)) => Ttl::Relative(seconds),
            Some(proto::value::Ttl::AbsoluteSeconds(until)) => Ttl::Absolute(until),
            None => Ttl::default(),
        };
        let permissions = match message.permissions {
            Some(bits) => permissions(bits)?,
            None => Permissions::default_of(&value_type),
        };
        Ok(Self {
            index: Index::new(message.index).map_err(MessageError::Value)?,
            value_type,
            data: message.data,
            ttl,
            permissions,
            references: message.references.iter().map(Reference::try_from).collect::<Result<_, _>>()?,
            timestamp: message.timestamp_seconds,
        })
    }
}

fn permissions(bits: u32) -> Result<Permissions, MessageError> {
    match u8::try_from(bits) {
        Ok(low) if low <= 0xf => Ok(Permissions::from_bits(low)),
        _ => Err(MessageError::Value(ValueError::Permissions { found: format!("{bits:b}") })),
    }
}

impl From<&Reference> for proto::Reference {
    fn from(reference: &Reference) -> Self {
        Self { identifier: reference.identifier.to_string(), index: reference.index }
    }
}

impl TryFrom<&proto::Reference> for Reference {
    type Error = MessageError;

    fn try_from(message: &proto::Reference) -> Result<Self, MessageError> {
        let index = message.index;
        if index > INDEX_MAX {
            let reason = format!("index {index} of a reference is not from 0 to {INDEX_MAX}");
            return Err(MessageError::meaningless(reason));
        }
        Ok(Self { identifier: identifier(&message.identifier)?, index })
    }
}

//----------- Positions ------------------------------------------------------

impl From<Position> for proto::Position {
    fn from(position: Position) -> Self {
        Self {
            incarnation: position.incarnation.0.to_vec(),
            stream: position.stream.0.into(),
            sequence: position.sequence,
        }
    }
}

impl TryFrom<&proto::Position> for Position {
    type Error = MessageError;

    fn try_from(message: &proto::Position) -> Result<Self, MessageError> {
        let too_large =
            |_| MessageError::meaningless(format!("stream {} is above 65535, the highest", message.stream));
        Ok(Self {
            incarnation: incarnation(&message.incarnation)?,
            stream: Stream(u16::try_from(message.stream).map_err(too_large)?),
            sequence: message.sequence,
        })
    }
}

/// The incarnation of a store.
pub fn incarnation(bytes: &[u8]) -> Result<Incarnation, MessageError> {
    let wrong =
        |_| MessageError::meaningless(format!("an incarnation has 16 bytes; {} were found", bytes.len()));
    <[u8; 16]>::try_from(bytes).map(Incarnation).map_err(wrong)
}

//----------- Prefixes -------------------------------------------------------

impl From<PrefixStatus> for proto::Standing {
    fn from(status: PrefixStatus) -> Self {
        match status {
            PrefixStatus::Active => Self::Active,
            PrefixStatus::Suspended => Self::Suspended,
            PrefixStatus::Revoked => Self::Revoked,
        }
    }
}

impl TryFrom<proto::Standing> for PrefixStatus {
    type Error = MessageError;

    fn try_from(message: proto::Standing) -> Result<Self, MessageError> {
        match message {
            proto::Standing::Active => Ok(Self::Active),
            proto::Standing::Suspended => Ok(Self::Suspended),
            proto::Standing::Revoked => Ok(Self::Revoked),
            proto::Standing::Unspecified => {
                Err(MessageError::Missing { what: "standing: active, suspended or revoked" })
            }
        }
    }
}

impl From<&Registrant> for proto::Registrant {
    fn from(registrant: &Registrant) -> Self {
        Self {
            name: registrant.name().to_owned(),
            credit_code: registrant.credit_code().map(|code| code.as_str().to_owned()).unwrap_or_default(),
            contact: registrant.contact().to_owned(),
        }
    }
}

impl TryFrom<proto::Registrant> for Registrant {
    type Error = MessageError;

    fn try_from(message: proto::Registrant) -> Result<Self, MessageError> {
        let code = match message.credit_code.as_str() {
            "" => None,
            text => Some(CreditCode::parse(text).map_err(MessageError::Registrant)?),
        };
        Self::new(&message.name, code, &message.contact).map_err(MessageError::Registrant)
    }
}

//----------- Sites ----------------------------------------------------------

impl From<&Site> for proto::Site {
    fn from(site: &Site) -> Self {
        let ports = site.ports();
        Self {
            addresses: site.addresses().iter().map(ToString::to_string).collect(),
            host_name: site.host_name().unwrap_or_default().to_owned(),
            ports: Some(proto::Ports {
                grpc: ports.grpc.map(Into::into),
                dns: ports.dns.map(Into::into),
                handle: ports.handle.map(Into::into),
                http: ports.http.map(Into::into),
            }),
            public_key: site.public_key().unwrap_or_default().to_vec(),
        }
    }
}

impl TryFrom<&proto::Site> for Site {
    type Error = MessageError;

    fn try_from(message: &proto::Site) -> Result<Self, MessageError> {
        let address = |text: &String| {
            text.parse().map_err(|_| {
                MessageError::meaningless(format!(
                    "{text:?} is not an IP address; write 192.0.2.7 or 2001:db8::7"
                ))
            })
        };
        let addresses = message.addresses.iter().map(address).collect::<Result<Vec<_>, _>>()?;
        let ports = message.ports.unwrap_or_default();
        let ports = Ports {
            grpc: port(ports.grpc)?,
            dns: port(ports.dns)?,
            handle: port(ports.handle)?,
            http: port(ports.http)?,
        };
        let host_name = Some(message.host_name.as_str()).filter(|name| !name.is_empty());
        let site = Self::new(addresses, host_name, ports).map_err(MessageError::Site)?;
        match message.public_key.as_slice() {
            [] => Ok(site),
            key => site.with_public_key(key).map_err(MessageError::Site),
        }
    }
}

fn port(number: Option<u32>) -> Result<Option<u16>, MessageError> {
    let port = |number: u32| {
        let wrong = |_| MessageError::meaningless(format!("port {number} is not from 1 to 65535"));
        u16::try_from(number).map_err(wrong)
    };
    number.map(port).transpose()
}

#[cfg(test)]
mod tests {
    use super::{MessageError, Position, Site, Value, ValueError, proto};

    #[test]
    fn what_is_written_is_read() {
        let message = proto::Value {
            index: 7,
            r#type: "URL".into(),
            data: b"x".to_vec(),
            ttl: Some(proto::value::Ttl::AbsoluteSeconds(9)),
            permissions: Some(0xf),
            references: vec![proto::Reference { identifier: "88/a".into(), index: 1 }],
            timestamp_seconds: 5,
        };
        let value = Value::try_from(message.clone()).expect("a value");
        assert_eq!(proto::Value::from(value), message);
        let site = proto::Site {
            addresses: vec!["192.0.2.1".into()],
            host_name: "node.example".into(),
            ports: Some(proto::Ports { grpc: Some(1), ..Default::default() }),
            public_key: b"key".to_vec(),
        };
        assert_eq!(proto::Site::from(&Site::try_from(&site).expect("a site")), site);
    }

    #[test]
    fn what_means_nothing_is_named() {
        let value =
            proto::Value { index: 1, r#type: "A".into(), permissions: Some(0x1f), ..Default::default() };
        let found = "11111".to_owned();
        assert_eq!(Value::try_from(value), Err(MessageError::Value(ValueError::Permissions { found })));
        // Handle clients read these numbers as signed ones.
        let value = |ttl, reference| proto::Value {
            index: 1,
            r#type: "A".into(),
            ttl: Some(proto::value::Ttl::RelativeSeconds(ttl)),
            references: vec![proto::Reference { identifier: "88/a".into(), index: reference }],
            ..Default::default()
        };
        let read = |ttl, reference| Value::try_from(value(ttl, reference)).map_err(|error| error.to_string());
        assert!(read(0x7fff_ffff, 0x7fff_ffff).is_ok());
        let sentence = "TTL 2147483648 is not from 0 to 2147483647 seconds";
        assert_eq!(read(0x8000_0000, 0), Err(sentence.to_owned()));
        let sentence = "index 2147483648 of a reference is not from 0 to 2147483647";
        assert_eq!(read(0, 0x8000_0000), Err(sentence.to_owned()));
        let position = proto::Position { incarnation: vec![1; 15], ..Default::default() };
        let error = Position::try_from(&position).expect_err("15 bytes are no incarnation");
        assert_eq!(error.to_string(), "an incarnation has 16 bytes; 15 were found");
    }
}
