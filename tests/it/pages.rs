//! The pages of the project run: every command of a `console` block does what the page shows, and everything generated
//! that is committed is fresh. `SPILLCAST_UPDATE_GOLDEN=1` writes the pages anew.
//!
//! A block holds commands after `$ ` and what each prints: standard output, or standard error where that is empty. A
//! line `...` stands for lines left out. Commands run one after the other in a folder that holds the scenarios and the
//! logs of the tests, so that a page can go on with a file that it wrote.

use std::fs;
use std::path::Path;

use super::cli::{done, program, ran, scratch, text};

/// Pages whose commands run.
const PAGES: &[&str] = &["README.md", "CONTRIBUTING.md", "docs/README.md"];
/// Stands for lines left out.
const ELLIPSIS: &str = "...";
/// Commands of the toolchain, which a test cannot run from within itself; continuous integration does.
const TOOLCHAIN: &str = "$ cargo ";
/// The program without an installation.
const CARGO_RUN: &str = "cargo run --release -- ";

fn root(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn updating() -> bool {
    std::env::var_os("SPILLCAST_UPDATE_GOLDEN").is_some()
}

/// Holds a committed file against what it should be, or writes it.
#[track_caller]
fn check_file(path: &str, fresh: &str) {
    if updating() {
        fs::write(root(path), fresh).unwrap();
    }
    let committed = fs::read_to_string(root(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    for (number, (ours, theirs)) in fresh.lines().zip(committed.lines()).enumerate() {
        assert_eq!(theirs, ours, "{path}, line {}; SPILLCAST_UPDATE_GOLDEN=1 accepts the change", number + 1);
    }
    assert!(committed == fresh, "{path} differs in its length; SPILLCAST_UPDATE_GOLDEN=1 accepts the change");
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Words of a command line: blanks separate, single quotes keep together.
fn words(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut word, mut quoted, mut any) = (String::new(), false, false);
    for c in line.chars() {
        match c {
            '\'' => (quoted, any) = (!quoted, true),
            ' ' if !quoted => {
                if any || !word.is_empty() {
                    found.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => word.push(c),
        }
    }
    assert!(!quoted, "an open quote: {line}");
    if any || !word.is_empty() {
        found.push(word);
    }
    found
}

/// What a page shows for `printed`: lines that it leaves out stay left out.
fn shown(printed: &str, page: &[&str]) -> Vec<String> {
    let lines: Vec<String> = printed.lines().map(|line| line.trim_end().to_owned()).collect();
    let Some(at) = page.iter().position(|line| *line == ELLIPSIS) else { return lines };
    let after = page.len() - at - 1;
    assert!(at + after <= lines.len(), "{ELLIPSIS} leaves out nothing of:\n{printed}");
    let mut kept = lines[..at].to_vec();
    kept.push(ELLIPSIS.to_owned());
    kept.extend_from_slice(&lines[lines.len() - after..]);
    kept
}

/// The page as it would be with what its commands print today, and the number of commands that ran.
fn fresh_page(page: &str, folder: &Path) -> (String, usize) {
    let lines: Vec<&str> = page.lines().collect();
    let (mut fresh, mut commands) = (Vec::new(), 0);
    let mut at = 0;
    let mut console = false;
    while at < lines.len() {
        let line = lines[at];
        fresh.push(line.to_owned());
        at += 1;
        if line.starts_with("```") {
            console = line == "```console";
            continue;
        }
        let Some(command) = line.strip_prefix("$ ").filter(|_| console) else { continue };
        let end = (at..lines.len())
            .find(|&at| lines[at].starts_with("$ ") || lines[at].starts_with("```"))
            .expect("an end of the block");
        let printed_on_page = &lines[at..end];
        at = end;
        let arguments = command.strip_prefix(CARGO_RUN).or_else(|| command.strip_prefix("spillcast "));
        let Some(arguments) = arguments else {
            assert!(line.starts_with(TOOLCHAIN), "a page can only run spillcast: {line}");
            fresh.extend(printed_on_page.iter().map(|line| (*line).to_owned()));
            continue;
        };
        commands += 1;
        let output =
            program().current_dir(folder).args(words(arguments)).output().expect("the program starts");
        let ran = ran(&output);
        let printed = if ran.out.is_empty() { &ran.err } else { &ran.out };
        assert!(!printed.contains("panicked"), "{command}: {printed}");
        // A command without output on the page only has to succeed.
        if printed_on_page.is_empty() {
            assert_eq!(ran.code, Some(0), "{command}: {}", ran.err);
        } else {
            fresh.extend(shown(printed, printed_on_page));
        }
    }
    (fresh.join("\n") + "\n", commands)
}

#[test]
fn every_command_of_every_page_prints_what_the_page_shows() {
    let mut commands = 0;
    for path in PAGES {
        let folder = scratch();
        for part in ["scenarios", "tests/data/eventlog", "tests/data/scenarios"] {
            copy_folder(&root(part), &folder.path().join(part));
        }
        let page = fs::read_to_string(root(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let (fresh, ran) = fresh_page(&page, folder.path());
        commands += ran;
        check_file(path, &fresh);
    }
    assert!(commands >= 6, "only {commands} commands ran");
}

#[test]
fn the_two_commands_of_a_fresh_machine_stand_in_the_readme() {
    let page = fs::read_to_string(root("README.md")).unwrap();
    for command in ["cargo run --release -- run scenarios/skewed-aggregation.toml", "cargo test"] {
        assert!(page.lines().any(|line| line.strip_prefix("$ ") == Some(command)), "{command}");
    }
}

#[test]
fn the_schema_is_fresh() {
    check_file("docs/scenario.schema.json", &done("schema").out);
}

#[test]
fn the_picture_of_the_readme_is_fresh() {
    let folder = scratch();
    let out = folder.path().join("out");
    done(&format!("run scenarios/cache-against-execution.toml --quiet --plot --out {}", text(&out)));
    for (picture, page) in
        [("memory", "cache-against-execution"), ("stages", "cache-against-execution-stages")]
    {
        let fresh = fs::read_to_string(out.join(format!("{picture}.svg"))).unwrap();
        assert!(fresh.len() < 150_000, "{} bytes", fresh.len());
        check_file(&format!("docs/images/{page}.svg"), &fresh);
    }
}

#[test]
fn links_of_the_pages_lead_somewhere() {
    for page in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/README.md"] {
        let source = fs::read_to_string(root(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        let folder = root(page);
        let folder = folder.parent().unwrap();
        for link in source.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap();
            if path.is_empty() || path.starts_with("http") {
                continue;
            }
            assert!(folder.join(path).exists(), "{page}: {link} leads nowhere");
        }
    }
}

#[test]
fn words_are_split_as_a_shell_does() {
    assert_eq!(words("run a --fail-on 'x > 1'  b ''"), ["run", "a", "--fail-on", "x > 1", "b", ""]);
    assert_eq!(shown("a\nb \nc\nd\n", &["a", "...", "d"]), ["a", "...", "d"]);
    assert_eq!(shown("a\nb\n", &["x"]), ["a", "b"]);
}
