//! How far predictions are from real runs, as text and as JSON: quantity by quantity and stage by stage for a few logs,
//! medians and worst cases for many.

use std::io;

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use serde_json::{Map, Value as Json, json};

use super::table::Style;
use super::text::{GREEN, Page, RED, count, shorten};
use crate::experiment::score::{Measure, QUANTITIES, Quantity, STAGE_QUANTITIES};
use crate::experiment::summary::NOISE_FACTOR;
use crate::experiment::{Comparison, Summary, summarise};
use crate::record::columns::{STAGES, SUMMARY, Unit};
use crate::record::{ErrorRecord, Outcome};
use crate::units::{HumanBytes, HumanDuration, SimDuration};

/// Up to so many comparisons are shown one by one; more, and the summary stands for them.
const SHOWN_EACH: usize = 3;
/// Wrong endings, and predictions that were refused, that a summary names.
const NAMED: usize = 8;
/// An error from which on the worst comparisons of a quantity are named: that far off matters to somebody.
const WORTH_NAMING: f64 = 0.05;

/// What `validate` found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Validation {
    /// Logs under their own configuration.
    pub replays: Vec<Comparison>,
    /// Logs predicted from other logs.
    pub pairs: Vec<Comparison>,
    /// What a single prediction had to assume.
    pub assumed: Vec<String>,
}

impl Validation {
    /// Every error: totals, then stages, comparison after comparison.
    pub fn lines(&self) -> impl Iterator<Item = &ErrorRecord> {
        self.replays
            .iter()
            .chain(&self.pairs)
            .flat_map(|found| found.totals.iter().chain(found.stages.iter().flat_map(|stage| &stage.1)))
    }
}

/// Everything as lines of text.
pub fn text(found: &Validation, style: Style) -> String {
    let mut page = Page { text: String::new(), style: Style { width: style.width.max(40), ..style } };
    let both = !found.replays.is_empty() && !found.pairs.is_empty();
    for (list, what) in [(&found.replays, "replay"), (&found.pairs, "prediction")] {
        if list.is_empty() {
            continue;
        }
        if list.len() <= SHOWN_EACH {
            for (at, comparison) in list.iter().enumerate() {
                if at > 0 || !page.text.is_empty() {
                    page.text.push('\n');
                }
                each(&mut page, comparison);
            }
        }
        if list.len() > 1 {
            if !page.text.is_empty() {
                page.text.push('\n');
            }
            let title = match what {
                "replay" => {
                    format!("{} of logs under their own configuration", count(list.len() as u64, what))
                }
                _ => format!("{} of one log from another", count(list.len() as u64, what)),
            };
            page.paragraph(&title);
            summary(&mut page, &summarise(list));
        }
    }
    if both && found.replays.len() > SHOWN_EACH {
        page.paragraph("--csv FILE writes every error; a log by itself shows its stages.");
    }
    if !found.assumed.is_empty() {
        page.heading("Assumed");
        for line in &found.assumed {
            page.entry(line);
        }
    }
    page.text
}

/// One comparison: its ending, its totals, its stages.
fn each(page: &mut Page, found: &Comparison) {
    let title = if found.base == found.target {
        format!("{} under its own configuration", found.base)
    } else {
        format!("{} predicted from {}", found.target, found.base)
    };
    page.paragraph(&title);
    let ended = |outcome: Outcome, words: &str| {
        if words.is_empty() {
            outcome.as_str().to_owned()
        } else {
            format!("{} ({})", outcome.as_str(), shorten(words, 160))
        }
    };
    let real = ended(found.real.0, &found.real.1);
    match found.predicted.0 {
        Some(outcome) if found.unfinished => {
            page.paragraph(&format!(
                "The log ends while jobs run, so that nothing can be judged by it; predicted was {}.",
                outcome.as_str()
            ));
            return;
        }
        Some(outcome) if outcome == found.real.0 => {
            page.verdict("RIGHT", GREEN, &format!("the run ended {real}, as predicted"));
        }
        Some(outcome) => {
            let said = ended(outcome, &found.predicted.1);
            page.verdict("WRONG", RED, &format!("the run ended {real}; predicted was {said}"));
        }
        None => {
            page.verdict("NO ANSWER", RED, &format!("{}; the run ended {real}", found.predicted.1));
        }
    }
    if found.real.0 != Outcome::Ok {
        page.paragraph("Quantities of a run that died are not compared: they depend on how far it came.");
    }
    if !found.totals.is_empty() && found.predicted.0.is_some() {
        let naive = found.totals.iter().any(|line| line.naive.is_some());
        let mut header = vec!["Quantity", "real", "predicted", "error"];
        if naive {
            header.extend(["as the base", "error"]);
        }
        let rows = found.totals.iter().map(|line| total(line, naive)).collect();
        lines(page, &header, rows);
    }
    if !found.stages.is_empty() {
        page.heading("Stages");
        stages(page, found);
    }
}

fn total(line: &ErrorRecord, naive: bool) -> Vec<String> {
    let (quantity, unit) = described(line.quantity);
    let value = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| shown(value, unit));
    let error =
        |error: Option<f64>| error.map_or_else(|| "-".to_owned(), |error| off(error, quantity.measure));
    let mut cells =
        vec![line.quantity.to_owned(), shown(line.real, unit), value(line.predicted), error(line.error)];
    if naive {
        cells.extend([value(line.naive), error(line.naive_error)]);
    }
    cells
}

/// Real and predicted values of each stage that spills, shuffles or takes time.
fn stages(page: &mut Page, found: &Comparison) {
    // A column where both sides are 0 in every stage says nothing.
    let any = |quantity: &&Quantity| {
        let lines = found.stages.iter().flat_map(|stage| &stage.1);
        lines
            .filter(|line| line.quantity == quantity.column)
            .any(|line| line.real > 0.0 || line.predicted > Some(0.0))
    };
    let columns: Vec<&Quantity> = STAGE_QUANTITIES.iter().filter(any).collect();
    let mut header = vec!["Stage", "Quantity"];
    header.extend(["real", "predicted", "error"]);
    let mut rows = Vec::new();
    for (name, lines) in &found.stages {
        let mut first = true;
        for quantity in &columns {
            let Some(line) = lines.iter().find(|line| line.quantity == quantity.column) else { continue };
            if line.real == 0.0 && line.predicted == Some(0.0) {
                continue;
            }
            let unit = STAGES.unit(quantity.column).unwrap_or(Unit::None);
            let stage = match line.stage_id {
                Some(id) if first => format!("{id} {}", shorten(name, 28)),
                _ => String::new(),
            };
            first = false;
            let predicted = line.predicted.map_or_else(|| "-".to_owned(), |value| shown(value, unit));
            let error = line.error.map_or_else(|| "-".to_owned(), |error| off(error, quantity.measure));
            rows.push(vec![stage, quantity.column.to_owned(), shown(line.real, unit), predicted, error]);
        }
    }
    lines(page, &header, rows);
}

fn summary(page: &mut Page, summary: &Summary) {
    let n = summary.comparisons;
    let naive = summary.rows.iter().any(|row| row.naive.is_some());
    let as_base = |right: usize, of: usize| {
        if naive { format!("; as the base run {right} of {of}") } else { String::new() }
    };
    page.paragraph(&format!(
        "Ending right {} of {n}; died or not right {} of {n}; said ok for a run that died {}{}.",
        summary.outcome_right,
        summary.died_right,
        summary.said_ok,
        as_base(summary.naive_right, n)
    ));
    for (base, target, predicted, real) in summary.wrong_endings.iter().take(NAMED) {
        let said = predicted.map_or("no answer", Outcome::as_str);
        page.entry(&format!("{}: said {said}, was {}", arrow(base, target), real.as_str()));
    }
    page.rest(summary.wrong_endings.len(), NAMED, "--csv");
    for (base, target, why) in summary.unanswered.iter().take(NAMED) {
        page.entry(&format!("{}: no answer: {why}", arrow(base, target)));
    }
    page.rest(summary.unanswered.len(), NAMED, "--json");
    let (all, right, same) = summary.spill_or_not;
    page.paragraph(&format!("Spill or no spill right {right} of {all}{}.", as_base(same, all)));
    if summary.order.0 > 0 {
        page.paragraph(&format!(
            "Faster or slower right {} of {} pairs of configurations that differ by more than {:.0} %.",
            summary.order.1,
            summary.order.0,
            (NOISE_FACTOR - 1.0) * 100.0
        ));
    }
    let header = [
        "Quantity",
        "n",
        "no answer",
        "median",
        "p90",
        "worst",
        "naive median",
        "naive p90",
        "in range",
        "width",
    ];
    let header = &header[..if naive { 10 } else { 6 }];
    let mut rows = Vec::new();
    for row in &summary.rows {
        let cell =
            |error: f64| if error.is_nan() { "-".to_owned() } else { off(error, row.quantity.measure) };
        let mut cells = vec![
            row.quantity.column.to_owned(),
            row.compared.to_string(),
            row.unanswered.to_string(),
            cell(row.errors[0]),
            cell(row.errors[1]),
            cell(row.errors[2]),
        ];
        if naive {
            cells.extend(row.naive.map_or([String::new(), String::new()], |naive| naive.map(cell)));
            cells.extend(row.ranges.map_or([String::new(), String::new()], |ranges| {
                let percent = |share: f64| format!("{:.0} %", share * 100.0);
                [percent(ranges.hold as f64 / ranges.ranges as f64), percent(ranges.width)]
            }));
        }
        rows.push(cells);
    }
    page.text.push('\n');
    lines(page, header, rows);
    page.heading("Farthest off");
    for row in &summary.rows {
        let unit = described(row.quantity.column).1;
        let least = if row.quantity.measure == Measure::Relative { WORTH_NAMING } else { 1.0 };
        for line in row.worst.iter().filter(|line| line.error.is_some_and(|error| error > least)) {
            let predicted = line.predicted.map_or_else(|| "-".to_owned(), |value| shown(value, unit));
            page.entry(&format!(
                "{} {}: {predicted}, was {}",
                line.quantity,
                arrow(&line.base, &line.target),
                shown(line.real, unit)
            ));
        }
    }
}

fn arrow(base: &str, target: &str) -> String {
    if base == target { base.to_owned() } else { format!("{base} -> {target}") }
}

/// The quantity of a column, and the unit of its values.
fn described(column: &str) -> (Quantity, Unit) {
    let known = QUANTITIES.iter().find(|quantity| quantity.column == column);
    let unit = SUMMARY.unit(column).unwrap_or(Unit::None);
    (known.copied().unwrap_or(Quantity { column: "", measure: Measure::Relative, time: false }), unit)
}

/// A value as people read it; what has no unit is a share in percent.
fn shown(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => HumanBytes(value as u64).to_string(),
        Unit::Ms => HumanDuration(SimDuration::from_secs_f64(value / 1e3)).to_string(),
        Unit::Ns => HumanDuration(SimDuration::from_secs_f64(value / 1e9)).to_string(),
        Unit::Count => format!("{value:.0}"),
        Unit::None => format!("{value:.1} %"),
    }
}

fn off(error: f64, measure: Measure) -> String {
    match measure {
        Measure::Relative => format!("{:.1} %", error * 100.0),
        Measure::Count => format!("{error:.0}"),
        Measure::Points => format!("{error:.1} points"),
    }
}

/// A table whose first column (and a second one of words) is text and whose others are numbers.
fn lines(page: &mut Page, header: &[&str], rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table
        .load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')))
        .set_content_arrangement(ContentArrangement::Disabled);
    let words = if header.contains(&"Stage") { 2 } else { 1 };
    let cell = |at: usize, text: &str| {
        let side = if at < words { CellAlignment::Left } else { CellAlignment::Right };
        Cell::new(text).set_alignment(side)
    };
    table.set_header(header.iter().enumerate().map(|(at, text)| cell(at, text)).collect::<Vec<_>>());
    for row in rows {
        table.add_row(row.iter().enumerate().map(|(at, text)| cell(at, text)).collect::<Vec<_>>());
    }
    let last = header.len() - 1;
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, u16::from(index != last)));
    }
    for line in table.trim_fmt().lines() {
        page.text.push_str(line.trim_end());
        page.text.push('\n');
    }
}

/// Writes everything as one JSON object, indented, and a line end.
///
/// # Errors
///
/// Only those of `out`.
pub fn write_json(found: &Validation, mut out: impl io::Write) -> io::Result<()> {
    let document = json!({
        "spillcast": env!("CARGO_PKG_VERSION"),
        "replays": list(&found.replays),
        "pairs": list(&found.pairs),
        "assumed": found.assumed,
    });
    serde_json::to_writer_pretty(&mut out, &document)?;
    out.write_all(b"\n")
}

fn list(comparisons: &[Comparison]) -> Json {
    if comparisons.is_empty() {
        return json!({ "comparisons": [] });
    }
    let each: Vec<Json> = comparisons.iter().map(comparison).collect();
    json!({ "summary": summary_json(&summarise(comparisons)), "comparisons": each })
}

fn comparison(found: &Comparison) -> Json {
    let lines = |lines: &[ErrorRecord]| {
        let pairs = lines.iter().map(|line| (line.quantity.to_owned(), error_json(line)));
        Json::Object(pairs.collect::<Map<_, _>>())
    };
    let stage = |(name, of_stage): &(String, Vec<ErrorRecord>)| {
        let id = of_stage.first().and_then(|line| line.stage_id);
        json!({ "stageId": id, "name": name, "quantities": lines(of_stage) })
    };
    let mut object = json!({
        "base": found.base,
        "target": found.target,
        "outcome": { "real": found.real.0.as_str(), "naive": found.naive.as_str() },
        "quantities": lines(&found.totals),
    });
    if found.unfinished {
        object["unfinished"] = true.into();
    }
    match found.predicted.0 {
        Some(outcome) => object["outcome"]["predicted"] = outcome.as_str().into(),
        None => object["unanswered"] = found.predicted.1.clone().into(),
    }
    if !found.stages.is_empty() {
        object["stages"] = found.stages.iter().map(stage).collect();
    }
    object
}

/// What is absent has no key.
fn error_json(line: &ErrorRecord) -> Json {
    let mut object = Map::from_iter([("real".to_owned(), json!(line.real))]);
    let others = [
        ("predicted", line.predicted),
        ("low", line.range.map(|range| range.0)),
        ("high", line.range.and_then(|range| range.1)),
        ("naive", line.naive),
        ("error", line.error),
        ("naiveError", line.naive_error),
    ];
    for (key, value) in others {
        if let Some(value) = value {
            object.insert(key.to_owned(), json!(value));
        }
    }
    Json::Object(object)
}

fn summary_json(summary: &Summary) -> Json {
    let row = |row: &crate::experiment::summary::SummaryRow| {
        let number = |value: f64| if value.is_nan() { Json::Null } else { json!(value) };
        let [median, p90, worst] = row.errors.map(number);
        let mut object = json!({
            "compared": row.compared, "unanswered": row.unanswered, "median": median, "p90": p90, "worst": worst,
        });
        if let Some([median, p90]) = row.naive {
            object["naiveMedian"] = number(median);
            object["naiveP90"] = number(p90);
        }
        if let Some(ranges) = row.ranges {
            object["ranges"] =
                json!({ "ranges": ranges.ranges, "hold": ranges.hold, "medianWidth": number(ranges.width) });
        }
        (row.quantity.column.to_owned(), object)
    };
    let (compared, right, naive) = summary.spill_or_not;
    json!({
        "comparisons": summary.comparisons,
        "unanswered": summary.unanswered.len(),
        "outcomeRight": summary.outcome_right,
        "diedOrNotRight": summary.died_right,
        "saidOkForARunThatDied": summary.said_ok,
        "naiveOutcomeRight": summary.naive_right,
        "spillOrNot": { "compared": compared, "right": right, "naiveRight": naive },
        "fasterOrSlower": { "compared": summary.order.0, "right": summary.order.1 },
        "quantities": Json::Object(summary.rows.iter().map(row).collect::<Map<_, _>>()),
    })
}
