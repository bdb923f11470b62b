//! `[[host]]` and `[[tenant]]`: machines, and who else is on them, with the faults that only both together show.

use super::diagnostic::{DUPLICATE, IMPOSSIBLE, OUT_OF_RANGE, Sink, UNKNOWN_REFERENCE, did_you_mean};
use super::view::View;
use super::{ClusterSpec, HostSpec, SwapKind, TenantSpec, unique};
use crate::host::oom_killer::QosClass;
use crate::host::swap::PAGE_BYTES;
use crate::units::{HumanBytes, MIB};

/// No kernel of today runs in less; a smaller number forgot its unit.
const LEAST_MEMORY: u64 = 64 * MIB;

/// A host has hardly more GiB than this, so that a larger number without a unit meant MiB; and so for MiB.
const LARGEST_GIB: u64 = 1024;
const LARGEST_MIB: u64 = LARGEST_GIB * 1024;

/// Time in which a tenant touches its active part once, where nothing is said: a service that is in use.
const USUAL_PERIOD_NS: u64 = 1_000_000_000;

/// Reads machines and tenants.
pub(super) fn cluster(root: &View, sink: &mut Sink) -> ClusterSpec {
    let (host_tables, tenant_tables) = (root.tables("host"), root.tables("tenant"));
    unique(&host_tables, "host", sink);
    unique(&tenant_tables, "tenant", sink);
    let hosts: Vec<HostSpec> = host_tables.iter().map(|table| host_spec(table, sink)).collect();
    let tenants: Vec<TenantSpec> =
        tenant_tables.iter().map(|tenant| tenant_spec(tenant, &hosts, sink)).collect();
    for (table, host) in host_tables.iter().zip(&hosts) {
        check_room(table, host, &tenants, sink);
    }
    ClusterSpec { hosts, tenants }
}

fn host_spec(host: &View, sink: &mut Sink) -> HostSpec {
    // The bandwidths that the costs assume where nothing is said.
    let rates = crate::workload::Rates::default();
    let spec = HostSpec {
        name: host.text("name").unwrap_or("host").to_owned(),
        count: host.count("count").unwrap_or(1),
        cores: host.count("cores").unwrap_or(1),
        memory_bytes: host.size("memory").unwrap_or(0),
        kernel_bytes: host.size("kernel"),
        stolen_cores: host.number("stolen_cores").unwrap_or(0.0),
        swap_bytes: host.size("swap").unwrap_or(0),
        swap_device: match host.text("swap_device") {
            Some("network") => SwapKind::Network,
            Some("spinning") => SwapKind::Spinning,
            _ => SwapKind::Ssd,
        },
        swap_latency_ns: host.time("swap_latency"),
        swap_bytes_per_s: host.rate("swap_bandwidth"),
        local_dir_in_memory: host.flag("local_dir_in_memory").unwrap_or(false),
        disk_bytes: host.size("disk"),
        disk_bytes_per_s: host.rate("disk_bandwidth").unwrap_or(rates.disk_bytes_per_s),
        network_bytes_per_s: host.rate("network_bandwidth").unwrap_or(rates.network_bytes_per_s),
    };
    if let Some(bytes) = host.size("memory").filter(|bytes| *bytes < LEAST_MEMORY) {
        let span = host.span_of("memory");
        let message = format!("`memory` is {bytes} bytes, less than a kernel needs");
        let help = match bytes {
            1..=LARGEST_GIB => format!("a number without a unit is bytes; write \"{bytes}g\""),
            _ if (1..=LARGEST_MIB).contains(&bytes) => {
                format!("a number without a unit is bytes; write \"{bytes}m\"")
            }
            _ => "a host has at least \"64m\"".to_owned(),
        };
        sink.error(OUT_OF_RANGE, span, message, "no host has so little", Some(help));
    }
    if spec.stolen_cores >= f64::from(spec.cores) {
        let message = format!("`stolen_cores` is {}, but the host has {}", spec.stolen_cores, spec.cores);
        let help = Some("processors withheld on average, as `st` of top times `cores`".to_owned());
        sink.error(OUT_OF_RANGE, host.span_of("stolen_cores"), message, "nothing would ever run", help);
    }
    for key in ["swap_bandwidth", "disk_bandwidth", "network_bandwidth"] {
        if host.rate(key).is_some_and(|rate| rate <= 0.0) {
            let message = format!("`{key}` is 0, but must be more");
            let help = Some("bytes a second, as \"200m\"".to_owned());
            sink.error(OUT_OF_RANGE, host.span_of(key), message, "nothing would ever be read", help);
        }
    }
    spec
}

fn tenant_spec(tenant: &View, hosts: &[HostSpec], sink: &mut Sink) -> TenantSpec {
    let resident_bytes = tenant.size("resident").unwrap_or(0);
    let active_bytes = tenant.size("active").unwrap_or(resident_bytes);
    let request_bytes = tenant.size("request_memory").unwrap_or(0);
    if active_bytes > resident_bytes {
        let message = format!("`active` is {active_bytes} bytes, more than `resident` ({resident_bytes})");
        sink.error(IMPOSSIBLE, tenant.span_of("active"), message, "more than the tenant holds", None);
    }
    if request_bytes > active_bytes && active_bytes <= resident_bytes {
        let message =
            format!("`request_memory` is {request_bytes} bytes, more than `active` ({active_bytes})");
        let label = "a request touches what is in use";
        sink.error(IMPOSSIBLE, tenant.span_of("request_memory"), message, label, None);
    }
    if tenant.has("request_memory") && !tenant.has("request_time") {
        let help = Some("add `request_time`, the time of a request on a quiet host, as \"3ms\"".to_owned());
        let message = "`request_memory` without `request_time`";
        sink.error(IMPOSSIBLE, tenant.span_of("request_memory"), message, "no latency to tell", help);
    }
    if tenant.has("request_every") && !tenant.has("request_time") {
        let help = Some("add `request_time`, the time of a request on a quiet host, as \"3ms\"".to_owned());
        let message = "`request_every` without `request_time`";
        sink.error(IMPOSSIBLE, tenant.span_of("request_every"), message, "no latency to tell", help);
    }
    if tenant.has("request_block") && !tenant.has("request_memory") {
        let help = Some("add `request_memory`, the memory that a request touches, as \"4m\"".to_owned());
        let message = "`request_block` without `request_memory`";
        sink.error(IMPOSSIBLE, tenant.span_of("request_block"), message, "no memory to touch", help);
    }
    if tenant.size("request_block") == Some(0) {
        let message = "`request_block` is 0, but must be more";
        sink.error(OUT_OF_RANGE, tenant.span_of("request_block"), message, "pieces of nothing", None);
    }
    for (key, label) in [("period", "touched without end"), ("request_every", "requests without end")] {
        if tenant.time(key) == Some(0) {
            let message = format!("`{key}` is 0, but must be more");
            sink.error(OUT_OF_RANGE, tenant.span_of(key), message, label, None);
        }
    }
    if let (Some(every), Some(takes)) = (tenant.time("request_every"), tenant.time("request_time"))
        && 0 < every
        && every <= takes
    {
        let message = "`request_every` is no longer than `request_time`";
        let help = Some("requests must be done before the next on a quiet host".to_owned());
        sink.error(IMPOSSIBLE, tenant.span_of("request_every"), message, "they would queue for ever", help);
    }
    let host = tenant.text("host");
    let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    if let Some(host) = host.filter(|host| !names.contains(host)) {
        let help = Some(did_you_mean(host, &names));
        let span = tenant.span_of("host");
        sink.error(UNKNOWN_REFERENCE, span, format!("there is no host `{host}`"), "not declared", help);
    } else if hosts.is_empty() {
        let help = Some("add a [[host]] with `cores` and `memory`".to_owned());
        let message = "a tenant without any host";
        sink.error(IMPOSSIBLE, tenant.span.clone(), message, "shares no machine with Spark", help);
    }
    let own_host = hosts.iter().find(|found| host.is_none_or(|name| name == found.name));
    TenantSpec {
        name: tenant.text("name").unwrap_or_default().to_owned(),
        host: host.map(str::to_owned),
        resident_bytes,
        active_bytes,
        period_ns: tenant.time("period").unwrap_or(USUAL_PERIOD_NS),
        churn_bytes_per_s: tenant.rate("churn").unwrap_or(0.0),
        request_ns: tenant.time("request_time"),
        request_bytes,
        request_block_bytes: tenant.size("request_block").unwrap_or(PAGE_BYTES),
        request_every_ns: tenant.time("request_every"),
        cpu_cores: tenant.number("cores").unwrap_or(0.0),
        oom_score_adj: oom_score_adj(tenant, resident_bytes, own_host, sink),
    }
}

/// `oom_score_adj` as given, or that of the class of Kubernetes that is given.
fn oom_score_adj(tenant: &View, resident: u64, host: Option<&HostSpec>, sink: &mut Sink) -> i32 {
    let given = tenant.signed("oom_score_adj").and_then(|n| i32::try_from(n).ok());
    let Some(word) = tenant.text("qos") else { return given.unwrap_or(0) };
    if given.is_some() {
        let message = "`qos` and `oom_score_adj` exclude each other";
        let help = Some("the class decides the value".to_owned());
        sink.error(DUPLICATE, tenant.span_of("qos"), message, "says it again", help);
    }
    let class = match word {
        "guaranteed" => QosClass::Guaranteed,
        "burstable" => QosClass::Burstable { request: resident },
        _ => QosClass::BestEffort,
    };
    class.oom_score_adj(host.map_or(0, |host| host.memory_bytes))
}

/// Reports a host that cannot hold its tenants even before Spark comes.
fn check_room(table: &View, host: &HostSpec, tenants: &[TenantSpec], sink: &mut Sink) {
    let here = tenants.iter().filter(|tenant| tenant.host.as_ref().is_none_or(|name| *name == host.name));
    let held = here.map(|tenant| u128::from(tenant.resident_bytes)).sum::<u128>();
    let wanted = held + u128::from(host.kernel_or_usual());
    let there = u128::from(host.memory_bytes) + u128::from(host.swap_bytes);
    if held > 0 && wanted > there && host.memory_bytes >= LEAST_MEMORY {
        let human = |bytes: u128| HumanBytes(u64::try_from(bytes).unwrap_or(u64::MAX));
        let message = format!(
            "host `{}` has {} of memory and {} of swap, but its tenants and the kernel hold {} at rest",
            host.name,
            HumanBytes(host.memory_bytes),
            HumanBytes(host.swap_bytes),
            human(wanted)
        );
        let least = (wanted - u128::from(host.swap_bytes)).div_ceil(u128::from(MIB));
        let help = Some(format!("it needs at least \"{least}m\" with this swap, and more for Spark"));
        sink.error(IMPOSSIBLE, table.span_of("memory"), message, "smaller than its tenants", help);
    }
}
