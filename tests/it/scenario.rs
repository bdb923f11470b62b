//! Scenario files: what is wrong is found at its place, what is right becomes the workload one would expect, and
//! nothing is lost between a scenario and its text.

mod faults;
mod lowering;
mod round_trip;
mod schema;

use std::fs;
use std::path::{Path, PathBuf};

use spillcast::scenario::{Scenario, parse};

/// A file in which nothing is wrong; cases append to it or stand alone.
const GOOD: &str = "[[table]]\nname = \"events\"\nrows = 1_000\n[[query]]\nfrom = \"events\"\n";

fn scenario(text: &str) -> Scenario {
    let (scenario, found) = parse(text, "test.toml");
    assert!(found.is_empty(), "{found:#?}");
    scenario.expect("no errors")
}

fn shipped() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("scenarios").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).expect("text"))).collect()
}
