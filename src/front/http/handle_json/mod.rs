//! Handles as JSON, for every face that shows them: the Handle JSON API, and the pages where a program reads them.
//!
//! ```text
//!   caller      who asks, by the query and the credentials of a request
//!   resolution  a question of a query ─▶ the resolver ─▶ the reply with the values, or why there is none
//!   denial      why a request is not fulfilled ─▶ renderer: its response, in the form that the request wishes
//!   reply       outcomes and reasons ─▶ bodies, response codes and statuses; nothing else here knows them
//!   json        the types of the model as JSON, written and read
//!   native      messages of the Handle protocol over HTTP ─▶ the Handle front end, by the daemon
//!   state       what the handlers of these faces work with
//! ```
//! It names no face.

pub(super) mod caller;
pub(super) mod resolution;

pub(super) mod denial;
pub(super) mod renderer;
pub(super) mod reply;

pub(super) mod json;

pub(super) mod native;

pub(super) mod state;
