//! What a JVM pays because it is new: class loading and interpretation slow its first tasks, compiler threads compete with
//! the tasks for the host's processors, and task binaries have to be fetched and deserialized once.
//!
//! The amounts are the workload's ([`crate::workload::Stage::warm_up_ns`], [`crate::workload::Rates`]); here is who pays
//! them and when. A JVM that runs longer pays no more; two JVMs pay twice. Left out: code that is thrown away and compiled
//! again, and that interpreting lasts longer where the compiler threads get less of a processor.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::World;
use crate::engine::{SharedResource, TimerId};
use crate::units::SimTime;
use crate::workload::Rates;

/// Most that a task pays in a JVM that has not compiled a stage's code, as a multiple of its own work: tasks of the first
/// waves took up to twice the processor time of later ones of the same size (logs of aggregations, sorts and joins,
/// Spark 4.1, JDK 17; 1.5 to 3).
pub const STAGE_PACE: f64 = 1.0;
/// The same for Spark's own classes in a new executor, whose very first tasks took three to four times as long.
const EXECUTOR_PACE: f64 = 2.5;

/// What one JVM has still to pay.
#[derive(Debug)]
pub(super) struct WarmUp {
    /// The JVM is the driver's, which ran Spark's code before the first task came.
    driver: bool,
    /// Processor time left for the code of each stage that ran here, ns.
    stages: BTreeMap<usize, u64>,
    /// Processor time left for Spark's own classes, ns.
    executor: u64,
    /// Launch delay left, ns.
    launch: u64,
    /// Compiler threads' work that waits for a thread, ns.
    backlog: u64,
    /// Compiler threads at work on one common piece.
    compiler: SharedResource,
    timer: TimerId,
    /// Threads that the compiler keeps busy while it has work.
    threads: u32,
    busy: bool,
}

/// What a task pays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Payment {
    /// Processor time, ns.
    pub(super) work_ns: u64,
    /// Delay before its code runs, ns.
    pub(super) launch_ns: u64,
}

impl WarmUp {
    /// A new JVM on a host with `cores` processors.
    pub(super) fn new(driver: bool, cores: u32, rates: &Rates, timer: TimerId) -> Self {
        let of_executor = |ns: u64| if driver { 0 } else { ns };
        Self {
            driver,
            stages: BTreeMap::new(),
            executor: of_executor(rates.executor_warm_up_ns),
            launch: of_executor(rates.executor_launch_ns),
            backlog: of_executor(rates.executor_compile_ns),
            compiler: SharedResource::new(1e6, 1.0),
            timer,
            threads: compiler_threads(cores),
            busy: false,
        }
    }

    /// Threads that want a processor now.
    pub(super) fn busy_threads(&self) -> f64 {
        if self.busy { f64::from(self.threads) } else { 0.0 }
    }

    /// What a task with so much work of its own pays where `together` tasks may begin side by side: they find the same
    /// code not compiled.
    fn pay(&mut self, stage: usize, own_ns: u64, together: u64) -> u64 {
        let part = |left: &mut u64, pace: f64| {
            let paid = left.div_ceil(together).min((own_ns as f64 * pace) as u64);
            *left -= paid;
            paid
        };
        let of_stage = self.stages.get_mut(&stage).map_or(0, |left| part(left, STAGE_PACE));
        of_stage + part(&mut self.executor, EXECUTOR_PACE)
    }
}

/// Share of the classes not loaded yet that a stage's first task loads: halves of what was left, from stage to stage, in
/// the deserialization times of `local-cluster` logs (1.2 s, 0.5 s, 0.2 s for the three stages of a sort).
const LOADED_BY_STAGE: f64 = 0.6;

/// Time that the first task of a stage in a JVM spends on loading classes before it runs, of what is `left`; a task with
/// little work of its own uses few.
pub fn load_classes(left: &mut u64, own_ns: u64) -> u64 {
    let part = ((*left as f64 * LOADED_BY_STAGE) as u64).min(own_ns);
    *left -= part;
    part
}

/// Threads of the just-in-time compilers of a JVM that sees `cores` processors: HotSpot's `CompilationPolicy::initialize`,
/// at least one for each of its two compilers.
pub fn compiler_threads(cores: u32) -> u32 {
    let log = cores.max(1).ilog2();
    let log_log = log.max(1).ilog2();
    (log * log_log * 3 / 2).max(2)
}

impl World<'_> {
    /// What a task of a stage with so much work of its own pays in an executor, and the compiler work that it sets off.
    pub(super) fn pay_warm_up(&mut self, stage: usize, executor: usize, own_ns: u64) -> Payment {
        let data = &self.workload.stages[stage];
        let rates = &self.workload.rates;
        let state = &mut self.executors[executor];
        let slots = u64::from(state.free_slots / self.settings.task.cpus.max(1));
        let together = slots.min(self.plan.stages[stage].tasks as u64).max(1);
        let warm_up = &mut state.warm_up;
        let mut payment = Payment::default();
        if let Entry::Vacant(first) = warm_up.stages.entry(stage) {
            first.insert(data.warm_up_ns);
            warm_up.backlog += data.compile_ns;
            if !warm_up.driver {
                payment.launch_ns += rates.stage_launch_ns + load_classes(&mut warm_up.launch, own_ns);
            }
        }
        payment.work_ns = warm_up.pay(stage, own_ns, together);
        payment
    }

    /// Gives the compiler threads what waits for them, if they have nothing to do.
    pub(super) fn compile(&mut self, executor: usize) {
        let now = self.queue.now();
        let warm_up = &mut self.executors[executor].warm_up;
        if warm_up.busy || warm_up.backlog == 0 {
            return;
        }
        let piece = std::mem::take(&mut warm_up.backlog).div_ceil(u64::from(warm_up.threads));
        warm_up.busy = true;
        warm_up.compiler.join(now, 0, piece);
        self.schedule_compiler(executor);
        self.share_processors(executor);
    }

    /// The speed of a processor of the executor has changed.
    pub(super) fn set_compiler_speed(&mut self, executor: usize, now: SimTime, speed: f64) {
        let warm_up = &mut self.executors[executor].warm_up;
        warm_up.compiler.set_rates(now, 1e6, speed);
        if warm_up.busy {
            self.schedule_compiler(executor);
        }
    }

    fn schedule_compiler(&mut self, executor: usize) {
        let warm_up = &self.executors[executor].warm_up;
        self.queue.set_timer(warm_up.timer, warm_up.compiler.next_completion());
    }

    /// The compiler threads have done their piece.
    pub(super) fn compiler_done(&mut self, executor: usize) {
        let now = self.queue.now();
        let warm_up = &mut self.executors[executor].warm_up;
        if warm_up.compiler.pop_completed(now).is_none() {
            self.schedule_compiler(executor);
            return;
        }
        warm_up.busy = false;
        self.compile(executor);
        if !self.executors[executor].warm_up.busy {
            self.share_processors(executor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EventQueue;

    fn new_jvm(driver: bool, rates: &Rates) -> WarmUp {
        WarmUp::new(driver, 2, rates, EventQueue::new().add_timer(()))
    }

    #[test]
    fn hotspot_starts_a_thread_for_each_compiler_and_more_on_large_machines() {
        let threads: Vec<u32> = [1, 2, 4, 8, 16, 32, 64].map(compiler_threads).to_vec();
        assert_eq!(threads, [2, 2, 3, 4, 12, 15, 18]);
    }

    #[test]
    fn the_first_tasks_of_a_jvm_pay_until_nothing_is_left() {
        let rates = Rates { executor_warm_up_ns: 400, ..Rates::default() };
        let mut warm_up = new_jvm(false, &rates);
        warm_up.stages.insert(7, 150);
        assert_eq!([100, 100, 100].map(|own| warm_up.pay(7, own, 1)), [100 + 250, 50 + 150, 0]);
    }

    #[test]
    fn tasks_that_begin_side_by_side_pay_alike() {
        let mut warm_up = new_jvm(false, &Rates::default());
        warm_up.stages.insert(0, 50);
        assert_eq!((warm_up.pay(0, 100, 2), warm_up.pay(0, 100, 1), warm_up.pay(0, 100, 1)), (25, 25, 0));
    }

    #[test]
    fn a_driver_that_runs_tasks_has_loaded_sparks_classes() {
        let rates = Rates { executor_warm_up_ns: 400, executor_compile_ns: 9, ..Rates::default() };
        let mut warm_up = new_jvm(true, &rates);
        assert_eq!((warm_up.pay(0, 100, 2), warm_up.backlog), (0, 0));
    }
}
