//! `validate --host`: real measurements predicted well enough, and tables that cannot be used refused with their place.

use std::collections::BTreeMap;
use std::fs;

use super::{done, refused, scratch, text};

/// A selection of rows measured on real JVMs.
const TABLES: &str = "tests/data/host";

/// Errors of the file that `--csv` writes, by table and quantity; words that differ count as 1.
fn errors() -> BTreeMap<(String, String), Vec<f64>> {
    let folder = scratch();
    let file = folder.path().join("errors.csv");
    done(&format!("validate --host {TABLES} --csv {}", text(&file)));
    let written = fs::read_to_string(&file).expect("written");
    let mut lines = written.lines();
    assert_eq!(lines.next(), Some("table,id,quantity,measured,predicted,error"));
    let mut found: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        let [table, _, quantity, measured, predicted, error] = cells[..] else { panic!("{line}") };
        let error = error.parse().unwrap_or(f64::from(u8::from(measured != predicted)));
        found.entry((table.to_owned(), quantity.to_owned())).or_default().push(error);
    }
    found
}

#[test]
fn real_jvms_are_predicted() {
    let errors = errors();
    let median = |table: &str, quantity: &str| {
        let mut found = errors[&(table.to_owned(), quantity.to_owned())].clone();
        found.sort_by(f64::total_cmp);
        found[found.len() / 2]
    };
    assert!(median("gc", "pause_s_per_gib") < 0.15);
    assert!(median("gc", "pause_share_of_wall") < 3.0);
    assert!(median("gc_death", "live_share_at_death") < 2.0);
    for column in ["first_gc_s", "second_gc_s", "third_gc_s"] {
        assert!(median("swap_jvm", column) < 0.5, "{column}");
    }
    for column in ["rss_peak_mb", "heap_rss_peak_mb", "other_anon_rss_mb", "nmt_gc_committed_mb"] {
        assert!(median("rss", column) < 0.1, "{column}");
    }
    for table in ["gc", "gc_death"] {
        for quantity in ["outcome", "oom_message"] {
            let wrong: f64 = errors[&(table.to_owned(), quantity.to_owned())].iter().sum();
            assert_eq!(wrong, 0.0, "{table} {quantity}");
        }
    }
}

#[test]
fn every_row_and_the_sums_are_printed() {
    let ran = done(&format!("validate --host {TABLES}"));
    for part in ["gc.csv: ", "rss.csv: ", "measured", "predicted", "Summary", "live_share_at_death", "median"]
    {
        assert!(ran.out.contains(part), "no {part:?} in: {}", ran.out);
    }
    assert_eq!(ran.out, done(&format!("validate --host {TABLES}")).out);
}

#[test]
fn faulty_tables_are_refused_with_their_place() {
    let folder = scratch();
    let args = format!("validate --host {}", text(folder.path()));
    refused(&args, &["holds none of the tables", "gc.csv"]);
    let good = fs::read_to_string(format!("{TABLES}/gc.csv")).expect("there");
    let file = folder.path().join("gc.csv");
    let check = |text: String, parts: &[&str]| {
        fs::write(&file, text).expect("written");
        refused(&args, parts);
    };
    check(good.replace("turnover_share", "turnover"), &["gc.csv, line 1", "no column turnover_share"]);
    check(
        good.replacen(",G1,", ",ZGC,", 1),
        &["gc.csv, line 2, column collector", "`ZGC`", "valid: G1, Parallel, Serial"],
    );
    check(good.replacen(",512,", ",half,", 1), &["gc.csv, line 2, column heap_mb", "`half`", "above 0"]);
    check(good.replacen(",512,", ",-512,", 1), &["column heap_mb", "`-512`"]);
    check(good.lines().next().expect("a header").to_owned(), &["no row below the header"]);
    check(String::new(), &["no column id"]);
    refused("validate --host tests/data/host/gc.csv", &["is a file; --host needs a folder"]);
    refused("validate --host nowhere", &["nowhere"]);
}

#[test]
fn errors_overwrite_nothing_unasked() {
    let folder = scratch();
    let file = folder.path().join("errors.csv");
    fs::write(&file, "mine").expect("written");
    refused(&format!("validate --host {TABLES} --csv {}", text(&file)), &["--force replaces it"]);
    assert_eq!(fs::read_to_string(&file).expect("there"), "mine");
}
