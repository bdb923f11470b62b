//! What is written, and above all what is not: nothing half-written, nothing overwritten unasked.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use super::{LOG, done, listing, program, ran, refused, scratch, spillcast, text};

const CSV: [&str; 9] = [
    "datasets.csv",
    "events.csv",
    "executors.csv",
    "host_timeline.csv",
    "stages.csv",
    "summary.csv",
    "tasks.csv",
    "tenants.csv",
    "timeline.csv",
];

/// Executors that come late or die early, hosts with and without neighbours: all of it can be drawn.
#[test]
fn every_scenario_has_its_pictures() {
    let folder = scratch();
    for scenario in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")).expect("listed") {
        let path = scenario.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("UTF-8");
        let out = folder.path().join(name);
        done(&format!("run {} --out {} --plot", text(&path), text(&out)));
        for picture in ["memory", "stages", "host"] {
            let svg = fs::read_to_string(out.join(picture).with_extension("svg")).expect("a picture");
            assert!(svg.contains("</svg>"), "{name}: {picture}");
        }
    }
}

#[test]
fn a_folder_gets_every_file_at_once() {
    let folder = scratch();
    let out = folder.path().join("a/b/out");
    let ran = done(&format!("run {LOG} --out {} --plot", text(&out)));
    assert!(ran.err.contains("9 CSV files and 3 pictures are in"), "{}", ran.err);
    let names: Vec<String> = listing(&out)
        .iter()
        .map(|path| path.file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned())
        .collect();
    let mut expected: Vec<&str> = CSV.to_vec();
    expected.extend(["host.svg", "memory.svg", "stages.svg"]);
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(listing(folder.path()).len(), 1, "no temporary folder is left");
    for path in listing(&out) {
        assert!(fs::metadata(&path).expect("a file").len() > 0, "{}", path.display());
    }
}

#[test]
fn what_is_there_stays_unless_forced() {
    let folder = scratch();
    let out = folder.path().join("out");
    fs::create_dir(&out).expect("created");
    fs::write(out.join("mine.txt"), "mine").expect("written");
    done(&format!("run {LOG} --out {}", text(&out)));
    fs::write(out.join("summary.csv"), "old").expect("written");
    refused(&format!("run {LOG} --out {}", text(&out)), &["is already there; --force replaces it"]);
    assert_eq!(fs::read_to_string(out.join("summary.csv")).expect("there"), "old");
    done(&format!("run {LOG} --out {} --force", text(&out)));
    assert_ne!(fs::read_to_string(out.join("summary.csv")).expect("there"), "old");
    assert_eq!(fs::read_to_string(out.join("mine.txt")).expect("there"), "mine");
    assert_eq!(listing(&out).len(), CSV.len() + 1);

    let job = folder.path().join("job.toml");
    fs::write(&job, "old").expect("written");
    refused(&format!("import {LOG} -o {}", text(&job)), &["job.toml: is already there; --force replaces it"]);
    assert_eq!(fs::read_to_string(&job).expect("there"), "old");
    done(&format!("import {LOG} -o {} --force", text(&job)));
    assert_ne!(fs::read_to_string(&job).expect("there"), "old");
    assert_eq!(listing(folder.path()).len(), 2);
}

#[test]
fn places_where_nothing_can_be_written() {
    let folder = scratch();
    let file = folder.path().join("file");
    fs::write(&file, "x").expect("written");
    let file = text(&file);
    refused(&format!("run {LOG} --out {file}"), &[file, "is a file; --out needs a folder"]);
    refused(&format!("run {LOG} --out {file}/out"), &[&format!("{file}/out: cannot write here")]);
    refused(&format!("import {LOG} -o {file}/job.toml"), &["cannot write here"]);
    refused(&format!("import {LOG} -o {}", text(folder.path())), &["is a folder; name a file in it"]);
    refused(&format!("run {LOG} --plot"), &["--out <DIR>"]);
    assert_eq!(listing(folder.path()).len(), 1);
}

/// A limit on the size of files fails a write in the middle, as a full disk does.
#[cfg(unix)]
#[test]
fn a_disk_that_fills_up_leaves_nothing() {
    let folder = scratch();
    let out = folder.path().join("out");
    for command in [format!("run {LOG} --out {}", text(&out)), format!("import {LOG} -o {}", text(&out))] {
        let script = format!("trap '' XFSZ; ulimit -f 1; exec {} {command}", env!("CARGO_BIN_EXE_spillcast"));
        let output = std::process::Command::new("sh")
            .args(["-c", script.as_str()])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("a shell");
        let ran = ran(&output);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{command}: {}", ran.err);
        assert!(ran.err.contains("cannot write (nothing is left of it)"), "{command}: {}", ran.err);
        assert_eq!(listing(folder.path()).len(), 0, "{command}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_is_told() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("a device");
    let output = program().args(["run", LOG, "--json"]).stdout(full).output().expect("the program starts");
    let ran = ran(&output);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("cannot write to standard output"), "{}", ran.err);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    for args in [
        vec!["run", LOG],
        vec!["run", LOG, "--json"],
        vec!["schema"],
        vec!["completions", "bash"],
        vec!["--help"],
    ] {
        let mut child = program()
            .args(&args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        drop(child.stdout.take());
        let status = child.wait().expect("ended");
        let mut err = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut err).expect("UTF-8");
        assert_eq!(status.code(), Some(0), "{args:?}: {err}");
        assert!(!err.contains("error") && !err.contains("panicked"), "{args:?}: {err}");
    }
}

/// The input is a pipe that nobody writes to, so that the program is in the middle of its work until it is interrupted.
#[cfg(unix)]
#[test]
fn an_interrupt_leaves_nothing() {
    use std::process::Command;
    use std::time::Duration;

    let folder = scratch();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let out = folder.path().join("out");
    let job = folder.path().join("job.toml");
    for args in [["run", text(&pipe), "--out", text(&out)], ["import", text(&pipe), "-o", text(&job)]] {
        let child = program()
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        // It has begun to write when its temporary folder is there.
        for _ in 0..1_000 {
            if listing(folder.path()).len() == 2 {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(listing(folder.path()).len(), 2, "{args:?}: a temporary folder");
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", id.as_str()]).status().expect("kill").success());
        let ran = ran(&child.wait_with_output().expect("ended"));
        assert_eq!(ran.code, Some(130), "{args:?}: {}", ran.err);
        assert!(ran.err.contains("interrupted"), "{args:?}: {}", ran.err);
        assert_eq!(listing(folder.path()), std::slice::from_ref(&pipe), "{args:?}");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let folder = scratch();
    let outs = [folder.path().join("one"), folder.path().join("two")];
    let answers =
        outs.each_ref().map(|out| done(&format!("run {LOG} --json --out {} --plot", text(out))).out);
    assert_eq!(answers[0], answers[1]);
    for (one, two) in listing(&outs[0]).iter().zip(listing(&outs[1])) {
        assert_eq!(fs::read(one).expect("there"), fs::read(&two).expect("there"), "{}", one.display());
    }
    // Keeping the details changes no figure.
    assert_eq!(answers[0], spillcast(["run", LOG, "--json"]).out);
}
