//! The physics under Spark, calibrated: what garbage collection costs and what a JVM process weighs. It knows bytes, time
//! and collectors, nothing of Spark. Swap, the OOM killer and neighbours on the host are not here yet.

pub mod collector;
mod gc;
mod process;

pub use gc::{GcCost, LIVE_SHARE_MAX};
pub use process::{PYTHON_WORKER_BYTES, jvm_resident_bytes};
