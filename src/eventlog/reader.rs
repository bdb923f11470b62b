//! Reads a log: parts, lines, events, and beside the facts an account of how whole they are ([`ReadNotes`]).
//!
//! What is accepted: a last line cut off (LOG-5), a compressed stream cut off, up to 1 % damaged lines, events that
//! nobody knows (LOG-1). What is not: corrupt compressed data, a file that is something else, two applications.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::app_log::AppLog;
use super::codec::{Codec, Cut, LogStream};
use super::collect::{Collector, Taken};
use super::error::EventLogError;
use super::line::{LINE_BYTES_MAX, Line, LineError, LineReader};
use super::source::LogPart;

/// Largest share of damaged lines accepted, in percent.
const BROKEN_PERCENT_MAX: u64 = 1;

/// How whole a log is, and what was found on the way.
#[derive(Clone, Debug, Default)]
pub struct ReadNotes {
    /// The files, in reading order.
    pub files: Vec<FileNote>,
    /// Lines in all files, blank ones left out.
    pub lines: u64,
    /// Damaged lines that were skipped.
    pub broken: Vec<BrokenLine>,
    /// Lines cut off at the end of a file, and compressed data cut off.
    pub truncated: Vec<Truncation>,
    /// The application had not ended when the log was written, or was killed.
    pub in_progress: bool,
    /// Spark's own events that say nothing of interest here, by name.
    pub skipped_events: BTreeMap<String, u64>,
    /// Events that Spark does not have, by name: a vendor's or a plug-in's.
    pub unknown_events: BTreeMap<String, u64>,
    /// What this log does not hold.
    pub missing: Vec<Missing>,
}

/// One file as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileNote {
    /// Name.
    pub name: String,
    /// Codec by the first bytes.
    pub codec: Codec,
    /// Codec that the name promised, if it is another one.
    pub named: Option<Codec>,
    /// Lines, blank ones included.
    pub lines: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// A damaged line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenLine {
    /// File.
    pub file: String,
    /// Line, counted from 1.
    pub line: u64,
    /// What is wrong.
    pub reason: String,
}

/// A file that ends too early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncation {
    /// File.
    pub file: String,
    /// Lines read before the end.
    pub lines: u64,
    /// Where the compressed data stops; none when only the last line is cut.
    pub cut: Option<Cut>,
}

impl fmt::Display for Truncation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ends too early after {} whole lines", self.file, self.lines)?;
        match self.cut {
            Some(cut) => write!(f, " ({cut})"),
            None => Ok(()),
        }
    }
}

/// Something a log may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Missing {
    /// No `SparkListenerLogStart`: the Spark version is not known.
    SparkVersion,
    /// No `SparkListenerApplicationStart`.
    Application,
    /// No `SparkListenerEnvironmentUpdate`: the configuration is not known.
    Environment,
    /// No task has ended.
    Tasks,
    /// Tasks ended well without metrics.
    TaskMetrics,
    /// Something is cached and no block updates tell how large it is.
    BlockUpdates,
    /// No executor's memory was polled.
    ExecutorPeaks,
    /// No block manager registered: the pools' sizes are not stated.
    BlockManagers,
}

impl Missing {
    /// What is missing, and where there is one, the setting that would give it next time.
    pub fn describe(self) -> &'static str {
        match self {
            Self::SparkVersion => "the Spark version",
            Self::Application => "the application's start",
            Self::Environment => "the configuration",
            Self::Tasks => "any finished task",
            Self::TaskMetrics => "metrics of tasks that ended well",
            Self::BlockUpdates => {
                "sizes of cached blocks (spark.eventLog.logBlockUpdates.enabled=true writes them)"
            }
            Self::ExecutorPeaks => {
                "memory peaks of executors (spark.eventLog.logStageExecutorMetrics=true and \
                 spark.executor.metrics.pollingInterval=500 write them)"
            }
            Self::BlockManagers => "sizes of the memory pools",
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe())
    }
}

/// Reads the log of one application, its parts in order ([`super::source`] finds them).
///
/// Parts are opened by the caller and read one after the other; an iterator may open each when it is asked for.
///
/// # Errors
///
/// See [`EventLogError`].
pub fn read_app_log<'a>(
    parts: impl IntoIterator<Item = LogPart<'a>>,
) -> Result<(AppLog, ReadNotes), EventLogError> {
    let mut reader = Reader::default();
    for part in parts {
        reader.part(part)?;
    }
    reader.finish()
}

#[derive(Default)]
struct Reader {
    collector: Collector,
    notes: ReadNotes,
    /// Damaged lines; `notes.broken` keeps only the first few.
    broken: u64,
}

impl Reader {
    fn part(&mut self, part: LogPart<'_>) -> Result<(), EventLogError> {
        let LogPart { name: file, reader } = part;
        let codec_error = |source| EventLogError::Codec { file: file.clone(), source };
        let stream = LogStream::open(reader).map_err(codec_error)?;
        let codec = stream.codec();
        let mut lines = LineReader::new(stream, LINE_BYTES_MAX);
        let mut last_broken = None;
        loop {
            match lines.next_line() {
                Ok(Some(line)) => {
                    // A damaged line with another behind it is not the file's end.
                    if let Some(broken) = last_broken.take() {
                        self.broken(broken);
                    }
                    last_broken = self.line(&file, line)?;
                }
                Ok(None) => break,
                Err(LineError::Codec(source)) => return Err(codec_error(source)),
                Err(LineError::TooLong(line)) => {
                    return Err(EventLogError::LineTooLong { file, line, limit: LINE_BYTES_MAX });
                }
            }
        }
        let cut = lines.stream().cut();
        if last_broken.is_some() || cut.is_some() {
            let lines = lines.number() - u64::from(last_broken.is_some());
            self.notes.truncated.push(Truncation { file: file.clone(), lines, cut });
        }
        let named = Codec::from_name(&file).filter(|named| *named != codec && lines.number() > 0);
        let (lines, bytes) = (lines.number(), lines.stream().offset());
        self.notes.files.push(FileNote { name: file, codec, named, lines, bytes });
        Ok(())
    }

    /// Takes one line; gives it back if it is damaged.
    fn line(&mut self, file: &str, line: Line<'_>) -> Result<Option<BrokenLine>, EventLogError> {
        if line.bytes.is_empty() {
            return Ok(None);
        }
        self.notes.lines += 1;
        let broken = |reason: String| BrokenLine { file: file.to_owned(), line: line.number, reason };
        let name = match event_name(line.bytes) {
            Ok(name) => name,
            Err(reason) if self.notes.lines == 1 && !cut_in_the_name(&line) => {
                let file = file.to_owned();
                return Err(EventLogError::NotAnEventLog { file, line: line.number, reason });
            }
            Err(reason) => return Ok(Some(broken(reason))),
        };
        let known_id = self.collector.log.app_id.clone();
        match self.collector.take(&name, line.bytes) {
            Ok(Taken::Noted) => {}
            Ok(Taken::Skipped) => *self.notes.skipped_events.entry(name.into_owned()).or_default() += 1,
            Ok(Taken::Unknown) => *self.notes.unknown_events.entry(name.into_owned()).or_default() += 1,
            Err(error) => return Ok(Some(broken(format!("{name}: {error}")))),
        }
        let second = &self.collector.log.app_id;
        if !known_id.is_empty() && known_id != *second {
            return Err(EventLogError::SeveralApplications {
                file: file.to_owned(),
                line: line.number,
                first: known_id,
                second: second.clone(),
            });
        }
        Ok(None)
    }

    fn broken(&mut self, line: BrokenLine) {
        const KEPT: usize = 20;
        self.broken += 1;
        if self.notes.broken.len() < KEPT {
            self.notes.broken.push(line);
        }
    }

    fn finish(self) -> Result<(AppLog, ReadNotes), EventLogError> {
        let Self { collector, mut notes, broken } = self;
        if broken * 100 > notes.lines * BROKEN_PERCENT_MAX {
            let BrokenLine { file, line, reason } = notes.broken.swap_remove(0);
            return Err(EventLogError::TooManyBrokenLines { file, broken, lines: notes.lines, line, reason });
        }
        let log = collector.finish();
        let whole_lines = notes.lines > notes.truncated.len() as u64;
        if notes.lines == 0 || (!whole_lines && log.spark_version.is_empty()) {
            let files = notes.files.into_iter().map(|file| file.name).collect();
            let cut = notes.truncated.last().and_then(|truncation| truncation.cut);
            return Err(EventLogError::Empty { files, cut });
        }
        notes.in_progress = log.end_ms.is_none();
        notes.missing = missing(&log);
        Ok((log, notes))
    }
}

/// How Spark begins every line.
const PREFIX: &[u8] = b"{\"Event\":\"";

/// The line ends before the event's name does, and with it the file.
fn cut_in_the_name(line: &Line<'_>) -> bool {
    !line.ended && (PREFIX.starts_with(line.bytes) || line.bytes.starts_with(PREFIX))
}

/// Reads the event's name. Spark writes it first, so that the rest of a line of no interest need not be parsed;
/// other tools may have rewritten the line.
fn event_name(line: &[u8]) -> Result<Cow<'_, str>, String> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(rename = "Event", borrow)]
        event: Cow<'a, str>,
    }
    if let Some(rest) = line.strip_prefix(PREFIX)
        && let Some(end) = memchr::memchr2(b'"', b'\\', rest)
        && rest[end] == b'"'
        && let Ok(name) = std::str::from_utf8(&rest[..end])
    {
        return Ok(Cow::Borrowed(name));
    }
    match serde_json::from_slice::<Named<'_>>(line) {
        Ok(named) => Ok(named.event),
        Err(error) if error.is_data() => Err(format!("is JSON without an \"Event\" name ({error})")),
        Err(error) => Err(format!("is not JSON ({error})")),
    }
}

/// What the log does not hold, of the things that matter.
fn missing(log: &AppLog) -> Vec<Missing> {
    let cached = log.stages.iter().flat_map(|stage| &stage.rdds).any(|rdd| rdd.storage.is_cached());
    let tells = |missing: Missing, lacking: bool| lacking.then_some(missing);
    [
        tells(Missing::SparkVersion, log.spark_version.is_empty()),
        tells(Missing::Application, log.start_ms.is_none()),
        tells(Missing::Environment, log.properties.is_empty()),
        tells(Missing::Tasks, log.tasks.is_empty()),
        tells(Missing::TaskMetrics, log.tasks.iter().any(|task| task.succeeded() && task.metrics.is_none())),
        tells(Missing::BlockUpdates, cached && log.block_updates.is_empty()),
        tells(Missing::ExecutorPeaks, log.peaks.is_empty()),
        tells(Missing::BlockManagers, log.executors.iter().all(|executor| executor.max_memory.is_none())),
    ]
    .into_iter()
    .flatten()
    .collect()
}
