//! Which files make up a log. A single-file log is one part; a rolling log (LOG-3, the default since Spark 4.0) is a
//! directory of numbered parts. Only names are looked at here: the caller lists the directory and opens the files.
//!
//! Follows `EventLogFileWriters` and `EventLogFileReaders` of Spark 4.1.

use std::io::Read;

use super::error::EventLogError;

/// One file of a log, opened.
pub struct LogPart<'a> {
    /// Name for messages, and a hint of the codec.
    pub name: String,
    /// The file's bytes as they are on disk.
    pub reader: Box<dyn Read + 'a>,
}

impl<'a> LogPart<'a> {
    /// Names a reader.
    pub fn new(name: impl Into<String>, reader: impl Read + 'a) -> Self {
        Self { name: name.into(), reader: Box::new(reader) }
    }
}

/// What a directory turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryLog {
    /// It is a rolling log: its parts.
    Rolling(RollingLog),
    /// It holds exactly one log file of this name.
    File(String),
    /// It holds exactly one rolling log, the directory of this name.
    Directory(String),
}

/// The parts of a rolling log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RollingLog {
    /// File names in reading order.
    pub parts: Vec<String>,
    /// The marker file says that the application had not ended.
    pub in_progress: bool,
    /// The first part is a compacted one: events of finished jobs were dropped by the History Server.
    pub compacted: bool,
    /// Numbers of parts that should be there and are not.
    pub missing: Vec<u64>,
}

/// Decides what the directory called `directory` holds, given the names in it.
///
/// Dot files and `.crc` files are ignored, as are Hadoop's `_SUCCESS` and similar.
///
/// # Errors
///
/// When it holds no log, or several.
pub fn look_at_directory(directory: &str, names: &[impl AsRef<str>]) -> Result<DirectoryLog, EventLogError> {
    let mut names: Vec<&str> = names.iter().map(AsRef::as_ref).filter(|name| !is_side_file(name)).collect();
    names.sort_unstable();
    if names.iter().any(|name| parse_part(name).is_some()) {
        return rolling_log(directory, &names).map(DirectoryLog::Rolling);
    }
    // A finished log beside its own in-progress file is the same log, written out at last.
    let finished = |name: &str| name.strip_suffix(".inprogress").is_some_and(|stem| names.contains(&stem));
    let logs: Vec<&str> = names.iter().copied().filter(|name| is_log_name(name) && !finished(name)).collect();
    // A renamed log is recognised only when nothing else could be meant.
    let logs = if logs.is_empty() && names.len() == 1 && !names[0].starts_with("appstatus_") {
        names.clone()
    } else {
        logs
    };
    match logs[..] {
        [] => {
            let found = match names[..] {
                [] => "an empty directory".to_owned(),
                [name] if name.starts_with("appstatus_") => {
                    format!("only {name}: the application wrote no event")
                }
                [name] => name.to_owned(),
                [first, ..] => format!("{} other files such as {first}", names.len()),
            };
            Err(EventLogError::NoLogInDirectory { directory: directory.to_owned(), found })
        }
        [name] if name.starts_with(ROLLING_PREFIX) => Ok(DirectoryLog::Directory(name.to_owned())),
        [name] => Ok(DirectoryLog::File(name.to_owned())),
        _ => Err(EventLogError::SeveralLogs {
            directory: directory.to_owned(),
            names: logs.iter().map(|name| (*name).to_owned()).collect(),
        }),
    }
}

/// Start of a rolling log's directory name.
const ROLLING_PREFIX: &str = "eventlog_v2_";

/// A rolling part's name, taken apart: `events_N_APPID[_ATTEMPT][.CODEC][.compact]`.
#[derive(Clone, Copy, Debug)]
struct PartName<'a> {
    name: &'a str,
    number: u64,
    application: &'a str,
    compact: bool,
}

fn parse_part(name: &str) -> Option<PartName<'_>> {
    let (number, rest) = name.strip_prefix("events_")?.split_once('_')?;
    let number = number.parse().ok()?;
    let (rest, compact) = match rest.strip_suffix(".compact") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let application = rest.split_once('.').map_or(rest, |(application, _)| application);
    Some(PartName { name, number, application, compact })
}

/// Orders the parts. The highest compacted part replaces all with a number up to its own.
fn rolling_log(directory: &str, names: &[&str]) -> Result<RollingLog, EventLogError> {
    let mut parts: Vec<PartName<'_>> = names.iter().filter_map(|name| parse_part(name)).collect();
    let mut applications: Vec<String> = parts.iter().map(|part| part.application.to_owned()).collect();
    applications.sort_unstable();
    applications.dedup();
    if applications.len() > 1 {
        return Err(EventLogError::SeveralLogs { directory: directory.to_owned(), names: applications });
    }
    parts.sort_unstable_by_key(|part| (part.number, part.compact, part.name));
    let compact = parts.iter().rposition(|part| part.compact);
    if let Some(compact) = compact {
        parts.drain(..compact);
    }
    let first = if compact.is_some() { parts[0].number } else { 1 };
    let last = parts.last().map_or(0, |part| part.number);
    // A gap is listed up to a hundred numbers, enough to say what is wrong.
    let missing =
        (first..=last).filter(|number| parts.iter().all(|part| part.number != *number)).take(100).collect();
    let in_progress =
        names.iter().any(|name| name.starts_with("appstatus_") && name.ends_with(".inprogress"));
    Ok(RollingLog {
        parts: parts.iter().map(|part| part.name.to_owned()).collect(),
        in_progress,
        compacted: compact.is_some(),
        missing,
    })
}

/// Checksum files, hidden files and Hadoop's marker files.
fn is_side_file(name: &str) -> bool {
    let suffix = name.rsplit_once('.').map(|(_, suffix)| suffix);
    name.starts_with('.') || name.starts_with("_SUCCESS") || matches!(suffix, Some("crc" | "tmp"))
}

/// Application ids as the cluster managers form them; each is the start of a log's name.
fn is_log_name(name: &str) -> bool {
    let numbered = |prefix: &str| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_alphanumeric()))
    };
    ["local-", "app-", "application_", "spark-", "spark-application-", ROLLING_PREFIX]
        .into_iter()
        .any(numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rolling(names: &[&str]) -> RollingLog {
        match look_at_directory("dir", names).unwrap() {
            DirectoryLog::Rolling(log) => log,
            other => panic!("not rolling: {other:?}"),
        }
    }

    fn error(names: &[&str]) -> String {
        look_at_directory("dir", names).unwrap_err().to_string()
    }

    #[test]
    fn parts_are_read_in_numeric_order() {
        let log = rolling(&[
            "events_10_app-1.zstd",
            "appstatus_app-1.inprogress",
            "events_2_app-1.zstd",
            ".events_2_app-1.zstd.crc",
            "events_1_app-1.zstd",
        ]);
        assert_eq!(log.parts, ["events_1_app-1.zstd", "events_2_app-1.zstd", "events_10_app-1.zstd"]);
        assert!(log.in_progress && !log.compacted);
        assert_eq!(log.missing, [3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn highest_compact_part_replaces_all_before() {
        let names = [
            "events_2_a.compact",
            "events_3_a",
            "events_4_a",
            "events_4_a.compact",
            "events_5_a",
            "appstatus_a",
        ];
        let log = rolling(&names);
        assert_eq!(log.parts, ["events_4_a.compact", "events_5_a"]);
        assert!(log.compacted && !log.in_progress);
        assert!(log.missing.is_empty());
    }

    #[test]
    fn a_directory_with_one_log_stands_for_it() {
        let cases: [(&[&str], DirectoryLog); 4] = [
            (&["local-1.zstd", ".local-1.zstd.crc"], DirectoryLog::File("local-1.zstd".to_owned())),
            (&["eventlog_v2_app-1"], DirectoryLog::Directory("eventlog_v2_app-1".to_owned())),
            (&["my log.json"], DirectoryLog::File("my log.json".to_owned())),
            (&["app-1", "app-1.inprogress", "README"], DirectoryLog::File("app-1".to_owned())),
        ];
        for (names, log) in cases {
            assert_eq!(look_at_directory("dir", names).unwrap(), log);
        }
    }

    #[test]
    fn what_is_no_log_is_said() {
        let expected =
            "dir: no event log here: expected events_N_APPID files (a rolling log) or one log file, found ";
        assert_eq!(error(&[]), format!("{expected}an empty directory"));
        assert_eq!(
            error(&["appstatus_app-1"]),
            format!("{expected}only appstatus_app-1: the application wrote no event")
        );
        assert_eq!(error(&["a.csv", "b.csv"]), format!("{expected}2 other files such as a.csv"));
        assert_eq!(
            error(&["app-2", "app-1.lz4"]),
            "dir: 2 event logs here, name one of them: app-1.lz4, app-2"
        );
        let many = ["app-1", "app-2", "app-3", "app-4", "app-5", "app-6"];
        assert_eq!(
            error(&many),
            "dir: 6 event logs here, name one of them: app-1, app-2, app-3, app-4, app-5, ..."
        );
        assert_eq!(error(&["events_1_a", "events_1_b"]), "dir: 2 event logs here, name one of them: a, b");
    }
}
