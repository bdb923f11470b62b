//! From a scenario's machines and a configuration's meaning to the processes of a run.

use crate::cluster::{self, ClusterPlan, HostShape, PlanInput};
use crate::conf::Settings;
use crate::scenario::ClusterSpec;
use crate::sim::{HostSpec, Processes, replan};
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
/// The words with which Spark or the cluster manager refuses to start them, or of which query the log tells too little for
/// these settings.
pub fn place(settings: &Settings, cluster: &ClusterSpec, workload: &Workload) -> Result<Placed, String> {
    replan(workload, settings)?;
    let (shapes, hosts) = machines(cluster);
    let plan = cluster::plan(&PlanInput { settings, hosts: &shapes, yarn: None, python: workload.python });
    if let Some(words) = &plan.refusal {
        return Err(words.clone());
    }
    let hosts = if workload.observed.is_some() { with_room(hosts, &plan) } else { hosts };
    let processes = Processes::new(&plan, settings, &hosts).map_err(|error| error.to_string())?;
    Ok(Placed { plan, processes })
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
