//! Cases that cannot happen unless the program has a bug.

use std::error::Error;
use std::panic::Location;

use crate::model::refusal::Failure;

/// The failure of a request that met an impossible case. Logged here, with the place in the source and once; the client is
/// answered an internal error.
#[track_caller]
pub fn bug(what: &'static str) -> Failure {
    log(what, None);
    Failure::Bug { what }
}

/// The same with the error that shows the case, which is logged too.
#[track_caller]
pub fn bug_shown_by(what: &'static str, error: &dyn Error) -> Failure {
    log(what, Some(error));
    Failure::Bug { what }
}

/// The failure of a command whose outcome got lost by a bug. Logged like [`bug`]; since the change may be durable, the client
/// is answered that its outcome is unknown.
#[track_caller]
pub fn lost_outcome() -> Failure {
    log("one outcome for each item", None);
    Failure::OutcomeUnknown { cause: "the node lost an outcome by a bug".to_owned() }
}

#[track_caller]
fn log(what: &'static str, error: Option<&dyn Error>) {
    let at = Location::caller();
    tracing::error!(
        what,
        error = error.map(tracing::field::display),
        file = at.file(),
        line = at.line(),
        "a bug of this program: an invariant does not hold"
    );
}
