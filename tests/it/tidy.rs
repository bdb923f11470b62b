//! The rules that keep the house standing, checked on the source as text: who may use whom, what lower layers must not
//! know, how long a file may be. The table below is the one that ARCHITECTURE.md explains.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Modules with their layer and the modules that they may use, lowest layer first.
const LAYERS: &[(&str, u8, &[&str])] = &[
    ("units", 0, &[]),
    ("rng", 0, &[]),
    ("engine", 0, &["units"]),
    ("conf", 1, &["units"]),
    ("cluster", 2, &["units", "conf"]),
    ("memory", 2, &["units", "conf"]),
    ("host", 2, &["units", "engine"]),
    ("record", 2, &["units"]),
    // A dataset of the workload has a storage level.
    ("workload", 2, &["units", "rng", "memory"]),
    ("sim", 3, &["units", "rng", "engine", "conf", "cluster", "memory", "host", "record", "workload"]),
    ("scenario", 4, &["units", "rng", "conf", "cluster", "memory", "host", "workload"]),
    // Import runs the log's own configuration to calibrate itself, so it knows the simulation.
    ("eventlog", 4, &["units", "conf", "cluster", "memory", "host", "workload", "record", "sim"]),
    (
        "experiment",
        5,
        &[
            "units", "rng", "conf", "cluster", "memory", "host", "workload", "record", "sim", "scenario",
            "eventlog",
        ],
    ),
    ("report", 6, &["units", "record", "experiment"]),
    (
        "cli",
        7,
        &[
            "units",
            "conf",
            "cluster",
            "memory",
            "record",
            "sim",
            "scenario",
            "eventlog",
            "experiment",
            "report",
        ],
    ),
];

/// The highest layer of the pure core: no files, clocks, environment, output, threads, text formats.
const CORE: u8 = 3;

/// What the core must not name, with the reason.
const NOT_IN_THE_CORE: &[(&str, &str)] = &[
    ("std::fs", "only cli opens files"),
    ("std::io", "the core neither reads nor writes"),
    ("std::env", "a result must not depend on the environment"),
    ("std::net", "no network"),
    ("std::process", "only cli ends the process"),
    ("std::thread", "one run is one thread"),
    ("std::time", "simulated time only"),
    ("HashMap", "iteration order would leak into results"),
    ("HashSet", "iteration order would leak into results"),
    ("RandomState", "hashing must not differ between runs"),
    ("thread_rng", "every draw comes from a stream of the seed"),
    ("serde", "text formats belong to scenario, eventlog and report"),
    ("serde_json", "text formats belong to scenario, eventlog and report"),
    ("toml", "text formats belong to scenario"),
    ("thiserror", "the core cannot fail at input or output"),
    ("csv", "outputs belong to report"),
    ("plotters", "outputs belong to report"),
    ("clap", "arguments belong to cli"),
    ("anyhow", "errors without a type belong to cli"),
];

/// What only `cli` may name, with the reason.
const ONLY_IN_CLI: &[(&str, &str)] = &[
    ("println!", "the library never prints"),
    ("print!", "the library never prints"),
    ("eprintln!", "the library never prints"),
    ("eprint!", "the library never prints"),
    ("process::exit", "only cli ends the process"),
    ("std::fs", "only cli opens files"),
    ("std::env", "only cli reads the environment"),
    ("SystemTime::now", "results must not depend on the clock"),
    ("Instant::now", "only the progress bar may look at a clock"),
    ("clap", "arguments belong to cli"),
    ("anyhow", "errors without a type belong to cli"),
    ("indicatif", "progress belongs to cli"),
];

/// A file usually has 80 to 400 lines; one that is longer than this hides a second noun.
const LINES_MAX: usize = 600;
/// Files that may be longer, with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Files made for tests although they stand among the source.
const TEST_FILES: &[&str] = &["src/report/fixture.rs"];

/// A text file of the project.
struct File {
    path: String,
    text: String,
}

impl File {
    /// Top-level module, for a file below `src/`.
    fn module(&self) -> Option<&str> {
        let inner = self.path.strip_prefix("src/")?;
        match inner.split_once('/') {
            Some((folder, _)) => Some(folder),
            None => inner.strip_suffix(".rs").filter(|name| !["lib", "main"].contains(name)),
        }
    }

    /// How many modules deep the file's own module is.
    fn depth(&self) -> usize {
        self.path.matches('/').count() - usize::from(self.path.ends_with("/mod.rs"))
    }

    /// Lines of code with their numbers: without comments and without the unit tests at the end.
    fn code(&self) -> Vec<(usize, &str)> {
        if TEST_FILES.contains(&self.path.as_str()) {
            return Vec::new();
        }
        let end = ["#[cfg(test)]\nmod tests {", "#[cfg(test)]\npub(crate) mod tests {", "#[cfg(test)]\nfn "]
            .iter()
            .filter_map(|tests| self.text.find(tests))
            .min();
        without_comments(&self.text[..end.unwrap_or(self.text.len())])
    }
}

fn without_comments(text: &str) -> Vec<(usize, &str)> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    lines
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(number, line)| (number, line.split(" // ").next().unwrap_or(line)))
        .collect()
}

/// All files below a folder of the project, in the order of their names; a folder that is not there has none.
fn files(folder: &str, endings: &[&str]) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return found };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    for name in names {
        if name == ".git" {
            continue;
        }
        let path = if folder == "." { name } else { format!("{folder}/{name}") };
        let absolute = root.join(&path);
        if absolute.is_dir() {
            if folder != "." {
                found.extend(files(&path, endings));
            }
        } else if endings.is_empty() || endings.iter().any(|ending| path.ends_with(ending)) {
            // Compressed test data is no text.
            if let Ok(text) = fs::read_to_string(&absolute) {
                found.push(File { path, text });
            }
        }
    }
    found
}

fn sources() -> Vec<File> {
    let found = files("src", &[".rs"]);
    assert!(found.len() > 100, "only {} files found", found.len());
    found
}

/// Whether `line` holds `name` as a whole word or path.
fn names(line: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| {
        !line[..at].ends_with(part)
            && !line[at + name.len()..].starts_with(|c| part(c) && !name.ends_with('!'))
    })
}

/// Whether `line` uses a crate: `use NAME;` or `NAME::`, not a property or a word of that name.
fn uses_crate(line: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let path = format!("{name}::");
    line.match_indices(&path).any(|(at, _)| !line[..at].ends_with(part))
        || line.trim() == format!("use {name};")
}

fn offends(line: &str, name: &str) -> bool {
    let is_crate = name.chars().all(|c| c.is_ascii_lowercase() || c == '_') && name != "thread_rng";
    if is_crate { uses_crate(line, name) } else { names(line, name) }
}

/// Top-level modules that a line names as `crate::NAME` or `crate::{NAME, ...}`.
fn modules_used(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let group = rest.strip_prefix('{').map_or_else(
            || rest.split(',').next().into_iter().collect::<Vec<_>>(),
            |inner| inner.split(',').collect(),
        );
        for path in group {
            let name: String = path.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !name.is_empty() && !found.contains(&name) {
                found.push(name);
            }
        }
    }
    found
}

#[track_caller]
fn nothing(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let table: BTreeMap<&str, &[&str]> = LAYERS.iter().map(|(name, _, uses)| (*name, *uses)).collect();
    let mut faults = Vec::new();
    for file in sources() {
        let Some(module) = file.module() else { continue };
        let Some(allowed) = table.get(module) else {
            faults.push(format!("{}: module `{module}` stands in no layer of the table", file.path));
            continue;
        };
        // Unit tests keep to the table too.
        for (number, line) in without_comments(&file.text) {
            for used in modules_used(line) {
                if used != module && !allowed.contains(&used.as_str()) {
                    faults.push(format!("{}:{number}: `{module}` must not use `{used}`", file.path));
                }
            }
        }
    }
    nothing(&faults);
}

#[test]
fn no_module_climbs_out_of_its_layer_by_super() {
    let mut faults = Vec::new();
    for file in sources().iter().filter(|file| file.module().is_some()) {
        for (number, line) in file.code() {
            // Only a module written inside the file re-exports to it, and it is one deeper.
            let inline = line.trim_start().starts_with("pub(super) use super::");
            if line.contains(&"super::".repeat(file.depth() + usize::from(inline))) {
                faults.push(format!("{}:{number}: reach other modules as crate::NAME", file.path));
            }
        }
    }
    nothing(&faults);
}

#[test]
fn the_table_points_down_and_matches_the_folders() {
    let layer: BTreeMap<&str, u8> = LAYERS.iter().map(|(name, layer, _)| (*name, *layer)).collect();
    let mut faults = Vec::new();
    for (at, (name, own, uses)) in LAYERS.iter().enumerate() {
        for used in *uses {
            let below = layer.get(used).is_some_and(|used| used < own);
            let earlier = LAYERS[..at].iter().any(|(earlier, ..)| earlier == used);
            if !below && !earlier {
                faults.push(format!("`{name}` uses `{used}`, which is not below it"));
            }
        }
    }
    let modules: BTreeSet<String> =
        sources().iter().filter_map(|file| file.module().map(str::to_owned)).collect();
    let listed: BTreeSet<String> = layer.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(modules, listed);
    nothing(&faults);
}

#[test]
fn lower_layers_know_nothing_of_the_world() {
    let core: Vec<&str> =
        LAYERS.iter().filter(|(_, layer, _)| *layer <= CORE).map(|(name, ..)| *name).collect();
    let mut faults = Vec::new();
    for file in sources() {
        let Some(module) = file.module() else { continue };
        let mut banned: Vec<&(&str, &str)> = Vec::new();
        if core.contains(&module) {
            banned.extend(NOT_IN_THE_CORE);
        }
        if module != "cli" {
            banned.extend(ONLY_IN_CLI);
        }
        for (number, line) in file.code() {
            for (name, reason) in &banned {
                if offends(line, name) {
                    faults.push(format!("{}:{number}: names `{name}`: {reason}", file.path));
                }
            }
        }
    }
    nothing(&faults);
}

#[test]
fn files_stay_short() {
    let mut faults = Vec::new();
    for file in ["src", "tests", "benches", "examples"].into_iter().flat_map(|folder| files(folder, &[".rs"]))
    {
        let lines = file.text.lines().count();
        let excused = LONG_FILES.iter().any(|(path, _)| *path == file.path);
        if (lines > LINES_MAX) != excused {
            faults.push(format!("{}: {lines} lines, {LINES_MAX} at most (excused: {excused})", file.path));
        }
    }
    nothing(&faults);
}

#[test]
fn every_file_says_what_it_is() {
    let mut faults = Vec::new();
    for file in ["src", "tests", "benches", "examples"].into_iter().flat_map(|folder| files(folder, &[".rs"]))
    {
        if !file.text.starts_with("//!") {
            faults.push(format!("{}: does not begin with a module doc", file.path));
        }
    }
    for file in files("scenarios", &[".toml"]) {
        if !file.text.starts_with("# ") {
            faults.push(format!("{}: does not begin with a comment that says what to look for", file.path));
        }
    }
    nothing(&faults);
}

#[test]
fn unfinished_work_has_an_issue() {
    // Written apart, so that this file does not name them.
    let marks =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("todo", "!("), concat!("unimple", "mented!(")];
    let mut faults = Vec::new();
    for file in all_text() {
        for (at, line) in file.text.lines().enumerate() {
            for mark in marks {
                let numbered =
                    line.split('#').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
                if names(line, mark) && !numbered {
                    faults.push(format!("{}:{}: {mark} without the number of an issue", file.path, at + 1));
                }
            }
        }
    }
    nothing(&faults);
}

#[test]
fn no_file_names_a_place_outside_the_project() {
    let outside = [concat!("/wo", "rk/"), concat!("../sha", "red"), concat!("/ro", "ot/")];
    // Continuous integration looks beside the checkout for runs of real Spark, which are too large to commit.
    let excused = |path: &str, line: &str| path == ".ci/run" && line.contains("SPILLCAST_SHARED:-");
    let mut faults = Vec::new();
    for file in all_text() {
        for (at, line) in file.text.lines().enumerate() {
            if outside.iter().any(|place| line.contains(place)) && !excused(&file.path, line) {
                faults.push(format!("{}:{}: names a place outside the project", file.path, at + 1));
            }
        }
    }
    nothing(&faults);
}

/// Every text file that is committed.
fn all_text() -> Vec<File> {
    let folders = [".", ".ci", "src", "tests", "benches", "examples", "scenarios", "docs", "notebooks"];
    folders.into_iter().flat_map(|folder| files(folder, &[])).collect()
}

#[test]
fn the_rules_see_what_they_forbid() {
    assert_eq!(modules_used("use crate::{conf::Settings, sim};"), ["conf", "sim"]);
    assert_eq!(modules_used("let x: crate::units::SimTime = y(crate::rng::a);"), ["units", "rng"]);
    assert!(offends("use std::collections::HashMap;", "HashMap"));
    assert!(!offends("use rustc_hash::FxHashMap;", "HashMap"));
    assert!(!offends("fastHashMap.capacityBit", "HashMap"));
    assert!(
        offends("    eprintln!(\"{x}\");", "eprintln!") && !offends("    eprintln!(\"{x}\");", "println!")
    );
    assert!(offends("#[derive(serde::Serialize)]", "serde") && !offends("// a serde of Hive", "serde"));
    assert!(offends("let now = std::time::Instant::now();", "Instant::now"));
    let file = |path: &str| File {
        path: path.to_owned(),
        text: "a // b\n// c\nd\n#[cfg(test)]\nmod tests {\ne".into(),
    };
    assert_eq!(file("src/conf/size.rs").code(), [(1, "a"), (3, "d")]);
    assert_eq!((file("src/conf/mod.rs").depth(), file("src/conf/size.rs").depth()), (1, 2));
    assert_eq!(file("src/rng.rs").module(), Some("rng"));
}
