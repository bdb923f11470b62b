//! Suite `task`: task memory managers whose consumers spill as a policy says, over one unified manager.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use spillcast::memory::task_manager::SPILL_ALL;
use spillcast::memory::{
    Allocation, ConsumerId, MemoryManager, MemoryMode, PageId, Poll, Request, RequestFault, StorageLevel,
    TaskId, TaskMemoryManager,
};

use super::blocks::{self, execution_error};
use super::pools::put;
use super::trace::{self, LineResult, Model, Op, Outcome};

const OUT_OF_MEMORY: &str = "org.apache.spark.memory.SparkOutOfMemoryError";

pub(crate) struct Tasks {
    manager: MemoryManager,
    specs: Vec<Vec<Spec>>,
    running: Vec<Task>,
    page_size: u64,
    tungsten_mode: MemoryMode,
    shows_peaks: bool,
    events: Vec<Value>,
    /// Waiting operations: the task and what it does.
    waiting: BTreeMap<u64, (usize, Kind)>,
}

#[derive(Clone)]
struct Spec {
    mode: MemoryMode,
    policy: String,
    arg: u64,
    page_size: u64,
}

struct Task {
    memory: TaskMemoryManager,
    consumers: Vec<Consumer>,
}

struct Consumer {
    id: ConsumerId,
    spec: Spec,
    plain: u64,
    arrays: Vec<PageId>,
    pages: Vec<PageId>,
    /// Times it was asked to spill.
    asked: u64,
}

/// What becomes of an allocation.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Plain(usize),
    Page(usize),
    Array(usize),
    TaskBytes,
    TaskPage,
}

/// How a spill ended.
enum Spilled {
    Done { returned: u64, freed: u64 },
    Threw(&'static str),
}

impl Model for Tasks {
    fn new(header: &Op<'_>) -> LineResult<Self> {
        let params = header.object("params")?;
        let spec = |value: &Value| {
            let spec = Op(value.as_object().ok_or("a consumer is no object")?);
            let (policy, arg) = (spec.text("policy")?.to_owned(), spec.number("arg")?);
            Ok(Spec { mode: spec.mode()?, policy, arg, page_size: spec.number("pageSize")? })
        };
        let specs: Vec<Vec<Spec>> = params
            .list("consumers")?
            .iter()
            .map(|task| task.as_array().ok_or("consumers of a task are no list")?.iter().map(spec).collect())
            .collect::<LineResult<_>>()?;
        let mut model = Self {
            manager: blocks::unified_manager(&params)?,
            specs,
            running: Vec::new(),
            page_size: params.number("managerPageSize")?,
            tungsten_mode: trace::mode(params.text("tungstenMode")?)?,
            shows_peaks: header.text("spark")?.starts_with('4'),
            events: Vec::new(),
            waiting: BTreeMap::new(),
        };
        model.running = (0..model.specs.len()).map(|task| model.fresh_task(task)).collect();
        Ok(model)
    }

    fn apply(&mut self, op: &Op<'_>) -> LineResult<Outcome> {
        let name = op.text("op")?;
        let result = match name {
            "put" => {
                let (block, bytes, mode) = (op.block()?, op.number("n")?, op.mode()?);
                return Ok(put(self.manager.put_bytes(
                    TaskId::NONE,
                    block,
                    bytes,
                    mode,
                    StorageLevel::MEMORY_ONLY_SER,
                )));
            }
            "get" => json!(self.manager.store_mut().touch(op.block()?).is_some()),
            "rm" => json!(
                self.manager.remove_block(TaskId::NONE, op.block()?).is_some_and(|removed| removed.memory)
            ),
            "cleanup" => {
                let at = self.task_of(op)?;
                let held = self.running[at].memory.clean_up_all(&mut self.manager);
                self.running[at] = self.fresh_task(at);
                json!(held)
            }
            _ => return self.consumer_op(name, op),
        };
        Ok(Outcome::Result(result))
    }

    fn retry(&mut self, of: u64) -> LineResult<Outcome> {
        let &(task, kind) = self.waiting.get(&of).ok_or_else(|| format!("line {of} does not wait"))?;
        Ok(self.drive(of, task, kind))
    }

    fn interrupt(&mut self, of: u64) {
        if let Some((task, _)) = self.waiting.remove(&of) {
            self.running[task].memory.interrupt();
        }
    }

    fn events(&mut self) -> Vec<Value> {
        self.take_drops();
        std::mem::take(&mut self.events)
    }

    fn state(&self) -> Map<String, Value> {
        let mut state = blocks::state(&self.manager, false);
        let mut tasks = Map::new();
        for (number, Task { memory, consumers }) in self.running.iter().enumerate() {
            // Both the task's own count and the pools' must be what Spark says.
            let counted = memory.memory_used();
            let pooled = self.manager.execution_held_by(memory.task());
            let held =
                if counted == pooled { json!(counted) } else { json!({"task": counted, "pools": pooled}) };
            let used: Vec<u64> = consumers.iter().map(|consumer| memory.used(consumer.id)).collect();
            let pages = memory.pages().map(|(page, owner, size)| {
                let is_array = consumers.iter().any(|consumer| consumer.arrays.contains(&page));
                json!([page.0, size, owner.0, if is_array { "a" } else { "p" }])
            });
            let mut task = Map::new();
            task.insert("mem".to_owned(), held);
            task.insert("used".to_owned(), json!(used));
            task.insert("pages".to_owned(), pages.collect());
            if self.shows_peaks {
                task.insert(
                    "peak".to_owned(),
                    MemoryMode::ALL.iter().map(|&mode| memory.peak(mode)).collect(),
                );
            }
            tasks.insert(number.to_string(), task.into());
        }
        state.insert("tasks".to_owned(), tasks.into());
        state
    }

    fn wakeups(&self) -> u64 {
        self.manager.wakeups()
    }
}

impl Tasks {
    fn fresh_task(&self, number: usize) -> Task {
        let mut memory = TaskMemoryManager::new(TaskId(number as i64), self.tungsten_mode, self.page_size);
        let consumers = self.specs[number].iter().map(|spec| Consumer {
            id: memory.register(spec.mode, spec.page_size),
            spec: spec.clone(),
            plain: 0,
            arrays: Vec::new(),
            pages: Vec::new(),
            asked: 0,
        });
        let consumers = consumers.collect();
        Task { memory, consumers }
    }

    fn task_of(&self, op: &Op<'_>) -> LineResult<usize> {
        let task = op.number("t")? as usize;
        if task < self.running.len() { Ok(task) } else { Err(format!("there is no task {task}")) }
    }

    fn consumer_op(&mut self, name: &str, op: &Op<'_>) -> LineResult<Outcome> {
        let request = match name {
            "acq" => Request::Acquire(op.number("n")?),
            "page" => Request::Page(op.number("n")?),
            "array" => Request::Array(op.number("n")?),
            "tmmAcq" => Request::TaskBytes(op.number("n")?),
            "tmmPage" => Request::TaskPage(op.number("n")?),
            _ => return self.release_op(name, op),
        };
        let (task, at) = (self.task_of(op)?, self.consumer_of(op)?);
        let kind = match request {
            Request::Acquire(_) => Kind::Plain(at),
            Request::Page(_) => Kind::Page(at),
            Request::Array(_) => Kind::Array(at),
            Request::TaskBytes(_) => Kind::TaskBytes,
            Request::TaskPage(_) => Kind::TaskPage,
        };
        let Task { memory, consumers } = &mut self.running[task];
        memory.begin(consumers[at].id, request);
        Ok(self.drive(op.number("i")?, task, kind))
    }

    fn consumer_of(&self, op: &Op<'_>) -> LineResult<usize> {
        let (task, at) = (self.task_of(op)?, op.number("c")? as usize);
        let known = at < self.running[task].consumers.len();
        if known { Ok(at) } else { Err(format!("task {task} has no consumer {at}")) }
    }

    fn release_op(&mut self, name: &str, op: &Op<'_>) -> LineResult<Outcome> {
        if !matches!(name, "free" | "tmmRel" | "fpage" | "farray" | "spillSelf") {
            return Err(format!("unknown op `{name}`"));
        }
        let (task, at) = (self.task_of(op)?, self.consumer_of(op)?);
        let Task { memory, consumers } = &mut self.running[task];
        let consumer = &mut consumers[at];
        match name {
            "free" => {
                let bytes = op.number("n")?;
                memory.free(consumer.id, bytes, &mut self.manager);
                consumer.plain = consumer.plain.saturating_sub(bytes);
            }
            "tmmRel" => memory.free_uncounted(consumer.id, op.number("n")?, &mut self.manager),
            "fpage" | "farray" => {
                let page = PageId(op.number("p")? as u32);
                consumer.pages.retain(|&own| own != page);
                consumer.arrays.retain(|&own| own != page);
                memory.free_page(page, &mut self.manager);
            }
            _ => {
                let id = consumer.id;
                if let Spilled::Threw(class) = self.spill(task, id, SPILL_ALL, id) {
                    return Ok(Outcome::Error(class));
                }
            }
        }
        Ok(Outcome::Result(Value::Null))
    }

    /// Carries a request on until it ends or waits.
    fn drive(&mut self, line: u64, task: usize, kind: Kind) -> Outcome {
        loop {
            let poll = self.running[task].memory.poll(&mut self.manager);
            self.take_drops();
            match poll {
                Poll::Wait => {
                    self.waiting.insert(line, (task, kind));
                    return Outcome::Blocked;
                }
                Poll::Spill { consumer, ask, by } => match self.spill(task, consumer, ask, by) {
                    Spilled::Done { returned, .. } => self.running[task].memory.spill_done(returned),
                    Spilled::Threw(class) => {
                        let memory = &mut self.running[task].memory;
                        memory.spill_failed();
                        let ended = memory.poll(&mut self.manager);
                        assert!(matches!(ended, Poll::Ready(Allocation::OutOfMemory { .. })), "{ended:?}");
                        self.waiting.remove(&line);
                        // Only a plain I/O error becomes one of memory; interruptions are passed on.
                        let is_io = class == "java.io.IOException";
                        return Outcome::Error(if is_io {
                            OUT_OF_MEMORY
                        } else {
                            "java.lang.RuntimeException"
                        });
                    }
                },
                Poll::Ready(allocation) => {
                    self.waiting.remove(&line);
                    return self.accept(task, kind, allocation);
                }
            }
        }
    }

    fn accept(&mut self, task: usize, kind: Kind, allocation: Allocation) -> Outcome {
        let Task { memory, consumers } = &mut self.running[task];
        Outcome::Result(match allocation {
            Allocation::Bytes(bytes) => {
                if let Kind::Plain(at) = kind {
                    consumers[at].plain += bytes;
                }
                if kind == Kind::TaskPage { Value::Null } else { json!(bytes) }
            }
            Allocation::Page { page, size } => {
                match kind {
                    Kind::Page(at) => consumers[at].pages.push(page),
                    Kind::Array(at) => consumers[at].arrays.push(page),
                    _ => memory.free_page(page, &mut self.manager),
                }
                json!([page.0, size])
            }
            Allocation::OutOfMemory { .. } => return Outcome::Error(OUT_OF_MEMORY),
            Allocation::Fault(RequestFault::Execution(error)) => {
                return Outcome::Error(execution_error(error));
            }
            Allocation::Fault(RequestFault::PageTooLarge(_)) => {
                return Outcome::Error("org.apache.spark.memory.TooLargePageException");
            }
            Allocation::Fault(RequestFault::PageTableFull) => {
                return Outcome::Error("java.lang.IllegalStateException");
            }
        })
    }

    /// Has a consumer spill as its policy says, and notes the event.
    fn spill(&mut self, task: usize, consumer: ConsumerId, ask: u64, by: ConsumerId) -> Spilled {
        let Task { memory, consumers } = &mut self.running[task];
        let own = &mut consumers[consumer.0 as usize];
        own.asked += 1;
        let used = memory.used(consumer);
        let goal = match own.spec.policy.as_str() {
            "full" | "under" => used,
            "notself" if consumer != by => used,
            "ask" => ask.max(used.div_ceil(8)).min(used),
            "part" => (used * own.spec.arg).div_ceil(100),
            _ => 0,
        };
        let freed = own.release(goal, memory, &mut self.manager);
        let spilled = match own.spec.policy.as_str() {
            "io" => Spilled::Threw("java.io.IOException"),
            "closed" => Spilled::Threw("java.nio.channels.ClosedByInterruptException"),
            "intio" => Spilled::Threw("java.io.InterruptedIOException"),
            "under" => Spilled::Done { returned: freed / 2, freed },
            "lie" => Spilled::Done { returned: u64::from(own.asked <= own.spec.arg), freed },
            _ => Spilled::Done { returned: freed, freed },
        };
        self.events.push(match spilled {
            Spilled::Done { returned, freed } => {
                json!({"spill": consumer.0, "ask": ask, "by": by.0, "ret": returned, "freed": freed})
            }
            Spilled::Threw(class) => json!({"spill": consumer.0, "ask": ask, "by": by.0, "throws": class}),
        });
        spilled
    }

    fn take_drops(&mut self) {
        self.events.extend(self.manager.drain_events().map(|event| blocks::dropped(&event)));
    }
}

impl Consumer {
    /// Frees plain memory, then arrays, then pages until `goal` bytes are free; returns what was freed.
    fn release(&mut self, goal: u64, memory: &mut TaskMemoryManager, manager: &mut MemoryManager) -> u64 {
        let before = memory.used(self.id);
        let plain = self.plain.min(goal);
        if plain > 0 {
            memory.free(self.id, plain, manager);
            self.plain -= plain;
        }
        while before - memory.used(self.id) < goal {
            let from = if self.arrays.is_empty() { &mut self.pages } else { &mut self.arrays };
            if from.is_empty() {
                break;
            }
            memory.free_page(from.remove(0), manager);
        }
        before - memory.used(self.id)
    }
}
