//! What a connection has received and not answered yet, and the memory that it takes.
//!
//! Memory is taken as bytes come, in steps that double: what a client only announces takes none.
//!
//! ```text
//!   grow ─▶ read ─▶ messages split off, and answered ─▶ shrink: the memory is given back
//!       └─ no memory: the message is refused as too busy, and discarded
//! ```
//! Every connection may hold a little outside of the budget.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::answers::{FREE_BYTES, beyond_free};
use super::budget::{BudgetSpent, MemoryAccount, MemoryGrant};

/// Smallest number of bytes that are read at a time: nearly every request fits.
const READ_BYTES: usize = 512;

/// Bytes received in their order.
#[derive(Debug)]
pub(in crate::front) struct ReceiveBuffer {
    bytes: BytesMut,
    /// Bytes that were allocated; messages that were split off share them.
    allocated: usize,
    grant: MemoryGrant,
}

impl ReceiveBuffer {
    /// Nothing received.
    pub(in crate::front) fn new(account: &Arc<MemoryAccount>) -> Self {
        Self {
            bytes: BytesMut::with_capacity(READ_BYTES),
            allocated: READ_BYTES,
            grant: account.take_forced(0),
        }
    }

    /// The bytes, from which whole messages are split off.
    pub(in crate::front) fn bytes(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Makes space to read on in a message of `wanted` bytes, of which fewer were received. Refused, everything stays as it
    /// was.
    pub(in crate::front) fn grow(&mut self, wanted: usize) -> Result<(), BudgetSpent> {
        let received = self.bytes.len();
        let max = wanted.max(FREE_BYTES);
        let least = READ_BYTES.min(max.saturating_sub(received));
        if self.bytes.capacity() - received >= least || self.bytes.try_reclaim(least) {
            return Ok(());
        }
        // What is free is used up before memory is taken.
        let step = if received < FREE_BYTES { FREE_BYTES } else { max };
        let capacity = (2 * received).max(received + least).min(step);
        if capacity <= self.bytes.capacity() {
            return Ok(());
        }
        self.grant.resize(beyond_free(capacity))?;
        self.renew(capacity);
        Ok(())
    }

    /// Reads once. Returns the number of bytes: 0 when the client has ended. Safe to drop.
    pub(in crate::front) async fn read(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<usize> {
        stream.read_buf(&mut self.bytes).await
    }

    /// Gives back the memory of messages that were split off and dropped.
    pub(in crate::front) fn shrink(&mut self) {
        if self.allocated > FREE_BYTES {
            self.renew(self.bytes.len().max(READ_BYTES));
            self.grant.force(beyond_free(self.allocated));
        }
    }

    /// Drops what was received, and reads and drops the rest of a message of `wanted` bytes. False when the client ends
    /// before.
    pub(in crate::front) async fn discard(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        wanted: usize,
    ) -> io::Result<bool> {
        let rest = u64::try_from(wanted.saturating_sub(self.bytes.len())).unwrap_or(u64::MAX);
        self.bytes.clear();
        self.shrink();
        let dropped = tokio::io::copy(&mut stream.take(rest), &mut tokio::io::sink()).await?;
        Ok(dropped == rest)
    }

    fn renew(&mut self, capacity: usize) {
        let mut renewed = BytesMut::with_capacity(capacity);
        renewed.extend_from_slice(&self.bytes);
        self.bytes = renewed;
        self.allocated = capacity;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::budget::{Bound, BudgetSpent, Holder, MemoryBudget, MemoryLimits};
    use super::{FREE_BYTES, ReceiveBuffer};

    const WANTED: usize = 16 * FREE_BYTES;

    fn budget(limit: usize) -> Arc<MemoryBudget> {
        MemoryBudget::new(MemoryLimits { total: limit, source: limit, connection: limit })
    }

    fn buffer(budget: &Arc<MemoryBudget>) -> ReceiveBuffer {
        ReceiveBuffer::new(&budget.account(Holder::of(([127, 0, 0, 1], 80).into())))
    }

    /// Reads until so many bytes of a message are there; the most memory that was in use.
    async fn receive(
        buffer: &mut ReceiveBuffer,
        budget: &Arc<MemoryBudget>,
        bytes: usize,
    ) -> Result<u64, BudgetSpent> {
        let sent = vec![7; bytes - buffer.bytes().len()];
        let mut stream = sent.as_slice();
        let mut most = 0;
        while !stream.is_empty() {
            buffer.grow(WANTED)?;
            most = most.max(budget.bytes_in_use());
            assert_ne!(buffer.read(&mut stream).await.expect("in memory"), 0);
        }
        Ok(most)
    }

    #[tokio::test]
    async fn memory_is_taken_as_bytes_come_and_given_back() {
        let budget = budget(WANTED);
        let mut buffer = buffer(&budget);
        assert_eq!(receive(&mut buffer, &budget, 10).await, Ok(0), "what is announced takes none");
        assert_eq!(receive(&mut buffer, &budget, FREE_BYTES).await, Ok(0), "a little is free");
        let half = receive(&mut buffer, &budget, WANTED / 2).await.expect("there is memory");
        assert!((WANTED / 2..=WANTED).contains(&usize::try_from(half).expect("small")), "{half}");
        let whole = receive(&mut buffer, &budget, WANTED).await;
        assert_eq!(whole, Ok(WANTED as u64), "no more than the message");
        let message = buffer.bytes().split_to(WANTED);
        assert_eq!(budget.bytes_in_use(), WANTED as u64, "the message is held");
        drop(message);
        buffer.shrink();
        assert_eq!(budget.bytes_in_use(), 0);
    }

    #[tokio::test]
    async fn a_message_without_memory_is_discarded_and_the_next_is_read() {
        let budget = budget(2 * FREE_BYTES);
        let mut buffer = buffer(&budget);
        let refused = receive(&mut buffer, &budget, WANTED).await;
        assert_eq!(refused, Err(BudgetSpent { bound: Bound::Connection }));
        let received = buffer.bytes().len();
        assert!(received <= 2 * FREE_BYTES, "{received}");
        let mut rest = vec![7; WANTED - received];
        rest.push(9);
        let mut stream = rest.as_slice();
        assert!(buffer.discard(&mut stream, WANTED).await.expect("in memory"), "it comes whole");
        assert_eq!((stream, budget.bytes_in_use()), (&[9][..], 0));
        assert!(!buffer.discard(&mut &[7][..], WANTED).await.expect("in memory"), "it ends before");
    }
}
