//! INPUT: a scenario file, an event log, or the folder of a rolling log. What it is, the content decides. Both kinds
//! become a [`Scenario`], so that a log and the scenario written from it run alike.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::Told;
use super::console::{Console, tell_error};
use super::diagnostics::{self, Source};
use super::progress::Progress;
use crate::conf::SparkVersion;
use crate::conf::property::{Support, support};
use crate::eventlog::{
    AppLog, Codec, DirectoryLog, EventLogError, Honesty, Import, LogPart, ReadNotes, conditions, import,
    look_at_directory, observed, read_app_log,
};
use crate::memory::StorageLevel;
use crate::record::ObservedRun;
use crate::scenario::{
    self, ClusterSpec, ConfEntry, HostSpec, Scenario, Severity, SwapKind, UNKNOWN_HOST_MEMORY,
};

/// Bytes that are looked at to tell what a file is.
const HEAD_BYTES: usize = 4096;
/// What INPUT holds.
#[derive(Debug)]
pub(super) struct Application {
    /// INPUT, as typed.
    pub(super) input: String,
    /// What runs, where, under which configuration.
    pub(super) scenario: Scenario,
    /// The scenario's text; `None` for a log.
    pub(super) text: Option<String>,
    /// What a log did not tell; `None` for a scenario.
    pub(super) honesty: Option<Honesty>,
    /// How the run of a log ended; `None` for a scenario.
    pub(super) observed: Option<ObservedRun>,
}

impl Application {
    /// The scenario's text, for diagnostics.
    pub(super) fn source(&self) -> Option<Source<'_>> {
        self.text.as_deref().map(|text| Source { file: &self.input, text })
    }
}

/// Files on the way to an application.
enum Opened {
    Scenario(String),
    Log { parts: Vec<LogPart<'static>>, bytes: Progress },
}

/// Reads INPUT, whatever it is. What is wrong with a scenario has been told when this fails.
pub(super) fn open(path: &Path, console: Console) -> anyhow::Result<Application> {
    let input = path.display().to_string();
    match open_any(path, console)? {
        Opened::Scenario(text) => {
            let (parsed, diagnostics) = scenario::parse(&text, &input);
            diagnostics::show(Source { file: &input, text: &text }, &diagnostics, console);
            let Some(parsed) = parsed else {
                let errors = diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
                tell_error(&format!("{input}: {}", count(errors, "fault")));
                return Err(Told.into());
            };
            Ok(Application { input, scenario: parsed, text: Some(text), honesty: None, observed: None })
        }
        Opened::Log { parts, bytes } => application(path, &read_log(path, parts, &bytes, console)?),
    }
}

/// Reads a log that must be one.
pub(super) fn open_log(path: &Path, console: Console) -> anyhow::Result<Application> {
    match open_any(path, console)? {
        Opened::Scenario(_) => bail!("{}: is a scenario already; import takes an event log", path.display()),
        Opened::Log { parts, bytes } => application(path, &read_log(path, parts, &bytes, console)?),
    }
}

/// Reads the facts of a log that must be one.
pub(super) fn open_facts(path: &Path, console: Console) -> anyhow::Result<(AppLog, ReadNotes)> {
    match open_any(path, console)? {
        Opened::Scenario(_) => {
            bail!("{}: is a scenario, not the log of a run; validate takes event logs", path.display())
        }
        Opened::Log { parts, bytes } => read_log(path, parts, &bytes, console),
    }
}

/// Reads a scenario's text.
pub(super) fn open_scenario(path: &Path, console: Console) -> anyhow::Result<String> {
    match open_any(path, console)? {
        Opened::Scenario(text) => Ok(text),
        Opened::Log { .. } => bail!("{}: is an event log; check reads scenario files", path.display()),
    }
}

fn open_any(path: &Path, console: Console) -> anyhow::Result<Opened> {
    let name = path.display();
    let found = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => anyhow::anyhow!("{name}: no such file or folder"),
        _ => anyhow::Error::new(error).context(format!("{name}: cannot be opened")),
    })?;
    if found.is_dir() { open_folder(path, console) } else { open_file(path, found.len(), console) }
}

fn open_folder(path: &Path, console: Console) -> anyhow::Result<Opened> {
    let name = path.display().to_string();
    let unreadable = || format!("{name}: cannot be listed");
    let mut names = Vec::new();
    for entry in fs::read_dir(path).with_context(unreadable)? {
        // No log has a name that is not text.
        if let Ok(entry) = entry.with_context(unreadable)?.file_name().into_string() {
            names.push(entry);
        }
    }
    match look_at_directory(&name, &names)? {
        DirectoryLog::File(one) | DirectoryLog::Directory(one) => open_any(&path.join(one), console),
        DirectoryLog::Rolling(log) => {
            if !log.missing.is_empty() {
                let numbers: Vec<String> = log.missing.iter().map(u64::to_string).collect();
                console.warn(&format!(
                    "{name}: parts {} are missing; what they told is lost",
                    numbers.join(", ")
                ));
            }
            if log.compacted {
                console.warn(&format!("{name}: the log was compacted: events of finished jobs are gone"));
            }
            let paths: Vec<PathBuf> = log.parts.iter().map(|part| path.join(part)).collect();
            let mut bytes = 0;
            for part in &paths {
                bytes += fs::metadata(part)
                    .with_context(|| format!("{}: cannot be opened", part.display()))?
                    .len();
            }
            let progress = Progress::reading(bytes, console);
            let open = |part: PathBuf| {
                let name = part.display().to_string();
                LogPart::new(name, progress.watch(Later { path: part, file: None }))
            };
            let parts = paths.into_iter().map(open).collect();
            Ok(Opened::Log { parts, bytes: progress })
        }
    }
}

/// A file that is opened when it is first read: a rolling log may have more parts than a process may have open files.
struct Later {
    path: PathBuf,
    file: Option<File>,
}

impl Read for Later {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(&self.path)?),
        };
        let read = file.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            self.file = Some(File::open(&self.path)?);
        }
        Ok(read)
    }
}

fn open_file(path: &Path, bytes: u64, console: Console) -> anyhow::Result<Opened> {
    let name = path.display().to_string();
    let unreadable = || format!("{name}: cannot be read");
    let mut file = File::open(path).with_context(|| format!("{name}: cannot be opened"))?;
    let mut head = Vec::new();
    file.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head).with_context(unreadable)?;
    let toml = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml"));
    match (Codec::from_head(&head), kind_of(&head)) {
        // Blank text alone is an empty log, unless its name says otherwise.
        (Some(_), kind) if !(toml && kind != Kind::Json) => {
            let progress = Progress::reading(bytes, console);
            let reader = progress.watch(Cursor::new(head).chain(file));
            Ok(Opened::Log { parts: vec![LogPart::new(name, reader)], bytes: progress })
        }
        (_, Kind::Toml | Kind::Blank) => scenario_text(&name, head, file),
        (_, Kind::Other(_)) if toml => scenario_text(&name, head, file),
        (_, Kind::Other(what)) => {
            bail!("{name}: is neither a scenario (TOML) nor a Spark event log, but {what}")
        }
        (_, Kind::Json) => bail!("{name}: is JSON, not a scenario (TOML)"),
    }
}

fn scenario_text(name: &str, mut head: Vec<u8>, mut rest: File) -> anyhow::Result<Opened> {
    rest.read_to_end(&mut head).with_context(|| format!("{name}: cannot be read"))?;
    utf8(name, head, "a scenario is TOML, in UTF-8").map(Opened::Scenario)
}

/// Bytes as the text that they must be; `valid` says what the file `name` should hold.
pub(super) fn utf8(name: &str, bytes: Vec<u8>, valid: &str) -> anyhow::Result<String> {
    String::from_utf8(bytes).or_else(|error| {
        let sound = error.utf8_error().valid_up_to();
        let line = memchr::memchr_iter(b'\n', &error.as_bytes()[..sound]).count() + 1;
        bail!("{name}:{line}: byte {sound} is not UTF-8 text; {valid}")
    })
}

/// What the first bytes of a file look like.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Blank,
    Json,
    Toml,
    Other(String),
}

fn kind_of(head: &[u8]) -> Kind {
    let known: [(&[u8], &str); 6] = [
        (b"\x89PNG", "a PNG picture"),
        (b"\xff\xd8\xff", "a JPEG picture"),
        (b"%PDF", "a PDF document"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"PAR1", "a Parquet file"),
        (b"\x7fELF", "a program"),
    ];
    if let Some((_, what)) = known.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Kind::Other((*what).to_owned());
    }
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The head may end within a character.
        Err(error) if error.valid_up_to() + 4 > head.len() && head.len() == HEAD_BYTES => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => "",
    };
    if (text.is_empty() && !head.is_empty()) || text.contains('\0') {
        let bytes: Vec<String> = head.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        return Kind::Other(format!("bytes that begin with {}", bytes.join(" ")));
    }
    let text = text.trim_start_matches('\u{feff}');
    let lines = text.lines().map(str::trim_start);
    let Some(line) = lines.clone().find(|line| !line.is_empty() && !line.starts_with('#')) else {
        return if text.trim().is_empty() { Kind::Blank } else { Kind::Toml };
    };
    if line.starts_with('{') {
        return Kind::Json;
    }
    let key = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'' | ' ');
    let is_pair = line.split_once('=').is_some_and(|(left, _)| !left.is_empty() && left.chars().all(key));
    if line.starts_with('[') || is_pair {
        return Kind::Toml;
    }
    let shown: String = line.chars().take(40).collect();
    Kind::Other(format!("text that begins with {shown:?}"))
}

fn read_log(
    path: &Path,
    parts: Vec<LogPart<'static>>,
    progress: &Progress,
    console: Console,
) -> anyhow::Result<(AppLog, ReadNotes)> {
    let read = read_app_log(parts);
    progress.finish();
    let (log, notes) = read?;
    tell_notes(&path.display().to_string(), &notes, console);
    Ok((log, notes))
}

/// What the facts of a log come to.
pub(super) fn application(path: &Path, (log, notes): &(AppLog, ReadNotes)) -> anyhow::Result<Application> {
    let input = path.display().to_string();
    let imported = import(log, notes).map_err(|error| named(error, &input))?;
    let mut honesty = imported.honesty.clone();
    let scenario = to_scenario(imported, &mut honesty);
    let observed = Some(observed(log));
    Ok(Application { input, scenario, text: None, honesty: Some(honesty), observed })
}

/// The configuration of a log, whether or not anything can be learned from its tasks: properties and version, and the
/// storage level of each dataset.
pub(super) fn conditions_of(
    input: &str,
    log: &AppLog,
) -> anyhow::Result<(Vec<ConfEntry>, SparkVersion, Vec<StorageLevel>)> {
    let conditions = conditions(log).map_err(|error| named(error, input))?;
    let version = known_version(&log.spark_version, &mut Honesty::default());
    Ok((conf_entries(conditions.properties, version), version, conditions.storage_levels))
}

/// An error with the log it is about, where it does not say so itself.
fn named(error: EventLogError, input: &str) -> anyhow::Error {
    match error {
        EventLogError::NoTasks { .. } | EventLogError::Configuration { .. } => {
            anyhow::Error::new(error).context(input.to_owned())
        }
        other => other.into(),
    }
}

fn tell_notes(input: &str, notes: &ReadNotes, console: Console) {
    for file in &notes.files {
        if let Some(named) = file.named {
            console.warn(&format!("{}: the name says {named}, the content is {}", file.name, file.codec));
        }
    }
    for cut in &notes.truncated {
        console.warn(&cut.to_string());
    }
    if let Some(first) = notes.broken.first() {
        let others = if notes.broken.len() > 1 { " and others" } else { "" };
        console.warn(&format!(
            "{}: line {}{others} cannot be read and {} skipped: {}",
            first.file,
            first.line,
            if others.is_empty() { "is" } else { "are" },
            first.reason
        ));
    }
    if notes.in_progress && notes.truncated.is_empty() {
        console.warn(&format!("{input}: the application had not ended; only what it had done is simulated"));
    }
}

/// An imported log as a scenario. Whatever a run depends on goes through here, for a log as for the file written from it.
fn to_scenario(import: Import, honesty: &mut Honesty) -> Scenario {
    let version = known_version(&import.spark_version, honesty);
    let conf = conf_entries(import.properties, version);
    let rates = &import.workload.rates;
    let hosts: Vec<HostSpec> = import
        .hosts
        .iter()
        .map(|host| HostSpec {
            name: host.name.clone(),
            count: 1,
            cores: host.cores.max(1),
            memory_bytes: UNKNOWN_HOST_MEMORY,
            kernel_bytes: None,
            stolen_cores: 0.0,
            swap_bytes: 0,
            swap_device: SwapKind::Ssd,
            swap_latency_ns: None,
            swap_bytes_per_s: None,
            local_dir_in_memory: false,
            disk_bytes: None,
            disk_bytes_per_s: rates.disk_bytes_per_s,
            network_bytes_per_s: rates.network_bytes_per_s,
        })
        .collect();
    if !hosts.is_empty() {
        honesty.assumed.push("the machines have enough memory: a log does not tell how much".to_owned());
    }
    Scenario {
        name: import.workload.name.clone(),
        seed: 1,
        spark_version: Some(version.to_string()),
        conf,
        cluster: ClusterSpec { hosts, tenants: Vec::new() },
        workload: import.workload,
        variants: Vec::new(),
    }
}

/// The properties of a log that a run may depend on.
fn conf_entries(properties: BTreeMap<String, String>, version: SparkVersion) -> Vec<ConfEntry> {
    let modelled = |key: &str| support(key, version) != Support::Harmless;
    let entry = |(key, value): (String, String)| {
        // The launcher of a log's driver read a bare number as MiB; that of a scenario takes it for bytes (CONF-14).
        let bare = key == "spark.driver.memory" && value.trim().bytes().all(|byte| byte.is_ascii_digit());
        let value = if bare { format!("{}m", value.trim()) } else { value };
        ConfEntry { key, value, line: 0 }
    };
    properties.into_iter().filter(|(key, _)| modelled(key)).map(entry).collect()
}

/// The version of a log, or the one nearest to it that is modelled.
fn known_version(text: &str, honesty: &mut Honesty) -> SparkVersion {
    if let Ok(version) = SparkVersion::parse(text) {
        return version;
    }
    let mut numbers = text.split('.').map_while(|part| part.parse::<u16>().ok());
    let old = numbers.next().is_some_and(|major| (major, numbers.next().unwrap_or(0)) < (2, 4));
    let nearest = if old { SparkVersion::OLDEST } else { SparkVersion::NEWEST };
    let shown = if text.is_empty() { "an unknown version" } else { text };
    honesty.assumed.push(format!("the log is of Spark {shown}; the rules of {nearest} hold"));
    nearest
}

/// A number with its noun.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_their_first_bytes() {
        let cases: [(&[u8], Kind); 10] = [
            (b"", Kind::Blank),
            (b"  \n\n", Kind::Blank),
            (b"# a story\n\nname = \"x\"\n", Kind::Toml),
            (b"\xef\xbb\xbf[conf]\n", Kind::Toml),
            (b"\"spark.executor.memory\" = \"1g\"", Kind::Toml),
            (b"# only a comment\n", Kind::Toml),
            (b" {\"Event\":\"x\"}", Kind::Json),
            (b"hello world = not really?\n!", Kind::Toml),
            (b"hello, world\n", Kind::Other("text that begins with \"hello, world\"".to_owned())),
            (b"\x00\x01\xff", Kind::Other("bytes that begin with 00 01 ff".to_owned())),
        ];
        for (head, kind) in cases {
            assert_eq!(kind_of(head), kind, "{head:?}");
        }
    }

    #[test]
    fn a_head_that_ends_within_a_character_is_text() {
        let mut head = "a = \"".to_owned().into_bytes();
        while head.len() < HEAD_BYTES - 1 {
            head.push(b'x');
        }
        head.push(0xc3);
        assert_eq!(kind_of(&head), Kind::Toml);
    }

    #[test]
    fn versions_of_logs_that_are_not_modelled_fall_to_the_nearest() {
        for (text, version) in [("4.1.4", "4.1.4"), ("5.0.0", "4.1"), ("1.6.3", "2.4"), ("", "4.1")] {
            let mut honesty = Honesty::default();
            assert_eq!(known_version(text, &mut honesty).to_string(), version, "{text}");
            assert_eq!(honesty.assumed.is_empty(), text == version);
        }
    }
}
