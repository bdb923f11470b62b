//! Suite `store`: blocks with levels, locks, a disk, and unrolling.

use serde_json::{Map, Value, json};
use spillcast::memory::{
    BlockId, EntryForm, MemoryManager, MemoryMode, StorageLevel, TaskId, Unroll, UnrollOutcome,
    UnrollSettings,
};

use super::blocks::{self, OFF, ON, by_task, form_name, grant};
use super::pools::put;
use super::trace::{LineResult, Model, Op, Outcome};

pub(crate) struct Store {
    manager: MemoryManager,
    settings: UnrollSettings,
    parts: Vec<Part>,
}

/// What an unroll that failed left in the hands of its task.
struct Part {
    mode: MemoryMode,
    held: u64,
    unrolled: u64,
    rest: u64,
    /// The iterator over it has not come to the end of the unrolled elements and was not closed.
    open: bool,
    /// A serialized part was discarded.
    discarded: bool,
}

impl Model for Store {
    fn new(header: &Op<'_>) -> LineResult<Self> {
        let params = header.object("params")?;
        let settings = UnrollSettings {
            initial_threshold: params.number("unrollMemoryThreshold")?,
            check_period: params.number("unrollMemoryCheckPeriod")?,
            growth_factor: params.double("unrollMemoryGrowthFactor")?,
        };
        Ok(Self { manager: blocks::unified_manager(&params)?, settings, parts: Vec::new() })
    }

    fn apply(&mut self, op: &Op<'_>) -> LineResult<Outcome> {
        let name = op.text("op")?;
        if let Some(action) = name.strip_prefix("part.") {
            return self.part(action, op);
        }
        let manager = &mut self.manager;
        let result = match name {
            "put" => {
                let level = level(op)?;
                return Ok(put(manager.put_bytes(
                    op.task()?,
                    op.block()?,
                    op.number("n")?,
                    op.mode()?,
                    level,
                )));
            }
            "putValues" => self.unroll(op, ON, EntryForm::Values)?,
            "putSer" => self.unroll(op, op.mode()?, EntryForm::Bytes)?,
            "get" => get(manager, op.block()?, op),
            "getSize" => json!(manager.store_mut().touch(op.block()?).map(|entry| entry.size)),
            "contains" => json!(manager.store().contains(op.block()?)),
            "rm" => {
                let (task, block) = (op.task()?, op.block()?);
                if manager.store().lookup(block).is_none() {
                    json!("unknown")
                } else {
                    match manager.remove_block(task, block) {
                        None => json!("locked"),
                        Some(removed) => json!({"memory": removed.memory, "disk": removed.disk}),
                    }
                }
            }
            "rlock" => json!(manager.store_mut().lock_for_reading(op.task()?, op.block()?)),
            "wlock" => json!(manager.store_mut().lock_for_writing(op.task()?, op.block()?)),
            "unlock" => {
                manager.store_mut().unlock(op.task()?, op.block()?);
                Value::Null
            }
            "downgrade" => {
                manager.store_mut().downgrade(op.task()?, op.block()?);
                Value::Null
            }
            "reserveUnroll" => {
                let (task, block, bytes, mode) = (op.task()?, op.block()?, op.number("n")?, op.mode()?);
                json!(
                    manager
                        .reserve_unroll_for_task(task, block, bytes, mode)
                        .map_err(|error| error.to_string())?
                )
            }
            "releaseUnroll" => {
                manager.release_unroll_for_task(op.task()?, op.number("n")?, op.mode()?);
                Value::Null
            }
            "evict" => {
                let block = op.0.contains_key("b").then(|| op.block()).transpose()?;
                json!(manager.evict_blocks(block, op.number("n")?, op.mode()?))
            }
            "acqX" => return Ok(grant(manager.acquire_execution(op.number("n")?, op.task()?, op.mode()?))),
            "relX" => {
                manager.release_execution(op.number("n")?, op.task()?, op.mode()?);
                Value::Null
            }
            "clear" => {
                manager.clear_blocks();
                Value::Null
            }
            "endTask" => {
                let task = op.task()?;
                if task == TaskId::NONE {
                    for mode in MemoryMode::ALL {
                        manager.release_unroll_for_task(task, u64::MAX, mode);
                    }
                    json!([])
                } else {
                    by_name(manager.end_task(task).into_iter().map(|block| json!(block.to_string())))
                }
            }
            other => return Err(format!("unknown op `{other}`")),
        };
        Ok(Outcome::Result(result))
    }

    fn retry(&mut self, of: u64) -> LineResult<Outcome> {
        Err(format!("line {of} waits, which nothing does in this suite"))
    }

    fn interrupt(&mut self, _of: u64) {}

    fn events(&mut self) -> Vec<Value> {
        let shown = self.manager.drain_events().map(|event| {
            json!({
                "drop": event.block.to_string(),
                "size": event.size,
                "kind": form_name(event.form),
                "toDisk": event.to_disk,
                "stays": event.stays_on_disk,
            })
        });
        shown.collect()
    }

    fn state(&self) -> Map<String, Value> {
        let mut state = blocks::state(&self.manager, true);
        let store = self.manager.store();
        let locks = store.blocks().filter(|(_, known)| known.readers > 0 || known.writer.is_some()).map(
            |(id, known)| {
                let writer = match known.writer {
                    None => -1,
                    Some(TaskId::NONE) => -1024,
                    Some(task) => task.0,
                };
                json!([id.to_string(), known.readers, writer])
            },
        );
        let known =
            store.blocks().filter(|(_, known)| known.entry.is_none()).map(|(id, _)| json!(id.to_string()));
        let disk = store.blocks().filter(|(_, known)| known.on_disk).map(|(id, _)| json!(id.to_string()));
        state.extend([
            ("locks".to_owned(), by_name(locks)),
            ("known".to_owned(), by_name(known)),
            ("disk".to_owned(), by_name(disk)),
            ("uOn".to_owned(), by_task(store.unroll_by_task(ON))),
            ("uOff".to_owned(), by_task(store.unroll_by_task(OFF))),
        ]);
        state
    }

    fn wakeups(&self) -> u64 {
        self.manager.wakeups()
    }
}

impl Store {
    fn unroll(&mut self, op: &Op<'_>, mode: MemoryMode, form: EntryForm) -> LineResult<Value> {
        let (task, block, count) = (op.task()?, op.block()?, op.number("cnt")?);
        let manager = &mut self.manager;
        if !manager.store_mut().lock_new_for_writing(task, block, level(op)?) {
            return Ok(json!("known"));
        }
        let started = Unroll::start(manager, self.settings, task, block, mode);
        let mut unroll = started.map_err(|error| error.to_string())?;
        let mut estimates = op.list("est")?.iter();
        let mut taken = 0;
        while taken < count && unroll.is_accepting() {
            if unroll.next_check(taken + 1) == taken + 1 {
                let estimated = estimates.next().and_then(Value::as_u64);
                unroll.check(manager, estimated.ok_or("field `est` is too short or has no numbers")?);
            }
            taken += 1;
        }
        Ok(match unroll.finish(manager, op.number("precise")?, form) {
            UnrollOutcome::Stored { size } => {
                manager.store_mut().unlock(task, block);
                json!({"stored": size})
            }
            UnrollOutcome::Failed { held } => {
                manager.forget_block(block);
                self.parts.push(Part {
                    mode,
                    held,
                    unrolled: taken,
                    rest: count - taken,
                    open: true,
                    discarded: false,
                });
                json!({"partial": self.parts.len() - 1, "unroll": held})
            }
        })
    }

    fn part(&mut self, action: &str, op: &Op<'_>) -> LineResult<Outcome> {
        let (task, of) = (op.task()?, op.number("of")?);
        let part =
            self.parts.get_mut(of as usize).ok_or_else(|| format!("there is no partial result {of}"))?;
        let manager = &mut self.manager;
        let mut release = |part: &Part| manager.release_unroll_for_task(task, part.held, part.mode);
        let result = match action {
            "next" => {
                let wanted = op.number("k")?;
                let mut got = 0;
                let mut end = false;
                while got < wanted {
                    if part.open && part.unrolled == 0 {
                        part.open = false;
                        release(part);
                    }
                    let source = if part.open { &mut part.unrolled } else { &mut part.rest };
                    if *source == 0 {
                        end = true;
                        break;
                    }
                    *source -= 1;
                    got += 1;
                }
                json!({"got": got, "end": end})
            }
            "close" => {
                if std::mem::replace(&mut part.open, false) {
                    release(part);
                }
                Value::Null
            }
            // Whether or not the part was consumed before: it may release what the task has unrolled since.
            "discard" => {
                if !std::mem::replace(&mut part.discarded, true) {
                    release(part);
                }
                Value::Null
            }
            "finish" => {
                release(part);
                Value::Null
            }
            // From now on the elements are read by `part.next`; the memory stays until they are consumed.
            "values" => Value::Null,
            other => return Err(format!("unknown op `part.{other}`")),
        };
        Ok(Outcome::Result(result))
    }
}

fn get(manager: &mut MemoryManager, block: BlockId, op: &Op<'_>) -> Value {
    let Some(known) = manager.store().lookup(block) else { return json!("unknown") };
    if known.writer.is_some() {
        return json!("locked");
    }
    match manager.store_mut().touch(block) {
        None => json!("notInMemory"),
        Some(entry) if entry.form == EntryForm::Bytes => json!({"bytes": entry.size}),
        // The number of elements is not memory's to know.
        Some(_) => match op.0.get("r").and_then(|result| result.get("values")) {
            Some(count) => json!({"values": count}),
            None => json!("values"),
        },
    }
}

fn level(op: &Op<'_>) -> LineResult<StorageLevel> {
    let name = op.text("lvl")?;
    StorageLevel::from_name(name).ok_or_else(|| format!("`{name}` is no storage level"))
}

/// A list in the order of its texts, as traces have it.
fn by_name(values: impl Iterator<Item = Value>) -> Value {
    let mut values: Vec<_> = values.collect();
    values.sort_by_key(Value::to_string);
    Value::Array(values)
}
