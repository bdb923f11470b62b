//! `oom_victims.csv` (one process in the kernel's task list at one kill) and `oom_thrash.csv` (one run into the limit).

use super::table::{Row, Table, TableError};
use super::{Comparison, Kind};
use crate::host::oom_killer::{Candidate, time_to_kill_s, victim};
use crate::host::swap::SwapDevice;
use crate::units::MIB;

/// The table of victims.
pub(super) const VICTIMS: Kind = Kind {
    name: "oom_victims",
    about: "one process in the kernel's task list at one kill",
    columns: &[
        "id",
        "case",
        "kill",
        "total_pages",
        "process",
        "rss_pages",
        "swap_pages",
        "pgtable_bytes",
        "oom_score_adj",
        "killed",
    ],
    compare: compare_victims,
};

/// The table of times to the kill.
pub(super) const THRASH: Kind = Kind {
    name: "oom_thrash",
    about: "one run into the limit of memory and swap",
    columns: &["id", "limit_mb", "swap_mb", "alloc_rate_mb_s", "grow_mb", "outcome", "killed", "thrash_s"],
    compare: compare_thrash,
};

fn candidate(row: Row<'_>) -> Result<Candidate, TableError> {
    let adj = row.text("oom_score_adj").parse::<i32>().ok().filter(|adj| (-1000..=1000).contains(adj));
    Ok(Candidate {
        rss_pages: row.number("rss_pages")? as u64,
        swap_pages: row.number("swap_pages")? as u64,
        page_table_bytes: row.number("pgtable_bytes")? as u64,
        oom_score_adj: adj.ok_or_else(|| row.fault("oom_score_adj", "a whole number from -1000 to 1000"))?,
    })
}

fn compare_victims(table: &Table) -> Result<Vec<Comparison>, TableError> {
    let mut found = Vec::new();
    let rows: Vec<Row<'_>> = table.rows().collect();
    let kill = |row: &Row<'_>| (row.text("case").to_owned(), row.text("kill").to_owned());
    for (at, row) in rows.iter().enumerate() {
        let same: Vec<usize> = (0..rows.len()).filter(|&other| kill(&rows[other]) == kill(row)).collect();
        let candidates = same.iter().map(|&other| candidate(rows[other])).collect::<Result<Vec<_>, _>>()?;
        let dies = victim(&candidates, row.positive("total_pages")? as u64).map(|dies| same[dies]);
        let word = |killed: bool| if killed { "killed" } else { "lives" };
        let measured = row.one_of("killed", &[("0", false), ("1", true)])?;
        found.push(Comparison::word(row.text("id"), "killed", word(measured), word(dies == Some(at))));
    }
    Ok(found)
}

/// What else is in the group, MB: the base process and the probe of every row of this table; and the mapped file's pages, which
/// give way.
const OTHERS_MB: f64 = 205.0 + 20.0;

/// Processors of the machine of this table.
const CORES: f64 = 2.0;

fn compare_thrash(table: &Table) -> Result<Vec<Comparison>, TableError> {
    let mut found = Vec::new();
    for row in table.rows() {
        let limit = row.positive("limit_mb")?;
        let swap = row.number("swap_mb")?;
        let grow = row.positive("grow_mb")?;
        let asked = row.number("alloc_rate_mb_s")?;
        let rate = if asked > 0.0 { asked * MIB as f64 } else { f64::INFINITY };
        let id = row.text("id");
        // A process that grows from nothing ends larger than the 205 MB of the base, or the group is never full.
        let killed = OTHERS_MB + grow > limit + swap;
        let outcome = if killed { "killed" } else { "no_kill" };
        found.push(Comparison::word(id, "outcome", row.text("outcome"), outcome));
        let full = limit + swap - OTHERS_MB;
        let named = |mb: f64| Candidate::of_bytes((mb * MIB as f64) as u64, 0, 0);
        let total = ((limit + swap) * 256.0) as u64;
        let names = ["base", "probe", "grow"];
        let who = if killed { victim(&[named(205.0), named(20.0), named(full)], total) } else { None };
        let who = who.map_or("", |at| names[at]);
        found.push(Comparison::word(id, "killed", row.text("killed"), who));
        if let (Some(measured), true) = (row.optional("thrash_s")?, killed) {
            let write = SwapDevice::LOCAL_SSD.write_us();
            // What other programs leave of the two processors.
            let others = row.optional("other_programs_cores")?.unwrap_or(0.0);
            let processor = (CORES - others).max(0.1);
            let predicted = time_to_kill_s(rate, (swap * MIB as f64) as u64, write, processor);
            found.push(Comparison::amount(id, "thrash_s", measured, predicted));
        }
    }
    Ok(found)
}
