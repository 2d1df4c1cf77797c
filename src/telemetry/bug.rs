//! Cases that cannot happen unless the program has a bug.

use std::panic::Location;

use crate::model::refusal::Failure;

/// The failure of a request that met an impossible case. Logged here, with the place in the source and once; the client is
/// answered an internal error.
#[track_caller]
pub fn bug(what: &'static str) -> Failure {
    let at = Location::caller();
    tracing::error!(
        what,
        file = at.file(),
        line = at.line(),
        "a bug of this program: an invariant does not hold"
    );
    Failure::Bug { what }
}
