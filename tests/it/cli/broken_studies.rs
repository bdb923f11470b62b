//! Studies that something goes wrong with on the way: full disks, processes that die, parts that do not belong together.
//! Each really happens here; nothing that was done is lost, and the message says how to go on.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::studies::{job, tables, whole};
use super::{done, program, ran, refused, scratch, text};

/// Runs the program in a shell, which says first what is to happen to it.
fn in_a_shell(before: &str, args: &str) -> super::Ran {
    let line = format!("{before}\nexec {} {args}", env!("CARGO_BIN_EXE_spillcast"));
    let mut shell = Command::new("sh");
    shell.current_dir(env!("CARGO_MANIFEST_DIR")).env("NO_COLOR", "1").args(["-c", &line]);
    ran(&shell.stdin(Stdio::null()).output().expect("a shell"))
}

fn journal_lines(out: &Path) -> usize {
    fs::read_to_string(out.join("sweep.journal")).map_or(0, |text| text.matches('\n').count())
}

#[test]
fn a_folder_whose_name_is_no_text_is_a_folder() {
    let folder = scratch();
    let file = job(folder.path());
    let out = format!("\"$(printf '{}/o\\377')\"", folder.path().display());
    let swept = in_a_shell("", &format!("sweep {} --vary spark.executor.cores=1 --out {out}", text(&file)));
    assert_eq!(swept.code, Some(0), "{}", swept.err);
}

/// A limit on the size of files stands for a disk: what does not fit is refused in the same place.
#[test]
fn a_disk_that_is_full_keeps_what_was_done() {
    let folder = scratch();
    let (command, expected) = whole(folder.path());
    let out = folder.path().join("out");
    // 8 KiB hold some of the 36 runs.
    let stopped =
        in_a_shell("trap '' XFSZ; ulimit -f 16", &format!("{command} --threads 2 --out {}", text(&out)));
    assert_eq!((stopped.code, stopped.out.as_str()), (Some(2), ""), "{}", stopped.err);
    let kept = journal_lines(&out);
    assert!((1..36).contains(&kept), "{kept} runs");
    for part in ["sweep.journal: cannot write", "runs are kept, and the same command goes on from there"] {
        assert!(stopped.err.contains(part), "no {part:?} in {}", stopped.err);
    }
    assert!(fs::read(out.join("sweep.journal")).expect("a journal").ends_with(b"\n"), "no half line stays");
    let again = done(&format!("{command} --out {}", text(&out)));
    assert!(again.err.contains(&format!("{kept} runs of this study are there already")), "{}", again.err);
    assert_eq!(tables(&out), expected);
}

/// The real thing: needs the right to mount, and says so where it is missing.
#[test]
fn a_small_disk_that_is_full_is_mounted_larger_and_the_study_goes_on() {
    let folder = scratch();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).expect("made");
    let mount = |options: &str| {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "spillcast-test", text(&disk)]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !mount("size=16k") {
        println!(
            "skipped: this test may not mount a tmpfs; a_disk_that_is_full_keeps_what_was_done stands for it"
        );
        return;
    }
    let (command, expected) = whole(folder.path());
    let out = disk.join("out");
    let command = format!("{command} --out {}", text(&out));
    let output = program().args(command.split_whitespace()).output().expect("the program starts");
    let (stopped, kept) = (ran(&output), journal_lines(&out));
    let larger = mount("remount,size=64m");
    let again = program().args(command.split_whitespace()).output().expect("the program starts");
    let made = if again.status.success() { tables(&out) } else { Vec::new() };
    let gone = Command::new("umount").arg(&disk).status().is_ok_and(|status| status.success());

    assert!(larger && gone, "mounted again and gone");
    assert_eq!((stopped.code, stopped.out.as_str()), (Some(2), ""), "{}", stopped.err);
    assert!(stopped.err.contains("No space left on device"), "{}", stopped.err);
    assert!((1..36).contains(&kept), "{kept} runs");
    assert_eq!(made, expected, "{}", ran(&again).err);
}

#[test]
fn nowhere_to_write_is_told_at_once() {
    let folder = scratch();
    let job = job(folder.path());
    let one = format!("sweep {} --vary spark.driver.memory=1g,2g", text(&job));
    refused(&format!("{one} --out /dev/full/out"), &["/dev/full/out: cannot write here"]);
    refused(&format!("{one} --out {}", text(&job)), &["is a file; --out needs a folder"]);
    let full = in_a_shell("exec >/dev/full", &format!("{one} --jsonl"));
    assert_eq!(full.code, Some(2));
    assert!(full.err.contains("cannot write to standard output"), "{}", full.err);
}

/// A worker of a cluster is a process: a shard, or what `RDD.pipe` starts. Killed, it leaves what it did.
#[test]
fn a_shard_that_dies_is_named_with_the_command_that_goes_on() {
    let folder = scratch();
    let (command, expected) = whole(folder.path());
    let parts: Vec<PathBuf> = (1..=3).map(|shard| folder.path().join(format!("part-{shard}"))).collect();
    let of =
        |shard: usize| format!("{command} --shard {shard}/3 --threads 1 --out {}", text(&parts[shard - 1]));
    done(&of(1));
    let mut worker = program().args(of(2).split_whitespace()).stderr(Stdio::null()).spawn().expect("started");
    while journal_lines(&parts[1]) < 3 && worker.try_wait().expect("a child").is_none() {
        std::thread::yield_now();
    }
    worker.kill().expect("killed");
    worker.wait().expect("gone");
    // A fast machine may have ended it first: what a kill after three runs leaves.
    let journal = parts[1].join("sweep.journal");
    let lines = fs::read_to_string(&journal).expect("a journal");
    let three: String = lines.split_inclusive('\n').take(3).collect();
    fs::write(&journal, three + "0badcafe {\"point\"").expect("written");
    let merged = folder.path().join("merged");
    let merge = |parts: &[PathBuf]| {
        let names: Vec<&str> = parts.iter().map(|part| text(part)).collect();
        format!("merge {} --out {}", names.join(" "), text(&merged))
    };
    let goes_on = format!("this goes on: spillcast {command} --shard 2/3 --out {}", text(&parts[1]));
    let makes = format!("shard 3/3 is missing; this makes it: spillcast {command} --shard 3/3 --out DIR");
    refused(
        &merge(&parts[..2]),
        &[
            "runs are missing of",
            "what is there is kept in",
            "shard 2/3 in ",
            "is not finished",
            &goes_on,
            &makes,
        ],
    );
    // One that died before its first run is no stranger.
    fs::create_dir(&parts[2]).expect("made");
    let identity = fs::read_to_string(parts[1].join("study.json")).expect("a study");
    fs::write(parts[2].join("study.json"), identity.replace("\"2/3\"", "\"3/3\"")).expect("written");
    refused(&merge(&parts), &["shard 3/3 in ", "this goes on: "]);
    // The commands are to be pasted.
    done(&format!("{command} --shard 2/3 --out {}", text(&parts[1])));
    done(&format!("{command} --shard 3/3 --out {}", text(&parts[2])));
    done(&merge(&parts));
    assert_eq!(tables(&merged), expected);
}

#[test]
fn a_pipe_that_dies_within_a_line_is_completed_by_the_command_that_merge_names() {
    let folder = scratch();
    let (command, expected) = whole(folder.path());
    let lines = done(&format!("{command} --jsonl")).out;
    // The head, nine runs, and a line that the process died in.
    let upto = lines.match_indices('\n').nth(9).expect("ten lines").0 + 1;
    let file = folder.path().join("runs.jsonl");
    fs::write(&file, &lines.as_bytes()[..upto + 60]).expect("written");
    let merged = folder.path().join("merged");
    let merge = format!("merge {} --out {}", text(&file), text(&merged));
    let makes = format!("this makes what is missing: spillcast {command} --out {}", text(&merged));
    refused(&merge, &["runs.jsonl:11: is cut off", "runs are missing of", &makes]);
    let again = done(&format!("{command} --out {}", text(&merged)));
    assert!(again.err.contains("9 runs of this study are there already"), "{}", again.err);
    assert_eq!(tables(&merged), expected);

    // Within the file a broken line is no accident of a death.
    let mut broken = lines.as_bytes()[..upto + 60].to_vec();
    broken.push(b'\n');
    fs::write(&file, broken).expect("written");
    refused(
        &format!("merge {} --out {}", text(&file), text(&folder.path().join("other"))),
        &["runs.jsonl:11: is no JSON"],
    );
}

#[test]
fn a_shard_that_stopped_before_its_precision_is_not_taken_for_whole() {
    let folder = scratch();
    let command = format!(
        "sweep {} --vary spark.sql.shuffle.partitions=8 --precision 2% --max-replications 60",
        text(&job(folder.path()))
    );
    let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
    done(&format!("{command} --shard 1/1 --out {}", text(&whole)));
    fs::create_dir(&cut).expect("made");
    fs::copy(whole.join("study.json"), cut.join("study.json")).expect("copied");
    let journal = fs::read_to_string(whole.join("sweep.journal")).expect("a journal");
    let five: String = journal.split_inclusive('\n').take(5).collect();
    assert!(five.len() < journal.len(), "2 % take more than five runs");
    fs::write(cut.join("sweep.journal"), five).expect("written");
    let merged = folder.path().join("merged");
    refused(
        &format!("merge {} --out {}", text(&cut), text(&merged)),
        &["runs are missing of 1 point among 1 (0)", "shard 1/1 in ", "is not finished"],
    );
    done(&format!("merge {} --out {}", text(&whole), text(&merged)));
}

#[test]
fn parts_of_another_version_application_or_seed_are_not_merged() {
    let folder = scratch();
    let (command, _) = whole(folder.path());
    let part = |name: &str, more: &str| {
        let out = folder.path().join(name);
        done(&format!("{command} {more} --out {}", text(&out)));
        out
    };
    let (first, second) = (part("first", "--shard 1/2"), part("second", "--shard 2/2"));
    let other_seed = part("seed", "--shard 2/2 --seed 9");
    let older = folder.path().join("older");
    fs::create_dir(&older).expect("made");
    let identity = fs::read_to_string(second.join("study.json")).expect("a study");
    let changed = identity.replace(&format!("\"{}\"", env!("CARGO_PKG_VERSION")), "\"0.0.1\"");
    assert_ne!(changed, identity);
    fs::write(older.join("study.json"), changed).expect("written");
    fs::copy(second.join("sweep.journal"), older.join("sweep.journal")).expect("copied");
    let out = folder.path().join("out");
    for (other, part) in [
        (&older, "is a part of another study than"),
        (&older, "it was made by spillcast 0.0.1"),
        (&other_seed, "its application, configuration or seed differ"),
    ] {
        refused(
            &format!("merge {} {} --out {}", text(&first), text(other), text(&out)),
            &[text(other), part],
        );
        assert!(!out.exists());
    }
    // A folder of the older version is not gone on with either.
    refused(
        &format!("{command} --shard 2/2 --out {}", text(&older)),
        &["holds another study: it was made by spillcast 0.0.1"],
    );
    let mut journal =
        fs::OpenOptions::new().append(true).open(first.join("sweep.journal")).expect("a journal");
    writeln!(journal, "no run of ours").expect("written");
    done(&format!("merge {} {} --out {}", text(&first), text(&second), text(&out)));
}
