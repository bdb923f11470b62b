//! The physics under Spark, calibrated: what garbage collection costs, what a JVM process weighs, which pages stay in memory,
//! what a swapped page costs, whom the kernel kills. It knows bytes, time and collectors, nothing of Spark.

pub mod cgroup;
pub mod collector;
mod gc;
pub mod oom_killer;
pub mod process;
pub mod ram;
pub mod residency;
pub mod swap;
pub mod tenant;

pub use gc::{Pauses, TaskHeap, fillable, pauses};
pub use process::{PYTHON_WORKER_BYTES, jvm_resident_bytes};
