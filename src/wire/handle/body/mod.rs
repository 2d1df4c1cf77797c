//! The bodies of messages, one type for each layout. Trailing bytes after a body are ignored: real clients add some.
//!
//! ```text
//!   resolution ........ handle · indexes · types                  reply: handle · values
//!   create, add, modify  handle · values                          reply: empty, or the handle
//!   remove ............ handle · indexes                          reply: empty
//!   delete, list, home, site info ... handle                      reply: empty, names, or HS_SITE
//!   error ............. one text     referral .. handle · values  see also challenge and session
//! ```
//!
//! Handles stand as bytes, as sent: an answer repeats them, and one that is no identifier is refused by the front end.

pub mod challenge;
pub mod session;

use crate::model::limits::{HANDLE_MESSAGE_BYTES_MAX, IDENTIFIER_BYTES_MAX, VALUES_MAX};
use crate::model::value::Value;
use crate::wire::cursor::{DecodeError, Reader, Writer};
use crate::wire::handle::value::{VALUE_BYTES_MIN, WireValue, encode_value};

/// A handle, up to the bound of clients.
fn handle<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    reader.bytes("handle", IDENTIFIER_BYTES_MAX)
}

fn indexes(reader: &mut Reader<'_>) -> Result<Vec<u32>, DecodeError> {
    let count = reader.count("indexes", HANDLE_MESSAGE_BYTES_MAX, 4)?;
    (0..count).map(|_| reader.u32("index")).collect()
}

fn strings<'a>(reader: &mut Reader<'a>, what: &'static str) -> Result<Vec<&'a [u8]>, DecodeError> {
    let count = reader.count(what, HANDLE_MESSAGE_BYTES_MAX, 4)?;
    (0..count).map(|_| reader.bytes(what, HANDLE_MESSAGE_BYTES_MAX)).collect()
}

fn values<'a>(reader: &mut Reader<'a>) -> Result<Vec<WireValue<'a>>, DecodeError> {
    let count = reader.count("values", VALUES_MAX, VALUE_BYTES_MIN)?;
    (0..count).map(|_| WireValue::decode(reader)).collect()
}

fn put_indexes(writer: &mut Writer, indexes: &[u32]) {
    writer.count(indexes.len());
    for index in indexes {
        writer.u32(*index);
    }
}

fn put_strings(writer: &mut Writer, strings: &[&[u8]]) {
    writer.count(strings.len());
    for string in strings {
        writer.bytes(string);
    }
}

//----------- Resolution -----------------------------------------------------

/// The body of a resolution request: a handle, and which of its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution<'a> {
    /// The handle.
    pub handle: &'a [u8],
    /// Requested indexes.
    pub indexes: Vec<u32>,
    /// Requested types; without indexes and types, all values are requested.
    pub types: Vec<&'a [u8]>,
}

impl<'a> Resolution<'a> {
    /// Decodes the body.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let handle = handle(&mut reader)?;
        let indexes = indexes(&mut reader)?;
        Ok(Self { handle, indexes, types: strings(&mut reader, "types")? })
    }

    /// Encodes the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(64);
        writer.bytes(self.handle);
        put_indexes(&mut writer, &self.indexes);
        put_strings(&mut writer, &self.types);
        writer.into_vec()
    }
}

//----------- HandleAndValues ------------------------------------------------

/// A handle and values: the reply to a resolution, and the requests to create, add and modify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandleAndValues<'a> {
    /// The handle.
    pub handle: &'a [u8],
    /// The values, in the order given.
    pub values: Vec<WireValue<'a>>,
}

impl<'a> HandleAndValues<'a> {
    /// Decodes the body.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        Ok(Self { handle: handle(&mut reader)?, values: values(&mut reader)? })
    }

    /// Encodes the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(256);
        writer.bytes(self.handle).count(self.values.len());
        self.values.iter().for_each(|value| value.encode(&mut writer));
        writer.into_vec()
    }
}

/// The body of a handle and values of the model.
pub fn encode_handle_and_values(handle: &[u8], values: &[Value]) -> Vec<u8> {
    let bytes: usize = values.iter().map(Value::encoded_bytes).sum();
    let mut writer = Writer::with_capacity(8 + handle.len() + bytes);
    writer.bytes(handle).count(values.len());
    values.iter().for_each(|value| encode_value(&mut writer, value));
    writer.into_vec()
}

//----------- HandleAndIndexes -----------------------------------------------

/// A handle and indexes: the request to remove values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandleAndIndexes<'a> {
    /// The handle.
    pub handle: &'a [u8],
    /// The indexes.
    pub indexes: Vec<u32>,
}

impl<'a> HandleAndIndexes<'a> {
    /// Decodes the body.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        Ok(Self { handle: handle(&mut reader)?, indexes: indexes(&mut reader)? })
    }

    /// Encodes the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(64);
        writer.bytes(self.handle);
        put_indexes(&mut writer, &self.indexes);
        writer.into_vec()
    }
}

//----------- HandleOnly -----------------------------------------------------

/// One handle: most other requests, and the reply to a creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandleOnly<'a>(pub &'a [u8]);

impl<'a> HandleOnly<'a> {
    /// Decodes the body.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        handle(&mut Reader::new(body)).map(Self)
    }

    /// Encodes the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(4 + self.0.len());
        writer.bytes(self.0);
        writer.into_vec()
    }
}

//----------- Names ----------------------------------------------------------

/// One message of a list: handles, or prefixes as handles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names<'a>(pub Vec<&'a [u8]>);

impl<'a> Names<'a> {
    /// Maximum number of names in one message, as other servers send.
    pub const ITEMS_MAX: usize = 50;

    /// Decodes the body.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        strings(&mut Reader::new(body), "names").map(Self)
    }

    /// Encodes the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(64 * self.0.len());
        put_strings(&mut writer, &self.0);
        writer.into_vec()
    }
}

//----------- Referral -------------------------------------------------------

/// A referral: a service handle, or the HS_SITE and HS_SERV values themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referral<'a> {
    /// The handle of the service; may be empty.
    pub handle: &'a [u8],
    /// The values to use directly.
    pub values: Vec<WireValue<'a>>,
}

impl<'a> Referral<'a> {
    /// Decodes the body; the values may be missing.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let handle = handle(&mut reader)?;
        let values = if reader.remaining() < 4 { Vec::new() } else { values(&mut reader)? };
        Ok(Self { handle, values })
    }

    /// Encodes the body; without values, their count is omitted too.
    pub fn encode(&self) -> Vec<u8> {
        if self.values.is_empty() {
            return HandleOnly(self.handle).encode();
        }
        HandleAndValues { handle: self.handle, values: self.values.clone() }.encode()
    }
}

//----------- ErrorText ------------------------------------------------------

/// The message of a refusal or failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorText<'a>(pub &'a [u8]);

impl<'a> ErrorText<'a> {
    /// Decodes the body; an absent one is an empty text.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        if body.len() < 4 {
            return Ok(Self(&[]));
        }
        Reader::new(body).bytes("error text", HANDLE_MESSAGE_BYTES_MAX).map(Self)
    }

    /// Encodes the body; an empty text is a body of its length alone.
    pub fn encode(&self) -> Vec<u8> {
        HandleOnly(self.0).encode()
    }
}

//----------- Login ----------------------------------------------------------

/// The request to log a connection in by key (Teleinfo, 4iot).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Login<'a> {
    /// The identifier that holds the key.
    pub user: &'a [u8],
    /// The key's index.
    pub index: u32,
}

impl<'a> Login<'a> {
    /// Decodes the body.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let user = reader.bytes("user", IDENTIFIER_BYTES_MAX)?;
        Ok(Self { user, index: reader.u32("user index")? })
    }

    /// Encodes the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(8 + self.user.len());
        writer.bytes(self.user).u32(self.index);
        writer.into_vec()
    }
}

//----------- TransactionId --------------------------------------------------

/// The reply with the number of the next transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionId(pub u64);

impl TransactionId {
    /// Decodes the body.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        Reader::new(body).u64("transaction id").map(Self)
    }

    /// Encodes the body.
    pub fn encode(self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests;
