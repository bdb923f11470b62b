//! Suite `sizes`: what the size parsers of the released classes (`JavaUtils.byteStringAs...`, `Utils.byteStringAsBytes`,
//! `Utils.memoryStringToMb`) made of a text, number or exception with its message.

use std::path::Path;

use spillcast::conf::size::{
    SizeError, byte_string_as_bytes, byte_string_as_gib, byte_string_as_kib, byte_string_as_mib,
    memory_string_to_mb,
};

use super::report::{Fault, Mismatch, Report};
use super::table::Table;

/// Replays a file of texts.
pub(crate) fn replay(path: &Path, report: &mut Report) -> Result<(), Fault> {
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    report.count_trace();
    for (number, row) in Table::read(path)?.rows() {
        report.count_line();
        let fault = |message: String| Fault::new(path, number, message);
        let input = row.get("input").map_err(fault)?;
        let text = input.replace("\\t", "\t").replace("\\n", "\n");
        for (column, found) in [
            ("asBytes", show(byte_string_as_bytes(&text))),
            ("asKb", show(byte_string_as_kib(&text))),
            ("asMb", show(byte_string_as_mib(&text))),
            ("asGb", show(byte_string_as_gib(&text))),
            ("utilsByteStringAsBytes", show(byte_string_as_bytes(&text))),
            ("utilsMemoryStringToMb", show(memory_string_to_mb(&text))),
        ] {
            let expected = row.get(column).map_err(fault)?;
            // The files cut long messages.
            let agrees = expected
                .strip_suffix("...")
                .map_or(found == expected, |beginning| found.starts_with(beginning));
            if !agrees {
                report.mismatch(Mismatch {
                    file: path.to_owned(),
                    trace: name.clone(),
                    line: number,
                    operation: format!("{input:?}"),
                    field: column.to_owned(),
                    expected: expected.to_owned(),
                    found,
                });
            }
        }
    }
    Ok(())
}

/// A result as the files show it: the number, or `!Class: message`.
fn show<T: ToString>(result: Result<T, SizeError>) -> String {
    match result {
        Ok(value) => value.to_string(),
        Err(error) => format!("!{}: {error}", error.java_class()),
    }
}
