//! `spillcast merge`: the shards of a study, or the runs that `--jsonl` wrote, as one study.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use clap::Args;

use super::console::Console;
use super::input::count;
use super::journal::Journal;
use super::study::{Folder, Identity, for_a_shell};
use super::sweep::answer;
use super::{Answer, pipe};
use crate::experiment::Shard;
use crate::report::sweep::row_from_json;

/// Missing points, and parts, that a message names.
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
        if part.is_dir() {
            from_folder(part, &mut folder)?;
        } else {
            from_lines(part, &mut folder, console)?;
        }
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
    match Journal::open_there(part)? {
        Some(from) => from.rows(|row| folder.take(&row)),
        None => Ok(()),
    }
}

fn same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn from_lines(part: &Path, folder: &mut Folder, console: Console) -> anyhow::Result<()> {
    let mut torn = |place: &str| {
        console.warn(&format!("{place}: is cut off, as by a process that died while it wrote; left out"));
    };
    for line in pipe::runs(part, &mut torn)? {
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

/// Refuses a study that lacks runs, and says which part they are of and what makes them.
fn complete(folder: &Folder, parts: &[PathBuf]) -> anyhow::Result<()> {
    let identity = &folder.identity;
    let mut of_point = folder.journal.runs.chunk_by(|a, b| a.point == b.point).peekable();
    let mut missing = Vec::new();
    for point in 0..identity.space.len() {
        let found = of_point.next_if(|runs| u64::from(runs[0].point) == point).unwrap_or_default();
        let unbroken = found.iter().zip(0..).take_while(|(run, at)| run.replication == *at);
        let walls: Vec<Option<f64>> =
            unbroken.map(|(run, _)| (!run.wall_ms.is_nan()).then_some(run.wall_ms)).collect();
        if !identity.replications.are_done(&walls, identity.confidence) {
            missing.push(point);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = missing.iter().take(NAMED).map(u64::to_string).collect();
    let more = if missing.len() > NAMED { ", ..." } else { "" };
    let mut text = format!(
        "runs are missing of {} among {} ({}{more}); what is there is kept in {}",
        count(missing.len(), "point"),
        identity.space.len(),
        named.join(", "),
        folder.path().display()
    );
    for line in repairs(folder, parts, &missing)? {
        text.push_str("\n  ");
        text.push_str(&line);
    }
    bail!(text)
}

/// What makes the missing runs: each shard's own command, or the whole study's, which goes on from what is there.
fn repairs(folder: &Folder, parts: &[PathBuf], missing: &[u64]) -> anyhow::Result<Vec<String>> {
    let mut shards: Vec<(Shard, &Path)> = Vec::new();
    for part in parts.iter().filter(|part| part.is_dir()) {
        let shard = Identity::read(part)?.and_then(|identity| identity.shard);
        shards.extend(shard.map(|shard| (shard, part.as_path())));
    }
    let command = &folder.identity.command;
    let of = shards.first().map(|(first, _)| first.of);
    let Some(of) = of.filter(|of| shards.len() == parts.len() && shards.iter().all(|s| s.0.of == *of)) else {
        let out = for_a_shell(&folder.path().to_string_lossy());
        return Ok(vec![format!("this makes what is missing: {command} --out {out}")]);
    };
    let mut lacking: Vec<u32> = missing.iter().map(|point| (point % u64::from(of)) as u32).collect();
    lacking.sort_unstable();
    lacking.dedup();
    let mut lines: Vec<String> = lacking
        .iter()
        .take(NAMED)
        .map(|index| {
            let shard = format!("{}/{of}", index + 1);
            match shards.iter().find(|(there, _)| there.index == *index) {
                Some((_, path)) => {
                    let out = for_a_shell(&path.to_string_lossy());
                    format!(
                        "shard {shard} in {} is not finished; this goes on: {command} --shard {shard} --out {out}",
                        path.display()
                    )
                }
                None => {
                    format!("shard {shard} is missing; this makes it: {command} --shard {shard} --out DIR")
                }
            }
        })
        .collect();
    if lacking.len() > NAMED {
        lines.push(format!("and {} more", count(lacking.len() - NAMED, "shard")));
    }
    Ok(lines)
}
