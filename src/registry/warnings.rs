//! Warnings: what is likely not as meant in the values that a command wrote.
//!
//! They are looked for when the command was carried out, so that a caller who may not give it has nothing read. A receipt names
//! the first few, and those of one batch share a bound: what is committed has to be reported, whatever its values are.

use std::sync::Arc;

use tokio::task::yield_now;

use crate::model::limits::{BATCH_WARNINGS_MAX, RECEIPT_WARNINGS_MAX};
use crate::model::refusal::Problem;
use crate::model::uri::UriWarning;

use super::command::{Command, Item};
use super::receipt::Receipt;

/// Bytes of values that are read before other tasks have their turn.
const READ_BYTES: usize = 64 * 1024;

//----------- Warnings -------------------------------------------------------

/// What is likely not as meant in the values that a command wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings {
    /// The first warnings.
    pub listed: Vec<UriWarning>,
    /// Number of further warnings.
    pub left_out: u32,
}

/// Adds warnings to the receipts of a batch; `items` are the commands in the order of `outcomes`.
pub(super) async fn warn(outcomes: &mut [Result<Receipt, Problem>], items: &[Arc<Item>]) {
    let (mut left, mut read_bytes) = (BATCH_WARNINGS_MAX, 0);
    for (outcome, item) in outcomes.iter_mut().zip(items) {
        let Ok(receipt) = outcome else { continue };
        receipt.warnings = about(&item.command, &mut left);
        read_bytes += item.command.bytes();
        if read_bytes >= READ_BYTES {
            read_bytes = 0;
            yield_now().await;
        }
    }
}

/// The warnings about the values of a command; takes those that are listed from what is left for the batch.
fn about(command: &Command, left: &mut usize) -> Warnings {
    let mut warnings = Warnings::default();
    for warning in command.written().filter_map(UriWarning::about) {
        if *left > 0 && warnings.listed.len() < RECEIPT_WARNINGS_MAX {
            *left -= 1;
            warnings.listed.push(warning);
        } else {
            warnings.left_out = warnings.left_out.saturating_add(1);
        }
    }
    warnings
}
