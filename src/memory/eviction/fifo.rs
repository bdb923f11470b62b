//! First in, first out.

use super::{BlockUse, Moment, Policy};

/// First stored first; reading a block does not save it.
#[derive(Debug)]
pub struct Fifo;

impl Policy for Fifo {
    fn rank(&self, block: &BlockUse, _now: &Moment<'_>) -> u64 {
        block.stored_at
    }
}
