//! An error with its causes, on one line.

use core::error::Error;
use core::fmt;

/// Maximum number of errors shown of a chain.
const LINKS_MAX: usize = 16;

/// Displays an error and its sources, separated by colons. An error's own text does not repeat its source, so
/// that nothing is repeated.
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        for _ in 1..LINKS_MAX {
            let Some(source) = next else { return Ok(()) };
            write!(f, ": {source}")?;
            next = source.source();
        }
        f.write_str(": …")
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::Chain;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the store")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_chain_shows_every_cause_once() {
        let error = Outer(io::Error::other("no space left"));
        assert_eq!(Chain(&error).to_string(), "cannot open the store: no space left");
    }
}
