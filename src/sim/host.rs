//! A host in the simulation: its processors, disk and network, and, where its memory is known, the ledger of who holds it.
//!
//! Whenever an executor's process grows or its tasks come and go, the ledger is brought up to date. While everything fits
//! nothing else happens. When it does not, pages go to swap by recency ([`crate::host::ram`]): executors and neighbours slow
//! down by their faults, a growing task waits for the pages that are written out for it, and when memory and swap are both
//! full the kernel kills. What the physics are is said in [`crate::host`]; here is only who takes part and what follows.

use super::World;
use super::event::Event;
use super::pages::Missing;
use super::processes::HostMemory;
use crate::engine::{SharedResource, TimerId};
use crate::host::oom_killer::GIVE_UP_S;
use crate::host::ram::{PageIn, Ram, Share};
use crate::host::swap::PAGE_BYTES;
use crate::host::tenant::{ACTIVE, COLLECTOR, Latency, LatencyLog, Strain, Window};
use crate::record::{
    CACHED_FILES, FREE_MEMORY, HostPoint, HostRecord, LedgerEntry, Limit, Outcome, TenantRecord,
};
use crate::units::{HumanDuration, SimDuration, SimTime};

/// A machine's shared resources.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) cores: u32,
    /// Executors that live on it.
    pub(super) executors: u32,
    /// Tasks that run on it.
    pub(super) running: u32,
    /// Threads of its JVMs that want a processor beside the tasks.
    pub(super) background: f64,
    /// Applications like this one that run here at the same moment, itself among them.
    pub(super) copies: f64,
    /// Processors that neighbours keep busy and the hypervisor withholds.
    pub(super) tenant_cores: f64,
    pub(super) disk: SharedResource,
    pub(super) network: SharedResource,
    /// The swap device, in ns of its time.
    pub(super) swap: SharedResource,
    pub(super) timers: Timers,
    pub(super) memory: Option<Box<HostLedger>>,
}

/// The timers of a host's resources.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timers {
    pub(super) disk: TimerId,
    pub(super) network: TimerId,
    pub(super) swap: TimerId,
    pub(super) pages: TimerId,
}

impl Host {
    /// A host with the rates of its disk and its network, bytes a nanosecond.
    pub(super) fn new(
        name: &str,
        cores: u32,
        [disk, network]: [f64; 2],
        timers: Timers,
        memory: Option<HostMemory>,
    ) -> Self {
        let copies = memory.as_ref().map_or(1.0, |memory| f64::from(memory.copies.max(1)));
        let [disk, network] = memory.as_ref().map_or([disk, network], |memory| rates(memory, copies));
        let tenants = memory.iter().flat_map(|memory| &memory.tenants);
        Self {
            name: name.to_owned(),
            cores: cores.max(1),
            executors: 0,
            running: 0,
            background: 0.0,
            copies,
            tenant_cores: tenants.map(|tenant| tenant.cpu_cores).sum::<f64>()
                + memory.as_ref().map_or(0.0, |memory| memory.stolen_cores),
            disk: SharedResource::new(disk, disk),
            network: SharedResource::new(network, network),
            swap: SharedResource::new(1.0 / copies, 1.0 / copies),
            timers,
            memory: memory.map(|setup| Box::new(HostLedger::new(setup))),
        }
    }

    /// Not all that its processes hold fits into its memory.
    pub(super) fn is_short(&self) -> bool {
        self.memory.as_deref().is_some_and(|ledger| !ledger.shares.is_empty())
    }

    /// Threads of this application and of others like it that want a processor.
    fn busy(&self) -> f64 {
        (f64::from(self.running) + self.background) * self.copies
    }

    /// Share of a processor that each thread gets.
    pub(super) fn processor_share(&self) -> f64 {
        (f64::from(self.cores) / (self.busy() + self.tenant_cores).max(1.0)).min(1.0)
    }
}

/// What each of so many applications alike gets of a host's disk and network, bytes a nanosecond.
pub(super) fn rates(memory: &HostMemory, copies: f64) -> [f64; 2] {
    [memory.disk_bytes_per_s, memory.network_bytes_per_s].map(|rate| rate / 1e9 / copies)
}

/// Who holds a host's memory.
#[derive(Debug)]
pub(super) struct HostLedger {
    pub(super) setup: HostMemory,
    pub(super) tenants: Vec<Neighbour>,
    /// Bytes of the executors' processes together.
    executors: u64,
    /// Bytes of swap that the executors' containers have for themselves.
    pub(super) in_containers: u64,
    /// Bytes of Spark's local files.
    pub(super) files: u64,
    /// Demand and busy threads at the last balance, and when that was.
    seen: (u64, f64),
    seen_at: SimTime,
    /// After what time without any event the pages are looked at again.
    pub(super) look_after: SimDuration,
    /// Demand at the last point of the time line, and when that was.
    pointed: Option<(u64, SimTime)>,
    /// Everybody's pages while memory is short, or something is still in swap.
    pub(super) ram: Ram,
    /// Everybody's share of it, executors first; empty while nothing is in swap.
    pub(super) shares: Vec<Share>,
    pub(super) swapped_pages: f64,
    /// Pages written out that nobody has waited for yet.
    pub(super) debt_pages: f64,
    /// When the kernel gives up finding memory and kills, where it is looking.
    pub(super) kill_at: Option<SimTime>,
    updated: SimTime,
    /// Tasks of this application have stood nearly still since the last balance.
    standing_still: bool,
    /// How long they have by now, without a break, ns.
    unresponsive_ns: f64,
    pub(super) worst_slowdown: f64,
    pub(super) swap_in_pages: f64,
    pub(super) swap_out_pages: f64,
    pub(super) peak: u64,
    peak_lines: Vec<LedgerEntry>,
    pub(super) record: HostRecord,
}

/// A neighbour's state.
#[derive(Debug)]
pub(super) struct Neighbour {
    pub(super) killed: Option<SimTime>,
    strain: Strain,
    log: LatencyLog,
    peak_swapped: f64,
}

/// Less of a change than this is not worth a new balance, bytes.
const STEP_BYTES: u64 = 2 << 20;
/// A balance is drawn anew at least so often while memory is short, since tasks change what they do.
pub(super) const BALANCE_MAX_AGE: SimDuration = SimDuration::from_ms(500);
/// Points of the time line are at least so far apart unless memory moves.
const POINT_EVERY: SimDuration = SimDuration::from_ms(100);
/// From this slow-down on the tasks of a host stand nearly still.
const STANDSTILL: f64 = 20.0;
/// So long a standstill without a break ends the application: nobody waits longer (`spark.network.timeout` is 120 s; five of them).
const STANDSTILL_MAX_NS: f64 = 600e9;
/// The worst request of so long a time is what some probes keep, ms.
const QUARTER_MS: f64 = 250.0;

impl HostLedger {
    fn new(setup: HostMemory) -> Self {
        let tenants = setup.tenants.iter().map(|_| Neighbour {
            killed: None,
            strain: Strain::default(),
            log: LatencyLog::default(),
            peak_swapped: 0.0,
        });
        let tenants = tenants.collect();
        let record = HostRecord { worst_slowdown: 1.0, ..HostRecord::default() };
        Self {
            tenants,
            setup,
            executors: 0,
            in_containers: 0,
            files: 0,
            seen: (0, -1.0),
            seen_at: SimTime::ZERO,
            look_after: BALANCE_MAX_AGE,
            pointed: None,
            ram: Ram::default(),
            shares: Vec::new(),
            swapped_pages: 0.0,
            debt_pages: 0.0,
            kill_at: None,
            updated: SimTime::ZERO,
            standing_still: false,
            unresponsive_ns: 0.0,
            worst_slowdown: 1.0,
            swap_in_pages: 0.0,
            swap_out_pages: 0.0,
            peak: 0,
            peak_lines: Vec::new(),
            record,
        }
    }

    fn tenant_bytes(&self) -> u64 {
        let alive = self.setup.tenants.iter().zip(&self.tenants).filter(|(_, state)| state.killed.is_none());
        alive.map(|(tenant, _)| tenant.resident_bytes).sum()
    }

    /// Files that lie in memory.
    pub(super) fn tmpfs(&self) -> u64 {
        if self.setup.local_dir_in_memory { self.files } else { 0 }
    }

    /// Memory that processes want, which only swap can take from them.
    pub(super) fn demand(&self, copies: f64) -> u64 {
        let of_applications =
            ((self.executors + self.tmpfs() + self.setup.beside_bytes) as f64 * copies) as u64;
        of_applications + self.tenant_bytes()
    }

    /// Memory that processes can have.
    pub(super) fn room(&self) -> u64 {
        self.setup.memory_bytes.saturating_sub(self.setup.kernel_bytes)
    }

    /// Its programs want more than memory and swap have.
    pub(super) fn is_full(&self, copies: f64) -> bool {
        self.demand(copies) > self.room() + self.swap_room(copies)
    }

    /// Swap space for what the host itself moves there.
    pub(super) fn swap_room(&self, copies: f64) -> u64 {
        self.setup.swap_bytes.saturating_sub((self.in_containers as f64 * copies) as u64)
    }

    /// Counts what went on since the last look.
    pub(super) fn advance(&mut self, now: SimTime) {
        let elapsed = now.since(self.updated);
        self.updated = self.updated.max(now);
        let seconds = elapsed.as_secs();
        // Once tasks get on again the next standstill counts from its own start.
        self.unresponsive_ns =
            if self.standing_still { self.unresponsive_ns + elapsed.0 as f64 } else { 0.0 };
        for (neighbour, tenant) in self.tenants.iter_mut().zip(&self.setup.tenants) {
            if neighbour.killed.is_none() {
                neighbour.log.pass(seconds);
                neighbour.strain.waiting =
                    tenant.request.map_or(0.0, |request| request.waiting(&neighbour.strain, seconds));
            }
        }
    }
}

impl World<'_> {
    /// An executor's process now has `resident` bytes.
    pub(super) fn note_footprint(&mut self, executor: usize, resident: u64) {
        let at = self.executors[executor].host;
        let resident = if self.executors[executor].alive { resident } else { 0 };
        let resident = self.settle_container(executor, resident);
        let before = std::mem::replace(&mut self.executors[executor].footprint, resident);
        if let Some(ledger) = self.hosts[at].memory.as_deref_mut() {
            ledger.executors = ledger.executors + resident - before;
            self.update_ledger(at, false);
        }
    }

    /// Brings a host's ledger up to date; what does not matter yet is put off unless `all`.
    pub(super) fn update_ledger(&mut self, at: usize, all: bool) {
        let now = self.queue.now();
        let host = &self.hosts[at];
        let (copies, busy, cores) = (host.copies, host.busy(), f64::from(host.cores));
        let tenant_cores = host.tenant_cores;
        let Some(ledger) = self.hosts[at].memory.as_deref_mut() else { return };
        let demand = ledger.demand(copies);
        let (seen, seen_busy) = ledger.seen;
        let short = demand > ledger.room() || ledger.swapped_pages >= 1.0;
        let old = now.since(ledger.seen_at) >= BALANCE_MAX_AGE && short;
        let same_busy = (busy - seen_busy).abs() < 1e-9;
        if !all
            && same_busy
            && seen.abs_diff(demand) < STEP_BYTES
            && !old
            && short != ledger.shares.is_empty()
        {
            return;
        }
        ledger.advance(now);
        let since_last = now.since(ledger.seen_at).as_secs();
        if seen.abs_diff(demand) >= STEP_BYTES {
            ledger.look_after = BALANCE_MAX_AGE;
        }
        ledger.seen = (demand, busy);
        ledger.seen_at = now;
        let mut page_in = PageIn::default();
        if short {
            let processes = self.processes_on(at);
            page_in = self.settle_pages(at, &processes, demand, since_last);
        } else {
            let ledger = self.hosts[at].memory.as_deref_mut().expect("looked at above");
            ledger.ram = Ram::default();
            ledger.shares.clear();
            ledger.swapped_pages = 0.0;
        }
        let own: Vec<usize> = self.alive_on(at);
        let ledger = self.hosts[at].memory.as_deref_mut().expect("looked at above");
        let mut position = own.len() * copies as usize;
        for (tenant, state) in ledger.setup.tenants.iter().zip(&mut ledger.tenants) {
            if state.killed.is_some() {
                continue;
            }
            let share = ledger.shares.get(position);
            position += 1;
            let missing =
                |set: usize| share.and_then(|share| share.miss_shares.get(set)).copied().unwrap_or(0.0);
            state.peak_swapped = state.peak_swapped.max(share.map_or(0.0, |share| share.swapped_pages));
            if let Some(request) = tenant.request {
                state.strain = Strain {
                    busy: busy + (tenant_cores - tenant.cpu_cores).max(0.0),
                    cores,
                    miss_share: missing(ACTIVE),
                    page_in_us: page_in.each_us(tenant.touched_together()),
                    pause_ms: tenant.collector_pages() * missing(COLLECTOR) * page_in.each_us(1.0) / 1e3,
                    pause_every_ms: tenant.collects_every_s().unwrap_or(0.0) * 1e3,
                    stolen_cores: ledger.setup.stolen_cores,
                    ..state.strain
                };
                state.log.meet(request, state.strain);
            }
        }
        let worst = ledger.shares.iter().take(own.len()).map(|share| share.slowdown).fold(1.0, f64::max);
        ledger.worst_slowdown = ledger.worst_slowdown.max(worst);
        // A neighbour or a copy at a standstill is no task of this application's, nor is an executor without any.
        let works = |&(executor, share): &(&usize, &Share)| {
            share.slowdown >= STANDSTILL && !self.executors[*executor].running.is_empty()
        };
        ledger.standing_still = own.iter().zip(&ledger.shares).any(|pair| works(&pair));
        let missing: Vec<Missing> =
            (0..own.len()).map(|index| ledger.shares.get(index).map_or(Missing::NONE, Missing::of)).collect();
        let read_s = ledger.setup.swap_device.read_us(1.0) / 1e6;
        let full = ledger.is_full(copies);
        let kill_at = (full && ledger.kill_at.is_none()).then(|| now + SimDuration::from_secs_f64(GIVE_UP_S));
        ledger.kill_at = ledger.kill_at.or(kill_at);
        let still = ledger.unresponsive_ns > STANDSTILL_MAX_NS;
        let wanted = demand + (ledger.in_containers as f64 * copies) as u64;
        if wanted > ledger.peak {
            ledger.peak = wanted;
            ledger.record.peak_ns = now.0;
            let lines = self.ledger_lines(at);
            let ledger = self.hosts[at].memory.as_deref_mut().expect("looked at above");
            ledger.peak_lines = lines;
        }
        self.plan_look_at_pages(at, &own);
        for (&executor, missing) in own.iter().zip(missing) {
            self.executors[executor].gc_until(now);
            self.executors[executor].missing = missing;
            self.executors[executor].swap_read_s = read_s;
            self.change_speed(executor);
        }
        if let Some(kill_at) = kill_at {
            self.queue.schedule(kill_at, Event::OutOfMemory { host: at });
        }
        if self.options.details {
            self.record_host_points(at);
        }
        if still {
            self.host_falls(at, Limit::Memory);
            let reason = format!(
                "host {} thrashes: tasks stood nearly still for {} while pages were read from swap, and nothing ended it",
                self.hosts[at].name,
                HumanDuration(SimDuration(STANDSTILL_MAX_NS as u64)),
            );
            self.abort(Outcome::Timeout, reason);
        }
    }

    pub(super) fn alive_on(&self, at: usize) -> Vec<usize> {
        let here = |&index: &usize| self.executors[index].host == at && self.executors[index].alive;
        (0..self.executors.len()).filter(here).collect()
    }

    pub(super) fn schedule_swap(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        let next = host.swap.next_completion();
        self.queue.set_timer(host.timers.swap, next);
    }

    /// Who holds a host's memory now: the kernel, the applications copy by copy, neighbours that live, then the rest.
    pub(super) fn ledger_lines(&self, at: usize) -> Vec<LedgerEntry> {
        let host = &self.hosts[at];
        let Some(ledger) = host.memory.as_deref() else { return Vec::new() };
        let copies = host.copies as usize;
        let mut shares = ledger.shares.iter();
        let mut line = |process: String, bytes: u64| {
            let swapped =
                shares.next().map_or(0, |share| (share.swapped_pages * PAGE_BYTES as f64) as u64).min(bytes);
            let resident_bytes = bytes - swapped;
            LedgerEntry { host: host.name.clone(), process, resident_bytes, swapped_bytes: swapped }
        };
        let plain = |process: &str, bytes: u64| LedgerEntry {
            host: host.name.clone(),
            process: process.to_owned(),
            resident_bytes: bytes,
            swapped_bytes: 0,
        };
        let mut lines = vec![plain("kernel", ledger.setup.kernel_bytes)];
        let own = self.alive_on(at);
        for copy in 0..copies {
            for &index in &own {
                let executor = &self.executors[index];
                let id = &executor.record.id;
                let who = if id == "driver" {
                    "Spark (driver and executor)".to_owned()
                } else {
                    format!("executor {id}")
                };
                let who = if copy > 0 { format!("{who}, copy {}", copy + 1) } else { who };
                let mut own = line(who, executor.footprint);
                own.swapped_bytes += executor.container.swapped;
                lines.push(own);
            }
        }
        for (tenant, state) in ledger.setup.tenants.iter().zip(&ledger.tenants) {
            if state.killed.is_none() {
                lines.push(line(tenant.name.clone(), tenant.resident_bytes));
            }
        }
        if ledger.setup.beside_bytes > 0 {
            lines.push(plain("driver program", ledger.setup.beside_bytes * copies as u64));
        }
        if ledger.tmpfs() > 0 {
            lines.push(plain("files in memory", ledger.tmpfs() * copies as u64));
        }
        let used: u64 = lines.iter().map(|line| line.resident_bytes).sum();
        let left = ledger.setup.memory_bytes.saturating_sub(used);
        let cache = if ledger.setup.local_dir_in_memory { 0 } else { left.min(ledger.files * copies as u64) };
        lines.push(plain(CACHED_FILES, cache));
        lines.push(plain(FREE_MEMORY, left - cache));
        lines
    }

    fn record_host_points(&mut self, at: usize) {
        let now = self.queue.now();
        let time_ns = now.0;
        let Some(ledger) = self.hosts[at].memory.as_deref_mut() else { return };
        let demand = ledger.seen.0;
        let due = ledger.pointed.is_none_or(|(before, since)| {
            now.since(since) >= POINT_EVERY || before.abs_diff(demand) > ledger.setup.memory_bytes / 64
        });
        if !due {
            return;
        }
        ledger.pointed = Some((demand, now));
        let lines = self.ledger_lines(at);
        let copies = self.hosts[at].copies;
        let applications = self.alive_on(at).len() * copies as usize;
        let Some(ledger) = self.hosts[at].memory.as_deref() else { return };
        // In the order of the lines: the kernel, which stands for the files, the applications, then the neighbours.
        let tenants = ledger.setup.tenants.iter().zip(&ledger.tenants);
        let alive = tenants.filter(|(_, state)| state.killed.is_none());
        let asked = alive.map(|(tenant, state)| tenant.request.and_then(|_| state.log.now()));
        let latencies: Vec<Option<Latency>> =
            std::iter::repeat_n(None, 1 + applications).chain(asked).collect();
        let files = Some((ledger.files as f64 * copies) as u64);
        let points: Vec<HostPoint> = lines
            .into_iter()
            .enumerate()
            .map(|(place, line)| {
                let latency = latencies.get(place).copied().flatten();
                HostPoint {
                    time_ns,
                    files_bytes: files.filter(|_| place == 0),
                    host: at as u32,
                    p50_ms: latency.map(|latency| latency.p50_ms()),
                    p99_ms: latency.map(|latency| latency.p99_ms()),
                    process: line.process,
                    resident_bytes: line.resident_bytes,
                    swapped_bytes: line.swapped_bytes,
                }
            })
            .collect();
        self.record.host_timeline.extend(points);
    }

    /// Closes the hosts' ledgers into the record.
    pub(super) fn close_hosts(&mut self) {
        let now = self.queue.now();
        // Who would wait longer than the run is not served in it.
        let most = now.0 as f64 / 1e6;
        for point in &mut self.record.host_timeline {
            for ms in [&mut point.p50_ms, &mut point.p99_ms] {
                *ms = ms.map(|ms| ms.min(most));
            }
        }
        let mut known = false;
        let (mut swap_in, mut swap_out) = (0, 0);
        for host in &mut self.hosts {
            let cores = f64::from(host.cores);
            let tenant_cores = host.tenant_cores;
            let Some(ledger) = host.memory.as_deref_mut() else { continue };
            ledger.advance(now);
            known = true;
            let bytes = |pages: f64| (pages * PAGE_BYTES as f64) as u64;
            let mut record = std::mem::take(&mut ledger.record);
            record.name.clone_from(&host.name);
            record.memory_bytes = ledger.setup.memory_bytes;
            record.swap_bytes = ledger.setup.swap_bytes;
            record.disk_bytes = ledger.setup.disk_bytes;
            record.files_in_memory = ledger.setup.local_dir_in_memory;
            record.swap_in_bytes = bytes(ledger.swap_in_pages);
            record.swap_out_bytes = bytes(ledger.swap_out_pages);
            record.worst_slowdown = ledger.worst_slowdown;
            swap_in += record.swap_in_bytes;
            swap_out += record.swap_out_bytes;
            self.record.hosts.push(record);
            self.record.ledger.append(&mut ledger.peak_lines);
            for (tenant, state) in ledger.setup.tenants.iter().zip(&ledger.tenants) {
                let others = (tenant_cores - tenant.cpu_cores).max(0.0);
                let stolen_cores = ledger.setup.stolen_cores;
                let quiet = Strain { busy: others, cores, stolen_cores, ..Strain::default() };
                let quiet = tenant.request.map(|request| request.latency(&quiet));
                let during = |rank: f64| tenant.request.and_then(|_| state.log.quantile_ms(rank));
                let every = tenant.request.and_then(|request| request.every_ms);
                self.record.tenants.push(TenantRecord {
                    name: tenant.name.clone(),
                    host: host.name.clone(),
                    resident_bytes: tenant.resident_bytes,
                    peak_swapped_bytes: bytes(state.peak_swapped),
                    killed_ns: state.killed.map(|at| at.0),
                    quiet_p50_ms: quiet.map(|latency| latency.p50_ms()),
                    quiet_p99_ms: quiet.map(|latency| latency.p99_ms()),
                    asked_ms: tenant.request.map(|_| state.log.passed_ms()),
                    p50_ms: during(0.5),
                    p99_ms: during(0.99),
                    worst_of_quarter_p99_ms: every
                        .map(|every_ms| Window { ms: QUARTER_MS, every_ms })
                        .and_then(|window| state.log.worst_quantile_ms(0.99, window)),
                });
            }
        }
        if known {
            self.record.totals.swap_in_bytes = Some(swap_in);
            self.record.totals.swap_out_bytes = Some(swap_out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::swap::SwapDevice;

    #[test]
    fn a_standstill_counts_from_its_own_start() {
        let mut ledger = HostLedger::new(HostMemory {
            memory_bytes: 4 << 30,
            kernel_bytes: 0,
            stolen_cores: 0.0,
            swap_bytes: 4 << 30,
            swap_device: SwapDevice::LOCAL_SSD,
            disk_bytes_per_s: 1e9,
            network_bytes_per_s: 1e9,
            disk_bytes: None,
            local_dir_in_memory: false,
            beside_bytes: 0,
            executor_oom_score_adj: 0,
            copies: 1,
            tenants: Vec::new(),
        });
        let mut until = |seconds: u64, standing_still: bool| {
            ledger.standing_still = standing_still;
            ledger.advance(SimTime(seconds * 1_000_000_000));
            ledger.unresponsive_ns / 1e9
        };
        assert_eq!([until(400, true), until(500, true)], [400.0, 500.0]);
        assert_eq!([until(501, false), until(700, true)], [0.0, 199.0]);
    }
}
