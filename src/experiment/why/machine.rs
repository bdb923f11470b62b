//! The levers that lie on the host: who else is there, how much memory and swap it has, how many applications like this one
//! start at once.

use super::bench::Change;
use super::lever::{Lever, mib, word};
use crate::conf::Settings;
use crate::scenario::{ClusterSpec, UNKNOWN_HOST_MEMORY};
use crate::units::MIB;

/// How many times over memory and swap of a host are raised.
const RAISE_MAX: u64 = 8;
/// How many times over the room for files is raised.
const DISK_RAISE_MAX: u64 = 32;
/// Least swap that is tried, MiB.
const FIRST_SWAP_MIB: u64 = 256;

/// The levers of hosts whose memory is known; none where it is not.
pub(super) fn levers(settings: &Settings, cluster: &ClusterSpec) -> Vec<Lever> {
    let Some(host) = cluster.hosts.first().filter(|host| host.memory_bytes < UNKNOWN_HOST_MEMORY) else {
        return Vec::new();
    };
    let knobs = &settings.knobs;
    let memory = knobs.host_memory.unwrap_or(host.memory_bytes) / MIB;
    let swap = knobs.host_swap.unwrap_or(host.swap_bytes) / MIB;
    let mut levers = Vec::new();
    if knobs.copies > 1 {
        levers.push(Lever::new("spillcast.copies", u64::from(knobs.copies), 1, |value| value.to_string()));
    }
    levers.push(Lever::new("spillcast.host.memory", memory, memory * RAISE_MAX, mib));
    // From nothing, doubling needs a first step worth the name.
    let most = swap.max(memory) * 2;
    let mut more_swap = Lever::new("spillcast.host.swap", swap.max(FIRST_SWAP_MIB / 2), most, mib);
    more_swap.from_text = mib(swap);
    levers.push(more_swap);
    levers.extend(without_one_tenant(settings, cluster));
    levers
}

/// More room for Spark's files, where there is a limit.
pub(super) fn disk(settings: &Settings, cluster: &ClusterSpec) -> Option<Lever> {
    let own = cluster.hosts.first().and_then(|host| host.disk_bytes);
    let from = settings.knobs.host_disk.or(own)? / MIB;
    Some(Lever::new("spillcast.host.disk", from, from.max(1) * DISK_RAISE_MAX, mib))
}

/// Each neighbour that is there, away: the largest first.
fn without_one_tenant(settings: &Settings, cluster: &ClusterSpec) -> Vec<Lever> {
    let there = |name: &String| settings.knobs.tenants.as_ref().is_none_or(|names| names.contains(name));
    let mut tenants: Vec<_> = cluster.tenants.iter().filter(|tenant| there(&tenant.name)).collect();
    tenants.sort_by_key(|tenant| std::cmp::Reverse(tenant.resident_bytes));
    let names = |without: Option<&str>| {
        let names: Vec<&str> =
            tenants.iter().map(|tenant| tenant.name.as_str()).filter(|name| Some(*name) != without).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(",") }
    };
    let all = names(None);
    tenants.iter().map(|tenant| word("spillcast.tenants", &all, &names(Some(&tenant.name)))).collect()
}

/// Whether a change is of the host, not of the application: it is told after the others.
pub fn is_of_the_host(changes: &[Change]) -> bool {
    let keys = ["spillcast.host.", "spillcast.tenants", "spillcast.copies"];
    changes.iter().any(|change| keys.iter().any(|key| change.key.starts_with(key)))
}
