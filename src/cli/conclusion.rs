//! What a study says, as text, as JSON and as pictures.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::console::{color_on_stdout, indented, width};
use super::input::{count, utf8};
use super::study::Identity;
use crate::experiment::host::table::line_at;
use crate::experiment::{
    Band, GOOD_ENOUGH, Overview, Replications, SIGNIFICANT, Space, StudyAnswer, bare_unit, number_of, pareto,
};
use crate::record::columns::Unit;
use crate::record::study::Spot;
use crate::report::compare::amount;
use crate::report::plot::sweep::{Measured, Picture, VariedAxis, curve::Curve, heat::Heat, pareto::Pareto};

/// Points of the front of time against memory that text shows.
const FRONT_SHOWN: usize = 8;
/// Points that text shows one by one; more are for tables and pictures.
const POINTS_SHOWN: usize = 32;
/// Values of an axis that a heat map still shows: a cell has to be seen.
const CELLS_MAX: usize = 250;

/// The values of a point in one line.
pub(super) fn named(space: &Space, point: u64) -> String {
    let pairs = space.keys().iter().zip(space.values(point)).filter(|(_, value)| !value.is_empty());
    let pairs: Vec<String> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
    if pairs.is_empty() { "INPUT as it is".to_owned() } else { pairs.join(" ") }
}

/// Points whose interval is wider than asked for.
fn not_precise(identity: &Identity, spots: &[Spot]) -> Option<(f64, u32, usize)> {
    let Replications::Until { share, most, .. } = identity.replications else { return None };
    let wide = |spot: &&Spot| match (spot.interval, spot.wall_ms) {
        (Some((low, high)), Some(wall)) => (high - low) / 2.0 > share * wall,
        _ => false,
    };
    Some((share, most, spots.iter().filter(wide).count()))
}

/// The answer for a terminal.
pub(super) fn text(identity: &Identity, answer: &StudyAnswer, spots: &[Spot]) -> String {
    let width = width();
    let space = &identity.space;
    let mut out = String::new();
    let mut say = |text: &str, indent: usize| {
        let _ = writeln!(out, "{}", indented(text, indent, width));
    };
    let points = |number: u64| count(number as usize, "point");
    match &answer.best {
        Some(best) => {
            let wall = best.wall_ms.unwrap_or(0.0);
            let interval =
                best.interval.filter(|(low, high)| low < high).map_or(String::new(), |(low, high)| {
                    format!(" ({} to {})", amount(Unit::Ms, low), amount(Unit::Ms, high))
                });
            let word = if color_on_stdout() { "\u{1b}[1;32mBEST\u{1b}[0m" } else { "BEST" };
            say(
                &format!("{word}  {}{interval} with {}", amount(Unit::Ms, wall), named(space, best.point)),
                0,
            );
        }
        None => say(&format!("NONE  Of {} none ends well in every run.", points(answer.points)), 0),
    }
    if answer.failing > 0 {
        say(&format!("{} of {} fail in some run.", answer.failing, points(answer.points)), 0);
    }
    if answer.all_alike {
        say("Replications do not differ: nothing in this application is random.", 0);
    } else if answer.as_good > 0 {
        say(
            &format!(
                "{} of {} cannot be told from the best (paired t test over replications, Holm's correction, {:.0} %).",
                answer.as_good,
                points(answer.points),
                SIGNIFICANT * 100.0
            ),
            0,
        );
    }
    if let Some((share, most, wide)) = not_precise(identity, spots).filter(|(_, _, wide)| *wide > 0) {
        say(
            &format!(
                "A precision of {:.1} % is not reached at {} after {most} runs each.",
                share * 100.0,
                points(wide as u64)
            ),
            0,
        );
    }
    if spots.len() <= POINTS_SHOWN {
        say("", 0);
        let keys = space.keys().join(", ");
        say(&format!("Points ({keys}): mean time of the jobs and memory spilled where runs end well"), 0);
        let values: Vec<Vec<&str>> = spots.iter().map(|spot| space.values(spot.point)).collect();
        let width_of = |column: usize| values.iter().map(|values| values[column].chars().count()).max();
        let widths: Vec<usize> = (0..space.keys().len()).filter_map(width_of).collect();
        for (spot, values) in spots.iter().zip(&values) {
            let cells = values.iter().zip(&widths).map(|(value, width)| format!("{value:<width$}  "));
            say(&format!("{}{}", cells.collect::<String>(), ending(spot)), 2);
        }
    }
    if !answer.bands.is_empty() {
        say("", 0);
        let sure = match answer.compared {
            0 => String::new(),
            compared => {
                let together = if compared == 1 {
                    String::new()
                } else {
                    format!(" for all {compared} values together")
                };
                format!(" ({:.0} % sure{together})", (1.0 - SIGNIFICANT) * 100.0)
            }
        };
        say(
            &format!(
                "Safe band: every run ends well and the mean is at most {:.0} % above the best, all else as at the best{sure}",
                GOOD_ENOUGH * 100.0
            ),
            0,
        );
        for band in &answer.bands {
            tell_band(band, &mut say);
        }
    }
    let front = pareto(spots);
    if front.len() > 1 {
        say("", 0);
        say("Less memory, more time", 0);
        for spot in front.iter().take(FRONT_SHOWN) {
            let memory = amount(Unit::Bytes, spot.allocated_memory.unwrap_or(0) as f64);
            let wall = amount(Unit::Ms, spot.wall_ms.unwrap_or(0.0));
            say(&format!("{memory}: {wall} with {}", named(space, spot.point)), 2);
        }
        if front.len() > FRONT_SHOWN {
            say(&format!("and {} more in sweep-summary.csv", front.len() - FRONT_SHOWN), 2);
        }
    }
    out
}

/// How the runs of a point end.
fn ending(spot: &Spot) -> String {
    let spilled = match spot.spilled {
        Some(0.0) | None => "nothing spilled".to_owned(),
        Some(bytes) => format!("{} spilled", amount(Unit::Bytes, bytes)),
    };
    match (spot.wall_ms, spot.failure) {
        (Some(wall), None) => format!("{}, {spilled}", amount(Unit::Ms, wall)),
        (Some(wall), Some(failure)) => {
            format!("{}, {spilled}; some runs end as {}", amount(Unit::Ms, wall), failure.as_str())
        }
        (None, Some(failure)) => format!("dies: {}", failure.as_str()),
        (None, None) => "no run".to_owned(),
    }
}

fn tell_band(band: &Band, say: &mut impl FnMut(&str, usize)) {
    let range =
        if band.low == band.high { band.low.clone() } else { format!("{} to {}", band.low, band.high) };
    say(&format!("{}: {range}", band.key), 2);
    match &band.below {
        Some((value, why)) => say(&format!("before it, {value}: {why}"), 4),
        None => say("the study has no value before it", 4),
    }
    match &band.above {
        Some((value, why)) => say(&format!("behind it, {value}: {why}"), 4),
        None => say("the study has no value behind it", 4),
    }
}

/// The answer for scripts.
pub(super) fn as_json(identity: &Identity, answer: &StudyAnswer, spots: &[Spot]) -> Value {
    let space = &identity.space;
    let one = |spot: &Spot| {
        let conf: serde_json::Map<String, Value> =
            space.keys().iter().cloned().zip(space.values(spot.point).into_iter().map(Value::from)).collect();
        json!({
            "point": spot.point,
            "conf": conf,
            "wallMs": spot.wall_ms,
            "wallMsLow": spot.interval.map(|interval| interval.0),
            "wallMsHigh": spot.interval.map(|interval| interval.1),
            "allocatedMemory": spot.allocated_memory,
        })
    };
    let side = |side: &Option<(String, String)>| {
        side.as_ref().map(|(value, why)| json!({ "value": value, "why": why }))
    };
    let bands = answer.bands.iter().map(|band| {
        json!({
            "key": band.key,
            "low": band.low,
            "high": band.high,
            "below": side(&band.below),
            "above": side(&band.above),
        })
    });
    json!({
        "spillcast": identity.version,
        "study": identity.study,
        "input": identity.input,
        "points": answer.points,
        "failing": answer.failing,
        "asGoodAsBest": answer.as_good,
        "allAlike": answer.all_alike,
        "notPrecise": not_precise(identity, spots).map(|(_, _, wide)| wide),
        "best": answer.best.as_ref().map(one),
        "bands": bands.collect::<Vec<_>>(),
        "front": pareto(spots).iter().map(one).collect::<Vec<_>>(),
    })
}

/// Runs of real Spark from a CSV file with a column called as the axis and one called `wallMs`, empty where the run failed.
pub(super) fn read_measured(path: &Path, space: &Space) -> anyhow::Result<Vec<(String, f64)>> {
    let name = path.display();
    let axes = space.axes().unwrap_or_default();
    let [axis] = axes else { bail!("--measured {name}: real runs are drawn along one axis; vary one thing") };
    let bytes = fs::read(path).with_context(|| format!("{name}: cannot be read"))?;
    let text = utf8(&name.to_string(), bytes, "valid: CSV, in UTF-8")?;
    let text = text.trim_start_matches('\u{feff}').as_bytes();
    let mut reader = csv::Reader::from_reader(text);
    let header = reader.headers().with_context(|| format!("{name}: cannot be read"))?.clone();
    let column = |wanted: &str| {
        let at = header.iter().position(|column| column == wanted);
        at.with_context(|| {
            format!("{name}: has no column {wanted}; it has {}", header.iter().collect::<Vec<_>>().join(", "))
        })
    };
    let (value, wall) = (column(&axis.key)?, column("wallMs")?);
    let are_numbers = axis.values.iter().all(|value| number_of(&axis.key, value).is_some());
    let mut runs = Vec::new();
    for record in reader.records() {
        let record = record.with_context(|| format!("{name}: cannot be read"))?;
        let line = line_at(text, record.position());
        let text = record.get(wall).unwrap_or_default().trim();
        let wall = if text.is_empty() {
            f64::NAN
        } else {
            text.parse().ok().filter(|wall: &f64| wall.is_finite() && *wall >= 0.0).with_context(|| {
                format!("{name}:{line}: wallMs is '{text}'; valid: a number, or nothing where the run failed")
            })?
        };
        let value = record.get(value).unwrap_or_default().trim();
        let place = format!("{name}:{line}: {} is '{value}'", axis.key);
        if are_numbers && number_of(&axis.key, value).is_none() {
            bail!("{place}; valid: a value as --vary takes it, as {}", axis.values[0]);
        }
        if !are_numbers && !axis.values.iter().any(|known| known == value) {
            bail!("{place}; valid: {}", axis.values.join(", "));
        }
        runs.push((value.to_owned(), wall));
    }
    Ok(runs)
}

/// The pictures of a study: file name and content.
pub(super) fn pictures(
    identity: &Identity,
    overview: &Overview,
    spots: &[Spot],
    measured: &[(String, f64)],
) -> Vec<(String, Vec<u8>)> {
    let space = &identity.space;
    let basis = basis(identity, overview);
    let title = identity.input.rsplit(['/', '\\']).next().unwrap_or(&identity.input).to_owned();
    let mut files = Vec::new();
    let mut add = |name: &str, picture: Picture| {
        files.push((format!("{name}.svg"), picture.svg().into_bytes()));
        files.push((format!("{name}.png"), picture.png()));
    };
    let axes = space.axes().unwrap_or_default();
    let varied: Vec<usize> = (0..axes.len()).filter(|at| axes[*at].values.len() > 1).collect();
    match varied[..] {
        [] => {}
        [only] => {
            let (axis, order) = ordered(&axes[only].key, &axes[only].values);
            let spots: Vec<Spot> = order.iter().filter_map(|at| spots.get(*at).copied()).collect();
            let measured: Vec<Measured> = measured
                .iter()
                .filter_map(|(value, wall_ms)| {
                    let at = match &axis.numbers {
                        Some(_) => number_of(&axis.key, value)?,
                        None => axis.values.iter().position(|known| known == value)? as f64,
                    };
                    Some(Measured { value, at, wall_ms: *wall_ms })
                })
                .collect();
            let mark = if axis.numbers.is_some() { "band" } else { "bars" };
            let has_intervals = spots.iter().any(|spot| spot.interval.is_some_and(|(low, high)| low < high));
            let basis = if has_intervals {
                format!("{basis}; {mark}: {} % interval of the mean", percent(identity.confidence))
            } else {
                basis.clone()
            };
            let curve =
                Curve { name: &title, axis: &axis, spots: &spots, measured: &measured, basis: &basis };
            add("curve", Picture::Curve(curve));
        }
        [first, second, ..] if axes[first].values.len().max(axes[second].values.len()) <= CELLS_MAX => {
            let (rows, row_order) = ordered(&axes[first].key, &axes[first].values);
            let (columns, column_order) = ordered(&axes[second].key, &axes[second].values);
            let cells = cells(space, spots, (first, &row_order), (second, &column_order));
            let basis = if varied.len() > 2 {
                format!("{basis}; the best over all other settings")
            } else {
                basis.clone()
            };
            let heat = Heat { name: &title, rows: &rows, columns: &columns, cells: &cells, basis: &basis };
            add("heat", Picture::Heat(heat));
        }
        _ => {}
    }
    let mut memories: Vec<u64> = spots.iter().filter_map(|spot| spot.allocated_memory).collect();
    memories.sort_unstable();
    memories.dedup();
    if memories.len() > 1 {
        let short = |point: u64| {
            let values: Vec<&str> = varied.iter().map(|at| space.values(point)[*at]).collect();
            values.join(", ")
        };
        let front: Vec<(Spot, String)> =
            pareto(spots).into_iter().map(|spot| (spot, short(spot.point))).collect();
        add("pareto", Picture::Pareto(Pareto { name: &title, spots, front: &front, basis: &basis }));
    }
    files
}

/// A share in percent, without the dust of binary fractions.
fn percent(share: f64) -> f64 {
    (share * 1e4).round() / 1e2
}

fn basis(identity: &Identity, overview: &Overview) -> String {
    let runs = match identity.replications {
        Replications::Fixed(1) => return "simulated, 1 run a point".to_owned(),
        Replications::Fixed(runs) => format!("{runs} runs a point"),
        Replications::Until { share, .. } => format!("replicated to {:.1} %", share * 100.0),
    };
    if overview.all_alike {
        return format!("simulated, {runs}, which do not differ");
    }
    format!("simulated, {runs}")
}

/// An axis with its values in ascending order where they are numbers, and their positions before.
fn ordered(key: &str, values: &[String]) -> (VariedAxis, Vec<usize>) {
    let numbers: Option<Vec<f64>> = values.iter().map(|value| number_of(key, value)).collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    if let Some(numbers) = &numbers {
        order.sort_by(|a, b| numbers[*a].total_cmp(&numbers[*b]));
    }
    let axis = VariedAxis {
        key: key.to_owned(),
        values: order.iter().map(|at| values[*at].clone()).collect(),
        numbers: numbers.map(|numbers| order.iter().map(|at| numbers[*at]).collect()),
        bare_unit: bare_unit(key),
    };
    (axis, order)
}

/// The best point of each cell over all other axes, row by row.
fn cells(space: &Space, spots: &[Spot], rows: (usize, &[usize]), columns: (usize, &[usize])) -> Vec<Spot> {
    let mut cells: Vec<Option<Spot>> = vec![None; rows.1.len() * columns.1.len()];
    let place = |order: &[usize]| {
        let mut place = vec![0; order.len()];
        for (at, value) in order.iter().enumerate() {
            place[*value] = at;
        }
        place
    };
    let (row_places, column_places) = (place(rows.1), place(columns.1));
    for spot in spots {
        let positions = space.positions(spot.point);
        let at = row_places[positions[rows.0]] * columns.1.len() + column_places[positions[columns.0]];
        let rank =
            |spot: &Spot| (!spot.all_ok, spot.wall_ms.is_none(), spot.wall_ms.unwrap_or(f64::INFINITY));
        let better = cells[at].is_none_or(|held| {
            let (a, b) = (rank(spot), rank(&held));
            (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)).is_lt()
        });
        if better {
            cells[at] = Some(*spot);
        }
    }
    cells.into_iter().map(Option::unwrap_or_default).collect()
}
