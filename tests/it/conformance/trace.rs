//! Trace files: reading them, and replaying operations in the order in which they took effect, with the bookkeeping of
//! who waits and who was woken.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use serde_json::{Map, Value};
use spillcast::memory::{BlockId, MemoryMode, TaskId};

use super::report::{Fault, Mismatch, Report};

/// How an operation ended.
pub(crate) enum Outcome {
    Result(Value),
    /// What Spark throws, by Java class.
    Error(&'static str),
    /// It waits.
    Blocked,
}

/// Anything wrong with the text of a line.
pub(crate) type LineResult<T> = Result<T, String>;

/// The real classes of one suite, as modelled.
pub(crate) trait Model: Sized {
    /// Sets up a trace from its header.
    fn new(header: &Op<'_>) -> LineResult<Self>;
    /// Performs an operation.
    fn apply(&mut self, op: &Op<'_>) -> LineResult<Outcome>;
    /// Tries the operation that waits since line `of` again.
    fn retry(&mut self, of: u64) -> LineResult<Outcome>;
    /// The thread of the operation that waits since line `of` is interrupted.
    fn interrupt(&mut self, of: u64);
    /// Evictions and spills since the last call.
    fn events(&mut self) -> Vec<Value>;
    /// The state as the trace shows it.
    fn state(&self) -> Map<String, Value>;
    /// How many times waiters were notified.
    fn wakeups(&self) -> u64;
}

/// A line of a trace.
pub(crate) struct Op<'a>(pub(crate) &'a Map<String, Value>);

impl Op<'_> {
    pub(crate) fn value(&self, field: &str) -> LineResult<&Value> {
        self.0.get(field).ok_or_else(|| format!("missing field `{field}`"))
    }

    pub(crate) fn text(&self, field: &str) -> LineResult<&str> {
        self.value(field)?.as_str().ok_or_else(|| format!("field `{field}` is no text"))
    }

    pub(crate) fn number(&self, field: &str) -> LineResult<u64> {
        self.value(field)?.as_u64().ok_or_else(|| format!("field `{field}` is no natural number"))
    }

    pub(crate) fn double(&self, field: &str) -> LineResult<f64> {
        self.value(field)?.as_f64().ok_or_else(|| format!("field `{field}` is no number"))
    }

    pub(crate) fn list(&self, field: &str) -> LineResult<&Vec<Value>> {
        self.value(field)?.as_array().ok_or_else(|| format!("field `{field}` is no list"))
    }

    pub(crate) fn object(&self, field: &str) -> LineResult<Op<'_>> {
        self.value(field)?.as_object().map(Op).ok_or_else(|| format!("field `{field}` is no object"))
    }

    pub(crate) fn task(&self) -> LineResult<TaskId> {
        self.value("t")?.as_i64().map(TaskId).ok_or_else(|| "field `t` is no task".to_owned())
    }

    pub(crate) fn mode(&self) -> LineResult<MemoryMode> {
        mode(self.text("m")?)
    }

    pub(crate) fn block(&self) -> LineResult<BlockId> {
        block(self.text("b")?)
    }
}

pub(crate) fn mode(text: &str) -> LineResult<MemoryMode> {
    match text {
        "on" => Ok(MemoryMode::OnHeap),
        "off" => Ok(MemoryMode::OffHeap),
        other => Err(format!("`{other}` is no memory mode")),
    }
}

pub(crate) fn block(text: &str) -> LineResult<BlockId> {
    let error = || format!("`{text}` is no block");
    let mut parts = text.split('_');
    let kind = parts.next().ok_or_else(error)?;
    let numbers: Vec<u32> = parts.map(|part| part.parse().map_err(|_| error())).collect::<Result<_, _>>()?;
    match (kind, numbers[..].as_ref()) {
        ("rdd", &[rdd, split]) => Ok(BlockId::Rdd { rdd, split }),
        ("broadcast", &[id]) => Ok(BlockId::Broadcast(u64::from(id))),
        ("test", &[id]) => Ok(BlockId::Test(u64::from(id))),
        _ => Err(error()),
    }
}

/// Calls `each` with the number, from 1, and the object of every line of a gzip'ed file of JSON lines.
pub(crate) fn for_each_line(
    path: &Path,
    mut each: impl FnMut(usize, &Map<String, Value>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let file = File::open(path).map_err(|error| Fault::new(path, 0, error.to_string()))?;
    let mut reader = BufReader::new(MultiGzDecoder::new(BufReader::new(file)));
    let mut text = String::new();
    for number in 1.. {
        text.clear();
        let read =
            reader.read_line(&mut text).map_err(|error| Fault::new(path, number, error.to_string()))?;
        if read == 0 {
            break;
        }
        match serde_json::from_str(&text) {
            Ok(Value::Object(line)) => each(number, &line)?,
            Ok(_) => return Err(Fault::new(path, number, "no JSON object")),
            Err(error) => return Err(Fault::new(path, number, format!("no JSON: {error}"))),
        }
    }
    Ok(())
}

/// Replays a file of traces.
pub(crate) fn replay<M: Model>(path: &Path, report: &mut Report) -> Result<(), Fault> {
    let mut running: Option<Replay<M>> = None;
    for_each_line(path, |number, line| {
        let fault = |message: String| Fault::new(path, number, message);
        if line.contains_key("trace") {
            if let Some(finished) = running.take() {
                finished.end(report);
            }
            report.count_trace();
            running = Some(Replay::begin(path, number, &Op(line), report).map_err(fault)?);
            return Ok(());
        }
        let replay = running.as_mut().ok_or_else(|| fault("an operation before any trace".to_owned()))?;
        replay.line(number, &Op(line), report).map_err(fault)
    })?;
    let finished = running.ok_or_else(|| Fault::new(path, 0, "no traces"))?;
    finished.end(report);
    Ok(())
}

/// A trace being replayed.
struct Replay<M> {
    path: PathBuf,
    trace: String,
    line: usize,
    /// Operation lines still to come, by the header.
    remaining: i64,
    model: M,
    waiting: BTreeSet<u64>,
    /// Waiters that were notified and have not tried again since.
    woken: BTreeSet<u64>,
    interrupted: BTreeSet<u64>,
    /// After a mismatch the rest of the trace follows from a wrong state and is not compared.
    derailed: bool,
}

impl<M: Model> Replay<M> {
    fn begin(path: &Path, line: usize, header: &Op<'_>, report: &mut Report) -> LineResult<Self> {
        let mut replay = Self {
            path: path.to_owned(),
            trace: header.text("trace")?.to_owned(),
            line,
            remaining: header.number("lines")? as i64,
            model: M::new(header)?,
            waiting: BTreeSet::new(),
            woken: BTreeSet::new(),
            interrupted: BTreeSet::new(),
            derailed: false,
        };
        replay.compare_state("(start)", header, report)?;
        Ok(replay)
    }

    fn line(&mut self, number: usize, op: &Op<'_>, report: &mut Report) -> LineResult<()> {
        self.line = number;
        self.remaining -= 1;
        let id = op.number("i")?;
        let name = op.text("op")?;
        if self.derailed {
            return Ok(());
        }
        report.count_line();
        let before = self.model.wakeups();
        let (outcome, actor) = match name {
            "recheck" | "wake" => {
                let of = op.number("of")?;
                if !self.waiting.contains(&of) {
                    return Err(format!("no operation waits since line {of}"));
                }
                let was_woken = self.woken.remove(&of);
                if self.interrupted.remove(&of) {
                    self.model.interrupt(of);
                    (Outcome::Error("java.lang.InterruptedException"), of)
                } else {
                    if !was_woken {
                        self.differ(name, "woken", "true", "false", report);
                    }
                    (self.model.retry(of)?, of)
                }
            }
            _ => {
                if !self.woken.is_empty() {
                    let found = format!("{:?} have to try again first", self.woken);
                    self.differ(name, "woken", "nobody", &found, report);
                }
                if name == "interrupt" {
                    self.interrupted.insert(op.number("of")?);
                    (Outcome::Result(Value::Null), id)
                } else {
                    (self.model.apply(op)?, id)
                }
            }
        };
        if matches!(outcome, Outcome::Blocked) {
            self.waiting.insert(actor);
        } else {
            self.waiting.remove(&actor);
        }
        if self.model.wakeups() > before {
            // Whoever waits now was notified, but for the one whose attempt this was: it began to wait later.
            self.woken = self.waiting.clone();
            self.woken.remove(&actor);
        }
        self.compare_outcome(name, op, &outcome, report);
        let expected = op.0.get("ev").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
        let found = Value::Array(self.model.events());
        if found != expected {
            self.differ(name, "ev", &expected.to_string(), &found.to_string(), report);
        }
        self.compare_state(name, op, report)
    }

    fn end(mut self, report: &mut Report) {
        if self.remaining != 0 {
            let found = format!("{} fewer", self.remaining);
            self.differ("(end)", "lines", "as many as the header says", &found, report);
        }
        if !self.woken.is_empty() && !self.derailed {
            let found = format!("{:?} have to try again", self.woken);
            self.differ("(end)", "woken", "nobody", &found, report);
        }
    }

    fn compare_outcome(&mut self, name: &str, op: &Op<'_>, outcome: &Outcome, report: &mut Report) {
        let blocks = op.0.get("blocked").is_some() || name == "recheck";
        let expected = match op.0.get("err").and_then(Value::as_str) {
            _ if blocks => "waits".to_owned(),
            Some(class) => class.to_owned(),
            None => op.0.get("r").cloned().unwrap_or_default().to_string(),
        };
        let found = match outcome {
            Outcome::Blocked => "waits".to_owned(),
            Outcome::Error(class) => (*class).to_owned(),
            Outcome::Result(value) => value.to_string(),
        };
        if found != expected {
            self.differ(name, "r", &expected, &found, report);
        }
    }

    fn compare_state(&mut self, name: &str, op: &Op<'_>, report: &mut Report) -> LineResult<()> {
        let expected = op.object("st")?.0;
        let found = self.model.state();
        let fields: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
        let show = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
        for field in fields {
            let (expected, found) = (expected.get(field), found.get(field));
            if expected != found {
                self.differ(name, field, &show(expected), &show(found), report);
            }
        }
        Ok(())
    }

    fn differ(&mut self, operation: &str, field: &str, expected: &str, found: &str, report: &mut Report) {
        self.derailed = true;
        report.mismatch(Mismatch {
            file: self.path.clone(),
            trace: self.trace.clone(),
            line: self.line,
            operation: operation.to_owned(),
            field: field.to_owned(),
            expected: expected.to_owned(),
            found: found.to_owned(),
        });
    }
}
