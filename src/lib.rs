//! spillcast simulates the memory of Apache Spark executors: what spills, what is evicted, what slows down and what
//! dies under a configuration, before a cluster finds out.

pub mod cluster;
pub mod conf;
pub mod engine;
pub mod host;
pub mod memory;
pub mod record;
pub mod rng;
pub mod sim;
pub mod units;
pub mod workload;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "eventlog")]
pub mod eventlog;
#[cfg(feature = "experiment")]
pub mod experiment;
#[cfg(feature = "report")]
pub mod report;
#[cfg(feature = "scenario")]
pub mod scenario;
