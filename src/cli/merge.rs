//! `spillcast merge`: the shards of a study, or the runs that `--jsonl` wrote, as one study.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use clap::Args;

use super::console::Console;
use super::input::count;
use super::journal::Journal;
use super::study::{Folder, Identity};
use super::sweep::answer;
use super::{Answer, pipe};
use crate::experiment::{Replications, Shard};
use crate::report::sweep::row_from_json;

/// Missing runs that a message names.
const NAMED: usize = 5;

/// `merge`.
#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// Folders of shards, or files of runs that `sweep --jsonl` wrote; `-` is standard input.
    #[arg(value_name = "PART", required = true)]
    parts: Vec<PathBuf>,
    /// Folder of the whole study.
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    out: PathBuf,
    /// Print the answer as one JSON object instead of text.
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &MergeArgs, console: Console) -> anyhow::Result<Answer> {
    let mut identity: Option<(Identity, &Path)> = None;
    for part in &args.parts {
        let name = part.display();
        let found = if part.is_dir() { Identity::read(part)? } else { in_lines(part)? };
        let found = found.ok_or_else(|| anyhow!("{name}: holds no study; valid: a folder that sweep --out made, or a file of runs whose first line says what is studied"))?;
        match &identity {
            Some((first, place)) => {
                if let Some(why) = first.differs_from(&found) {
                    bail!("{name}: is a part of another study than {}: {why}", place.display());
                }
            }
            None => identity = Some((Identity { shard: None, ..found }, part)),
        }
    }
    let Some((identity, _)) = identity else { bail!("there is no part to merge") };
    let mut folder = Folder::open(&args.out, identity)?;
    for part in &args.parts {
        if part.is_dir() { from_folder(part, &mut folder)? } else { from_lines(part, &mut folder)? }
    }
    folder.journal.sort();
    complete(&folder, &args.parts)?;
    answer(None, folder, &[], args.json, console)
}

/// The first line that says what is studied.
fn in_lines(path: &Path) -> anyhow::Result<Option<Identity>> {
    if path.as_os_str() == "-" {
        bail!("-: what is studied is looked for before the runs are; write them to a file first");
    }
    for line in pipe::lines(path)? {
        let (_, map) = line?;
        if map.contains_key("space") {
            return Ok(Identity::from_json(&map.into()));
        }
    }
    Ok(None)
}

fn from_folder(part: &Path, folder: &mut Folder) -> anyhow::Result<()> {
    if same(part, folder.path()) {
        bail!(
            "{}: is both a part and the place of the whole; give --out a folder of its own",
            part.display()
        );
    }
    let from = Journal::open_there(part)?;
    from.rows(|row| folder.take(&row))
}

fn same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn from_lines(part: &Path, folder: &mut Folder) -> anyhow::Result<()> {
    for line in pipe::lines(part)? {
        let (number, map) = line?;
        if map.contains_key("space") {
            continue;
        }
        let place = format!("{}:{number}", part.display());
        if map.get("study").and_then(|study| study.as_str()) != Some(&folder.identity.study) {
            bail!("{place}: is no run of study {}", folder.identity.study);
        }
        let row = row_from_json(&map).map_err(|why| anyhow!("{place}: is no run: {why}"))?;
        folder.take(&row)?;
    }
    Ok(())
}

/// Refuses a study that lacks runs, and says which.
fn complete(folder: &Folder, parts: &[PathBuf]) -> anyhow::Result<()> {
    let identity = &folder.identity;
    let runs = &folder.journal.runs;
    let mut missing = Vec::new();
    let mut of_point = runs.chunk_by(|a, b| a.point == b.point).peekable();
    for point in 0..identity.space.len() {
        let found = of_point.next_if(|runs| u64::from(runs[0].point) == point).unwrap_or_default();
        let there = |r: &u32| found.binary_search_by_key(r, |run| run.replication).is_ok();
        let lacks = match identity.replications {
            Replications::Fixed(wanted) => (0..wanted).any(|r| !there(&r)),
            Replications::Until { .. } => found.is_empty() || (0..found.len() as u32).any(|r| !there(&r)),
        };
        if lacks {
            missing.push(point);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = missing.iter().take(NAMED).map(u64::to_string).collect();
    let more = if missing.len() > NAMED { ", ..." } else { "" };
    let mut shards: Vec<Shard> = Vec::new();
    for part in parts.iter().filter(|part| part.is_dir()) {
        shards.extend(Identity::read(part)?.and_then(|identity| identity.shard));
    }
    let lacking = shards.first().map_or(Vec::new(), |first| {
        let there = |index: &u32| shards.iter().any(|shard| shard.index == *index);
        (0..first.of)
            .filter(|index| !there(index))
            .map(|index| format!("{}/{}", index + 1, first.of))
            .collect()
    });
    let hint = if lacking.is_empty() {
        "run the same sweep of the unfinished part again".to_owned()
    } else {
        format!("shards {} are missing", lacking.join(", "))
    };
    bail!(
        "{} of {} lack runs ({}{more}): {hint}; what is there is kept in {}",
        count(missing.len(), "point"),
        identity.space.len(),
        named.join(", "),
        folder.path().display()
    )
}
