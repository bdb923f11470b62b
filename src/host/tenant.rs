//! A neighbour on the host: the memory it holds and how it uses it, the processors it takes, and how long its requests take
//! when it is short of either.
//!
//! A request needs a processor for a while and touches some of the pages in use. Beside other runnable threads it waits for
//! its turn; each page that was swapped out costs a fault. Requests come at their own pace, whether or not the one before is
//! through: while each takes longer than the time between two they queue, and a time counts from when the request was due.
//! A Java heap is collected now and then, and nothing is served until the collector has read back what it looks at. Left out:
//! locks, the rest of a collection, and what the tenant's callers then do.

use super::process::collector_bytes;
use super::ram::Process;
use super::residency::{PageSet, Pattern};
use super::swap::PAGE_BYTES;

/// A neighbour.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// Name in reports.
    pub name: String,
    /// Memory that it holds, bytes.
    pub resident_bytes: u64,
    /// Part of it that it keeps touching, bytes.
    pub active_bytes: u64,
    /// Time in which it touches each page of that part once, s.
    pub active_period_s: f64,
    /// Garbage that it makes, bytes a second, walking round its other memory (a Java heap); 0: the rest is idle.
    pub churn_bytes_per_s: f64,
    /// Processors that it keeps busy.
    pub cpu_cores: f64,
    /// As in `/proc/PID/oom_score_adj`.
    pub oom_score_adj: i32,
    /// What it is asked to do, by which its latency is measured.
    pub request: Option<Request>,
}

/// A request to a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Request {
    /// Time that it takes on an idle host, ms.
    pub quiet_ms: f64,
    /// Memory in use that it touches, bytes.
    pub touched_bytes: u64,
    /// Size of the pieces of it that lie together, bytes; less than a page counts as one.
    pub block_bytes: u64,
    /// One comes in so long, ms; `None`: so far apart that none waits for another.
    pub every_ms: Option<f64>,
}

/// Part of a Java heap beside its live data that its garbage walks round; the rest was touched once. G1 hands out free
/// regions from the same end, and a service that makes little garbage needs few. Settled on two runs of the public
/// small-host measurements (2 GiB heap, 4 GB of swap); G1's young generation is 5 to 60 %.
const CHURNED_SHARE: f64 = 0.2;

/// Positions of a tenant's sets of pages in its [`Process`].
pub const ACTIVE: usize = 0;
/// What its collector looks at, of a Java heap.
pub const COLLECTOR: usize = 1;

impl Tenant {
    /// Garbage that gathers until it is collected, bytes.
    fn churned_bytes(&self) -> u64 {
        let rest = self.resident_bytes.saturating_sub(self.active_bytes);
        if self.churn_bytes_per_s > 0.0 { (rest as f64 * CHURNED_SHARE) as u64 } else { 0 }
    }

    /// Time between two collections, s; `None` without a Java heap that is in use.
    pub fn collects_every_s(&self) -> Option<f64> {
        let churned = self.churned_bytes();
        (churned > 0).then(|| churned as f64 / self.churn_bytes_per_s)
    }

    /// Neighbouring pages that a request touches together: its blocks, or all where it walks over all that is in use.
    pub fn touched_together(&self) -> f64 {
        let request = self.request.unwrap_or_default();
        let bytes =
            if request.touched_bytes >= self.active_bytes { self.active_bytes } else { request.block_bytes };
        (bytes as f64 / PAGE_BYTES as f64).max(1.0)
    }

    /// Pages that its collector looks at each time, beside live data.
    pub fn collector_pages(&self) -> f64 {
        let churned = self.churned_bytes();
        let rest = self.resident_bytes.saturating_sub(self.active_bytes + churned);
        let bytes = if churned > 0 { collector_bytes(self.resident_bytes).min(rest) } else { 0 };
        bytes as f64 / PAGE_BYTES as f64
    }

    /// Its pages by use.
    pub fn process(&self, id: u64) -> Process {
        let pages = |bytes: u64| bytes as f64 / PAGE_BYTES as f64;
        let churned = self.churned_bytes();
        let collections_per_s = self.collects_every_s().map_or(0.0, |every| 1.0 / every.max(1e-6));
        let rest = self.resident_bytes.saturating_sub(self.active_bytes + churned);
        let looked_at = (self.collector_pages() * PAGE_BYTES as f64) as u64;
        let set = |bytes: u64, touches_per_s: f64, pattern: Pattern| PageSet {
            pages: pages(bytes),
            touches_per_s,
            pattern,
        };
        let sets = vec![
            set(self.active_bytes, 1.0 / self.active_period_s.max(1e-6), Pattern::Random),
            set(looked_at, collections_per_s, Pattern::Random),
            set(churned, collections_per_s, Pattern::Sequential),
            set(rest - looked_at, 0.0, Pattern::Random),
        ];
        Process { id, sets, threads: 1.0, elder: true }
    }
}

/// What a tenant is up against at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Strain {
    /// Threads of others that want a processor.
    pub busy: f64,
    /// Processors.
    pub cores: f64,
    /// Share of the pages in use that are swapped out.
    pub miss_share: f64,
    /// A fault takes so long, us.
    pub page_in_us: f64,
    /// Requests that are due and not yet done.
    pub waiting: f64,
    /// Its collector stops it for so long, ms.
    pub pause_ms: f64,
    /// And once in so long, ms.
    pub pause_every_ms: f64,
    /// Processors that the hypervisor withholds.
    pub stolen_cores: f64,
}

/// How long requests take at one moment, as a distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latency {
    /// Half of those that meet nothing special take no longer, ms; they rise evenly up to it.
    usual_ms: f64,
    /// Beyond it their own work falls off exponentially on this scale, ms.
    own_ms: f64,
    /// Share of them that wait for a processor.
    late_share: f64,
    /// They wait so long on average, exponentially, ms.
    late_ms: f64,
    /// Stops of everything: by its collector, by the hypervisor.
    stops: [Stop; 2],
}

/// A stop, during which nothing is served: who comes meanwhile waits for its end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Stop {
    /// Share of the time that is stopped.
    share: f64,
    /// One lasts so long, ms.
    ms: f64,
}

impl Stop {
    /// Share of the requests that wait longer than so many ms for its end.
    fn above(self, ms: f64) -> f64 {
        self.share * (1.0 - ms / self.ms.max(1e-9)).max(0.0)
    }

    /// Share of the windows of which a request waits longer: one stop meets one or two windows, however many requests there are.
    fn above_in(self, ms: f64, window: Window) -> f64 {
        let late = (self.ms - ms).max(0.0);
        if late <= 0.0 {
            return 0.0;
        }
        self.share / self.ms * (window.ms + late).min(window.ms * late / window.every_ms)
    }
}

/// Time over which the slowest request counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// So long, ms.
    pub ms: f64,
    /// Time between two requests, ms.
    pub every_ms: f64,
}

/// Share of its fair part that a thread that mostly sleeps gets at once: the scheduler credits sleepers. Measured: requests
/// of 20 ms took 1.2 and 1.75 times as long beside 2 and 4 busy threads on 2 processors; error 0.1.
const SLEEPER_SHARE: f64 = 0.5;
/// A request shorter than this is through before anybody else's turn, ms.
const TURN_MS: f64 = 1.0;
/// A thread that wakes up late waits for the end of somebody's slice: `base_slice` of the scheduler, 0.7 ms times
/// `1 + log2(processors)`, up to 8 of them (`kernel/sched/fair.c`, Linux 6.12 and later).
const SLICE_MS: f64 = 0.7;
/// Share of the wake-ups that find all processors taken and are not let in at once. From the worst request of each quarter
/// second in runs without swapping: 0.3 to 0.6 beside 2 and 4 busy threads.
const LATE_SHARE: f64 = 0.4;
/// A hypervisor that limits the processors of a machine stops it until its next accounting period, of which the usual length
/// is 100 ms (`cpu.cfs_period_us` and `cpu.max` of Linux). The longest requests of runs with 0.006 and more processors withheld
/// took 59 to 170 ms, most of them 74 to 105; with less withheld, 9 to 15 in three runs of four.
const STOLEN_MS: f64 = 100.0;
/// The 99th percentile of a request's own time against its median: from quiet tenants (1.2 to 2.4).
const OWN_TAIL: f64 = 2.0;

impl Request {
    /// Time of its own work with its turns of a processor, ms.
    fn own_ms(self, strain: &Strain) -> f64 {
        let crowd = ((strain.busy + 1.0) / strain.cores.max(1.0) - 1.0).max(0.0);
        let long = self.quiet_ms / (self.quiet_ms + TURN_MS);
        self.quiet_ms * (1.0 + SLEEPER_SHARE * crowd * long)
    }

    /// Time to serve one that waits for no other, ms.
    pub fn service_ms(self, strain: &Strain) -> f64 {
        let faults = self.touched_bytes as f64 / PAGE_BYTES as f64 * strain.miss_share;
        self.own_ms(strain) + faults * strain.page_in_us / 1e3
    }

    /// Requests that are due and not done after `seconds` more of the same. Each costs what it costs when it is served: pages
    /// that are back by then are waited for no more.
    pub fn waiting(self, strain: &Strain, seconds: f64) -> f64 {
        let Some(every) = self.every_ms else { return 0.0 };
        let (come, served) = (1.0 / every.max(1e-3), 1.0 / self.service_ms(strain).max(1e-6));
        (strain.waiting + (come - served) * seconds * 1e3).max(0.0)
    }

    /// How long it takes.
    pub fn latency(self, strain: &Strain) -> Latency {
        let cores = strain.cores.max(1.0);
        Latency {
            usual_ms: self.service_ms(strain) * (1.0 + strain.waiting),
            own_ms: (OWN_TAIL - 1.0) * self.own_ms(strain) / f64::ln(50.0),
            late_share: LATE_SHARE * (strain.busy / cores).clamp(0.0, 1.0).powf(cores),
            late_ms: SLICE_MS * (1.0 + cores.min(8.0).log2().floor()),
            stops: [
                Stop {
                    share: strain.pause_ms / (strain.pause_every_ms + strain.pause_ms).max(1e-9),
                    ms: strain.pause_ms,
                },
                Stop { share: (strain.stolen_cores / cores).min(1.0), ms: STOLEN_MS },
            ],
        }
    }
}

impl Latency {
    /// Share of the requests that take longer than so many ms, but for stops.
    fn above_running(&self, ms: f64) -> f64 {
        if ms <= self.usual_ms {
            return 1.0 - 0.5 * ms / self.usual_ms.max(1e-9);
        }
        let beyond = ms - self.usual_ms;
        let own = 0.5 * (-beyond / self.own_ms.max(1e-9)).exp();
        let late = self.late_share * (-beyond / self.late_ms.max(1e-9)).exp();
        (own + late).min(0.5)
    }

    /// Share of the requests that take longer than so many ms.
    fn above(&self, ms: f64) -> f64 {
        let beyond = (ms - self.usual_ms).max(0.0);
        let stopped: f64 = self.stops.iter().map(|stop| stop.above(beyond)).sum();
        (self.above_running(ms) + stopped).min(1.0)
    }

    /// Share of the windows of which a request takes longer than so many ms.
    fn above_in(&self, ms: f64, window: Window) -> f64 {
        let beyond = (ms - self.usual_ms).max(0.0);
        let stopped: f64 = self.stops.iter().map(|stop| stop.above_in(beyond, window)).sum();
        let requests = (window.ms / window.every_ms).max(1.0);
        (1.0 - (1.0 - self.above_running(ms)).powf(requests) + stopped).min(1.0)
    }

    /// No request takes longer than this, or so few that it does not matter, ms.
    fn longest_ms(&self) -> f64 {
        let stop = self.stops.iter().map(|stop| stop.ms).fold(0.0, f64::max);
        self.usual_ms + stop + 20.0 * self.own_ms.max(self.late_ms)
    }

    /// Half of the requests take no longer, ms.
    pub fn p50_ms(&self) -> f64 {
        lowest(self.longest_ms(), 0.5, |ms| self.above(ms))
    }

    /// 99 % of them take no longer, ms.
    pub fn p99_ms(&self) -> f64 {
        lowest(self.longest_ms(), 0.01, |ms| self.above(ms))
    }
}

/// The lowest time up to `longest` that at most `share` of the requests exceed.
fn lowest(longest: f64, share: f64, above: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, longest + 1e-6);
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if above(middle) > share {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Latencies over a time in which they changed. None is longer than that time: who waits longer is not served in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LatencyLog {
    /// One for each state that is not among the latest: while requests queue, one for each look.
    spans: Vec<Span>,
    /// The span that holds now.
    at: usize,
}

/// Time with one latency, not necessarily in one piece.
#[derive(Clone, Debug, PartialEq)]
struct Span {
    strain: Strain,
    latency: Latency,
    seconds: f64,
}

/// A busy host changes between a few states all the time: so many of the latest are looked through.
const LATEST: usize = 8;

impl LatencyLog {
    /// From now on requests meet `strain`.
    pub fn meet(&mut self, request: Request, strain: Strain) {
        let from = self.spans.len().saturating_sub(LATEST);
        if let Some(known) = self.spans[from..].iter().position(|span| span.strain == strain) {
            self.at = from + known;
            return;
        }
        self.at = self.spans.len();
        self.spans.push(Span { strain, latency: request.latency(&strain), seconds: 0.0 });
    }

    /// Time goes by.
    pub fn pass(&mut self, seconds: f64) {
        if let Some(span) = self.spans.get_mut(self.at) {
            span.seconds += seconds;
        }
    }

    /// Time that went by, ms.
    pub fn passed_ms(&self) -> f64 {
        self.spans.iter().map(|span| span.seconds).sum::<f64>() * 1e3
    }

    /// How long requests take now; `None` before the first strain.
    pub fn now(&self) -> Option<Latency> {
        self.spans.get(self.at).map(|span| span.latency)
    }

    /// The time that a share `rank` of all requests of that time, which come evenly, does not exceed; `None` without any time.
    pub fn quantile_ms(&self, rank: f64) -> Option<f64> {
        self.found(rank, Latency::above)
    }

    /// The time that the slowest request of a window does not exceed in a share `rank` of them.
    pub fn worst_quantile_ms(&self, rank: f64, window: Window) -> Option<f64> {
        self.found(rank, |latency, ms| latency.above_in(ms, window))
    }

    fn found(&self, rank: f64, above: impl Fn(&Latency, f64) -> f64) -> Option<f64> {
        let total = self.passed_ms() / 1e3;
        let longest = self.spans.iter().map(|span| span.latency.longest_ms()).fold(0.0, f64::max);
        let share = |ms: f64| {
            self.spans.iter().map(|span| span.seconds * above(&span.latency, ms)).sum::<f64>() / total
        };
        (total > 0.0).then(|| lowest(longest, 1.0 - rank, share).min(total * 1e3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(quiet_ms: f64, touched_bytes: u64) -> Request {
        Request { quiet_ms, touched_bytes, ..Request::default() }
    }

    fn beside(busy: f64) -> Strain {
        Strain { busy, cores: 2.0, ..Strain::default() }
    }

    #[test]
    fn short_requests_do_not_notice_a_busy_processor_long_ones_do() {
        let at = |quiet_ms: f64, busy: f64| request(quiet_ms, 0).latency(&beside(busy));
        assert!(at(0.2, 2.0).p50_ms() < 0.22);
        // Measured: 20 ms became 24 beside two threads and 36 beside four.
        assert!((23.0..26.0).contains(&at(20.0, 2.0).p50_ms()));
        assert!((33.0..37.0).contains(&at(20.0, 4.0).p50_ms()));
        assert!((4.0..9.0).contains(&at(0.2, 2.0).p99_ms()));
        assert!(at(0.2, 0.0).p99_ms() < 0.5);
    }

    #[test]
    fn a_swapped_tenant_pays_a_fault_a_page() {
        // Measured: 16 ms where about a fifth of a database was swapped out.
        let strain = Strain { miss_share: 0.18, page_in_us: 85.0, ..beside(2.0) };
        let found = request(0.2, 4 << 20).latency(&strain).p50_ms();
        assert!((14.0..18.0).contains(&found), "{found}");
    }

    #[test]
    fn requests_that_take_longer_than_the_time_between_them_queue() {
        let request = Request { every_ms: Some(10.0), ..request(1.0, 1 << 20) };
        let slow = Strain { miss_share: 0.5, page_in_us: 100.0, ..Strain::default() };
        // 128 faults of 0.1 ms each and its own work: 13.8 ms, so that 72.5 of 100 are done.
        let waiting = request.waiting(&slow, 1.0);
        assert!((waiting - 27.5).abs() < 0.1, "{waiting}");
        let late = Strain { waiting, ..slow };
        assert!((request.latency(&late).p50_ms() - 28.5 * 13.8).abs() < 1.0);
        // When the pages are back, each takes its millisecond: nine of ten are free for those that are left.
        let back = Strain { miss_share: 0.0, ..late };
        assert!((request.waiting(&back, 0.02) - 9.5).abs() < 0.1);
        assert_eq!(request.waiting(&back, 0.1), 0.0);
        assert_eq!(Request { every_ms: None, ..request }.waiting(&slow, 1.0), 0.0);
    }

    #[test]
    fn a_pause_of_the_collector_is_the_tail() {
        let strain = Strain { pause_ms: 800.0, pause_every_ms: 4_200.0, ..beside(0.0) };
        let latency = request(3.0, 0).latency(&strain);
        assert!(latency.p50_ms() < 4.0 && (700.0..800.0).contains(&latency.p99_ms()), "{latency:?}");
    }

    #[test]
    fn stops_by_the_hypervisor_are_few_and_long() {
        let at = |stolen_cores: f64| {
            let mut log = LatencyLog::default();
            log.meet(request(0.2, 0), Strain { stolen_cores, ..beside(2.0) });
            log.pass(60.0);
            let worst = log.worst_quantile_ms(0.99, Window { ms: 250.0, every_ms: 10.0 }).unwrap();
            (log.quantile_ms(0.99).unwrap(), worst)
        };
        // Measured: 9 to 10 ms with 0.002 and 0.003 withheld, 36 and 81 with 0.023 and 0.017.
        assert!((6.0..14.0).contains(&at(0.002).1), "{:?}", at(0.002));
        assert!((30.0..110.0).contains(&at(0.02).1), "{:?}", at(0.02));
        // One request in a hundred does not see them.
        assert!(at(0.002).0 < 8.0 && at(0.5).0 > 80.0);
    }

    #[test]
    fn a_hundredth_of_the_time_decides_the_tail() {
        let request = Request { every_ms: Some(10.0), ..request(1.0, 0) };
        let (calm, bad) = (beside(0.0), Strain { waiting: 99.0, ..beside(0.0) });
        let mut log = LatencyLog::default();
        assert_eq!((log.quantile_ms(0.5), log.now()), (None, None));
        log.meet(request, calm);
        log.pass(10.0);
        let at = |log: &LatencyLog, rank: f64| log.quantile_ms(rank).unwrap();
        assert!((at(&log, 0.5) - 1.0).abs() < 1e-3 && (at(&log, 0.99) - 2.0).abs() < 1e-3);
        assert!(log.worst_quantile_ms(0.99, Window { ms: 250.0, every_ms: 10.0 }).unwrap() > 2.5);
        log.meet(request, bad);
        log.pass(1.0);
        // Back and forth: the same two states.
        log.meet(request, calm);
        assert_eq!((log.spans.len(), log.at), (2, 0));
        assert!(at(&log, 0.5) < 1.5 && at(&log, 0.99) > 100.0);
    }

    #[test]
    fn no_request_is_seen_to_take_longer_than_the_time_that_was_watched() {
        let mut log = LatencyLog::default();
        let request = Request { every_ms: Some(10.0), ..request(1.0, 1 << 30) };
        // A quarter of a million faults of 10 ms each: 44 minutes.
        log.meet(request, Strain { miss_share: 1.0, page_in_us: 1e4, ..beside(0.0) });
        log.pass(60.0);
        assert_eq!([0.5, 0.99].map(|rank| log.quantile_ms(rank)), [Some(60e3); 2]);
        assert!(log.now().is_some_and(|latency| latency.p50_ms() > 2_600e3));
    }

    #[test]
    fn the_sets_of_a_tenant_are_what_it_holds() {
        let tenant = Tenant {
            name: "broker".to_owned(),
            resident_bytes: 1_100 << 20,
            active_bytes: 350 << 20,
            active_period_s: 9.0,
            churn_bytes_per_s: 30e6,
            cpu_cores: 0.1,
            oom_score_adj: 0,
            request: None,
        };
        let pages = |tenant: &Tenant| tenant.process(1).sets.iter().map(|set| set.pages).sum::<f64>();
        assert!((pages(&tenant) - (1_100 << 20) as f64 / 4096.0).abs() < 1.0);
        let asked = |touched_bytes: u64, block_bytes: u64| Tenant {
            request: Some(Request { touched_bytes, block_bytes, ..request(3.0, 0) }),
            ..tenant.clone()
        };
        let together = |tenant: &Tenant| tenant.touched_together();
        assert_eq!(together(&asked(4 << 20, 16 << 10)), 4.0);
        assert_eq!([together(&asked(4 << 20, 1)), together(&tenant)], [1.0; 2]);
        // A walk over all that is in use.
        assert_eq!(together(&asked(350 << 20, 1)), 89_600.0);
        let all_in_use = Tenant { active_bytes: 1_100 << 20, ..tenant };
        assert!((pages(&all_in_use) - (1_100 << 20) as f64 / 4096.0).abs() < 1.0);
        assert_eq!(all_in_use.collects_every_s(), None);
    }
}
