//! The configuration of a run: what INPUT says, `--properties-file`, `--conf` and the flags, each over the one before,
//! and its meaning. Faults are told with key, value, where it came from and what is valid.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow, bail};

use super::Told;
use super::args::ConfArgs;
use super::console::{Console, tell_error};
use super::diagnostics;
use super::input::{self, Application};
use crate::conf::property::{self, Support};
use crate::conf::{
    CollectorOption, ConfError, ErrorKind, Origin, Settings, SparkConf, SparkVersion, limit_under_heap,
    properties, spark_submit,
};

/// Longest value that a listing shows whole, in characters.
const VALUE_SHOWN: usize = 48;
/// Properties of executors that are processes of their own.
const CLUSTER_ONLY: [&str; 4] =
    ["spark.executor.memory", "spark.executor.cores", "spark.executor.instances", "spark.cores.max"];
/// Properties that a one-line note names.
const NAMES_SHOWN: usize = 4;

/// Puts the configuration together.
pub(super) fn conf(
    application: Option<&Application>,
    args: &ConfArgs,
    console: Console,
) -> anyhow::Result<SparkConf> {
    let mut conf = SparkConf::new(version(application, args)?);
    for key in &args.unset {
        unset(&mut conf, key);
    }
    // Of equal rank the last wins, and a flag beats `--conf` (as in spark-submit), which beats `--unset`.
    for pair in &args.conf {
        spark_submit::apply_conf(&mut conf, pair).map_err(|message| anyhow!(message))?;
    }
    for (flag, value) in args.flags() {
        spark_submit::apply_flag(&mut conf, flag, value);
    }
    if let Some(path) = &args.properties_file {
        properties::apply(&mut conf, &read_properties(path, console)?, &path.display().to_string());
    }
    if let Some(application) = application {
        for entry in &application.scenario.conf {
            let origin = match application.text {
                Some(_) => Origin::Scenario(entry.line as u32),
                None => Origin::EventLog,
            };
            conf.set(&entry.key, &entry.value, origin);
        }
    }
    Ok(conf)
}

/// Reads a file of properties. What is wrong with it has been told when this fails.
fn read_properties(path: &Path, console: Console) -> anyhow::Result<properties::Parsed> {
    let file = path.display().to_string();
    let bytes = fs::read(path).with_context(|| format!("{file}: cannot be read"))?;
    let text = input::utf8(&file, bytes, "valid: lines of KEY VALUE, in UTF-8")?;
    let parsed = properties::parse(&text);
    for warning in &parsed.warnings {
        console.warn(&format!("{file}:{}: {}", warning.number, warning.text));
    }
    for error in &parsed.errors {
        tell_error(&format!("{file}:{}: {}", error.number, error.text));
    }
    if parsed.errors.is_empty() { Ok(parsed) } else { Err(Told.into()) }
}

/// The properties of a file, keys and values.
pub(super) fn properties_of(path: &Path, console: Console) -> anyhow::Result<Vec<(String, String)>> {
    let mut conf = SparkConf::default();
    properties::apply(&mut conf, &read_properties(path, console)?, &path.display().to_string());
    Ok(conf.iter().map(|(key, value, _)| (key.to_owned(), value.to_owned())).collect())
}

fn version(application: Option<&Application>, args: &ConfArgs) -> anyhow::Result<SparkVersion> {
    let of_input = application.and_then(|found| Some((&found.input, found.scenario.spark_version.as_ref()?)));
    match (&args.spark_version, of_input) {
        (Some(text), _) => SparkVersion::parse(text).with_context(|| format!("--spark-version {text}")),
        (None, Some((input, text))) => {
            SparkVersion::parse(text).with_context(|| format!("{input}: spark_version"))
        }
        (None, None) => Ok(SparkVersion::DEFAULT),
    }
}

/// Takes a property away under all its names.
fn unset(conf: &mut SparkConf, key: &str) {
    let origin = Origin::CommandLine(format!("--unset {key}"));
    conf.unset(key, origin.clone());
    for old in property::old_names(key) {
        conf.unset(&old, origin.clone());
    }
}

/// Says what of the configuration is not what the user may think.
pub(super) fn tell(conf: &SparkConf, args: &ConfArgs, application: Option<&Application>, console: Console) {
    for key in &args.unset {
        let known = property::find(key).is_some()
            || application.is_some_and(|found| found.scenario.conf.iter().any(|entry| entry.key == *key));
        if !known {
            let hint =
                property::suggest(key).map_or_else(String::new, |near| format!("; did you mean {near}?"));
            console.warn(&format!("--unset {key}: nothing sets this property{hint}"));
        }
    }
    let mut unknown = Vec::new();
    for key in conf.not_modelled().into_iter().filter(|key| !key.starts_with("spillcast.")) {
        let typed = conf.entry(key).filter(|entry| entry.origin != Origin::EventLog);
        match (property::find(key), property::suggest(key), typed) {
            (None, Some(near), Some(entry)) => console.warn(&format!(
                "{key} ({}): no property of this name is known; did you mean {near}?",
                entry.origin
            )),
            _ => unknown.push(key),
        }
    }
    if console.verbose {
        console.lines(&listing(conf));
    } else if !unknown.is_empty() {
        let names = unknown.iter().take(NAMES_SHOWN).copied().collect::<Vec<_>>().join(", ");
        let more = if unknown.len() > NAMES_SHOWN { ", ..." } else { "" };
        let (what, verb) = if unknown.len() == 1 { ("property", "is") } else { ("properties", "are") };
        console.note(&format!(
            "{} {what} of the configuration {verb} not modelled: {names}{more} (--verbose lists all)",
            unknown.len()
        ));
    }
    for (old, new) in conf.deprecated().iter().filter(|_| console.verbose) {
        console.note(&format!("{old} is an old name of {new}"));
    }
}

/// Settings that the user gave and that this master never reads: an answer that did not change looks as if memory did not
/// matter.
pub(super) fn without_effect(conf: &SparkConf, settings: &Settings) -> Vec<String> {
    let mut told = other_collectors(conf, settings);
    if !settings.master.is_local() {
        return told;
    }
    let master = conf.entry("spark.master").map_or_else(|| "local".to_owned(), |entry| entry.value);
    let given = |key: &&&str| {
        let entry = conf.entry(key);
        entry.is_some_and(|e| matches!(e.origin, Origin::CommandLine(_) | Origin::PropertiesFile(..)))
    };
    let tell = |key: &&str| {
        let instead = if *key == "spark.executor.memory" {
            "its heap is spark.driver.memory (--driver-memory)"
        } else {
            "its cores are those of the master's name"
        };
        format!("{key} has no effect under master {master}: the driver is the only executor; {instead}")
    };
    told.extend(CLUSTER_ONLY.iter().filter(given).map(tell));
    told
}

/// Collectors that the JVM has and this program does not simulate.
fn other_collectors(conf: &SparkConf, settings: &Settings) -> Vec<String> {
    let process = if settings.master.is_local() { "driver" } else { "executor" };
    if settings.knobs.collector.is_some() {
        return Vec::new();
    }
    ["defaultJavaOptions", "extraJavaOptions"]
        .iter()
        .filter_map(|name| {
            let key = format!("spark.{process}.{name}");
            let entry = conf.entry(&key)?;
            let other = |word: &&str| {
                matches!(
                    CollectorOption::of(word),
                    Some(CollectorOption::NotModelled | CollectorOption::Unknown)
                )
            };
            let word = entry.value.split_whitespace().find(other)?;
            Some(format!(
                "{key} = {word}: this collector is not simulated; collections cost what they would under the one that the \
                 JVM picks by itself (spillcast.collector names another: G1, Parallel, Serial)"
            ))
        })
        .collect()
}

/// Every set property: name, value, origin, and what it does here.
fn listing(conf: &SparkConf) -> String {
    let rows: Vec<[String; 4]> = conf
        .iter()
        .map(|(key, value, origin)| {
            let role = match property::support(key, conf.version()) {
                Support::Modelled => "modelled",
                Support::Harmless => "changes nothing here",
                Support::NotModelled => "not modelled",
            };
            [key.to_owned(), shortened(value), shortened(&origin.to_string()), role.to_owned()]
        })
        .collect();
    let mut text = format!("configuration, over the defaults of Spark {}:", conf.version());
    if rows.is_empty() {
        text.push_str(" nothing is set");
    }
    let wide = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [wide(0), wide(1), wide(2)];
    for [key, value, origin, role] in &rows {
        let _ =
            write!(text, "\n  {key:<0$}  {value:<1$}  {origin:<2$}  {role}", widths[0], widths[1], widths[2]);
    }
    text
}

fn shortened(text: &str) -> String {
    let text = text.replace(['\n', '\r', '\t'], " ");
    if text.chars().count() <= VALUE_SHOWN {
        return text;
    }
    let mut short: String = text.chars().take(VALUE_SHOWN - 3).collect();
    short.push_str("...");
    short
}

/// Why there is nothing to simulate.
#[derive(Debug)]
pub(super) enum Stop {
    /// The configuration says something that has no meaning; all of it has been told.
    Faulty,
    /// Spark would not start the application, in its words.
    Refused(String),
}

/// Gives the configuration its meaning. Every fault is told.
pub(super) fn settings(
    conf: &SparkConf,
    application: Option<&Application>,
    console: Console,
) -> Result<Settings, Stop> {
    let tell = |error: &ConfError| {
        console.finding(&diagnostics::conf_error(application.and_then(Application::source), error), true);
    };
    let settings = Settings::resolve(conf).map_err(|errors| {
        errors.iter().for_each(tell);
        // Spark stops at the first; a value that means nothing comes before values that do not go together.
        let refused = |error: &ConfError| error.by_spark && error.kind == ErrorKind::Refused;
        match errors.iter().all(refused).then(|| errors.first()).flatten() {
            Some(first) => Stop::Refused(first.message.clone()),
            None => Stop::Faulty,
        }
    })?;
    match limit_under_heap(conf, &settings) {
        Some(fault) => {
            tell(&fault);
            Err(Stop::Faulty)
        }
        None => Ok(settings),
    }
}

/// Refuses what makes no sense together, before any work.
pub(super) fn check_pairs(args: &ConfArgs) -> anyhow::Result<()> {
    for pair in &args.conf {
        if let Err(message) = spark_submit::split_conf(pair) {
            bail!(message);
        }
    }
    Ok(())
}
