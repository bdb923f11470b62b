//! `KEY=VALUES` of `--vary`: lists, ranges with a step, logarithmic ranges, with units.
//!
//! An item is a value as Spark takes it, `FROM..TO:STEP` or `FROM..TO:log:N`; items are separated by commas. An item in double
//! quotes is taken as it is, commas and all (the name of a variant). A range
//! contains its ends (a step that does not meet the upper end stops before it), and is in the unit of its ends. N values of
//! a logarithmic range have equal ratios; between whole ends they are rounded to whole numbers, sizes to whole MiB (KiB or
//! bytes where an end is written so). Equal values are kept once.

use crate::conf::property::{self, Kind};
use crate::conf::size::{ByteUnit, byte_string_as};
use crate::conf::time::{TimeUnit, time_string_as};

/// Values of one axis that a study could still want; more is a slip of the pen.
const VALUES_MAX: f64 = 1e6;

/// One thing that is varied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// A Spark property, or a knob under `spillcast.`.
    pub key: String,
    /// Its values, as a configuration takes them, in the order given.
    pub values: Vec<String>,
}

/// A number and its unit, as written.
#[derive(Clone, Debug, PartialEq)]
struct Quantity {
    number: f64,
    /// Digits after the point.
    decimals: usize,
    suffix: String,
}

impl Axis {
    /// Parses `KEY=VALUES`.
    ///
    /// # Errors
    /// Why the text names no values, with what would be valid.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: String| format!("--vary {text}: {why}");
        let Some((key, list)) = text.split_once('=') else {
            return Err(wrong(
                "is no KEY=VALUES; valid: KEY=1,2,4, KEY=FROM..TO:STEP or KEY=FROM..TO:log:N".into(),
            ));
        };
        let key = key.trim();
        if key.is_empty() {
            return Err(wrong("names no property before '='".into()));
        }
        let mut values: Vec<String> = Vec::new();
        for item in items(key, list).map_err(wrong)? {
            let item = item.trim();
            let quoted = item.strip_prefix('"').and_then(|item| item.strip_suffix('"'));
            let found = match quoted {
                Some("") => Err("a value is empty".to_owned()),
                Some(value) => Ok(vec![value.to_owned()]),
                None => expand(key, item),
            };
            for value in found.map_err(wrong)? {
                if !values.contains(&value) {
                    values.push(value);
                }
            }
        }
        Ok(Self { key: key.to_owned(), values })
    }
}

/// A value of `key` as a number, sizes in bytes and times in ms; `None` where it is a name.
pub fn number_of(key: &str, value: &str) -> Option<f64> {
    let size = |unit: ByteUnit| {
        let count = byte_string_as(value, unit).ok()?;
        Some(count as f64 * unit.bytes() as f64)
    };
    match property::find(key).map(|property| property.kind) {
        Some(Kind::Size(unit)) => size(unit),
        Some(Kind::Time(unit)) => {
            let factor = if unit == TimeUnit::Sec { 1e3 } else { 1.0 };
            time_string_as(value, unit).ok().map(|count| count as f64 * factor)
        }
        _ => value.trim().parse::<f64>().ok().filter(|number| number.is_finite()),
    }
}

/// The unit of a value of `key` that carries none; `None` where it is a plain number or a word.
pub fn bare_unit(key: &str) -> Option<&'static str> {
    match property::find(key).map(|property| property.kind)? {
        Kind::Size(ByteUnit::Byte) => Some("bytes"),
        Kind::Size(ByteUnit::Kib) => Some("KiB"),
        Kind::Size(ByteUnit::Mib) => Some("MiB"),
        Kind::Time(TimeUnit::Ms) => Some("ms"),
        Kind::Time(TimeUnit::Sec) => Some("s"),
        _ => None,
    }
}

/// The items of a list. A comma belongs to its item where that begins with a quote which is not closed yet, and in the
/// brackets of a master's name (`local-cluster[2,1,1024]`).
fn items<'a>(key: &str, list: &'a str) -> Result<Vec<&'a str>, String> {
    let brackets = key == "spark.master";
    let (mut depth, mut quoted, mut begins) = (0, false, true);
    let items = list.split(|c: char| {
        let first = begins;
        begins = begins && c.is_whitespace();
        match c {
            '"' => quoted = first,
            '[' if brackets => depth += 1,
            ']' if brackets => depth -= 1,
            _ => {}
        }
        begins |= c == ',' && depth == 0 && !quoted;
        c == ',' && depth == 0 && !quoted
    });
    let items = items.collect();
    if quoted { Err("a double quote is not closed".to_owned()) } else { Ok(items) }
}

/// A value as an item of a list, in quotes where it would be read as something else.
pub(super) fn as_item(value: &str) -> String {
    if value.contains([',', '"']) || value.contains("..") { format!("\"{value}\"") } else { value.to_owned() }
}

fn expand(key: &str, item: &str) -> Result<Vec<String>, String> {
    if item.is_empty() {
        return Err("a value is empty".to_owned());
    }
    let Some((from, rest)) = item.split_once("..") else { return Ok(vec![item.to_owned()]) };
    let Some((to, how)) = rest.split_once(':') else {
        return Err(format!("the range {item} has no step; valid: {item}:STEP or {item}:log:N"));
    };
    let ends = (quantity(from)?, quantity(to)?);
    let (from, to, unit) = in_one_unit(key, ends, item)?;
    if from.number > to.number {
        return Err(format!("the range {item} is reversed; its lower end comes first"));
    }
    match how.split_once(':') {
        Some(("log", count)) => logarithmic(&from, &to, count, item, &unit),
        Some((other, _)) => {
            Err(format!("'{other}' is no kind of range; valid: FROM..TO:STEP, FROM..TO:log:N"))
        }
        None if how == "log" => Err(format!("{item} does not say how many values; valid: {item}:9")),
        None => linear(key, &from, &to, how, item, &unit),
    }
}

fn linear(
    key: &str,
    from: &Quantity,
    to: &Quantity,
    step: &str,
    item: &str,
    unit: &str,
) -> Result<Vec<String>, String> {
    let step = quantity(step)?;
    let step_in_unit = if step.suffix.is_empty() && !unit.is_empty() {
        return Err(format!("the step of {item} has no unit; write {}{unit}", step.number));
    } else {
        let factor = factor(key, &step.suffix, unit)
            .ok_or_else(|| format!("the step of {item} is in another unit than its ends"))?;
        step.number * factor
    };
    if step_in_unit <= 0.0 {
        return Err(format!("the step of {item} is not above 0"));
    }
    let count = (to.number - from.number) / step_in_unit;
    if count > VALUES_MAX {
        return Err(format!("the range {item} has {count:.0} values; write a larger step"));
    }
    let decimals = from.decimals.max(if step_in_unit.fract() == 0.0 { 0 } else { step.decimals });
    // A hair of a step, so that 0.3..0.9:0.1 reaches 0.9 though a tenth is no binary fraction.
    let last = (count + 1e-9).floor() as u64;
    Ok((0..=last).map(|i| written(from.number + i as f64 * step_in_unit, decimals, unit)).collect())
}

fn logarithmic(
    from: &Quantity,
    to: &Quantity,
    count: &str,
    item: &str,
    unit: &str,
) -> Result<Vec<String>, String> {
    let count: u32 =
        count.parse().ok().filter(|count| (2..=VALUES_MAX as u32).contains(count)).ok_or_else(|| {
            format!("'{count}' values of {item}: a logarithmic range has 2 to {VALUES_MAX}")
        })?;
    if from.number <= 0.0 {
        return Err(format!("the logarithmic range {item} starts at {}; valid: above 0", from.number));
    }
    // Two digits more than the ends have, where they have any.
    let decimals = match from.decimals.max(to.decimals) {
        0 => 0,
        written => written + 2,
    };
    let ratio = to.number / from.number;
    let value = |i: u32| match i {
        0 => from.number,
        i if i + 1 == count => to.number,
        i => from.number * ratio.powf(f64::from(i) / f64::from(count - 1)),
    };
    Ok((0..count).map(|i| written(value(i), decimals, unit)).collect())
}

/// A number with its unit, the largest unit of sizes that shows it whole.
fn written(number: f64, decimals: usize, unit: &str) -> String {
    let text = format!("{number:.decimals$}");
    let trimmed = if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    match trimmed.parse::<u64>() {
        Ok(whole) if unit == "m" && whole > 0 && whole % 1024 == 0 => format!("{}g", whole / 1024),
        _ => format!("{trimmed}{unit}"),
    }
}

fn quantity(text: &str) -> Result<Quantity, String> {
    let text = text.trim().to_lowercase();
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let decimals = number.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    match number.parse::<f64>() {
        Ok(number) if number.is_finite() && number.abs() < 1e15 => {
            Ok(Quantity { number, decimals, suffix: suffix.to_owned() })
        }
        _ => Err(format!("'{text}' is no number; a range goes from one number to another, as 512m..8g:512m")),
    }
}

/// Both ends in one unit, with its suffix.
fn in_one_unit(
    key: &str,
    ends: (Quantity, Quantity),
    item: &str,
) -> Result<(Quantity, Quantity, String), String> {
    let (from, to) = ends;
    if from.suffix.is_empty() != to.suffix.is_empty() {
        return Err(format!("one end of the range {item} has a unit and the other none"));
    }
    let is_size = matches!(property::find(key).map(|p| p.kind), Some(Kind::Size(_)));
    // Sizes count in MiB unless an end is written in less: 1g..4g:log:9 has nine values, not three.
    let unit = if is_size && !from.suffix.is_empty() {
        let fine = |suffix: &str| ["b", "k", "kb"].contains(&suffix);
        match (from.suffix.as_str(), to.suffix.as_str()) {
            ("b", _) | (_, "b") => "b".to_owned(),
            (a, b) if fine(a) || fine(b) => "k".to_owned(),
            _ => "m".to_owned(),
        }
    } else {
        from.suffix.clone()
    };
    let convert = |end: Quantity| {
        let factor = factor(key, &end.suffix, &unit).ok_or_else(|| {
            format!("the ends of {item} are in units that do not go together; write both in one")
        })?;
        Ok::<_, String>(Quantity { number: end.number * factor, suffix: unit.clone(), ..end })
    };
    Ok((convert(from)?, convert(to)?, unit.clone()))
}

/// How many of unit `to` one of unit `from` is.
fn factor(key: &str, from: &str, to: &str) -> Option<f64> {
    if from == to {
        return Some(1.0);
    }
    let times = matches!(property::find(key).map(|property| property.kind), Some(Kind::Time(_)));
    let units: &[(&str, f64)] = if times {
        &[("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4), ("min", 6e4), ("h", 3.6e6), ("d", 8.64e7)]
    } else {
        &[
            ("b", 1.0),
            ("k", 1024.0),
            ("kb", 1024.0),
            ("m", 1_048_576.0),
            ("mb", 1_048_576.0),
            ("g", 1_073_741_824.0),
            ("gb", 1_073_741_824.0),
            ("t", 1_099_511_627_776.0),
            ("tb", 1_099_511_627_776.0),
        ]
    };
    let of = |suffix: &str| units.iter().find(|unit| unit.0 == suffix).map(|unit| unit.1);
    Some(of(from)? / of(to)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> String {
        Axis::parse(text).expect(text).values.join(" ")
    }

    #[test]
    fn ranges_have_the_values_a_reader_expects() {
        for (text, expected) in [
            ("spark.sql.shuffle.partitions=1,50, 200", "1 50 200"),
            ("spark.executor.memory=512m..2g:512m", "512m 1g 1536m 2g"),
            ("spark.executor.memory=512m..8g:log:9", "512m 724m 1g 1448m 2g 2896m 4g 5793m 8g"),
            ("spark.executor.memory=1g..4g:log:3", "1g 2g 4g"),
            ("spark.sql.shuffle.partitions=1..1000:log:4", "1 10 100 1000"),
            ("spark.sql.shuffle.partitions=1..4:log:9", "1 2 3 4"),
            ("spark.memory.fraction=0.3..0.9:0.1", "0.3 0.4 0.5 0.6 0.7 0.8 0.9"),
            ("spark.locality.wait=0s..3s:1s", "0s 1s 2s 3s"),
            ("spark.locality.wait=500ms..1s:250ms", "500ms 750ms 1000ms"),
            ("spark.executor.cores=1..4:2", "1 3"),
            ("spark.sql.shuffle.partitions=8,1..3:1,8", "8 1 2 3"),
            ("spillcast.dataScale=0.5..8:log:5", "0.5 1 2 4 8"),
            ("spillcast.storageLevel=MEMORY_ONLY,DISK_ONLY", "MEMORY_ONLY DISK_ONLY"),
            ("spark.master=local[2],local-cluster[2,1,1024]", "local[2] local-cluster[2,1,1024]"),
            ("spark.executor.memory=64k..256k:log:3", "64k 128k 256k"),
            ("spillcast.variant=\"2g heap, no swap\", base", "2g heap, no swap base"),
            ("spillcast.variant=\"1..3:1\"", "1..3:1"),
            ("spark.driver.extraJavaOptions=-Da=\"b c\",-Db", "-Da=\"b c\" -Db"),
        ] {
            assert_eq!(values(text), expected, "{text}");
        }
    }

    #[test]
    fn values_are_numbers_in_one_unit() {
        for (key, value, number) in [
            ("spark.executor.memory", "1g", Some(1_073_741_824.0)),
            ("spark.executor.memory", "512", Some(536_870_912.0)),
            ("spark.locality.wait", "3s", Some(3_000.0)),
            ("spark.memory.fraction", "0.6", Some(0.6)),
            ("spillcast.storageLevel", "MEMORY_ONLY", None),
            ("spillcast.host.memory", "1k", Some(1024.0)),
        ] {
            assert_eq!(number_of(key, value), number, "{key}={value}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused_with_the_reason() {
        for (text, part) in [
            ("spark.executor.memory", "is no KEY=VALUES"),
            ("=1", "names no property"),
            ("k=1,,2", "a value is empty"),
            ("k=", "a value is empty"),
            ("k=\"\"", "a value is empty"),
            ("k=\"a,b", "a double quote is not closed"),
            ("spark.executor.memory=8g..1g:1g", "is reversed"),
            ("spark.executor.memory=1g..8g", "has no step"),
            ("spark.executor.memory=1g..8g:0m", "is not above 0"),
            ("spark.executor.memory=1g..8g:1", "has no unit"),
            ("spark.executor.memory=1..8g:1g", "one end of the range"),
            ("spark.executor.memory=1g..8g:log", "how many values"),
            ("spark.executor.memory=1g..8g:log:1", "2 to 1000000"),
            ("spark.executor.memory=1g..8g:exp:3", "'exp' is no kind of range"),
            ("spark.sql.shuffle.partitions=0..10:log:3", "valid: above 0"),
            ("spark.sql.shuffle.partitions=a..b:1", "'a' is no number"),
            ("spark.executor.memory=1g..2ms:1g", "do not go together"),
            ("k=0..1:0.0000001", "write a larger step"),
        ] {
            let error = Axis::parse(text).expect_err(text);
            assert!(error.contains(part), "{error}");
        }
    }
}
