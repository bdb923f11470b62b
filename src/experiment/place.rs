//! From a scenario's machines and a configuration's meaning to the processes of a run.

use crate::cluster::{self, ClusterPlan, HostShape, PlanInput};
use crate::conf::{Master, Settings};
use crate::host::oom_killer::QosClass;
use crate::host::swap::SwapDevice;
use crate::host::tenant::{Request, Tenant};
use crate::scenario::{self, ClusterSpec, SwapKind, TenantSpec, UNKNOWN_HOST_MEMORY};
use crate::sim::{HostMemory, HostSpec, Processes, check_size, replan};
use crate::units::HumanBytes;
use crate::workload::Workload;

/// The processes of an application.
#[derive(Debug)]
pub struct Placed {
    /// As planned: containers, executors not placed.
    pub plan: ClusterPlan,
    /// As simulated.
    pub processes: Processes,
}

/// Plans the processes of `workload` on the machines of `cluster`.
///
/// # Errors
/// The words with which Spark or the cluster manager refuses to start them, of which query the log tells too little for
/// these settings, or what is too large to be simulated.
pub fn place(settings: &Settings, cluster: &ClusterSpec, workload: &Workload) -> Result<Placed, String> {
    replan(workload, settings)?;
    let cluster = changed(cluster, settings)?;
    let (shapes, hosts) = machines(&cluster);
    let plan = cluster::plan(&PlanInput { settings, hosts: &shapes, yarn: None, python: workload.python });
    if let Some(words) = &plan.refusal {
        return Err(words.clone());
    }
    let hosts = if workload.observed.is_some() { with_room(hosts, &plan) } else { hosts };
    check_containers(settings, &plan, &cluster)?;
    let mut processes = Processes::new(&plan, settings, &hosts).map_err(|error| error.to_string())?;
    check_size(workload, settings, processes.default_parallelism)?;
    processes.memory = memory(&cluster, settings, &plan);
    Ok(Placed { plan, processes })
}

/// Refuses containers' swap and `memory.high` where they could do nothing.
fn check_containers(settings: &Settings, plan: &ClusterPlan, cluster: &ClusterSpec) -> Result<(), String> {
    let knobs = &settings.knobs;
    let limit = plan.executors.iter().filter_map(|executor| executor.container_limit).min();
    let asked = [
        ("spillcast.containerSwap", (knobs.container_swap > 0).then_some(knobs.container_swap)),
        ("spillcast.containerHigh", knobs.container_high),
    ];
    for (key, bytes) in asked {
        let Some(bytes) = bytes else { continue };
        let value = HumanBytes(bytes);
        if limit.is_none() && !plan.executors.is_empty() {
            return Err(format!(
                "{key}: {value}, but executors here have no container; valid with spillcast.containerLimit, or on YARN or \
                 Kubernetes"
            ));
        }
    }
    if let (Some(high), Some(limit)) = (knobs.container_high, limit)
        && high >= limit
    {
        return Err(format!(
            "spillcast.containerHigh: {} is not below the container's limit ({}), which kills before it; valid: less than \
             that",
            HumanBytes(high),
            HumanBytes(limit)
        ));
    }
    let without = cluster.hosts.iter().find(|host| host.swap_bytes == 0);
    if knobs.container_swap > 0
        && let Some(host) = without
    {
        return Err(format!(
            "spillcast.containerSwap: {}, but host `{}` has no swap; valid with `swap` in [[host]] or spillcast.host.swap",
            HumanBytes(knobs.container_swap),
            host.name
        ));
    }
    Ok(())
}

/// Machines of a log: it tells how many cores were used, not how many there are, so that more slots mean more cores.
fn with_room(mut hosts: Vec<HostSpec>, plan: &ClusterPlan) -> Vec<HostSpec> {
    for (index, host) in hosts.iter_mut().enumerate() {
        let wanted =
            plan.executors.iter().filter(|executor| executor.host == index).map(|executor| executor.cores);
        host.cores = host.cores.max(wanted.sum());
    }
    hosts
}

/// The machines and tenants with what the knobs make of them.
fn changed(cluster: &ClusterSpec, settings: &Settings) -> Result<ClusterSpec, String> {
    let mut cluster = cluster.clone();
    let knobs = &settings.knobs;
    for host in &mut cluster.hosts {
        if let Some(bytes) = knobs.host_memory {
            host.memory_bytes = bytes;
        }
        if knobs.host_disk.is_some() {
            host.disk_bytes = knobs.host_disk;
        }
        if let Some(bytes) = knobs.host_swap {
            host.swap_bytes = bytes;
        }
    }
    check_tenants(settings, &cluster)?;
    if let Some(names) = &knobs.tenants {
        cluster.tenants.retain(|tenant| names.contains(&tenant.name));
    }
    for host in &cluster.hosts {
        let held: u64 = here(&cluster, &host.name).map(|tenant| tenant.resident_bytes).sum();
        let there = host.memory_bytes.saturating_add(host.swap_bytes);
        if held.saturating_add(host.kernel_or_usual()) > there {
            return Err(format!(
                "spillcast.host.memory, spillcast.host.swap: host `{}` has {} of memory and swap, less than its tenants and \
                 the kernel hold at rest ({})",
                host.name,
                HumanBytes(there),
                HumanBytes(held.saturating_add(host.kernel_or_usual()))
            ));
        }
    }
    Ok(cluster)
}

/// Refuses names of tenants that nobody has.
pub(super) fn check_tenants(settings: &Settings, cluster: &ClusterSpec) -> Result<(), String> {
    let known: Vec<&str> = cluster.tenants.iter().map(|tenant| tenant.name.as_str()).collect();
    let mut asked = settings.knobs.tenants.iter().flatten();
    let Some(stranger) = asked.find(|name| !known.contains(&name.as_str())) else { return Ok(()) };
    let valid = if known.is_empty() {
        "; the scenario has none".to_owned()
    } else {
        format!(", {}", known.join(", "))
    };
    Err(format!("spillcast.tenants: there is no tenant `{stranger}`; valid: all, none{valid}"))
}

fn here<'c>(cluster: &'c ClusterSpec, host: &str) -> impl Iterator<Item = &'c TenantSpec> {
    let host = host.to_owned();
    cluster.tenants.iter().filter(move |tenant| tenant.host.as_ref().is_none_or(|name| *name == host))
}

/// The memory of each machine, where it is known of all.
fn memory(cluster: &ClusterSpec, settings: &Settings, plan: &ClusterPlan) -> Vec<HostMemory> {
    if cluster.hosts.iter().any(|host| host.memory_bytes >= UNKNOWN_HOST_MEMORY) {
        return Vec::new();
    }
    let each = cluster.hosts.iter().flat_map(|host| (0..host.count).map(move |_| host));
    each.enumerate()
        .map(|(at, host)| HostMemory {
            memory_bytes: host.memory_bytes,
            kernel_bytes: host.kernel_or_usual(),
            stolen_cores: host.stolen_cores,
            swap_bytes: host.swap_bytes,
            swap_device: swap_device(host),
            disk_bytes_per_s: host.disk_bytes_per_s,
            network_bytes_per_s: host.network_bytes_per_s,
            disk_bytes: host.disk_bytes,
            local_dir_in_memory: host.local_dir_in_memory,
            beside_bytes: 0,
            executor_oom_score_adj: match (&settings.master, plan.executors.iter().find(|e| e.host == at)) {
                (Master::Kubernetes, Some(executor)) => {
                    // The pod's memory request equals its limit, its processors do not: burstable.
                    let request = executor.container_limit.unwrap_or(executor.heap);
                    QosClass::Burstable { request }.oom_score_adj(host.memory_bytes)
                }
                _ => 0,
            },
            copies: settings.knobs.copies,
            tenants: here(cluster, &host.name).map(tenant).collect(),
        })
        .collect()
}

fn swap_device(host: &scenario::HostSpec) -> SwapDevice {
    let mut device = match host.swap_device {
        SwapKind::Ssd => SwapDevice::LOCAL_SSD,
        SwapKind::Network => SwapDevice::NETWORK,
        SwapKind::Spinning => SwapDevice::SPINNING,
    };
    if let Some(ns) = host.swap_latency_ns {
        device.access_us = ns as f64 / 1e3;
    }
    if let Some(rate) = host.swap_bytes_per_s {
        device.read_bytes_per_s = rate;
        device.write_bytes_per_s = rate;
    }
    device
}

fn tenant(spec: &TenantSpec) -> Tenant {
    Tenant {
        name: spec.name.clone(),
        resident_bytes: spec.resident_bytes,
        active_bytes: spec.active_bytes,
        active_period_s: spec.period_ns as f64 / 1e9,
        churn_bytes_per_s: spec.churn_bytes_per_s,
        cpu_cores: spec.cpu_cores,
        oom_score_adj: spec.oom_score_adj,
        request: spec.request_ns.map(|ns| Request {
            quiet_ms: ns as f64 / 1e6,
            touched_bytes: spec.request_bytes,
            block_bytes: spec.request_block_bytes,
            every_ms: spec.request_every_ns.map(|ns| ns as f64 / 1e6),
        }),
    }
}

/// The machines of a scenario, as planning and as the simulation want them.
pub fn machines(cluster: &ClusterSpec) -> (Vec<HostShape>, Vec<HostSpec>) {
    let each = cluster.hosts.iter().flat_map(|host| (0..host.count).map(move |number| (host, number)));
    each.map(|(host, number)| {
        let shape = HostShape { cores: host.cores, memory: host.memory_bytes, container_memory: None };
        let name = if host.count > 1 { format!("{}-{}", host.name, number + 1) } else { host.name.clone() };
        (shape, HostSpec { name, cores: host.cores })
    })
    .unzip()
}
