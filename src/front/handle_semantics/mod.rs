//! The rules of the Handle protocol that do not depend on how a message travels, written once for the binary protocol
//! (`front::handle`) and the JSON API (`front::http`).
//!
//! ```text
//!   name           text of a handle ─▶ identifier or prefix (a bare prefix names its own record)
//!   question       answer of the resolver ─▶ what this caller is shown, or why values are hidden from it
//!   referral       answer from elsewhere ─▶ the HS_SITE of the service that answers, or "not responsible"
//!   change         the protocol's ways of writing ─▶ commands; receipt ─▶ whether something was overwritten
//!   list           the handles of a prefix, page by page; the prefixes homed here
//!   own_site       the HS_SITE of this node
//!   proof          what a caller shows ─▶ the caller that it proves, judged off the reactor
//!   response_code  every reason ─▶ the protocol's response code
//! ```
//! Encodings, sentences and flags belong to the front ends. Nothing here keeps state or reads a socket.

pub(super) mod name;

pub(super) mod question;
pub(super) mod referral;

pub(super) mod change;
pub(super) mod list;
pub(super) mod own_site;

pub(super) mod proof;
pub(super) mod response_code;
