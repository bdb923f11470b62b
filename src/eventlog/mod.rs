//! Spark event logs: what an application did, as Spark wrote it down (rules LOG-1 to LOG-10). Reading takes any log since
//! Spark 2.4, plain or compressed, whole, rolling or cut off, and gives an [`AppLog`]: facts only, no interpretation.
//!
//! Left out: opening files (the command line does) and turning facts into a workload.
//! Beside it `observed` reads off what the run did, for a prediction to be held against, and `same_app` tells whether two logs
//! run the same application.
//! Read `source` (which files), `codec` (bytes), `line` (lines), `reader` (events, notes), `collect` (facts),
//! `app_log` (the result), in this order.

pub mod app_log;
mod block_name;
pub mod codec;
mod collect;
mod collect_sql;
mod collect_tasks;
mod error;
mod events;
mod events_sql;
pub mod import;
mod line;
mod metrics;
mod observed;
mod plan;
mod reader;
mod same_app;
pub mod source;
mod values;

pub use app_log::AppLog;
pub use codec::{Codec, CodecError};
pub use error::EventLogError;
pub use import::{Calibration, Conditions, Honesty, Import, Lacking, conditions, import, import_with};
pub use line::LINE_BYTES_MAX;
pub use observed::observed;
pub use reader::{BrokenLine, FileNote, Missing, ReadNotes, Truncation, read_app_log};
pub use same_app::{Fingerprint, fingerprint};
pub use source::{DirectoryLog, LogPart, RollingLog, look_at_directory};
