//! The source of randomness that callers pass in: a function that fills bytes.

use core::convert::Infallible;

use rsa::rand_core::{TryCryptoRng, TryRng};

/// Source of randomness: fills the bytes with unpredictable values.
pub type Random<'a> = &'a dyn Fn(&mut [u8]);

/// The source of randomness, with the interface of the cryptographic crates.
pub(super) struct Generator<'a>(pub(super) Random<'a>);

impl TryRng for Generator<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        (self.0)(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Generator<'_> {}
