//! Execution memory within one task: its consumers, who of them is asked to spill for whom, and its page table. Follows
//! `TaskMemoryManager` and `MemoryConsumer` of Spark 3.5 and 4.1 (spark-memory 6).
//!
//! A request is begun and then polled. While it waits or while a consumer spills for it, it stays where it was; a
//! consumer that itself makes a request while it spills (as the shuffle sorter does for its new pointer array) simply
//! begins one, which is finished before the outer one goes on. Left out: the addresses in pages and a JVM that fails to
//! allocate a page it has the memory for (TMM-8).

use super::request::{Allocation, ConsumerId, PageId, Poll, Request, RequestFault};
use super::{ExecutionError, Grant, MemoryManager, MemoryMode, TaskId};

/// Largest page in bytes: a long array of 2^31 - 1 elements (PAGE-5, `TaskMemoryManager.MAXIMUM_PAGE_SIZE_BYTES`).
pub const MAX_PAGE_BYTES: u64 = ((1 << 31) - 1) * 8;

/// Pages of a task (PAGE-5, `TaskMemoryManager.PAGE_TABLE_SIZE`).
pub const MAX_PAGES: u32 = 1 << 13;

/// What a consumer's own `spill()` without a request asks for, Java's `Long.MAX_VALUE`.
pub const SPILL_ALL: u64 = i64::MAX as u64;

#[derive(Clone, Copy, Debug)]
struct Consumer {
    mode: MemoryMode,
    page_size: u64,
    used: u64,
}

#[derive(Clone, Copy, Debug)]
struct Page {
    owner: ConsumerId,
    size: u64,
    /// The owner counts it as used.
    counted: bool,
}

/// What a pending request does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Ask the manager for what is missing, for the first time or after a spill.
    Acquire { after_spill: bool },
    /// Ask the manager again for the same bytes, after having waited.
    Retry { after_spill: bool },
    /// Find somebody to spill.
    Choose,
    /// The candidate at this index spills.
    Spilling { candidate: usize },
    /// A spill failed.
    Failed,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    consumer: ConsumerId,
    request: Request,
    /// Bytes asked for in all.
    wanted: u64,
    got: u64,
    step: Step,
    /// Where this request's candidates begin in the common vector.
    first_candidate: usize,
}

impl Pending {
    /// No page can have so many bytes (PAGE-5).
    fn is_too_large(&self) -> bool {
        let is_page = matches!(self.request, Request::Page(_) | Request::Array(_) | Request::TaskPage(_));
        is_page && self.wanted > MAX_PAGE_BYTES
    }
}

/// The memory of one task attempt.
#[derive(Clone, Debug)]
pub struct TaskMemoryManager {
    task: TaskId,
    tungsten_mode: MemoryMode,
    page_size: u64,
    consumers: Vec<Consumer>,
    pages: Vec<Option<Page>>,
    /// No page number below this one is vacant.
    vacant_from: usize,
    /// Bytes the task holds by mode.
    held: [u64; 2],
    /// Bytes that went through finished requests less what was released, by mode; what the peaks are taken of.
    current: [i64; 2],
    peaks: [i64; 2],
    /// The request being served, on top of those it interrupted while they were spilling.
    pending: Vec<Pending>,
    /// Candidates for spilling of the pending requests, by size, then by number.
    candidates: Vec<(u64, ConsumerId)>,
}

impl TaskMemoryManager {
    /// A task without consumers. `tungsten_mode` and `page_size` are the executor's and only kept for consumers to ask.
    pub fn new(task: TaskId, tungsten_mode: MemoryMode, page_size: u64) -> Self {
        Self {
            task,
            tungsten_mode,
            page_size,
            consumers: Vec::with_capacity(8),
            pages: Vec::with_capacity(32),
            vacant_from: 0,
            held: [0; 2],
            current: [0; 2],
            peaks: [0; 2],
            pending: Vec::new(),
            candidates: Vec::new(),
        }
    }

    /// Begins another task without consumers, when this one has ended; its buffers stay.
    pub(crate) fn renew(&mut self, task: TaskId, tungsten_mode: MemoryMode, page_size: u64) {
        (self.task, self.tungsten_mode, self.page_size) = (task, tungsten_mode, page_size);
        self.consumers.clear();
        self.pages.clear();
        self.vacant_from = 0;
        (self.held, self.current, self.peaks) = ([0; 2], [0; 2], [0; 2]);
        self.pending.clear();
        self.candidates.clear();
    }

    /// The task.
    pub fn task(&self) -> TaskId {
        self.task
    }

    /// The mode Tungsten consumers use.
    pub fn tungsten_mode(&self) -> MemoryMode {
        self.tungsten_mode
    }

    /// The executor's page size in bytes (PAGE-1 .. PAGE-4).
    pub fn page_size(&self) -> u64 {
        self.page_size
    }

    /// Adds a consumer with the mode of its memory and the size of its pages. Of consumers that use the same amount, the
    /// one with the highest number is asked to spill first (TMM-2).
    pub fn register(&mut self, mode: MemoryMode, page_size: u64) -> ConsumerId {
        self.consumers.push(Consumer { mode, page_size, used: 0 });
        ConsumerId(self.consumers.len() as u32 - 1)
    }

    /// Bytes a consumer believes it holds.
    pub fn used(&self, consumer: ConsumerId) -> u64 {
        self.consumers[consumer.0 as usize].used
    }

    /// The mode of a consumer's memory.
    pub fn mode(&self, consumer: ConsumerId) -> MemoryMode {
        self.consumers[consumer.0 as usize].mode
    }

    /// Bytes the task holds in both modes.
    pub fn memory_used(&self) -> u64 {
        self.held[0] + self.held[1]
    }

    /// Peak of the bytes the task held in a mode, as Spark 4.1 reports it (TMM-7).
    pub fn peak(&self, mode: MemoryMode) -> u64 {
        self.peaks[mode.index()].max(0) as u64
    }

    /// Pages and arrays with their owner and size in bytes, by number.
    pub fn pages(&self) -> impl Iterator<Item = (PageId, ConsumerId, u64)> + '_ {
        self.pages
            .iter()
            .enumerate()
            .filter_map(|(number, page)| page.map(|page| (PageId(number as u32), page.owner, page.size)))
    }

    /// Begins a request, to be carried on with [`Self::poll`]. Must not be called while another one waits.
    pub fn begin(&mut self, consumer: ConsumerId, request: Request) {
        let pending = self.new_request(consumer, request);
        self.pending.push(pending);
    }

    /// Begins a request and carries it on as far as it goes: [`Self::begin`] and [`Self::poll`] in one, which saves keeping
    /// a request that is fulfilled at once, as most are.
    pub fn request(&mut self, consumer: ConsumerId, request: Request, manager: &mut MemoryManager) -> Poll {
        let mut pending = self.new_request(consumer, request);
        let mode = self.consumers[consumer.0 as usize].mode;
        let outcome = if pending.is_too_large() {
            self.advance(&mut pending, manager)
        } else {
            let grant = manager.acquire_execution(pending.wanted, self.task, mode);
            match self.take_grant(&mut pending, mode, grant) {
                Some(end) => end,
                None if pending.got == pending.wanted => {
                    return Poll::Ready(self.finish(&pending, mode, manager));
                }
                None => self.advance(&mut pending, manager),
            }
        };
        match outcome {
            Poll::Ready(_) => self.candidates.truncate(pending.first_candidate),
            Poll::Spill { .. } | Poll::Wait => self.pending.push(pending),
        }
        outcome
    }

    /// Bytes that a request comes to.
    pub fn wanted(&self, consumer: ConsumerId, request: Request) -> u64 {
        match request {
            Request::Acquire(bytes) | Request::TaskBytes(bytes) | Request::TaskPage(bytes) => bytes,
            Request::Page(required) => required.max(self.consumers[consumer.0 as usize].page_size),
            Request::Array(longs) => longs.saturating_mul(8),
        }
    }

    fn new_request(&self, consumer: ConsumerId, request: Request) -> Pending {
        debug_assert!(
            self.pending.last().is_none_or(|outer| matches!(outer.step, Step::Spilling { .. })),
            "a task makes one request at a time, except while a consumer spills"
        );
        let wanted = self.wanted(consumer, request);
        let first_candidate = self.candidates.len();
        let step = Step::Acquire { after_spill: false };
        Pending { consumer, request, wanted, got: 0, step, first_candidate }
    }

    /// Carries the request on as far as it goes (TMM-1 .. TMM-10).
    ///
    /// # Panics
    /// Panics when no request was begun or when a spill was not answered.
    pub fn poll(&mut self, manager: &mut MemoryManager) -> Poll {
        let mut request = *self.pending.last().expect("poll needs a request that was begun");
        let outcome = self.advance(&mut request, manager);
        match outcome {
            Poll::Ready(_) => {
                self.pending.pop();
                self.candidates.truncate(request.first_candidate);
            }
            Poll::Spill { .. } | Poll::Wait => *self.pending.last_mut().expect("still pending") = request,
        }
        outcome
    }

    /// Answers [`Poll::Spill`] with the bytes the consumer says it released; the frees were made before.
    pub fn spill_done(&mut self, released: u64) {
        let request = self.spilling();
        let Step::Spilling { candidate } = request.step else { unreachable!("checked by spilling()") };
        if released > 0 {
            // The consumer stays a candidate under the size it had before (TMM-4).
            request.step = Step::Acquire { after_spill: true };
        } else {
            request.step = Step::Choose;
            self.candidates.remove(candidate);
        }
    }

    /// Answers [`Poll::Spill`] when an I/O error ended it: the request ends, what it had got is only given back at the
    /// end of the task (TMM-6).
    pub fn spill_failed(&mut self) {
        self.spilling().step = Step::Failed;
    }

    /// Gives up the request that waits, and those that spill for it, as when the task is killed. What they had got
    /// stays with the task until its end.
    pub fn interrupt(&mut self) {
        self.pending.clear();
        self.candidates.clear();
    }

    /// Releases bytes that a consumer got with [`Request::Acquire`].
    pub fn free(&mut self, consumer: ConsumerId, bytes: u64, manager: &mut MemoryManager) {
        self.free_uncounted(consumer, bytes, manager);
        let used = &mut self.consumers[consumer.0 as usize].used;
        debug_assert!(bytes <= *used, "a consumer frees what it uses");
        *used = used.saturating_sub(bytes);
    }

    /// Releases bytes that a consumer got with [`Request::TaskBytes`].
    pub fn free_uncounted(&mut self, consumer: ConsumerId, bytes: u64, manager: &mut MemoryManager) {
        let mode = self.consumers[consumer.0 as usize].mode;
        let released = manager.release_execution(bytes, self.task, mode);
        self.held[mode.index()] = self.held[mode.index()].saturating_sub(released);
        self.current[mode.index()] -= bytes as i64;
    }

    /// Frees a page or array.
    ///
    /// # Panics
    /// Panics when the task has no such page.
    pub fn free_page(&mut self, page: PageId, manager: &mut MemoryManager) {
        let Page { owner, size, counted } = self.take_page(page);
        if counted {
            self.free(owner, size, manager);
        } else {
            self.free_uncounted(owner, size, manager);
        }
    }

    /// Frees pages that one consumer has and counts as used, in one release.
    ///
    /// # Panics
    /// Panics when the task has no such page.
    pub fn free_pages(&mut self, pages: impl Iterator<Item = PageId>, manager: &mut MemoryManager) {
        let mut freed: Option<(ConsumerId, u64)> = None;
        for page in pages {
            let Page { owner, size, counted } = self.take_page(page);
            debug_assert!(
                counted && freed.is_none_or(|(consumer, _)| consumer == owner),
                "pages of one consumer"
            );
            freed = Some((owner, freed.map_or(0, |(_, bytes)| bytes) + size));
        }
        if let Some((consumer, bytes)) = freed {
            self.free(consumer, bytes, manager);
        }
    }

    /// Ends the task's use of memory: all pages go, all bytes are released and the consumers start at nothing.
    /// Returns the bytes that were still held, which after a successful task are a leak (TMM-12).
    pub fn clean_up_all(&mut self, manager: &mut MemoryManager) -> u64 {
        self.consumers.iter_mut().for_each(|consumer| consumer.used = 0);
        self.pages.clear();
        self.vacant_from = 0;
        self.pending.clear();
        self.candidates.clear();
        self.held = [0; 2];
        self.current = [0; 2];
        // Spark first returns what it had acquired for pages the JVM then failed to allocate: nothing here, but it
        // notifies waiters all the same.
        manager.release_execution(0, self.task, self.tungsten_mode);
        manager.release_all_execution_for_task(self.task)
    }

    fn advance(&mut self, request: &mut Pending, manager: &mut MemoryManager) -> Poll {
        if request.is_too_large() {
            return Poll::Ready(Allocation::Fault(RequestFault::PageTooLarge(request.wanted)));
        }
        let mode = self.consumers[request.consumer.0 as usize].mode;
        loop {
            let missing = request.wanted - request.got;
            match request.step {
                Step::Acquire { .. } | Step::Retry { .. } => {
                    let grant = match request.step {
                        Step::Acquire { .. } => manager.acquire_execution(missing, self.task, mode),
                        _ => manager.retry_execution(missing, self.task, mode),
                    };
                    if let Some(end) = self.take_grant(request, mode, grant) {
                        return end;
                    }
                }
                Step::Choose => {
                    if missing == 0 || self.candidates.len() == request.first_candidate {
                        return Poll::Ready(self.finish(request, mode, manager));
                    }
                    let candidate = self.choose(request.first_candidate, missing);
                    request.step = Step::Spilling { candidate };
                    let consumer = self.candidates[candidate].1;
                    return Poll::Spill { consumer, ask: missing, by: request.consumer };
                }
                Step::Spilling { .. } => panic!("a spill must be answered before the request is polled"),
                Step::Failed => {
                    let (requested, received) = (request.wanted, request.got);
                    return Poll::Ready(Allocation::OutOfMemory { requested, received });
                }
            }
        }
    }

    /// Takes the manager's answer to a request; says how the request ends or waits if it does.
    fn take_grant(
        &mut self,
        request: &mut Pending,
        mode: MemoryMode,
        grant: Result<Grant, ExecutionError>,
    ) -> Option<Poll> {
        let (Step::Acquire { after_spill } | Step::Retry { after_spill }) = request.step else {
            unreachable!("only who asks is answered")
        };
        match grant {
            Err(error) => return Some(Poll::Ready(Allocation::Fault(RequestFault::Execution(error)))),
            Ok(Grant::Wait) => {
                request.step = Step::Retry { after_spill };
                return Some(Poll::Wait);
            }
            Ok(Grant::Granted(bytes)) => {
                request.got += bytes;
                self.held[mode.index()] += bytes;
            }
        }
        if request.got < request.wanted && !after_spill {
            self.gather_candidates(request.consumer, mode);
        }
        request.step = Step::Choose;
        None
    }

    /// Takes stock of who could spill, sorted by size with the asking consumer as if it had 0 bytes (TMM-2).
    fn gather_candidates(&mut self, asking: ConsumerId, mode: MemoryMode) {
        let first = self.candidates.len();
        for (number, consumer) in self.consumers.iter().enumerate() {
            if consumer.used > 0 && consumer.mode == mode {
                let id = ConsumerId(number as u32);
                self.candidates.push((if id == asking { 0 } else { consumer.used }, id));
            }
        }
        self.candidates[first..].sort_unstable();
    }

    /// The smallest candidate with at least the missing bytes, else the largest; of equals the last (TMM-3).
    fn choose(&self, first: usize, missing: u64) -> usize {
        let own = &self.candidates[first..];
        let at_least = own.partition_point(|&(size, _)| size < missing);
        let size = own.get(at_least).unwrap_or_else(|| own.last().expect("there are candidates")).0;
        first + own.partition_point(|&(other, _)| other <= size) - 1
    }

    /// Turns the bytes received into what was asked for.
    fn finish(&mut self, request: &Pending, mode: MemoryMode, manager: &mut MemoryManager) -> Allocation {
        let Pending { consumer, got, .. } = *request;
        let at = mode.index();
        self.current[at] += got as i64;
        self.peaks[at] = self.peaks[at].max(self.current[at]);
        let required = match request.request {
            Request::Acquire(_) => {
                self.consumers[consumer.0 as usize].used += got;
                return Allocation::Bytes(got);
            }
            Request::TaskBytes(_) => return Allocation::Bytes(got),
            Request::TaskPage(_) if got == 0 => return Allocation::Bytes(0),
            Request::TaskPage(_) => 0,
            Request::Page(required) => required,
            Request::Array(_) => request.wanted,
        };
        if got > 0 {
            let Some(page) = self.vacant_page() else {
                self.free_uncounted(consumer, got, manager);
                return Allocation::Fault(RequestFault::PageTableFull);
            };
            if got >= required {
                let counted = !matches!(request.request, Request::TaskPage(_));
                if counted {
                    self.consumers[consumer.0 as usize].used += got;
                }
                self.pages[page.0 as usize] = Some(Page { owner: consumer, size: got, counted });
                return Allocation::Page { page, size: got };
            }
            // The page is there, but too small: it is freed at once.
            self.free_uncounted(consumer, got, manager);
        }
        Allocation::OutOfMemory { requested: required, received: got }
    }

    fn take_page(&mut self, page: PageId) -> Page {
        let taken = self.pages.get_mut(page.0 as usize).and_then(Option::take);
        self.vacant_from = self.vacant_from.min(page.0 as usize);
        taken.expect("only a page of the task is freed")
    }

    /// The lowest unused page number, with its slot in the table.
    fn vacant_page(&mut self) -> Option<PageId> {
        let taken = self.pages[self.vacant_from..].iter().take_while(|page| page.is_some()).count();
        self.vacant_from += taken;
        let number = self.vacant_from;
        if number >= MAX_PAGES as usize {
            return None;
        }
        if number == self.pages.len() {
            self.pages.push(None);
        }
        Some(PageId(number as u32))
    }

    fn spilling(&mut self) -> &mut Pending {
        let request = self.pending.last_mut().expect("a spill belongs to a request");
        assert!(matches!(request.step, Step::Spilling { .. }), "no consumer was asked to spill");
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::UnifiedRegions;

    const ON: MemoryMode = MemoryMode::OnHeap;

    fn manager(on_heap: u64) -> MemoryManager {
        MemoryManager::unified(UnifiedRegions {
            on_heap,
            on_heap_storage: 0,
            off_heap: 0,
            off_heap_storage: 0,
        })
    }

    fn grant(
        task: &mut TaskMemoryManager,
        manager: &mut MemoryManager,
        to: ConsumerId,
        request: Request,
    ) -> Allocation {
        task.begin(to, request);
        match task.poll(manager) {
            Poll::Ready(allocation) => allocation,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_consumer_may_ask_for_memory_while_it_spills() {
        let mut manager = manager(1000);
        let mut task = TaskMemoryManager::new(TaskId(0), ON, 100);
        let [sorter, map] = [(); 2].map(|()| task.register(ON, 100));
        assert_eq!(grant(&mut task, &mut manager, sorter, Request::Acquire(700)), Allocation::Bytes(700));
        task.begin(map, Request::Acquire(900));
        let ask = Poll::Spill { consumer: sorter, ask: 600, by: map };
        assert_eq!(task.poll(&mut manager), ask);
        task.free(sorter, 700, &mut manager);
        // Its new pointer array, served before the outer request goes on.
        let array = grant(&mut task, &mut manager, sorter, Request::Array(25));
        assert_eq!(array, Allocation::Page { page: PageId(0), size: 200 });
        task.spill_done(700);
        assert_eq!(task.poll(&mut manager), Poll::Spill { consumer: sorter, ask: 100, by: map });
        task.spill_done(0);
        assert_eq!(task.poll(&mut manager), Poll::Ready(Allocation::Bytes(800)));
        assert_eq!((task.used(sorter), task.used(map), task.memory_used()), (200, 800, 1000));
    }

    #[test]
    fn what_a_request_had_got_before_a_spill_failed_stays_until_the_end() {
        // TMM-6, TMM-12
        let mut manager = manager(1000);
        let mut task = TaskMemoryManager::new(TaskId(0), ON, 100);
        let [a, b] = [(); 2].map(|()| task.register(ON, 100));
        assert_eq!(grant(&mut task, &mut manager, a, Request::Acquire(800)), Allocation::Bytes(800));
        task.begin(b, Request::Acquire(500));
        assert_eq!(task.poll(&mut manager), Poll::Spill { consumer: a, ask: 300, by: b });
        task.spill_failed();
        let failed = Allocation::OutOfMemory { requested: 500, received: 200 };
        assert_eq!(task.poll(&mut manager), Poll::Ready(failed));
        assert_eq!((task.used(b), task.memory_used()), (0, 1000));
        assert_eq!(task.clean_up_all(&mut manager), 1000);
        assert_eq!((task.memory_used(), task.used(a), manager.execution(ON).used()), (0, 0, 0));
    }

    #[test]
    fn a_waiting_request_goes_on_when_memory_is_released() {
        let mut manager = manager(1000);
        manager.acquire_execution(1000, TaskId(7), ON).unwrap();
        let mut task = TaskMemoryManager::new(TaskId(0), ON, 100);
        let consumer = task.register(ON, 100);
        task.begin(consumer, Request::Page(100));
        assert_eq!(task.poll(&mut manager), Poll::Wait);
        assert_eq!(task.poll(&mut manager), Poll::Wait);
        manager.release_execution(300, TaskId(7), ON);
        assert_eq!(task.poll(&mut manager), Poll::Ready(Allocation::Page { page: PageId(0), size: 100 }));
    }

    #[test]
    fn pages_have_limits() {
        // PAGE-5
        let mut manager = manager(1 << 40);
        let mut task = TaskMemoryManager::new(TaskId(0), ON, 1);
        let consumer = task.register(ON, 1);
        let too_large = grant(&mut task, &mut manager, consumer, Request::Page(MAX_PAGE_BYTES + 1));
        assert_eq!(too_large, Allocation::Fault(RequestFault::PageTooLarge(MAX_PAGE_BYTES + 1)));
        for number in 0..MAX_PAGES {
            let page = grant(&mut task, &mut manager, consumer, Request::Page(1));
            assert_eq!(page, Allocation::Page { page: PageId(number), size: 1 });
        }
        let full = grant(&mut task, &mut manager, consumer, Request::Page(1));
        assert_eq!(full, Allocation::Fault(RequestFault::PageTableFull));
        assert_eq!(task.memory_used(), u64::from(MAX_PAGES));
        task.free_page(PageId(5), &mut manager);
        let page = grant(&mut task, &mut manager, consumer, Request::Array(1));
        assert_eq!(page, Allocation::Page { page: PageId(5), size: 8 });
    }
}
