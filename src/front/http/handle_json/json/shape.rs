//! Reading JSON of requests: required members, and errors that state what is wrong.

use serde::Serialize;
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use crate::front::http::transport::query::{clip, unknown_name};
use crate::model::identifier::IdentifierError;
use crate::model::value::ValueError;

//----------- Wrong ----------------------------------------------------------

/// Why JSON could not be read as values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::front::http) enum Wrong {
    /// The JSON has another structure than expected.
    #[error("{0}")]
    Shape(String),
    /// The values cannot be stored.
    #[error("{0}")]
    Value(ValueError),
    /// An identifier in the JSON is malformed.
    #[error("{0}")]
    Identifier(IdentifierError),
}

impl Wrong {
    /// The error for JSON of another structure than expected.
    pub(super) fn shape(reason: impl Into<String>) -> Self {
        Self::Shape(reason.into())
    }
}

impl From<ValueError> for Wrong {
    fn from(error: ValueError) -> Self {
        Self::Value(error)
    }
}

impl From<IdentifierError> for Wrong {
    fn from(error: IdentifierError) -> Self {
        Self::Identifier(error)
    }
}

//----------- References -----------------------------------------------------

/// A reference to a value of another identifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(title = "Reference")]
pub(in crate::front::http) struct ReferenceJson {
    /// The identifier.
    #[schema(example = "0.NA/88.118.8")]
    pub(super) handle: String,
    /// Index of the value; 0 for any.
    #[schema(example = 300)]
    pub(super) index: u32,
}

/// The handle and the index of `{"handle": ..., "index": ...}`.
pub(super) fn parse_reference(json: &Json) -> Result<(&str, u32), Wrong> {
    let Json::Object(members) = json else {
        return Err(Wrong::shape("a reference is not an object with \"handle\" and \"index\""));
    };
    check_members("a reference", members, &["handle", "index"])?;
    parse_referent(members)
}

/// The handle and the index among other members.
pub(super) fn parse_referent(members: &Map<String, Json>) -> Result<(&str, u32), Wrong> {
    let index = integer(members, "index")?.unwrap_or(0);
    let index = u32::try_from(index).map_err(|_| {
        Wrong::shape(format!("the index {index} of a reference is not from 0 to {}", u32::MAX))
    })?;
    Ok((text(members, "handle")?, index))
}

/// Refuses members that nobody reads: a misspelled one would be ignored. `what` names the object.
pub(super) fn check_members(
    what: &str,
    members: &Map<String, Json>,
    known: &[&'static str],
) -> Result<(), Wrong> {
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let sentence = unknown_name(name, known.iter().copied());
            Err(Wrong::shape(format!("{what} has the member {sentence}")))
        }
    }
}

/// A member that must be a text.
pub(super) fn text<'j>(members: &'j Map<String, Json>, name: &str) -> Result<&'j str, Wrong> {
    let found = members.get(name).and_then(Json::as_str);
    found.ok_or_else(|| Wrong::shape(format!("{name:?} is missing or not text")))
}

/// A member that must be a whole number, or the text of one; none when it is not there.
pub(super) fn integer(members: &Map<String, Json>, name: &str) -> Result<Option<i64>, Wrong> {
    let given = match members.get(name) {
        None | Some(Json::Null) => return Ok(None),
        Some(given) => given,
    };
    let number = match given {
        Json::Number(number) => number.as_i64(),
        Json::String(text) => text.trim().parse().ok(),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    };
    number.map(Some).ok_or_else(|| {
        let given = clip(&given.to_string());
        Wrong::shape(format!("{name:?} is {given}, which is not a whole number in the accepted range"))
    })
}
