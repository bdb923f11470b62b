//! Size strings against what the released classes of three Spark versions returned (`JavaUtils.byteStringAs…`,
//! `Utils.byteStringAsBytes`, `Utils.memoryStringToMb`): every number and every exception class and message beginning.

use spillcast::conf::size::{
    SizeError, byte_string_as_bytes, byte_string_as_gib, byte_string_as_kib, byte_string_as_mib,
    memory_string_to_mb,
};

/// Splits one CSV record; quoted fields have no quote inside in these files.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields.last_mut().expect("never empty").push(c),
        }
    }
    fields
}

/// A result as the files show it: the number, or `!Class: message`.
fn show<T: ToString>(result: Result<T, SizeError>) -> String {
    match result {
        Ok(value) => value.to_string(),
        Err(error) => format!("!{}: {error}", error.java_class()),
    }
}

fn agrees(ours: &str, theirs: &str) -> bool {
    // The files cut long messages.
    theirs.strip_suffix("...").map_or(ours == theirs, |beginning| ours.starts_with(beginning))
}

fn check(version: &str, text: &str) {
    let mut compared = 0;
    for (index, line) in text.lines().enumerate().skip(1) {
        let row = fields(line);
        let [input, expected @ ..] = row.as_slice() else { panic!("line {} is empty", index + 1) };
        let input = input.replace("\\t", "\t").replace("\\n", "\n");
        let ours = [
            show(byte_string_as_bytes(&input)),
            show(byte_string_as_kib(&input)),
            show(byte_string_as_mib(&input)),
            show(byte_string_as_gib(&input)),
            show(byte_string_as_bytes(&input)),
            show(memory_string_to_mb(&input)),
        ];
        assert_eq!(expected.len(), ours.len(), "line {}", index + 1);
        for (ours, theirs) in ours.iter().zip(expected) {
            assert!(agrees(ours, theirs), "{version}, line {}, {input:?}: {ours} is not {theirs}", index + 1);
        }
        compared += 1;
    }
    println!("sizes of {version}: {compared} lines compared, {} values", compared * 6);
    assert_eq!(compared, 71);
}

#[test]
fn sizes_parse_as_in_spark_4_1() {
    check("4.1.4", include_str!("../data/memory-manager/sizes-4.1.4.csv"));
}

#[test]
fn sizes_parse_as_in_spark_3_5() {
    check("3.5.9", include_str!("../data/memory-manager/sizes-3.5.9.csv"));
}

#[test]
fn sizes_parse_as_in_spark_2_4() {
    check("2.4.8", include_str!("../data/memory-manager/sizes-2.4.8.csv"));
}
