//! The logs to be validated: which files a folder holds, what each says, and which of them run the same application.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::cli::console::Console;
use crate::cli::input::{self, Application};
use crate::cli::sureness::{self, Replay};
use crate::conf::SparkVersion;
use crate::conf::property::STORAGE_LEVEL_PREFIX;
use crate::eventlog::{EventLogError, Fingerprint, fingerprint, look_at_directory, observed};
use crate::memory::StorageLevel;
use crate::record::ObservedRun;
use crate::scenario::ConfEntry;

/// A log as base and as target of predictions.
#[derive(Debug)]
pub(super) struct Logged {
    /// What to call it.
    pub(super) name: String,
    /// What it runs; the words why nothing can be learned from it otherwise.
    pub(super) application: Result<Application, String>,
    /// What its run really did.
    pub(super) observed: ObservedRun,
    /// How far its replay is from it.
    pub(super) replay: Option<Replay>,
    /// What tells its application from others.
    pub(super) fingerprint: Fingerprint,
    /// The configuration that it ran under.
    pub(super) conf: Vec<ConfEntry>,
    /// The version of Spark whose rules hold.
    pub(super) version: SparkVersion,
    /// Storage levels of its datasets, in the order of their ids.
    levels: Vec<StorageLevel>,
}

impl Logged {
    /// The knobs that put the datasets of `application` under the storage levels of this log. The storage level is written
    /// in the application's code, yet changes as a setting does.
    pub(super) fn levels_for(&self, application: &Application) -> Vec<(String, String)> {
        let datasets = &application.scenario.workload.datasets;
        // Datasets keep their order though not their ids; levels that cannot be told apart stay as they were.
        if datasets.len() != self.levels.len() {
            return Vec::new();
        }
        let changed = datasets.iter().zip(&self.levels).filter(|(dataset, level)| dataset.level != **level);
        changed
            .filter_map(|(dataset, level)| {
                Some((format!("{STORAGE_LEVEL_PREFIX}{}", dataset.name), level.name()?.to_owned()))
            })
            .collect()
    }
}

/// Reads one log.
pub(super) fn open(path: &Path, console: Console) -> anyhow::Result<Logged> {
    read(path, path.display().to_string(), console)
}

fn read(path: &Path, name: String, console: Console) -> anyhow::Result<Logged> {
    let facts = input::open_facts(path, console)?;
    let (conf, version, levels) = input::conditions_of(&name, &facts.0)?;
    let application = input::application(path, &facts).map_err(|error| format!("{error:#}"));
    Ok(Logged {
        replay: application.as_ref().ok().and_then(sureness::replay),
        application,
        observed: observed(&facts.0),
        fingerprint: fingerprint(&facts.0),
        name,
        conf,
        version,
        levels,
    })
}

/// Reads all logs; true when a folder of several logs was among the paths.
pub(super) fn open_all(paths: &[PathBuf], console: Console) -> anyhow::Result<(Vec<Logged>, bool)> {
    let mut logs = Vec::new();
    let mut folder = false;
    for path in paths {
        let found = if path.is_dir() { logs_in(path)? } else { Vec::new() };
        if found.is_empty() {
            logs.push(open(path, console)?);
            continue;
        }
        folder = true;
        for (file, name) in found {
            match read(&file, name, console) {
                Ok(log) => logs.push(log),
                // One bad file among many is told and left out.
                Err(error) => console.warn(&format!("left out: {error:#}")),
            }
        }
    }
    if logs.is_empty() {
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        bail!("{}: holds no event log that can be read", names.join(", "));
    }
    Ok((logs, folder))
}

/// The logs of a folder of logs with their names, sorted; empty when the folder is itself one log (or none).
fn logs_in(folder: &Path) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let names = names_in(folder)?;
    let mut found: Vec<(PathBuf, String)> = Vec::new();
    match look_at_directory(&folder.display().to_string(), &names) {
        Ok(_) => return Ok(Vec::new()),
        Err(EventLogError::SeveralLogs { names, .. }) => {
            found.extend(names.into_iter().map(|name| (folder.join(&name), name)));
        }
        Err(_) => {}
    }
    for name in names {
        let inner = folder.join(&name);
        if !inner.is_dir() || found.iter().any(|(path, _)| *path == inner) {
            continue;
        }
        match look_at_directory(&name, &names_in(&inner)?) {
            Ok(_) => found.push((inner, name)),
            Err(EventLogError::SeveralLogs { names, .. }) => {
                found.extend(names.into_iter().map(|log| (inner.join(&log), format!("{name}/{log}"))));
            }
            Err(_) => {}
        }
    }
    found.sort();
    Ok(found)
}

fn names_in(folder: &Path) -> anyhow::Result<Vec<String>> {
    let unreadable = || format!("{}: cannot be listed", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        // No log has a name that is not text.
        if let Ok(name) = entry.with_context(unreadable)?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Logs of the same application, by position; an application with one log has nothing to be predicted from.
pub(super) fn applications(logs: &[Logged]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (at, log) in logs.iter().enumerate() {
        let fits = |group: &&mut Vec<usize>| {
            group.iter().all(|&other| log.fingerprint.differs_from(&logs[other].fingerprint).is_none())
        };
        match groups.iter_mut().find(fits) {
            Some(group) => group.push(at),
            None => groups.push(vec![at]),
        }
    }
    groups.retain(|group| group.len() > 1);
    groups
}
