//! The program as a user meets it: exit codes, messages, files. Every refusal names what is wrong and what would be right,
//! and leaves nothing behind.

mod bad_input;
mod broken_studies;
mod commands;
mod files;
mod hard_logs;
mod log_studies;
mod studies;
mod validate;
mod validate_host;
mod wrong_values;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A real log of few tasks.
const LOG: &str = "tests/data/eventlog/codecs/app.zstd";

/// What the program did.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The program, to be run in the project's folder without the terminal's influence.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spillcast"));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("COLUMNS")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

pub(crate) fn ran(output: &Output) -> Ran {
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout.clone()).expect("UTF-8"),
        err: String::from_utf8(output.stderr.clone()).expect("UTF-8"),
    }
}

fn spillcast<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    ran(&program().args(args).output().expect("the program starts"))
}

/// Runs with `args` split at blanks and expects a refusal that says all of `parts` and prints no data.
#[track_caller]
fn refused(args: &str, parts: &[&str]) {
    let ran = spillcast(args.split_whitespace());
    assert_eq!(ran.code, Some(2), "{args}: {}", ran.err);
    assert_eq!(ran.out, "", "{args}");
    for part in parts {
        assert!(ran.err.contains(part), "{args}: no {part:?} in: {}", ran.err);
    }
    assert!(!ran.err.contains("panicked"), "{args}: {}", ran.err);
}

/// Runs and expects success.
#[track_caller]
pub(crate) fn done(args: &str) -> Ran {
    let ran = spillcast(args.split_whitespace());
    assert_eq!(ran.code, Some(0), "{args}: {}", ran.err);
    ran
}

pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Everything in a folder, sorted, hidden files too.
fn listing(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    found
}
