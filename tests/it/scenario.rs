//! Scenario files: what is wrong is found at its place, what is right becomes the workload one would expect, and
//! nothing is lost between a scenario and its text.

use spillcast::scenario::parse;

/// Checks that `text` has exactly these errors: line, column, code and message.
fn check(text: &str, expected: &[(usize, usize, &str, &str)]) {
    let (_, found) = parse(text, "test.toml");
    let found: Vec<_> =
        found.iter().map(|fault| (fault.line, fault.column, fault.code, fault.message.as_str())).collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn a_workload_may_be_one_table_and_one_query() {
    let text = "[[table]]\nname = \"events\"\nrows = 1_000_000\n\n[[query]]\nfrom = \"events\"\n";
    check(text, &[]);
    let scenario = parse(text, "dir/tiny.toml").0.expect("a scenario");
    assert_eq!((scenario.name.as_str(), scenario.seed), ("tiny", 1));
    assert_eq!((scenario.workload.jobs.len(), scenario.workload.stages.len()), (1, 1));
}
