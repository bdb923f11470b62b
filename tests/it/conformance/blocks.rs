//! What the suites share: setting up a manager, and its state and answers in the words of the traces.

use serde_json::{Map, Value, json};
use spillcast::memory::{
    BlockDropped, Entry, EntryForm, ExecutionError, Grant, MemoryManager, MemoryMode, StaticRegions, TaskId,
    UnifiedRegions,
};

use super::trace::{LineResult, Op, Outcome};

pub(crate) const ON: MemoryMode = MemoryMode::OnHeap;
pub(crate) const OFF: MemoryMode = MemoryMode::OffHeap;

pub(crate) fn unified_manager(params: &Op<'_>) -> LineResult<MemoryManager> {
    Ok(MemoryManager::unified(UnifiedRegions {
        on_heap: params.number("maxHeap")?,
        on_heap_storage: params.number("storageRegion")?,
        off_heap: params.number("offHeapSize")?,
        off_heap_storage: params.number("offHeapStorage")?,
    }))
}

pub(crate) fn static_manager(params: &Op<'_>) -> LineResult<MemoryManager> {
    Ok(MemoryManager::fixed(StaticRegions::with_pools(
        params.number("maxOnHeapExecution")?,
        params.number("maxOnHeapStorage")?,
        params.double("unrollFraction")?,
        params.number("offHeapSize")?,
    )))
}

/// An answer to a request for execution memory.
pub(crate) fn grant(answer: Result<Grant, ExecutionError>) -> Outcome {
    match answer {
        Ok(Grant::Granted(bytes)) => Outcome::Result(json!(bytes)),
        Ok(Grant::Wait) => Outcome::Blocked,
        Err(error) => Outcome::Error(execution_error(error)),
    }
}

pub(crate) fn execution_error(error: ExecutionError) -> &'static str {
    match error {
        ExecutionError::NothingRequested => "java.lang.AssertionError",
        ExecutionError::TaskForgotten(_) => "java.util.NoSuchElementException",
        ExecutionError::PoolsOutOfStep => "java.lang.IllegalArgumentException",
    }
}

pub(crate) fn mode_name(mode: MemoryMode) -> &'static str {
    match mode {
        MemoryMode::OnHeap => "on",
        MemoryMode::OffHeap => "off",
    }
}

pub(crate) fn form_name(form: EntryForm) -> &'static str {
    match form {
        EntryForm::Bytes => "bytes",
        EntryForm::Values => "values",
    }
}

pub(crate) fn by_task(bytes: &[(TaskId, u64)]) -> Value {
    bytes.iter().map(|&(task, bytes)| (task.0.to_string(), json!(bytes))).collect::<Map<_, _>>().into()
}

/// An eviction in the suites that do not speak of the disk.
pub(crate) fn dropped(event: &BlockDropped) -> Value {
    json!({"drop": event.block.to_string(), "size": event.size})
}

/// The part of the state that all suites show. `with_form`: entries say whether they are bytes or values.
pub(crate) fn state(manager: &MemoryManager, with_form: bool) -> Map<String, Value> {
    let storage = |mode| json!([manager.storage(mode).size(), manager.storage(mode).used()]);
    let execution = |mode| json!([manager.execution(mode).size(), manager.execution(mode).used()]);
    let entry = |(block, entry): (spillcast::memory::BlockId, Entry)| {
        let mut shown = vec![json!(block.to_string()), json!(entry.size), json!(mode_name(entry.mode))];
        if with_form {
            shown.push(json!(form_name(entry.form)));
        }
        Value::Array(shown)
    };
    [
        ("onS", storage(ON)),
        ("onX", execution(ON)),
        ("offS", storage(OFF)),
        ("offX", execution(OFF)),
        ("tOn", by_task(manager.execution(ON).tasks())),
        ("tOff", by_task(manager.execution(OFF).tasks())),
        ("b", manager.store().entries().map(entry).collect()),
    ]
    .into_iter()
    .map(|(field, value)| (field.to_owned(), value))
    .collect()
}
