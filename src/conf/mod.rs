//! Spark's configuration: properties under their real names, parsed and refused as Spark parses and refuses them, with
//! the defaults of a chosen version.
//!
//! [`SparkConf`] holds texts and where they came from; [`Settings`] holds what they mean, typed, and is what everything
//! else reads. [`property`] is the table of what is known. Files, environment and the command line are not read here:
//! [`properties`] parses the text of a file, [`spark_submit`] maps flags.

mod error;
pub mod master;
pub mod properties;
pub mod property;
mod reader;
mod resolve;
pub mod settings;
pub mod size;
mod spark_conf;
pub mod spark_submit;
mod start_checks;
pub mod time;
pub mod version;

pub use error::{ConfError, ErrorKind};
pub use master::Master;
pub use settings::{AdaptiveSettings, Collector, CollectorOption, DeployMode, EvictionPolicy, Settings};
pub use spark_conf::{Entry, Origin, SparkConf};
pub use start_checks::{least_memory, limit_under_heap};
pub use version::SparkVersion;
