//! The rules of the Handle protocol that do not depend on how a message travels, used by the binary protocol and by the
//! JSON API.

pub(super) mod proof;
pub(super) mod response_code;
