//! Reads typed values out of a [`SparkConf`] by the property table and gathers every fault, in the words of the version
//! (CONF-5, CONF-6).

use super::error::{ConfError, ErrorKind};
use super::property::{self, Kind, Property, Refusal, Valid, describe};
use super::size::{ByteUnit, conf_entry_size};
use super::spark_conf::{Entry, Origin, SparkConf};
use super::time::{TimeUnit, time_string_as};
use super::version::SparkVersion;
use crate::units::SimDuration;

/// A value by its property's kind, sizes and times in the key's unit.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Typed {
    Whole(i64),
    Real(f64),
    Bool(bool),
    Text(String),
}

/// Reads one conf; `errors` holds what it found wrong.
pub(super) struct Reader<'a> {
    pub(super) conf: &'a SparkConf,
    pub(super) errors: Vec<ConfError>,
}

impl<'a> Reader<'a> {
    /// Checks every set key that the version knows, and refuses unknown knobs of this program.
    pub(super) fn new(conf: &'a SparkConf) -> Self {
        let mut errors = Vec::new();
        for (key, value, origin) in conf.iter() {
            let today = property::new_name(key);
            match property::find(today.as_deref().unwrap_or(key)) {
                Some(property) if property.exists_in(conf.version()) => {
                    let checked = parse(property, value, conf.version())
                        .and_then(|typed| check_range(property, &typed, conf.version()));
                    if let Err(fault) = checked {
                        errors.push(fault.at(key, value, origin.clone()));
                    }
                }
                Some(_) => {}
                None => errors.extend(check_unknown(key, value, origin)),
            }
        }
        Self { conf, errors }
    }

    pub(super) fn version(&self) -> SparkVersion {
        self.conf.version()
    }

    /// The value that holds for `key`; a value already found wrong reads as the default, so that reading goes on.
    fn typed(&self, key: &str) -> Option<Typed> {
        let property =
            property::find(key).unwrap_or_else(|| panic!("{key} has no row in the property table"));
        let Entry { value, .. } = self.conf.effective(key)?;
        parse(property, &value, self.version()).ok().or_else(|| {
            let default = SparkConf::new(self.version()).effective(key)?;
            parse(property, &default.value, self.version()).ok()
        })
    }

    fn whole(&self, key: &str) -> Option<i64> {
        self.typed(key).map(|typed| match typed {
            Typed::Whole(value) => value,
            other => panic!("{key} is {other:?}, not a whole number"),
        })
    }

    /// A whole number in the key's own unit, if the key has a value.
    pub(super) fn opt_whole(&self, key: &str) -> Option<i64> {
        self.whole(key)
    }

    /// Bytes; `None` when the key has no value or a negative one. More than 2⁶³−1 bytes become that.
    pub(super) fn opt_bytes(&self, key: &str) -> Option<u64> {
        let unit = match property::find(key).map(|property| property.kind) {
            Some(Kind::Size(unit)) => unit.bytes(),
            _ => 1,
        };
        self.whole(key).and_then(|value| u64::try_from(value.saturating_mul(unit)).ok())
    }

    /// Bytes; a negative value reads as 0.
    pub(super) fn bytes(&self, key: &str) -> u64 {
        self.opt_bytes(key).unwrap_or(0)
    }

    /// A count; a negative value reads as 0.
    pub(super) fn count(&self, key: &str) -> u64 {
        self.whole(key).map_or(0, |value| value.max(0) as u64)
    }

    /// A count that is positive and fits 32 bits, if the key has one.
    pub(super) fn opt_count(&self, key: &str) -> Option<u32> {
        self.whole(key).and_then(|value| u32::try_from(value).ok())
    }

    pub(super) fn real(&self, key: &str) -> f64 {
        self.opt_real(key).unwrap_or(0.0)
    }

    pub(super) fn opt_real(&self, key: &str) -> Option<f64> {
        self.typed(key).map(|typed| match typed {
            Typed::Real(value) => value,
            other => panic!("{key} is {other:?}, not a decimal number"),
        })
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.typed(key) == Some(Typed::Bool(true))
    }

    /// A time; `None` when it is 0 or less.
    pub(super) fn opt_time(&self, key: &str) -> Option<SimDuration> {
        let unit = match property::find(key).map(|property| property.kind) {
            Some(Kind::Time(unit)) => unit.nanos(),
            _ => TimeUnit::Ms.nanos(),
        };
        let value = self.whole(key).filter(|value| *value > 0)?;
        Some(SimDuration(value.saturating_mul(unit) as u64))
    }

    /// A time; a negative one reads as 0.
    pub(super) fn time(&self, key: &str) -> SimDuration {
        self.opt_time(key).unwrap_or(SimDuration::ZERO)
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.typed(key).map(|typed| match typed {
            Typed::Text(text) => text,
            other => panic!("{key} is {other:?}, not text"),
        })
    }

    /// A value only if the user set the key.
    pub(super) fn explicit<T>(&self, key: &str, read: impl Fn(&Self, &str) -> Option<T>) -> Option<T> {
        let property = property::find(key)?;
        if self.conf.contains(key) && property.exists_in(self.version()) { read(self, key) } else { None }
    }

    /// Records that Spark refuses to start with the value of `key`.
    pub(super) fn refuse(
        &mut self,
        key: &str,
        condition: Option<&'static str>,
        message: String,
        valid: impl Into<String>,
    ) {
        let Entry { value, origin } =
            self.conf.effective(key).unwrap_or(Entry { value: String::new(), origin: Origin::Default });
        let key = self.conf.lookup(key).map_or(key, |(name, ..)| name).to_owned();
        let valid = valid.into();
        let kind = ErrorKind::Refused;
        self.errors.push(ConfError { key, value, origin, kind, message, valid, condition, by_spark: true });
    }

    /// Whether `key` already has a fault, so that checks which need it would only repeat it.
    pub(super) fn is_faulty(&self, key: &str) -> bool {
        let old = property::old_names(key);
        self.errors.iter().any(|error| error.key == key || old.contains(&error.key))
    }
}

/// A fault of a value, before it is known where the value came from.
pub(super) struct Fault {
    kind: ErrorKind,
    condition: Option<&'static str>,
    message: String,
    valid: String,
    by_spark: bool,
}

impl Fault {
    fn at(self, key: &str, value: &str, origin: Origin) -> ConfError {
        let Self { kind, condition, message, valid, by_spark } = self;
        ConfError {
            key: key.to_owned(),
            value: value.to_owned(),
            origin,
            kind,
            message,
            valid,
            condition,
            by_spark,
        }
    }
}

/// Parses `text` as `property`'s kind.
fn parse(property: &Property, text: &str, version: SparkVersion) -> Result<Typed, Fault> {
    let key = property.name;
    let trimmed = text.trim_matches(|c: char| c <= ' ');
    let mismatch = |confined_type: &str, plain: String| {
        let wrapped = version.at_least(4, 0);
        let message = if wrapped {
            format!(
                "[INVALID_CONF_VALUE.TYPE_MISMATCH] The value '{text}' in the config \"{key}\" is invalid. It should \
                 be a/an '{confined_type}' value. SQLSTATE: 22022"
            )
        } else {
            plain
        };
        let condition = wrapped.then_some("INVALID_CONF_VALUE.TYPE_MISMATCH");
        let valid = describe(property.kind);
        Fault { kind: ErrorKind::Malformed, condition, message, valid, by_spark: true }
    };
    let plain = |name: &str| format!("{key} should be {name}, but was {text}");
    Ok(match property.kind {
        Kind::Size(unit) => Typed::Whole(
            conf_entry_size(text, unit)
                .map_err(|error| mismatch(&format!("bytes in {}", unit.name()), error.to_string()))?,
        ),
        Kind::Time(unit) => Typed::Whole(
            time_string_as(text, unit)
                .map_err(|error| mismatch(&format!("time in {}", unit.name()), error.to_string()))?,
        ),
        Kind::Int => {
            Typed::Whole(trimmed.parse::<i32>().map(i64::from).map_err(|_| mismatch("int", plain("int")))?)
        }
        Kind::Long => Typed::Whole(trimmed.parse().map_err(|_| mismatch("long", plain("long")))?),
        Kind::Double => Typed::Real(java_double(trimmed).ok_or_else(|| mismatch("double", plain("double")))?),
        Kind::Bool => Typed::Bool(match trimmed.to_lowercase().as_str() {
            "true" => true,
            "false" => false,
            _ => return Err(mismatch("boolean", plain("boolean"))),
        }),
        Kind::Choice(words) => {
            let word = words.iter().find(|word| word.eq_ignore_ascii_case(trimmed));
            Typed::Text((*word.ok_or_else(|| not_among(key, text, words))?).to_owned())
        }
        Kind::Text => Typed::Text(text.to_owned()),
    })
}

/// What `Double.parseDouble` accepts, hexadecimal aside: Java also allows a type letter at the end.
fn java_double(text: &str) -> Option<f64> {
    let number = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    match number.trim_start_matches(['+', '-']) {
        "NaN" | "Infinity" if number == text => number.parse().ok(),
        digits if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => number.parse().ok(),
        _ => None,
    }
}

fn not_among(key: &str, text: &str, words: &[&str]) -> Fault {
    let message = match key {
        "spark.submit.deployMode" => "Deploy mode must be either \"client\" or \"cluster\"".to_owned(),
        "spark.scheduler.mode" => format!("Unrecognized spark.scheduler.mode: {text}"),
        _ => format!("'{text}' is not a value of {key}"),
    };
    let by_spark = key.starts_with("spark.");
    Fault {
        kind: ErrorKind::Malformed,
        condition: None,
        message,
        valid: format!("one of {}", words.join(", ")),
        by_spark,
    }
}

/// Checks the range of a value of the right kind.
fn check_range(property: &Property, typed: &Typed, version: SparkVersion) -> Result<(), Fault> {
    let refusal = match (property.valid, typed) {
        (Valid::Whole { min, max, refusal }, Typed::Whole(value)) if !(min..=max).contains(value) => refusal,
        (Valid::Real { accepts, refusal }, Typed::Real(value)) if !accepts(*value) => refusal,
        _ => return Ok(()),
    };
    let key = property.name;
    let words = refusal.words();
    let (message, condition) = match refusal {
        Refusal::Entry(_) if version.at_least(4, 0) => (
            format!(
                "[INVALID_CONF_VALUE.REQUIREMENT] The value '{}' in the config \"{key}\" is invalid. {words} \
                 SQLSTATE: 22022",
                echo(property.kind, typed)
            ),
            Some("INVALID_CONF_VALUE.REQUIREMENT"),
        ),
        // 2.4 prints the requirement alone, 3.x the bare number before it.
        Refusal::Entry(_) if version.at_least(3, 0) => {
            (format!("'{}' in {key} is invalid. {words}", echo(Kind::Long, typed)), None)
        }
        Refusal::Entry(_) | Refusal::Start(_) => (words.to_owned(), None),
        Refusal::Ours(_) => (format!("'{}' is no value for {key}", echo(property.kind, typed)), None),
    };
    // The limits of the type say nothing beside narrower ones.
    let what = match property.kind {
        Kind::Int => "a whole number".to_owned(),
        kind => describe(kind),
    };
    let valid = match (property.valid, refusal) {
        (_, Refusal::Ours(words)) => words.to_owned(),
        (Valid::Whole { min: 1, max: i64::MAX, .. }, _) if matches!(property.kind, Kind::Size(_)) => {
            format!("{what}; more than 0")
        }
        (Valid::Whole { min, max: i64::MAX, .. }, _) => {
            format!("{what}, from {} up", echo(property.kind, &Typed::Whole(min)))
        }
        (Valid::Whole { min, max, .. }, _) => format!(
            "{what}, from {} to {}",
            echo(property.kind, &Typed::Whole(min)),
            echo(property.kind, &Typed::Whole(max))
        ),
        (_, _) => words.to_owned(),
    };
    let by_spark = !matches!(refusal, Refusal::Ours(_));
    Err(Fault { kind: ErrorKind::OutOfRange, condition, message, valid, by_spark })
}

/// A value as Spark's config entries print it: sizes in bytes, times in milliseconds (CONF-6).
fn echo(kind: Kind, typed: &Typed) -> String {
    match (kind, typed) {
        (Kind::Size(unit), Typed::Whole(value)) => {
            format!("{}{}", value.saturating_mul(unit.bytes()), ByteUnit::Byte.suffix())
        }
        (Kind::Time(unit), Typed::Whole(value)) => {
            let ms = value.saturating_mul(unit.nanos() / TimeUnit::Ms.nanos());
            format!("{ms}{}", TimeUnit::Ms.suffix())
        }
        (_, Typed::Whole(value)) => value.to_string(),
        // Java prints 1.0 for a whole double, as Rust's debug form does.
        (_, Typed::Real(value)) => format!("{value:?}"),
        (_, Typed::Bool(value)) => value.to_string(),
        (_, Typed::Text(text)) => text.clone(),
    }
}

/// Unknown Spark keys are accepted (CONF-16); unknown knobs and keys of nobody are not.
fn check_unknown(key: &str, value: &str, origin: &Origin) -> Option<ConfError> {
    if let Some(dataset) = key.strip_prefix(property::STORAGE_LEVEL_PREFIX) {
        let level = property::STORAGE_LEVELS.iter().any(|level| level.eq_ignore_ascii_case(value.trim()));
        if level && !dataset.is_empty() {
            return None;
        }
        return Some(not_among(key, value, property::STORAGE_LEVELS).at(key, value, origin.clone()));
    }
    if key.starts_with("spark.") {
        return None;
    }
    let valid = match property::suggest(key) {
        Some(known) => known.to_owned(),
        None => "a name that begins with spark. or a knob such as spillcast.storageLevel".to_owned(),
    };
    let message = format!("there is no property {key}");
    let fault = Fault { kind: ErrorKind::Malformed, condition: None, message, valid, by_spark: false };
    Some(fault.at(key, value, origin.clone()))
}
