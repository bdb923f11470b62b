//! Suites `unified`, `unmanaged` and `legacy`: a memory manager with blocks that are memory-only.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use spillcast::memory::{MemoryManager, MemoryMode, OffHeapStorageUnsupported, Put, StorageLevel, TaskId};

use super::blocks::{self, OFF, ON, by_task, grant};
use super::trace::{LineResult, Model, Op, Outcome};

pub(crate) struct Pools {
    manager: MemoryManager,
    legacy: bool,
    waiting: BTreeMap<u64, (u64, TaskId, MemoryMode)>,
}

impl Model for Pools {
    fn new(header: &Op<'_>) -> LineResult<Self> {
        let params = header.object("params")?;
        let legacy = header.text("suite")? == "legacy";
        let manager =
            if legacy { blocks::static_manager(&params)? } else { blocks::unified_manager(&params)? };
        Ok(Self { manager, legacy, waiting: BTreeMap::new() })
    }

    fn apply(&mut self, op: &Op<'_>) -> LineResult<Outcome> {
        let manager = &mut self.manager;
        let result = match op.text("op")? {
            "acqX" => {
                let (bytes, task, mode) = (op.number("n")?, op.task()?, op.mode()?);
                let outcome = grant(manager.acquire_execution(bytes, task, mode));
                if matches!(outcome, Outcome::Blocked) {
                    self.waiting.insert(op.number("i")?, (bytes, task, mode));
                }
                return Ok(outcome);
            }
            "relX" => {
                manager.release_execution(op.number("n")?, op.task()?, op.mode()?);
                Value::Null
            }
            "relAllX" => json!(manager.release_all_execution_for_task(op.task()?)),
            "getX" => json!(manager.execution_held_by(op.task()?)),
            "acqS" => {
                return Ok(storage(manager.acquire_storage(op.block()?, op.number("n")?, op.mode()?)));
            }
            "acqU" => {
                return Ok(storage(manager.acquire_unroll(op.block()?, op.number("n")?, op.mode()?)));
            }
            "relS" => {
                manager.release_storage(op.number("n")?, op.mode()?);
                Value::Null
            }
            "relU" => {
                manager.release_unroll(op.number("n")?, op.mode()?);
                Value::Null
            }
            "reserveUnroll" => {
                let (block, bytes, mode) = (op.block()?, op.number("n")?, op.mode()?);
                return Ok(storage(manager.reserve_unroll_for_task(TaskId::NONE, block, bytes, mode)));
            }
            "releaseUnroll" => {
                manager.release_unroll_for_task(TaskId::NONE, op.number("n")?, op.mode()?);
                Value::Null
            }
            "maxS" => json!(manager.max_storage(op.mode()?)),
            "put" => {
                let (block, bytes, mode) = (op.block()?, op.number("n")?, op.mode()?);
                let level = StorageLevel::MEMORY_ONLY_SER;
                return Ok(put(manager.put_bytes(TaskId::NONE, block, bytes, mode, level)));
            }
            "get" => json!(manager.store_mut().touch(op.block()?).is_some()),
            "rm" => {
                json!(manager.remove_block(TaskId::NONE, op.block()?).is_some_and(|removed| removed.memory))
            }
            "clear" => {
                manager.clear_blocks();
                Value::Null
            }
            "unmanaged" => {
                manager.set_unmanaged(ON, op.number("on")?);
                manager.set_unmanaged(OFF, op.number("off")?);
                Value::Null
            }
            other => return Err(format!("unknown op `{other}`")),
        };
        Ok(Outcome::Result(result))
    }

    fn retry(&mut self, of: u64) -> LineResult<Outcome> {
        let &(bytes, task, mode) = self.waiting.get(&of).ok_or_else(|| format!("line {of} does not wait"))?;
        let outcome = grant(self.manager.retry_execution(bytes, task, mode));
        if !matches!(outcome, Outcome::Blocked) {
            self.waiting.remove(&of);
        }
        Ok(outcome)
    }

    fn interrupt(&mut self, of: u64) {
        self.waiting.remove(&of);
    }

    fn events(&mut self) -> Vec<Value> {
        self.manager.drain_events().map(|event| blocks::dropped(&event)).collect()
    }

    fn state(&self) -> Map<String, Value> {
        let mut state = blocks::state(&self.manager, false);
        if self.legacy {
            state.insert("uOn".to_owned(), by_task(self.manager.store().unroll_by_task(ON)));
        }
        state
    }

    fn wakeups(&self) -> u64 {
        self.manager.wakeups()
    }
}

fn storage(answer: Result<bool, OffHeapStorageUnsupported>) -> Outcome {
    answer.map_or_else(|_| unsupported(), |granted| Outcome::Result(json!(granted)))
}

/// The answer to a put, as the suites with and without levels word it.
pub(crate) fn put(answer: Result<Put, OffHeapStorageUnsupported>) -> Outcome {
    match answer {
        Ok(Put::Stored) => Outcome::Result(json!(true)),
        Ok(Put::Refused) => Outcome::Result(json!(false)),
        Ok(Put::Known) => Outcome::Result(json!("known")),
        Err(_) => unsupported(),
    }
}

fn unsupported() -> Outcome {
    Outcome::Error("java.lang.IllegalArgumentException")
}
