//! What the kernel's OOM killer does on a host of the simulation: who is a candidate, and what the victim's death means for
//! the application. The rule by which one is chosen is in [`crate::host::oom_killer`].

use super::World;
use super::host::rates;
use crate::host::oom_killer::{Candidate, victim};
use crate::host::swap::PAGE_BYTES;
use crate::record::{EventKind, Limit, Outcome};
use crate::units::HumanBytes;

impl World<'_> {
    /// The kernel has found nothing to free: somebody dies, unless memory came free meanwhile.
    pub(super) fn kill_somebody(&mut self, at: usize) {
        let now = self.queue.now();
        let copies = self.hosts[at].copies;
        let Some(ledger) = self.hosts[at].memory.as_deref_mut() else { return };
        ledger.kill_at = None;
        if !ledger.is_full(copies) {
            return;
        }
        ledger.advance(now);
        self.host_falls(at, Limit::Host);
        let own = self.alive_on(at);
        let ledger = self.hosts[at].memory.as_deref().expect("looked at above");
        let total = (ledger.setup.memory_bytes + ledger.setup.swap_bytes) / PAGE_BYTES;
        let adj = ledger.setup.executor_oom_score_adj;
        let applications = own.len() * copies as usize;
        let tenants = ledger.setup.tenants.iter().zip(&ledger.tenants).enumerate();
        let alive: Vec<usize> =
            tenants.filter(|(_, (_, s))| s.killed.is_none()).map(|(index, _)| index).collect();
        // Of two equal processes the later dies: another copy before this application.
        let mut candidates: Vec<Candidate> = alive
            .iter()
            .map(|&index| {
                let tenant = &ledger.setup.tenants[index];
                Candidate::of_bytes(tenant.resident_bytes, 0, tenant.oom_score_adj)
            })
            .collect();
        for index in 0..applications {
            let executor = &self.executors[own[index % own.len()]];
            candidates.push(Candidate::of_bytes(executor.footprint, executor.container.swapped, adj));
        }
        let Some(dies) = victim(&candidates, total) else {
            self.abort(
                Outcome::HostOomKilled,
                "Kernel panic - not syncing: System is deadlocked on memory: every process has oom_score_adj -1000"
                    .to_owned(),
            );
            return;
        };
        if let Some(&tenant) = alive.get(dies) {
            self.kill_tenant(at, tenant);
        } else {
            let place = dies - alive.len();
            let executor = own[place % own.len()];
            if place >= own.len() { self.kill_copy(at, executor) } else { self.kill_executor(executor) }
        }
        if self.ended.is_none() {
            self.update_ledger(at, true);
        }
    }

    /// Time until the kernel kills on a host whose memory and swap are full, ns: who takes a page there waits until then.
    pub(super) fn wait_for_kill(&self, at: usize) -> u64 {
        let host = &self.hosts[at];
        let Some(ledger) = host.memory.as_deref() else { return 0 };
        let Some(kill_at) = ledger.kill_at else { return 0 };
        if ledger.is_full(host.copies) { kill_at.since(self.queue.now()).0 } else { 0 }
    }

    fn kill_tenant(&mut self, at: usize, tenant: usize) {
        let now = self.queue.now();
        let host = &mut self.hosts[at];
        let ledger = host.memory.as_deref_mut().expect("a host with tenants has a ledger");
        ledger.tenants[tenant].killed = Some(now);
        let setup = &ledger.setup.tenants[tenant];
        host.tenant_cores = (host.tenant_cores - setup.cpu_cores).max(0.0);
        let (bytes, text) = (setup.resident_bytes, killed_text(&setup.name, setup.resident_bytes));
        self.event(EventKind::Kill, None, None, bytes, &text);
        self.refresh_host(at);
    }

    fn kill_copy(&mut self, at: usize, executor: usize) {
        let now = self.queue.now();
        let bytes = self.executors[executor].footprint;
        let host = &mut self.hosts[at];
        host.copies -= 1.0;
        host.swap.set_rates(now, 1.0 / host.copies, 1.0 / host.copies);
        let ledger = host.memory.as_deref_mut().expect("a host with copies has a ledger");
        ledger.record.copies_killed_ns.push(now.0);
        let [disk, network] = rates(&ledger.setup, host.copies);
        host.disk.set_rates(now, disk, disk);
        host.network.set_rates(now, network, network);
        self.event(
            EventKind::Kill,
            None,
            None,
            bytes,
            &killed_text("another application like this one", bytes),
        );
        self.schedule_disk(at);
        self.schedule_network(at);
        self.schedule_swap(at);
        self.refresh_host(at);
    }

    fn kill_executor(&mut self, executor: usize) {
        let bytes = self.executors[executor].footprint;
        let text = killed_text("java", bytes);
        self.event(EventKind::Kill, Some(executor), None, bytes, &text);
        if let Some(ledger) = self.hosts[self.executors[executor].host].memory.as_deref_mut() {
            ledger.record.executors_killed.push(executor as u32);
        }
        if self.local {
            let reason = format!("{text}; a Python driver sees it as `Answer from Java side is empty`");
            self.abort(Outcome::HostOomKilled, reason);
        } else {
            let reason = format!("Command exited with code 137 ({text})");
            self.lose_executor(executor, &reason, Outcome::HostOomKilled);
        }
    }

    fn refresh_host(&mut self, at: usize) {
        for executor in self.alive_on(at) {
            self.refresh(executor);
        }
    }
}

/// The kernel's words.
fn killed_text(name: &str, bytes: u64) -> String {
    format!("Out of memory: Killed process ({name}), {} of memory and swap", HumanBytes(bytes))
}
