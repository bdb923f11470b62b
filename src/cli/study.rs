//! What identifies a study, and its folder: `study.json` says what is studied, the journal keeps the runs, and at the end
//! come `sweep.csv`, `sweep-summary.csv` and the pictures. A folder belongs to one study; the same command goes on in it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use serde_json::{Value, json};
use twox_hash::XxHash64;

use super::input::count;
use super::journal::{self, Journal};
use super::output::{self, Unfinished};
use crate::experiment::{Axis, Base, Overview, Replications, Shard, Space, Summariser};
use crate::record::study::{Spot, SweepRow};
use crate::report::sweep::Rows;
use crate::scenario;

/// Name of the file that says what is studied.
const IDENTITY: &str = "study.json";

/// What is studied: everything that decides a row, and nothing else.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Identity {
    /// Version of this program.
    pub(super) version: String,
    /// Checksums over version, application, configuration and seed, and over points and replications.
    pub(super) study: String,
    /// INPUT as typed, for people.
    pub(super) input: String,
    /// The command that makes the whole study, but for where it writes; for people.
    pub(super) command: String,
    /// The points.
    pub(super) space: Space,
    /// How often each.
    pub(super) replications: Replications,
    /// Confidence of intervals.
    pub(super) confidence: f64,
    /// Part of the points.
    pub(super) shard: Option<Shard>,
}

impl Identity {
    /// Identifies a study.
    pub(super) fn new(
        base: &Base,
        input: &str,
        space: &Space,
        replications: Replications,
        confidence: f64,
        shard: Option<Shard>,
    ) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let conf: Vec<(&str, &str)> = base.conf().iter().map(|(key, value, _)| (key, value)).collect();
        let runs = json!([
            version,
            scenario::render(base.scenario()),
            base.conf().version().to_string(),
            conf,
            base.seed(0),
        ]);
        let points = json!([space_to_json(space), replications_to_json(replications), confidence]);
        let checksum = |what: Value| format!("{:016x}", XxHash64::oneshot(0, what.to_string().as_bytes()));
        let study = format!("{}-{}", checksum(runs), checksum(points));
        Self {
            version,
            study,
            input: input.to_owned(),
            command: command_typed(std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned())),
            space: space.clone(),
            replications,
            confidence,
            shard,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "spillcast": self.version,
            "study": self.study,
            "input": self.input,
            "command": self.command,
            "space": space_to_json(&self.space),
            "replications": replications_to_json(self.replications),
            "confidence": self.confidence,
            "shard": self.shard.map(|shard| format!("{}/{}", shard.index + 1, shard.of)),
        })
    }

    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            version: text("spillcast")?,
            study: text("study")?,
            input: text("input")?,
            // For people to paste; a folder without it is as good.
            command: text("command").unwrap_or_else(|| "spillcast sweep … (as before)".to_owned()),
            space: space_from_json(value.get("space")?)?,
            replications: replications_from_json(value.get("replications")?)?,
            confidence: value.get("confidence")?.as_f64()?,
            shard: match value.get("shard")? {
                Value::String(text) => Some(parse_shard(text).ok()?),
                _ => None,
            },
        })
    }

    /// Whether a run stamped `study` comes of the same version, application, configuration and seed.
    pub(super) fn has_runs_of(&self, study: &str) -> bool {
        let runs = |study: &str| study.split('-').next().map(str::to_owned);
        runs(&self.study) == runs(study)
    }

    /// Reads the identity of a folder; `None` where it holds no study.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = folder.join(IDENTITY);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(error).with_context(|| format!("{}: cannot be read", path.display())),
        };
        let value: Value =
            serde_json::from_str(&text).with_context(|| format!("{}: is no JSON", path.display()))?;
        let found = Self::from_json(&value);
        found.map(Some).ok_or_else(|| anyhow!("{}: does not say what is studied", path.display()))
    }

    /// Why runs of `other` cannot stand beside those of this study, shards aside; `None` where they can.
    pub(super) fn differs_from(&self, other: &Self) -> Option<String> {
        if self.version != other.version {
            return Some(format!("it was made by spillcast {}, not {}", other.version, self.version));
        }
        if self.space != other.space {
            let (ours, theirs) = (self.space.keys().join(", "), other.space.keys().join(", "));
            return Some(if ours == theirs {
                format!("it has other values of {theirs}")
            } else {
                format!("it varies {theirs}, not {ours}")
            });
        }
        if self.replications != other.replications {
            return Some("it has other replications".to_owned());
        }
        (self.study != other.study).then(|| {
            format!("its application, configuration or seed differ (it was made from {})", other.input)
        })
    }
}

/// The command line less what says where a study goes and which part of it: whoever repeats it adds that again.
fn command_typed(args: impl Iterator<Item = String>) -> String {
    const WITH_VALUE: [&str; 4] = ["--out", "-o", "--shard", "--threads"];
    const ALONE: [&str; 4] = ["--jsonl", "--list-points", "--quiet", "-q"];
    let mut words = vec!["spillcast".to_owned()];
    let mut drop_next = false;
    for arg in args {
        let name = arg.split_once('=').map_or(arg.as_str(), |(name, _)| name);
        if std::mem::take(&mut drop_next) || ALONE.contains(&name) {
            continue;
        }
        if WITH_VALUE.contains(&name) {
            drop_next = name.len() == arg.len();
            continue;
        }
        words.push(for_a_shell(&arg));
    }
    words.join(" ")
}

/// A word as a shell takes it.
pub(super) fn for_a_shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Parses `3/16`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse_shard(text: &str) -> Result<Shard, String> {
    let wrong = || format!("'{text}' is no shard; valid: 1/16 to 16/16 for sixteen of them");
    let (index, of) = text.split_once('/').ok_or_else(wrong)?;
    let number = |text: &str| text.trim().parse::<u32>().map_err(|_| wrong());
    let (index, of) = (number(index)?, number(of)?);
    if index == 0 || index > of { Err(wrong()) } else { Ok(Shard { index: index - 1, of }) }
}

fn space_to_json(space: &Space) -> Value {
    match space.axes() {
        Some(axes) => {
            json!({ "axes": axes.iter().map(|axis| json!([axis.key, axis.values])).collect::<Vec<_>>() })
        }
        None => json!({
            "keys": space.keys(),
            "points": (0..space.len()).map(|point| json!(space.values(point))).collect::<Vec<_>>(),
        }),
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

fn space_from_json(value: &Value) -> Option<Space> {
    if let Some(axes) = value.get("axes") {
        let axis = |axis: &Value| {
            Some(Axis { key: axis.get(0)?.as_str()?.to_owned(), values: texts(axis.get(1)?)? })
        };
        return Space::product(axes.as_array()?.iter().map(axis).collect::<Option<_>>()?).ok();
    }
    let keys = texts(value.get("keys")?)?;
    let rows: Vec<Vec<String>> = value.get("points")?.as_array()?.iter().map(texts).collect::<Option<_>>()?;
    rows.iter().all(|row| row.len() == keys.len()).then(|| Space::listed(keys, rows))
}

fn replications_to_json(replications: Replications) -> Value {
    match replications {
        Replications::Fixed(count) => json!(count),
        Replications::Until { share, least, most } => {
            json!({ "precision": share, "least": least, "most": most })
        }
    }
}

fn replications_from_json(value: &Value) -> Option<Replications> {
    let whole = |value: &Value| u32::try_from(value.as_u64()?).ok();
    if value.is_number() {
        return whole(value).map(Replications::Fixed);
    }
    Some(Replications::Until {
        share: value.get("precision")?.as_f64()?,
        least: whole(value.get("least")?)?,
        most: whole(value.get("most")?)?,
    })
}

/// The folder of a study.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// What is studied.
    pub(super) identity: Identity,
    /// Its runs.
    pub(super) journal: Journal,
    /// Runs that are there, once parts are put together.
    taken: Option<BTreeSet<(u64, u32)>>,
    /// Goes away with the study.
    scratch: Option<tempfile::TempDir>,
}

impl Folder {
    /// A folder for a study of which nothing is kept but what is printed.
    pub(super) fn scratch(identity: Identity) -> anyhow::Result<Self> {
        let scratch = tempfile::tempdir().context("no folder for the runs")?;
        output::remove_when_interrupted(scratch.path());
        let mut folder = Self::open(&scratch.path().join("study"), identity)?;
        folder.scratch = Some(scratch);
        Ok(folder)
    }

    /// Opens the folder of a study, makes it where there is none, and refuses one that belongs to something else.
    pub(super) fn open(path: &Path, identity: Identity) -> anyhow::Result<Self> {
        let name = path.display();
        if path.is_file() {
            bail!("{name}: is a file; --out needs a folder");
        }
        match Identity::read(path)? {
            Some(found) => {
                if let Some(why) = identity.differs_from(&found) {
                    bail!("{name}: holds another study: {why}; choose another folder or remove this one");
                }
                if identity.shard != found.shard {
                    let shown = |shard: Option<Shard>| {
                        shard.map_or("the whole".to_owned(), |shard| {
                            format!("shard {}/{}", shard.index + 1, shard.of)
                        })
                    };
                    bail!(
                        "{name}: holds {} of this study, not {}; give each shard a folder",
                        shown(found.shard),
                        shown(identity.shard)
                    );
                }
            }
            None if path.join(journal::NAME).exists() || path.join("sweep.csv").exists() => {
                bail!("{name}: holds runs but no {IDENTITY}; choose another folder")
            }
            None => {
                fs::create_dir_all(path).with_context(|| format!("{name}: cannot write here"))?;
                let text = serde_json::to_vec_pretty(&identity.to_json()).context("a study as JSON")?;
                let files = Unfinished::folder(path, &[IDENTITY], false)?;
                files.write(IDENTITY, |out| io::Write::write_all(out, &text))?;
                files.publish()?;
            }
        }
        Ok(Self {
            path: path.to_owned(),
            identity,
            journal: Journal::open(path)?,
            taken: None,
            scratch: None,
        })
    }

    /// Writes the tables of a study whose runs are all there, then the pictures that `draw` makes of its points. Gives the
    /// overview and the points.
    pub(super) fn finish(
        &mut self,
        draw: impl FnOnce(&Overview, &[Spot]) -> Vec<(String, Vec<u8>)>,
    ) -> anyhow::Result<(Overview, Vec<Spot>)> {
        self.journal.sort();
        let overview = Overview::of(&self.journal.runs, self.identity.confidence);
        let files = Unfinished::folder(&self.path, &["sweep.csv", "sweep-summary.csv"], true)?;
        let mut spots = Vec::new();
        files.write("sweep.csv", |runs| {
            let tables = |points: &mut BufWriter<File>| self.tables(&overview, runs, points, &mut spots);
            files
                .write("sweep-summary.csv", |points| tables(points).map_err(io::Error::other))
                .map_err(io::Error::other)
        })?;
        for (name, bytes) in draw(&overview, &spots) {
            files.write(&name, |out| io::Write::write_all(out, &bytes))?;
        }
        files.publish()?;
        Ok((overview, spots))
    }

    /// Writes both tables in one pass over the journal.
    fn tables(
        &self,
        overview: &Overview,
        runs: impl io::Write,
        points: impl io::Write,
        spots: &mut Vec<Spot>,
    ) -> anyhow::Result<()> {
        let space = &self.identity.space;
        let mut runs = Rows::runs(space.keys(), runs)?;
        let mut points = Rows::points(space.keys(), points)?;
        let mut summariser = Summariser::new(self.identity.confidence);
        let mut close = |rows: &mut Vec<SweepRow>| -> io::Result<()> {
            if let Some(first) = rows.first() {
                let point = summariser.point(rows, overview.p(first.point));
                points.point(&point, &space.values(point.point))?;
                spots.push(Spot::from(&point));
                rows.clear();
            }
            Ok(())
        };
        let mut of_point: Vec<SweepRow> = Vec::new();
        self.journal.rows(|row| {
            if of_point.first().is_some_and(|first| first.point != row.point) {
                close(&mut of_point)?;
            }
            runs.run(&row, &space.values(row.point))?;
            of_point.push(row);
            Ok(())
        })?;
        close(&mut of_point)?;
        points.finish()?;
        Ok(runs.finish()?)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a run of another part, once.
    pub(super) fn take(&mut self, row: &SweepRow) -> anyhow::Result<()> {
        if row.point >= self.identity.space.len() {
            bail!("point {} is none of this study, which has {}", row.point, self.identity.space.len());
        }
        let runs = &self.journal.runs;
        let there = || runs.iter().map(|run| (u64::from(run.point), run.replication)).collect();
        if self.taken.get_or_insert_with(there).insert((row.point, row.replication)) {
            self.journal.add(row)?;
        }
        Ok(())
    }

    /// It stays when the study is done.
    pub(super) fn is_kept(&self) -> bool {
        self.scratch.is_none()
    }

    /// What is in the folder, for people.
    pub(super) fn told(&self) -> String {
        let runs = count(self.journal.runs.len(), "run");
        match self.scratch {
            Some(_) => format!("{runs}, not kept; --out DIR keeps tables and pictures"),
            None => format!("{runs} in {}", self.path.display()),
        }
    }

    /// What Ctrl-C leaves.
    pub(super) fn kept(&self) -> String {
        if self.scratch.is_some() {
            return "nothing was kept; with --out DIR the same command goes on where it was stopped"
                .to_owned();
        }
        format!("what was done is kept in {}, and the same command goes on from there", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_counted_from_one() {
        assert_eq!(parse_shard("3/16"), Ok(Shard { index: 2, of: 16 }));
        for text in ["0/4", "5/4", "x", "1", "1/0", "-1/3"] {
            assert!(parse_shard(text).is_err_and(|error| error.contains("is no shard")), "{text}");
        }
    }

    #[test]
    fn a_command_is_told_without_its_place_and_part() {
        let typed =
            "sweep a.toml --vary k=1,2 --out x --shard=3/16 --conf spark.master=local[2] -q --threads 2";
        let told = command_typed(typed.split(' ').map(str::to_owned));
        assert_eq!(told, "spillcast sweep a.toml --vary k=1,2 --conf 'spark.master=local[2]'");
        assert_eq!([for_a_shell("it's"), for_a_shell("")], ["'it'\\''s'", "''"]);
    }

    #[test]
    fn an_identity_survives_its_file() {
        let axis =
            Axis { key: "spark.executor.memory".to_owned(), values: vec!["1g".to_owned(), "2g".to_owned()] };
        let spaces = [
            Space::product(vec![axis]).expect("one axis"),
            Space::listed(vec!["a".to_owned()], vec![vec!["1".to_owned()], vec![String::new()]]),
        ];
        let replications = [Replications::Fixed(5), Replications::Until { share: 0.05, least: 5, most: 100 }];
        for (space, replications) in spaces.into_iter().zip(replications) {
            let identity = Identity {
                version: "0.1.0".to_owned(),
                study: "abc".to_owned(),
                input: "x.toml".to_owned(),
                command: "spillcast sweep x.toml".to_owned(),
                space,
                replications,
                confidence: 0.95,
                shard: Some(Shard { index: 0, of: 2 }),
            };
            assert_eq!(Identity::from_json(&identity.to_json()), Some(identity.clone()));
            assert_eq!(identity.differs_from(&identity), None);
            let newer = Identity { version: "0.2.0".to_owned(), ..identity.clone() };
            assert!(identity.differs_from(&newer).is_some_and(|why| why.contains("0.2.0")));
        }
    }
}
