//! Checks a parsed TOML document against the table of keys: unknown, missing and misplaced keys, types, ranges, units.
//! What this pass accepts, [`View`] reads without further ado; what it refuses has its diagnostic, and reads as absent.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{
    BAD_UNIT, DUPLICATE, MISSING_KEY, OUT_OF_RANGE, Sink, UNKNOWN_KEY, UNKNOWN_WORD, WRONG_TYPE, did_you_mean,
};
use super::grammar::{DISTRIBUTION, Kind, Table};
use super::level::{LEVEL, LEVELS};
use super::quantity;
use super::view::{View, float, signed, whole};

/// Reports every fault of `table` that the table of keys can tell.
pub(super) fn table(view: &View, grammar: &'static Table, sink: &mut Sink) {
    let word = grammar.tag.and_then(|tag| tag_word(view, tag, grammar, sink));
    if grammar.tag.is_some() && word.is_none() {
        return;
    }
    let keys: Vec<_> = grammar.keys_for(word).collect();
    for (name, value) in view.entries() {
        if grammar.tag == Some(name.get_ref()) {
            continue;
        }
        match keys.iter().find(|key| key.name == name.get_ref()) {
            Some(key) => check_value(key.name, value, key.kind, sink),
            None => unknown_key(name.get_ref(), name.span(), grammar, word, sink),
        }
    }
    for key in keys.iter().filter(|key| key.required && !view.has(key.name)) {
        missing(view, key.name, grammar.title, sink);
    }
}

/// The word of a table's tag, if it is a known one.
fn tag_word(
    view: &View,
    tag: &'static str,
    grammar: &'static Table,
    sink: &mut Sink,
) -> Option<&'static str> {
    let Some(value) = view.get(tag) else {
        missing(view, tag, grammar.title, sink);
        return None;
    };
    let words: Vec<&'static str> = grammar.variants.iter().map(|(word, _)| *word).collect();
    check_value(tag, value, Kind::Text, sink);
    let given = value.get_ref().as_str()?;
    let known = words.iter().copied().find(|word| *word == given);
    if known.is_none() && !given.is_empty() {
        let help = did_you_mean(given, &words);
        sink.error(
            UNKNOWN_WORD,
            value.span(),
            format!("unknown `{tag}` `{given}`"),
            "not a known word",
            Some(help),
        );
    }
    known
}

fn unknown_key(name: &str, span: Range<usize>, grammar: &'static Table, word: Option<&str>, sink: &mut Sink) {
    let valid: Vec<&str> =
        grammar.tag.into_iter().chain(grammar.keys_for(word).map(|key| key.name)).collect();
    let elsewhere: Vec<&str> = grammar
        .variants
        .iter()
        .filter(|(_, keys)| keys.iter().any(|key| key.name == name))
        .map(|(word, _)| *word)
        .collect();
    let of = match (grammar.tag, word) {
        (Some(tag), Some(word)) => format!("`{tag} = \"{word}\"`"),
        _ => grammar.title.to_owned(),
    };
    let help = if elsewhere.is_empty() {
        did_you_mean(name, &valid)
    } else {
        format!("`{name}` belongs to {}; valid here: {}", elsewhere.join(", "), valid.join(", "))
    };
    sink.error(UNKNOWN_KEY, span, format!("{of} has no key `{name}`"), "unknown key", Some(help));
}

fn missing(view: &View, name: &str, title: &str, sink: &mut Sink) {
    let message = format!("{title} needs `{name}`");
    sink.error(MISSING_KEY, view.span.clone(), message, format!("no `{name}`"), None);
}

/// Reports the faults of one value.
fn check_value(name: &str, value: &Spanned<DeValue>, kind: Kind, sink: &mut Sink) {
    let span = value.span();
    match kind {
        Kind::Text => {
            if text(name, value, "a text", sink).is_some_and(|text| text.trim().is_empty()) {
                sink.error(OUT_OF_RANGE, span, format!("`{name}` is empty"), "empty", None);
            }
        }
        Kind::FreeText => {
            text(name, value, "a text", sink);
        }
        Kind::Word(words) => {
            if let Some(given) = text(name, value, "a text", sink)
                && !words.contains(&given)
            {
                let help = Some(did_you_mean(given, words));
                sink.error(
                    UNKNOWN_WORD,
                    span,
                    format!("unknown `{name}` `{given}`"),
                    "not a known word",
                    help,
                );
            }
        }
        Kind::Flag => {
            if value.get_ref().as_bool().is_none() {
                wrong_type(name, value, "true or false", sink);
            }
        }
        Kind::Whole(min, max) => check_whole(name, value, min, max, sink),
        Kind::Signed(min, max) => match signed(value.get_ref()) {
            Some(number) if number < min || number > max => {
                out_of_range(name, value, &format!("{min} to {max}"), sink);
            }
            Some(_) => {}
            None => wrong_type(name, value, "a whole number", sink),
        },
        Kind::Number(min, max) => match float(value.get_ref()) {
            Some(number) if !number.is_finite() || number < min || number > max => {
                let valid =
                    if max >= 1e6 { format!("{min} or more") } else { format!("between {min} and {max}") };
                out_of_range(name, value, &valid, sink);
            }
            Some(_) => {}
            None => wrong_type(name, value, "a number", sink),
        },
        Kind::Size => check_size(name, value, sink),
        Kind::Rate => {
            if value.get_ref().is_str() {
                check_size(name, value, sink);
            } else {
                check_value(name, value, Kind::Number(1.0, f64::MAX), sink);
            }
        }
        Kind::Time => {
            if let Some(given) = text(name, value, "a time with its unit, as \"3s\" or \"200ms\"", sink)
                && let Err(refusal) = quantity::time(given)
            {
                let message = format!("`{name}`: {}", refusal.message);
                sink.error(BAD_UNIT, span, message, "not a time", Some(refusal.help));
            }
        }
        Kind::Amount => {
            if value.get_ref().is_array() {
                each(name, value, Kind::Whole(0, u64::MAX), "", sink);
            } else {
                check_whole(name, value, 0, u64::MAX, sink);
            }
        }
        Kind::Wholes => each(name, value, Kind::Whole(0, u64::MAX), "a list of whole numbers", sink),
        Kind::Numbers => each(name, value, Kind::Number(0.0, f64::MAX), "a list of numbers", sink),
        Kind::Names => {
            if value.get_ref().is_array() {
                each(name, value, Kind::Text, "", sink);
            } else if value.get_ref().is_str() {
                check_value(name, value, Kind::Text, sink);
            } else {
                wrong_type(name, value, "a name or a list of names", sink);
            }
        }
        Kind::Level => check_level(name, value, sink),
        Kind::Distribution => match value.get_ref() {
            DeValue::Table(inner) => table(&View::new(inner, span), &DISTRIBUTION, sink),
            DeValue::String(_) => check_value(name, value, Kind::Word(&["uniform"]), sink),
            _ => wrong_type(name, value, "\"uniform\" or a distribution, as { zipf = 1.1 }", sink),
        },
        Kind::Partitions => {
            if value.get_ref().is_str() {
                check_value(name, value, Kind::Word(&["conf"]), sink);
            } else {
                check_whole(name, value, 1, u64::from(u32::MAX), sink);
            }
        }
        Kind::Properties => match value.get_ref() {
            DeValue::Table(inner) => properties(inner, sink),
            _ => wrong_type(name, value, "a table of Spark properties", sink),
        },
        Kind::Table(grammar) => match value.get_ref() {
            DeValue::Table(inner) => table(&View::new(inner, span), grammar, sink),
            _ => wrong_type(name, value, "a table", sink),
        },
        Kind::Tables(grammar) => match value.get_ref() {
            DeValue::Array(items) => {
                for item in items {
                    check_value(name, item, Kind::Table(grammar), sink);
                }
            }
            DeValue::Table(_) => {
                let help = Some(format!("write [[{name}]]: there may be several"));
                sink.error(WRONG_TYPE, span, format!("`{name}` must be a list of tables"), "one table", help);
            }
            _ => wrong_type(name, value, "a list of tables", sink),
        },
    }
}

fn check_whole(name: &str, value: &Spanned<DeValue>, min: u64, max: u64, sink: &mut Sink) {
    match (whole(value.get_ref()), value.get_ref()) {
        (Some(number), _) if number >= min && number <= max => {}
        (Some(_), _) | (None, DeValue::Integer(_)) => {
            let valid = if max >= i64::MAX as u64 {
                format!("{min} or more")
            } else {
                format!("between {min} and {max}")
            };
            out_of_range(name, value, &valid, sink);
        }
        _ => wrong_type(name, value, "a whole number", sink),
    }
}

fn check_size(name: &str, value: &Spanned<DeValue>, sink: &mut Sink) {
    match value.get_ref() {
        DeValue::Integer(_) => check_whole(name, value, 0, i64::MAX as u64, sink),
        DeValue::String(given) => {
            if let Err(refusal) = quantity::size(given) {
                let message = format!("`{name}`: {}", refusal.message);
                sink.error(BAD_UNIT, value.span(), message, "not a size", Some(refusal.help));
            }
        }
        _ => wrong_type(name, value, "a size, as \"512m\", or a number of bytes", sink),
    }
}

fn check_level(name: &str, value: &Spanned<DeValue>, sink: &mut Sink) {
    match value.get_ref() {
        DeValue::Table(inner) => table(&View::new(inner, value.span()), &LEVEL, sink),
        DeValue::String(given) if LEVELS.contains(&given.as_ref()) => {}
        DeValue::String(given) => {
            let help = Some(did_you_mean(given, LEVELS));
            let message = format!("unknown storage level `{given}`");
            sink.error(UNKNOWN_WORD, value.span(), message, "not a storage level", help);
        }
        _ => wrong_type(name, value, "the name of a storage level", sink),
    }
}

/// Checks each element of a list.
fn each(name: &str, value: &Spanned<DeValue>, kind: Kind, expected: &str, sink: &mut Sink) {
    match value.get_ref().as_array() {
        Some(items) => items.iter().for_each(|item| check_value(name, item, kind, sink)),
        None => wrong_type(name, value, expected, sink),
    }
}

fn text<'v>(name: &str, value: &'v Spanned<DeValue>, expected: &str, sink: &mut Sink) -> Option<&'v str> {
    let text = value.get_ref().as_str();
    if text.is_none() {
        wrong_type(name, value, expected, sink);
    }
    text
}

fn wrong_type(name: &str, value: &Spanned<DeValue>, expected: &str, sink: &mut Sink) {
    let (given, help) = match value.get_ref() {
        DeValue::String(text) => {
            let number = text.replace('_', "").parse::<f64>().is_ok();
            let flag = *text == "true" || *text == "false";
            ("a text", (number || flag).then(|| format!("write it without quotes: {text}")))
        }
        DeValue::Integer(_) => ("a whole number", None),
        DeValue::Float(_) => ("a fraction", None),
        DeValue::Boolean(_) => ("true or false", None),
        DeValue::Datetime(_) => ("a date", None),
        DeValue::Array(_) => ("a list", None),
        DeValue::Table(_) => ("a table", None),
    };
    let message = format!("`{name}` must be {expected}, not {given}");
    sink.error(WRONG_TYPE, value.span(), message, format!("this is {given}"), help);
}

fn out_of_range(name: &str, value: &Spanned<DeValue>, valid: &str, sink: &mut Sink) {
    let given = sink.slice(&value.span());
    let label = format!("must be {valid}");
    sink.error(OUT_OF_RANGE, value.span(), format!("`{name}` is {given}, but must be {valid}"), label, None);
}

/// A Spark property as the file gives it.
pub(super) struct Property {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) span: Range<usize>,
}

/// The properties of a table in the order of the text, dotted keys joined to names again. A value is kept as written.
pub(super) fn flatten(table: &DeTable, sink: &Sink) -> Vec<Property> {
    let mut found = Vec::new();
    collect("", table, sink, &mut found);
    found.sort_by_key(|property| property.span.start);
    found
}

fn collect(prefix: &str, table: &DeTable, sink: &Sink, found: &mut Vec<Property>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{}", name.get_ref()) };
        let value = match value.get_ref() {
            DeValue::Table(inner) => {
                collect(&key, inner, sink, found);
                continue;
            }
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(_) | DeValue::Float(_) => sink.slice(&value.span()).replace('_', ""),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Datetime(_) | DeValue::Array(_) => continue,
        };
        found.push(Property { key, value, span: name.span() });
    }
}

fn properties(table: &DeTable, sink: &mut Sink) {
    lists(table, sink);
    let mut seen = BTreeMap::new();
    for property in flatten(table, sink) {
        if let Some(first) = seen.insert(property.key.clone(), property.span.start) {
            let help = Some(format!("it is on line {} already", sink.line(first)));
            let message = format!("`{}` is given twice", property.key);
            sink.error(DUPLICATE, property.span, message, "given again", help);
        }
    }
}

/// Reports the values that no Spark property can have.
fn lists(table: &DeTable, sink: &mut Sink) {
    for (name, value) in table {
        match value.get_ref() {
            DeValue::Table(inner) => lists(inner, sink),
            DeValue::Array(_) | DeValue::Datetime(_) => {
                wrong_type(name.get_ref(), value, "a text or a number", sink);
            }
            _ => {}
        }
    }
}
