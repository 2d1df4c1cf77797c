//! The captured exchanges of the stock Handle client and server against our codec and our keys: every message decodes
//! and encodes to the same bytes again, and whatever a key proved there, it proves here.
//!
//! Sessions' codes and encrypted messages are held to their shape only: the secrets under them were not captured.

mod forms;
mod proofs;
mod worked;
