//! Reasons why a log cannot be read at all. What can be lived with is a note, see `reader`.

use super::codec::{CodecError, Cut};

/// Says why a log cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventLogError {
    /// A file cannot be read or its compressed data is corrupt.
    #[error("{file}: {source}")]
    Codec {
        /// The file's name.
        file: String,
        /// What is wrong and at which byte.
        source: CodecError,
    },
    /// The file is something else.
    #[error("{file}: not a Spark event log: line {line} {reason}")]
    NotAnEventLog {
        /// The file's name.
        file: String,
        /// The first line that shows it, counted from 1.
        line: u64,
        /// What the line is instead.
        reason: String,
    },
    /// Too many lines in the middle are damaged to trust the rest.
    #[error(
        "{file}: {broken} of {lines} lines cannot be read (at most 1 % is accepted); the first is line {line}: {reason}"
    )]
    TooManyBrokenLines {
        /// The file of the first broken line.
        file: String,
        /// Broken lines in all files.
        broken: u64,
        /// Lines in all files.
        lines: u64,
        /// The first broken line, counted from 1 in its file.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A line is longer than the reader accepts.
    #[error("{file}: line {line} is longer than {limit} bytes")]
    LineTooLong {
        /// The file's name.
        file: String,
        /// The line, counted from 1.
        line: u64,
        /// Longest line accepted, in bytes.
        limit: usize,
    },
    /// The files hold no event at all.
    #[error("{}: {}", files.join(", "), why_empty(*cut))]
    Empty {
        /// The files read.
        files: Vec<String>,
        /// Where the compressed data of the last file stops, if it does so too early.
        cut: Option<Cut>,
    },
    /// The files belong to different applications.
    #[error(
        "{file}: line {line} starts application {second:?}, but the files before belong to {first:?}; read one application at a time"
    )]
    SeveralApplications {
        /// The file in which the second application starts.
        file: String,
        /// The line, counted from 1.
        line: u64,
        /// Application id found first.
        first: String,
        /// Application id found then.
        second: String,
    },
    /// A directory holds nothing that looks like an event log.
    #[error(
        "{directory}: no event log here: expected events_N_APPID files (a rolling log) or one log file, found {found}"
    )]
    NoLogInDirectory {
        /// The directory's name.
        directory: String,
        /// What it holds instead.
        found: String,
    },
    /// The log holds no task that ended, so nothing can be learned from it.
    #[error(
        "{}no task ended before the log ends ({jobs} jobs were submitted, {running} tasks were running); a log of a run that \
         got further is needed",
        if app.is_empty() { String::new() } else { format!("application {app}: ") }
    )]
    NoTasks {
        /// Application id.
        app: String,
        /// Jobs submitted.
        jobs: usize,
        /// Tasks that had started.
        running: usize,
    },
    /// The properties in the log are none that Spark would start with.
    #[error("the log's own configuration cannot be read: {faults}")]
    Configuration {
        /// What is wrong with them.
        faults: String,
    },
    /// A directory holds the logs of several applications.
    #[error("{directory}: {} event logs here, name one of them: {}", names.len(), first_few(names))]
    SeveralLogs {
        /// The directory's name.
        directory: String,
        /// The names of the logs, sorted.
        names: Vec<String>,
    },
}

/// Says what is known of a log without events.
fn why_empty(cut: Option<Cut>) -> String {
    match cut {
        Some(cut) => format!("ends too early, before its first whole event ({cut})"),
        None => {
            "the log is empty: no event was written before the application stopped or was killed".to_owned()
        }
    }
}

/// Joins up to five names.
fn first_few(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        text.push_str(", ...");
    }
    text
}
