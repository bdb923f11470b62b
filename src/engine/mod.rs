//! A discrete-event kernel: virtual time, a totally ordered event queue, shared resources. It knows nothing of Spark.
//!
//! Time is integer nanoseconds; events at the same time are served in the order of their scheduling; work in progress is
//! kept in fixed point, so that floating point never decides an order. The owner of the model (`crate::sim`) holds the
//! queue, pops events and changes its own state; there are no processes, callbacks or threads here.

mod queue;
mod shared;

pub use queue::{EventQueue, TimerId};
pub use shared::{MemberId, SharedResource};
