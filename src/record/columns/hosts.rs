//! Columns of the machines' side of a run: hosts, the ledger of their memory, neighbours.

use super::{Table, Unit, Value, column, fine_ms, int, text};
use crate::record::{HostPoint, HostRecord, LedgerEntry, TenantRecord};

fn ms(value: Option<f64>) -> Value<'static> {
    value.map_or(Value::Absent, |ms| Value::Float((ms * 1e3).round() / 1e3))
}

/// One row a host whose memory is known.
pub static HOSTS: Table<HostRecord> = Table {
    name: "hosts",
    doc: "One entry a host whose memory is known (JSON only).",
    lead: &[
        column("name", Unit::None, "Name of the host.", |_, h| text(&h.name)),
        column("memory", Unit::Bytes, "Memory.", |_, h| int(h.memory_bytes)),
        column("swap", Unit::Bytes, "Swap space.", |_, h| int(h.swap_bytes)),
        column("peakMs", Unit::Ms, "When most memory was wanted.", |_, h| fine_ms(h.peak_ns)),
        column("disk", Unit::Bytes, "Room for Spark's local files; absent when unlimited.", |_, h| {
            h.disk_bytes.map_or(Value::Absent, int)
        }),
        column("peakFiles", Unit::Bytes, "Most of Spark's local files that were there at once.", |_, h| {
            int(h.peak_files_bytes)
        }),
        column("swapInBytes", Unit::Bytes, "Read back from swap.", |_, h| int(h.swap_in_bytes)),
        column("swapOutBytes", Unit::Bytes, "Written to swap.", |_, h| int(h.swap_out_bytes)),
        column(
            "worstSlowdown",
            Unit::None,
            "Largest slow-down of an executor by missing pages; 1 is none.",
            |_, h| Value::Float((h.worst_slowdown * 1e3).round() / 1e3),
        ),
        column(
            "copiesKilled",
            Unit::Count,
            "Other applications like this one that the kernel killed.",
            |_, h| int(h.copies_killed_ns.len() as u64),
        ),
    ],
    metrics: None,
    tail: &[],
};

/// One row a holder of a host's memory.
pub static LEDGER: Table<LedgerEntry> = Table {
    name: "ledger",
    doc: "One entry a holder of a host's memory at the moment when most was wanted (JSON only).",
    lead: &[
        column("host", Unit::None, "Name of the host.", |_, l| text(&l.host)),
        column("process", Unit::None, "Who holds it.", |_, l| text(&l.process)),
        column("resident", Unit::Bytes, "In memory.", |_, l| int(l.resident_bytes)),
        column("swapped", Unit::Bytes, "In swap.", |_, l| int(l.swapped_bytes)),
    ],
    metrics: None,
    tail: &[],
};

/// One row a neighbour.
pub static TENANTS: Table<TenantRecord> = Table {
    name: "tenants",
    doc: "One row a neighbour on a host: what it wants, what became of it, how long its requests took.",
    lead: &[
        column("name", Unit::None, "Name of the neighbour.", |_, t| text(&t.name)),
        column("host", Unit::None, "Name of the host.", |_, t| text(&t.host)),
        column("resident", Unit::Bytes, "Memory that it wants.", |_, t| int(t.resident_bytes)),
        column("peakSwapped", Unit::Bytes, "Most of it that was in swap.", |_, t| int(t.peak_swapped_bytes)),
        column("killedMs", Unit::Ms, "When the kernel killed it; absent when it lived.", |_, t| {
            t.killed_ns.map_or(Value::Absent, fine_ms)
        }),
        column("quietP50Ms", Unit::Ms, "Half of its requests take no longer on the quiet host.", |_, t| {
            ms(t.quiet_p50_ms)
        }),
        column("quietP99Ms", Unit::Ms, "99 % of them take no longer on the quiet host.", |_, t| {
            ms(t.quiet_p99_ms)
        }),
        column(
            "p50Ms",
            Unit::Ms,
            "Half of its requests took no longer during the run; the time of the run (until it was killed) where half were not served in it.",
            |_, t| ms(t.p50_ms),
        ),
        column(
            "p99Ms",
            Unit::Ms,
            "99 % of them took no longer during the run; the time of the run where 1 in 100 was not served in it.",
            |_, t| ms(t.p99_ms),
        ),
    ],
    metrics: None,
    tail: &[],
};

/// One row a process of a host at a moment.
pub static HOST_TIMELINE: Table<HostPoint> = Table {
    name: "host_timeline",
    doc: "One row a holder of a host's memory at a moment; each value holds until the host's next moment.",
    lead: &[
        column("timeMs", Unit::Ms, "When, since the start of the application.", |_, p| fine_ms(p.time_ns)),
        column("host", Unit::None, "Name of the host.", |run, p| {
            run.hosts.get(p.host as usize).map_or(Value::Absent, |host| text(&host.name))
        }),
        column("process", Unit::None, "Who holds it.", |_, p| text(&p.process)),
        column("resident", Unit::Bytes, "In memory.", |_, p| int(p.resident_bytes)),
        column("swapped", Unit::Bytes, "In swap.", |_, p| int(p.swapped_bytes)),
        column(
            "files",
            Unit::Bytes,
            "Spark's local files on the host; on the row of the kernel only.",
            |_, p| p.files_bytes.map_or(Value::Absent, int),
        ),
        column(
            "p50Ms",
            Unit::Ms,
            "Half of a neighbour's requests take no longer at this moment; at most the time of the run.",
            |_, p| ms(p.p50_ms),
        ),
        column(
            "p99Ms",
            Unit::Ms,
            "99 % of a neighbour's requests take no longer at this moment; at most the time of the run.",
            |_, p| ms(p.p99_ms),
        ),
    ],
    metrics: None,
    tail: &[],
};
