//! The part of the page of `run` that tells of hosts: the ledger of each one's memory, who was killed, how neighbours fared.

use std::fmt::Write as _;

use crate::record::{HostRecord, LedgerEntry, RunRecord, TenantRecord, gives_way};
use crate::units::HumanBytes;

use super::text::{Page, duration};

const HOSTS_MAX: usize = 4;

/// From this slow-down on a host does little but swap.
const SLOW: f64 = 3.0;

/// Hosts where memory is a matter: somebody else is there, or swap, or a kill.
pub(super) fn hosts(page: &mut Page, run: &RunRecord) {
    let tight = |host: &&HostRecord| {
        host.swap_bytes > 0
            || run.tenants.iter().any(|tenant| tenant.host == host.name)
            || !host.executors_killed.is_empty()
    };
    for host in run.hosts.iter().filter(tight).take(HOSTS_MAX) {
        page.heading(&format!(
            "Memory of host {} when most was wanted, at {}",
            host.name,
            duration(host.peak_ns)
        ));
        for line in run.ledger.iter().filter(|line| line.host == host.name) {
            let mut text = format!("{}: {}", line.process, HumanBytes(line.resident_bytes));
            if line.swapped_bytes > 0 {
                let _ = write!(text, ", and {} in swap", HumanBytes(line.swapped_bytes));
            }
            page.entry(&text);
        }
        let swap = if host.swap_in_bytes + host.swap_out_bytes == 0 {
            format!("nothing was swapped ({} of swap space)", HumanBytes(host.swap_bytes))
        } else {
            let tasks = if host.worst_slowdown < 1.05 {
                "tasks hardly waited for it".to_owned()
            } else {
                format!("tasks took up to {:.1} times as long for it", host.worst_slowdown)
            };
            format!(
                "swapped out {}, back in {}; {tasks}",
                HumanBytes(host.swap_out_bytes),
                HumanBytes(host.swap_in_bytes)
            )
        };
        page.paragraph(&format!("Of {} of memory; {swap}.", HumanBytes(host.memory_bytes)));
        for &at in &host.copies_killed_ns {
            page.entry(&format!("KILLED at {}: another application like this one", duration(at)));
        }
        for tenant in run.tenants.iter().filter(|tenant| tenant.host == host.name) {
            page.entry(&tenant_line(tenant));
        }
        page.paragraph(&host_verdict(run, host));
    }
    let hosts = run.hosts.iter().filter(tight).count();
    page.rest(hosts, HOSTS_MAX, "--json");
    files(page, run);
}

/// Spark's local files where there is little room for them, or where they take memory.
fn files(page: &mut Page, run: &RunRecord) {
    let limited =
        |host: &&HostRecord| host.peak_files_bytes > 0 && (host.disk_bytes.is_some() || host.files_in_memory);
    let mut hosts: Vec<&HostRecord> = run.hosts.iter().filter(limited).collect();
    hosts.sort_by_key(|host| std::cmp::Reverse(host.peak_files_bytes));
    for host in hosts.iter().take(HOSTS_MAX) {
        let mut text =
            format!("Spark's local files on host {}: up to {}", host.name, HumanBytes(host.peak_files_bytes));
        if let Some(room) = host.disk_bytes {
            let _ = write!(text, " of {} that there is room for", HumanBytes(room));
        }
        text.push_str(if host.files_in_memory { ", in memory (tmpfs): they count as used." } else { "." });
        page.paragraph(&text);
    }
    page.rest(hosts.len(), HOSTS_MAX, "--json");
}

/// What the host's memory came to, in one sentence.
fn host_verdict(run: &RunRecord, host: &HostRecord) -> String {
    let mine = |entry: &&LedgerEntry| entry.host == host.name;
    let executor = |at: &u32| {
        let id = run.executors.get(*at as usize).map_or("", |executor| executor.id.as_str());
        if id == "driver" { "Spark".to_owned() } else { format!("executor {id}") }
    };
    let killed: Vec<String> = run
        .tenants
        .iter()
        .filter(|tenant| tenant.host == host.name && tenant.killed_ns.is_some())
        .map(|tenant| tenant.name.clone())
        .chain(host.copies_killed_ns.iter().map(|_| "a copy of the application".to_owned()))
        .chain(host.executors_killed.iter().map(executor))
        .collect();
    if !killed.is_empty() {
        return format!(
            "Spark starts, but memory and swap run out, and the kernel kills {}.",
            killed.join(" and ")
        );
    }
    let swapped: u64 = run.ledger.iter().filter(mine).map(|entry| entry.swapped_bytes).sum();
    if swapped > 0 {
        let word = if host.worst_slowdown >= SLOW { "thrashes" } else { "swaps" };
        return format!(
            "Spark starts, and the host {word}: {} more is wanted than there is memory; nobody is killed.",
            HumanBytes(swapped)
        );
    }
    let gives_way = |entry: &&LedgerEntry| gives_way(&entry.process);
    let free = run.ledger.iter().filter(mine).filter(gives_way).map(|entry| entry.resident_bytes).sum();
    format!("Spark starts, and everything fits in memory with {} left for the page cache.", HumanBytes(free))
}

fn tenant_line(tenant: &TenantRecord) -> String {
    let mut text = match tenant.killed_ns {
        Some(at) => format!("{}: KILLED at {}", tenant.name, duration(at)),
        None => format!("{}: lives", tenant.name),
    };
    if tenant.peak_swapped_bytes > 0 {
        let _ = write!(text, ", up to {} of it swapped out", HumanBytes(tenant.peak_swapped_bytes));
    }
    if let (Some(quiet), Some(quiet_99), Some(p50), Some(p99)) =
        (tenant.quiet_p50_ms, tenant.quiet_p99_ms, tenant.p50_ms, tenant.p99_ms)
    {
        let asked = tenant.asked_ms.unwrap_or(f64::INFINITY);
        let (quiet, quiet_99) = (millis(quiet), millis(quiet_99));
        let _ = if p50 >= asked {
            write!(
                text,
                "; half of its requests are not served within {}, on the quiet host they take {quiet}",
                millis(asked)
            )
        } else {
            let tail = if p99 >= asked { format!("over {}", millis(asked)) } else { millis(p99) };
            write!(
                text,
                "; requests take {} at the median and {tail} at p99, on the quiet host {quiet} and {quiet_99}",
                millis(p50)
            )
        };
    }
    text
}

/// A short time, with two figures that count.
fn millis(ms: f64) -> String {
    if ms < 10.0 { format!("{ms:.1} ms") } else { duration((ms * 1e6) as u64).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ExecutorRecord;

    /// An application that gets over the loss of an executor ends well; the host it was killed on says so, another does not.
    #[test]
    fn a_kill_is_told_on_its_host_whatever_the_application_ends_as() {
        let host = |name: &str, executors_killed: Vec<u32>| HostRecord {
            name: name.to_owned(),
            memory_bytes: 4 << 30,
            swap_bytes: 1 << 30,
            executors_killed,
            ..HostRecord::default()
        };
        let mut run =
            RunRecord { hosts: vec![host("a", vec![1]), host("b", Vec::new())], ..RunRecord::default() };
        run.executors =
            ["1", "2"].map(|id| ExecutorRecord { id: id.to_owned(), ..ExecutorRecord::default() }).into();
        assert!(host_verdict(&run, &run.hosts[0]).ends_with("the kernel kills executor 2."));
        assert!(host_verdict(&run, &run.hosts[1]).contains("everything fits"));
        run.executors[1].id = "driver".to_owned();
        assert!(host_verdict(&run, &run.hosts[0]).ends_with("the kernel kills Spark."));
    }
}
