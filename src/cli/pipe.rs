//! Points in and runs out as lines of JSON, so that something else spreads a study over machines: Spark's `RDD.pipe`, xargs,
//! a queue. Lines that `--list-points` wrote carry which study they belong to, and so do the runs made of them; `merge` puts
//! these together.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use serde_json::{Map, Value, json};

use super::study::Identity;
use crate::experiment::{Base, Replications, Space, Stopped, Study};
use crate::record::study::SweepRow;
use crate::report::sweep::row_to_json;

/// The largest number of a replication, which has one after it.
const REPLICATION_MAX: u64 = u32::MAX as u64 - 1;

fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead + Send>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path).with_context(|| format!("{}: cannot be opened", path.display()))?;
    Ok(Box::new(BufReader::new(file)))
}

/// A line that holds a JSON object, with its number.
type Line = anyhow::Result<(usize, Map<String, Value>)>;

/// The lines of a file of points, with their numbers; blank ones are left out.
pub(super) fn lines(path: &Path) -> anyhow::Result<impl Iterator<Item = Line> + use<>> {
    lines_and_torn(path, None)
}

/// The lines of a file of runs. Whoever wrote it may have died within the last line: that one is handed to `torn`.
pub(super) fn runs<'t>(
    path: &Path,
    torn: &'t mut dyn FnMut(&str),
) -> anyhow::Result<impl Iterator<Item = Line> + use<'t>> {
    lines_and_torn(path, Some(torn))
}

fn lines_and_torn<'t>(
    path: &Path,
    mut torn: Option<&'t mut dyn FnMut(&str)>,
) -> anyhow::Result<impl Iterator<Item = Line> + use<'t>> {
    let name = path.display().to_string();
    let mut reader = open(path)?;
    let mut number = 0;
    Ok(std::iter::from_fn(move || {
        loop {
            let mut line = String::new();
            number += 1;
            let place = format!("{name}:{number}");
            match reader.read_line(&mut line).with_context(|| format!("{place}: cannot be read")) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
            // As editors of Windows begin a file.
            let line = line.trim_start_matches('\u{feff}');
            if line.trim().is_empty() {
                continue;
            }
            return Some(match (serde_json::from_str(line.trim_end()), &mut torn) {
                (Ok(Value::Object(map)), _) => Ok((number, map)),
                (Ok(_), _) => {
                    Err(anyhow!("{place}: is no JSON object; valid: {{\"spark.executor.memory\": \"2g\"}}"))
                }
                (Err(_), Some(torn)) if !line.ends_with('\n') => {
                    torn(&place);
                    continue;
                }
                (Err(error), _) => Err(anyhow!("{place}: is no JSON: {error}")),
            });
        }
    }))
}

/// The values of a point as a configuration takes them.
fn conf_of(map: &Map<String, Value>, place: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let each = map.iter().map(|(key, value)| match value {
        Value::String(text) => Ok((key.clone(), text.clone())),
        Value::Number(_) | Value::Bool(_) => Ok((key.clone(), value.to_string())),
        _ => Err(anyhow!("{place}: {key} is {value}; valid: a text, a number, true or false")),
    });
    each.collect()
}

/// Reads a list of points for a study of its own, with the place of each for messages.
pub(super) fn read_space(path: &Path) -> anyhow::Result<(Space, Vec<String>)> {
    let (mut points, mut places) = (Vec::new(), Vec::new());
    let mut keys: Vec<String> = Vec::new();
    for line in lines(path)? {
        let (number, map) = line?;
        let place = format!("{}:{number}", path.display());
        if map.contains_key("space") || map.contains_key("replication") {
            bail!("{place}: is of a list of runs, as --list-points writes it; --jsonl makes them");
        }
        let inner = match map.get("conf") {
            Some(Value::Object(conf)) => conf,
            _ => &map,
        };
        let conf = conf_of(inner, &place)?;
        for key in conf.keys().filter(|key| !keys.contains(key)).cloned().collect::<Vec<_>>() {
            keys.push(key);
        }
        points.push(conf);
        places.push(place);
    }
    let row = |conf: &BTreeMap<String, String>| {
        keys.iter().map(|key| conf.get(key).cloned().unwrap_or_default()).collect()
    };
    let rows = points.iter().map(row).collect();
    Ok((Space::listed(keys, rows), places))
}

/// Which study a line belongs to.
fn stamp(identity: &Identity) -> Value {
    json!(identity.study)
}

/// Writes what is studied, as the first line; whoever passes lines on passes it on too.
fn head(identity: &Identity) -> anyhow::Result<()> {
    writeln!(io::stdout().lock(), "{}", identity.to_json()).context("cannot write to standard output")
}

/// Writes the runs that a study would make.
pub(super) fn list(study: &Study, identity: &Identity) -> anyhow::Result<()> {
    let Replications::Fixed(replications) = study.replications else {
        bail!(
            "--list-points: how many runs --precision needs is known only after some of them; give --replications"
        );
    };
    head(identity)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    for point in study.points() {
        let values = study.space.values(point);
        let conf: Map<String, Value> =
            study.space.keys().iter().cloned().zip(values.into_iter().map(Value::from)).collect();
        for replication in 0..replications {
            let line = json!({ "study": stamp(identity), "point": point, "replication": replication, "of": replications, "conf": conf });
            writeln!(out, "{line}").context("cannot write to standard output")?;
        }
    }
    out.flush().context("cannot write to standard output")
}

fn line_of(row: &SweepRow, conf: Map<String, Value>, study: &Value) -> String {
    let mut map = row_to_json(row);
    map.insert("conf".to_owned(), Value::Object(conf));
    if !study.is_null() {
        map.insert("study".to_owned(), study.clone());
    }
    Value::Object(map).to_string()
}

/// Runs a study and writes its runs as they come, in any order.
pub(super) fn stream(study: &Study, identity: &Identity) -> anyhow::Result<()> {
    head(identity)?;
    let stamp = stamp(identity);
    let keys = study.space.keys();
    let sink = |row: SweepRow| -> anyhow::Result<()> {
        let values = study.space.values(row.point);
        let conf = keys.iter().cloned().zip(values.into_iter().map(Value::from)).collect();
        let mut out = io::stdout().lock();
        writeln!(out, "{}", line_of(&row, conf, &stamp)).context("cannot write to standard output")
    };
    match study.run(&|_, _| None, sink, |_| {}) {
        Ok(()) => Ok(()),
        Err(Stopped::Sink(error)) => Err(error),
        Err(Stopped::Faulty(why) | Stopped::Broken(why)) => bail!(why),
    }
}

/// Runs the points of `path` one after the other and writes each as it is done. A line of a study is that one run; another
/// line is a configuration, run `replications` times.
pub(super) fn run(mut base: Base, input: &str, path: &Path, replications: u32) -> anyhow::Result<()> {
    let nothing = Space::listed(Vec::new(), Vec::new());
    let own = Identity::new(&base, input, &nothing, Replications::Fixed(replications), 0.95, None);
    let mut number_of_point = 0;
    for line in lines(path)? {
        let (number, map) = line?;
        let place = format!("{}:{number}", path.display());
        if let Some(study) = map.get("study").and_then(Value::as_str).filter(|study| !own.has_runs_of(study))
        {
            bail!(
                "{place}: is a run of study {study}, which has another version, application, configuration or seed than \
                 {input} here ({})",
                own.study
            );
        }
        if map.contains_key("space") {
            // What is studied: whoever gathers the runs wants to know.
            writeln!(io::stdout().lock(), "{}", Value::Object(map))
                .context("cannot write to standard output")?;
            continue;
        }
        let whole = |key: &str, most: u64| match map.get(key) {
            None => Ok(None),
            Some(value) => match value.as_u64().filter(|number| *number <= most) {
                Some(number) => Ok(Some(number)),
                None => Err(anyhow!("{place}: {key} is {value}; valid: a whole number from 0 to {most}")),
            },
        };
        let replication_of =
            |key: &str| Ok::<_, anyhow::Error>(whole(key, REPLICATION_MAX)?.map(|n| n as u32));
        let (conf, study) = match map.get("conf") {
            Some(Value::Object(conf)) => (conf, map.get("study").cloned().unwrap_or(Value::Null)),
            _ => (&map, Value::Null),
        };
        let values = conf_of(conf, &place)?;
        let keys: Vec<String> = values.keys().cloned().collect();
        for key in &keys {
            base.check_key(key).map_err(|why| anyhow!("{place}: {why}"))?;
        }
        let texts: Vec<&str> = values.values().map(String::as_str).collect();
        let of = replication_of("of")?.unwrap_or(replications);
        base.set_replications(of);
        let prepared =
            base.prepare(&keys, &texts).map_err(|faults| anyhow!("{place}: {}", faults.join("; ")))?;
        let point = whole("point", u64::MAX)?.unwrap_or(number_of_point);
        number_of_point += 1;
        let wanted = match replication_of("replication")? {
            Some(one) => one..one + 1,
            None => 0..replications,
        };
        for replication in wanted {
            let row = base.row(point, &prepared, replication);
            let mut out = io::stdout().lock();
            writeln!(out, "{}", line_of(&row, conf.clone(), &study))
                .context("cannot write to standard output")?;
        }
    }
    Ok(())
}
