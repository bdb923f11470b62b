//! `spillcast validate --host`: the physics under Spark held against tables of measurements, row by row.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::Path;

use anyhow::{Context, bail};

use super::Answer;
use super::console::{Console, print};
use super::input::count;
use super::output::Unfinished;
use crate::experiment::host::summary::{SummaryResult, summaries};
use crate::experiment::host::{Comparison, Figures, KINDS, Kind};

/// Header of the file of errors (**contract**).
const HEADER: [&str; 6] = ["table", "id", "quantity", "measured", "predicted", "error"];

/// Runs the command on the tables in `folder`; errors go to the file `csv` too.
pub(super) fn run(
    folder: &Path,
    csv: Option<&Path>,
    force: bool,
    console: Console,
) -> anyhow::Result<Answer> {
    // What cannot be written need not be worked out.
    let target = csv.map(|file| Unfinished::file(file, force)).transpose()?;
    if !fs::metadata(folder).with_context(|| format!("{}", folder.display()))?.is_dir() {
        bail!("{}: is a file; --host needs a folder with {}", folder.display(), files().join(", "));
    }
    let mut tables = Vec::new();
    let mut absent = Vec::new();
    for kind in KINDS {
        let path = folder.join(kind.file());
        match File::open(&path) {
            Ok(file) => {
                let found =
                    kind.compare(BufReader::new(file)).with_context(|| format!("{}", folder.display()))?;
                tables.push((kind, found));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => absent.push(kind.file()),
            Err(error) => return Err(error).with_context(|| format!("{}", path.display())),
        }
    }
    if tables.is_empty() {
        bail!("{}: holds none of the tables {}", folder.display(), files().join(", "));
    }
    for name in absent {
        console.note(&format!("{}: no {name}", folder.display()));
    }
    let mut text = String::new();
    for (kind, found) in &tables {
        rows(&mut text, kind, found);
    }
    text.push_str("Summary\n");
    for (kind, found) in &tables {
        sums(&mut text, kind, found);
    }
    print(text.as_bytes())?;
    if let (Some(target), Some(file)) = (target, csv) {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        target.write(name, |out| write_csv(out, &tables))?;
        target.publish()?;
    }
    Ok(Answer::Done)
}

fn files() -> Vec<String> {
    KINDS.iter().map(Kind::file).collect()
}

/// Every row: what was measured, what is predicted, how far apart.
fn rows(text: &mut String, kind: &Kind, found: &[Comparison]) {
    let _ = writeln!(text, "{}: {}, one is {}", kind.file(), count(found.len(), "comparison"), kind.about);
    let width = |of: fn(&Comparison) -> usize| found.iter().map(of).max().unwrap_or(0);
    let (ids, quantities) = (width(|row| row.id.len()), width(|row| row.quantity.len()));
    for row in found {
        let (measured, predicted) = shown(&row.figures);
        let error = match (row.error(), row.same_word()) {
            (_, Some(true)) => String::new(),
            (_, Some(false)) => "WRONG".to_owned(),
            (None, None) => "no ratio to 0".to_owned(),
            (Some(error), None) => error_text(error, matches!(row.figures, Figures::Share { .. })),
        };
        let line = format!(
            "  {:ids$}  {:quantities$}  measured {measured:>12}  predicted {predicted:>12}  {error}",
            row.id, row.quantity
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text.push('\n');
}

/// The sums of one table, with its misses by name.
fn sums(text: &mut String, kind: &Kind, found: &[Comparison]) {
    for sum in summaries(found) {
        let lead = format!("  {:<12} {:<26} {:>4} rows", kind.name, sum.quantity, sum.rows);
        match sum.result {
            SummaryResult::Errors { points, median, p90, worst, worst_id, without_ratio } => {
                let shown = |error| error_text(error, points);
                let _ = writeln!(
                    text,
                    "{lead}  median {:>9}  p90 {:>9}  worst {:>9} ({worst_id})",
                    shown(median),
                    shown(p90),
                    shown(worst)
                );
                if !without_ratio.is_empty() {
                    let _ =
                        writeln!(text, "      measured 0, predicted otherwise: {}", without_ratio.join(", "));
                }
            }
            SummaryResult::Words { wrong } => {
                let _ = writeln!(text, "{lead}  {} right", sum.rows - wrong.len());
                for (id, measured, predicted) in wrong {
                    let _ = writeln!(text, "      {id}: measured {measured:?}, predicted {predicted:?}");
                }
            }
        }
    }
}

fn error_text(error: f64, points: bool) -> String {
    if points { format!("{error:.1} pt") } else { format!("{:.1} %", error * 100.0) }
}

fn shown(figures: &Figures) -> (String, String) {
    match figures {
        Figures::Amount { measured, predicted } => (number(*measured), number(*predicted)),
        Figures::Share { measured, predicted } => (format!("{measured:.4}"), format!("{predicted:.4}")),
        Figures::Word { measured, predicted } => (measured.clone(), predicted.clone()),
    }
}

/// Four digits that count.
fn number(value: f64) -> String {
    let digits = if value == 0.0 { 0.0 } else { 3.0 - value.abs().log10().floor() };
    format!("{value:.*}", digits.clamp(0.0, 6.0) as usize)
}

fn write_csv(out: impl io::Write, tables: &[(&Kind, Vec<Comparison>)]) -> io::Result<()> {
    let mut writer = ::csv::Writer::from_writer(out);
    writer.write_record(HEADER)?;
    for (kind, found) in tables {
        for row in found {
            let (measured, predicted) = match &row.figures {
                Figures::Amount { measured, predicted } | Figures::Share { measured, predicted } => {
                    (measured.to_string(), predicted.to_string())
                }
                Figures::Word { measured, predicted } => (measured.clone(), predicted.clone()),
            };
            let error = row.error().map_or_else(String::new, |error| error.to_string());
            writer.write_record([kind.name, &row.id, row.quantity, &measured, &predicted, &error])?;
        }
    }
    writer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_four_digits() {
        let shown: Vec<String> = [0.0, 0.0045, 1.4960, 297.7049, 123456.0].map(number).to_vec();
        assert_eq!(shown, ["0", "0.004500", "1.496", "297.7", "123456"]);
    }
}
