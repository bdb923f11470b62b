//! `spillcast check`: every fault of every scenario file, in one pass: of the text, of the properties, and of the two
//! together (a heap with which Spark would not start).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::args::{CheckArgs, ConfArgs};
use super::configure;
use super::console::{Console, print, tell_error};
use super::diagnostics::{self, Source};
use super::input::{Application, count, open_scenario};
use super::{Answer, Told};
use crate::conf::property;
use crate::conf::{Origin, Settings, SparkConf, limit_under_heap};
use crate::experiment;
use crate::scenario::{self, Severity};

/// Faults of all files.
#[derive(Default)]
struct Findings {
    errors: usize,
    warnings: usize,
    /// For `--json`.
    list: Vec<Value>,
}

/// Runs the command.
pub(super) fn run(args: &CheckArgs, console: Console) -> anyhow::Result<Answer> {
    let mut findings = Findings::default();
    for path in &args.files {
        let file = path.display().to_string();
        match open_scenario(path, console) {
            Ok(text) => check(&file, text, &mut findings, console),
            Err(error) => {
                tell_error(&format!("{error:#}"));
                findings
                    .add(true, json!({ "file": file, "severity": "error", "message": format!("{error:#}") }));
            }
        }
    }
    if args.json {
        let mut text = serde_json::to_string_pretty(&findings.list)?;
        text.push('\n');
        print(text.as_bytes())?;
    }
    let files = count(args.files.len(), "file");
    if findings.errors > 0 {
        let warnings = match findings.warnings {
            0 => String::new(),
            number => format!(", {}", count(number, "warning")),
        };
        tell_error(&format!("{}{warnings} in {files}", count(findings.errors, "fault")));
        return Err(Told.into());
    }
    let warnings = match findings.warnings {
        0 => "no fault".to_owned(),
        number => count(number, "warning"),
    };
    console.note(&format!("{files}: {warnings}"));
    Ok(Answer::Done)
}

impl Findings {
    fn add(&mut self, is_error: bool, finding: Value) {
        *(if is_error { &mut self.errors } else { &mut self.warnings }) += 1;
        self.list.push(finding);
    }
}

fn check(file: &str, text: String, findings: &mut Findings, console: Console) {
    let (parsed, diagnostics) = scenario::parse(&text, file);
    diagnostics::show(Source { file, text: &text }, &diagnostics, console);
    for found in &diagnostics {
        let is_error = found.severity == Severity::Error;
        findings.add(
            is_error,
            json!({
                "file": file,
                "line": found.line,
                "column": found.column,
                "severity": if is_error { "error" } else { "warning" },
                "code": found.code,
                "message": found.message,
                "help": found.help,
            }),
        );
    }
    // What is wrong with the rest keeps no property from being checked.
    let scenario = parsed.unwrap_or_else(|| scenario::outline(&text, file));
    let application =
        Application { input: file.to_owned(), scenario, text: Some(text), honesty: None, observed: None };
    let conf = match configure::conf(Some(&application), &ConfArgs::default(), console) {
        Ok(conf) => conf,
        Err(error) => {
            tell_error(&format!("{error:#}"));
            findings.add(true, json!({ "file": file, "severity": "error", "message": format!("{error:#}") }));
            return;
        }
    };
    let mut told = BTreeSet::new();
    check_properties(&application, &conf, &mut told, findings, console);
    for variant in &application.scenario.variants {
        let mut conf = conf.clone();
        for entry in &variant.conf {
            conf.set(&entry.key, &entry.value, Origin::Scenario(entry.line as u32));
        }
        check_properties(&application, &conf, &mut told, findings, console);
    }
}

/// Checks one configuration of a scenario; `told` holds the faults that another one had as well.
fn check_properties(
    application: &Application,
    conf: &SparkConf,
    told: &mut BTreeSet<String>,
    findings: &mut Findings,
    console: Console,
) {
    let Some(source) = application.source() else { return };
    let mut tell = |shown: String, is_error: bool, finding: Value| {
        if !told.contains(&shown) {
            console.finding(&shown, is_error);
            findings.add(is_error, finding);
            told.insert(shown);
        }
    };
    for key in conf.not_modelled() {
        let Some(Origin::Scenario(line)) = conf.entry(key).map(|entry| entry.origin) else { continue };
        let (Some(near), None) = (property::suggest(key), property::find(key)) else { continue };
        let message = format!("no property `{key}` is known");
        let help = format!("did you mean `{near}`? Spark accepts any name, and so does a run");
        tell(
            diagnostics::conf_warning(source, line, &message, &help),
            false,
            json!({
                "file": source.file,
                "line": line,
                "column": 1,
                "severity": "warning",
                "message": message,
                "help": help,
            }),
        );
    }
    let faults = match Settings::resolve(conf) {
        Ok(settings) => {
            if let Err(words) =
                experiment::place(&settings, &application.scenario.cluster, &application.scenario.workload)
            {
                let finding = json!({ "file": source.file, "severity": "error", "message": words });
                tell(diagnostics::plain(&format!("{}: {words}", source.file)), true, finding);
            }
            limit_under_heap(conf, &settings).into_iter().collect()
        }
        Err(faults) => faults,
    };
    for fault in &faults {
        let line = if let Origin::Scenario(line) = fault.origin { Some(line) } else { None };
        tell(
            diagnostics::conf_error(Some(source), fault),
            true,
            json!({
                "file": source.file,
                "line": line,
                "column": line.map(|_| 1),
                "severity": "error",
                "message": format!("{} = {}: {}", fault.key, fault.value, fault.message),
                "help": (!fault.valid.is_empty()).then(|| format!("valid: {}", fault.valid)),
            }),
        );
    }
}
